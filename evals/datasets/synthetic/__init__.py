"""The generated world as a benchmark."""
