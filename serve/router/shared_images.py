"""A folder in which several processes share the images that clients have sent, so that each of them finds any."""

import re
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np

from sam3_tool.system.files import replace_atomically

_KEY = re.compile(r"[0-9a-f]{32}")


class SharedImages:
    """Pixels by owner and key, one file each. A file is mapped into memory, which all processes have once together."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made if it is not there. Nobody else may enter it."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder

    def write(self, owner: str, key: str, pixels: np.ndarray) -> np.ndarray:
        """Keep an image, and return its pixels as all processes see them.

        Args:
            owner: Whose it is.
            key: Of the image.
            pixels: uint8, (H, W, 3).
        """
        path = self._get_path(owner, key)
        if path is None:
            return pixels
        if not path.exists():
            with replace_atomically(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, pixels)
        found = self.read(owner, key)
        return pixels if found is None else found

    def read(self, owner: str, key: str) -> np.ndarray | None:
        """Return the pixels of an image, uint8 (H, W, 3), which count as used; None if it is not here."""
        path = self._get_path(owner, key)
        if path is None:
            return None
        try:
            pixels: np.ndarray = np.load(path, mmap_mode="r")
            path.touch()
        except (OSError, ValueError):
            return None
        return pixels

    def touch(self, owner: str, key: str) -> None:
        """Let an image count as used."""
        path = self._get_path(owner, key)
        if path is not None and path.exists():
            path.touch()

    def remove(self, owner: str, key: str) -> None:
        """Forget an image. A process that has it goes on to see it."""
        if (path := self._get_path(owner, key)) is not None:
            path.unlink(missing_ok=True)

    def remove_unused(self, seconds: float) -> None:
        """Forget the images that nobody has used for so long."""
        for path in self._folder.glob("*.npy"):
            with suppress(FileNotFoundError):  # another process was faster
                if path.stat().st_mtime < time.time() - seconds:
                    path.unlink()

    def _get_path(self, owner: str, key: str) -> Path | None:
        """Return the file of an image; None for what is no key of ours. A key alone opens nobody else's image."""
        if _KEY.fullmatch(key) is None:
            return None
        return self._folder / f"{blake2b(owner.encode(), digest_size=16).hexdigest()}-{key}.npy"
