"""A server whose SAM 3 costs nothing, so that only the server itself is measured: `python -m` this module."""

import numpy as np

from sam3_tool import Instances, Sam3, ScriptedBackend
from sam3_tool.network.listening import open_listener
from serve.http.app import create_app
from serve.http.middleware.drain import DrainingServer
from serve.http.settings import ServeSettings

HEIGHT, WIDTH = 480, 640
PHRASE = "cup"
SIDE = 90


def build_answer() -> Instances:
    """Return what every image of the right size holds: three discs."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centres = [(120, 140), (300, 320), (240, 520)]
    masks = np.stack([(y - row) ** 2 + (x - column) ** 2 < (SIDE / 2) ** 2 for row, column in centres])
    boxes = np.array([[c - SIDE / 2, r - SIDE / 2, c + SIDE / 2, r + SIDE / 2] for r, c in centres], np.float32)
    return Instances(masks, boxes, np.array([0.9, 0.8, 0.7], np.float32), 0.99, PHRASE)


def main() -> None:
    """Serve at any free port, and print the address."""
    app = create_app(ServeSettings(), Sam3(ScriptedBackend({None: {PHRASE: build_answer()}}), max_batch=8))
    listener = open_listener("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    DrainingServer(app).run(sockets=[listener])


if __name__ == "__main__":
    main()
