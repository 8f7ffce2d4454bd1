"""Chat models of a run: loading them by name, and asking each of them many small questions."""
