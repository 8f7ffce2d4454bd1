"""The places where SAM 3 runs: the real network, a recording, or a script that needs no weights."""
