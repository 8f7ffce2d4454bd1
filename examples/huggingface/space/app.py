"""The demo as a Hugging Face Space: `sam3-agent demo`, open to whoever the Space is open to."""

import os

from agent.cli.main import main

ARGUMENTS = [
    *("demo", "--host", "0.0.0.0", "--port", os.environ.get("GRADIO_SERVER_PORT", "7860")),
    *("--max-pixels", "25", "--queue", "10", "--sam3", os.environ.get("SAM3", "tiny")),
]

if __name__ == "__main__":
    main(ARGUMENTS)
