"""The performance numbers of the README, each a command: `python -m bench.NAME`."""
