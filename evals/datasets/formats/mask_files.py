"""Predicted masks as video benchmarks take them: a PNG for every frame, in folders or in a zip file."""

import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from evals.errors import ScoringError

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip file, so that the same masks give the same bytes."""
_UNREADABLE = (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError, zipfile.BadZipFile)


class MaskTree:
    """A folder of masks, or a zip file that holds one."""

    def __init__(self, path: Path, *, within: str = "") -> None:
        """`within`: the folder in it that holds the masks, if it is there. Raises ScoringError for what is neither."""
        self.path = path
        self._zip = self._open_zip()
        self._prefix = f"{within}/" if within and self._has(f"{within}/") else ""

    def _open_zip(self) -> zipfile.ZipFile | None:
        if self.path.is_dir():
            return None
        try:
            return zipfile.ZipFile(self.path)
        except _UNREADABLE as error:
            raise ScoringError(f"{self.path} is neither a folder of masks nor a zip file ({error})") from error

    def _has(self, folder: str) -> bool:
        if self._zip is None:
            return (self.path / folder).is_dir()
        return any(name.startswith(folder) for name in self._zip.namelist())

    def has_folder(self, name: str) -> bool:
        """Tell whether there are masks in a folder."""
        return self._has(f"{self._prefix}{name}/")

    def read_mask(self, name: str, size: tuple[int, int]) -> np.ndarray:
        """Read a mask in grey: uint8, (H, W). Raises ScoringError if it is missing, broken, or of another size."""
        try:
            content = self._read_bytes(f"{self._prefix}{name}")
        except (KeyError, FileNotFoundError):
            raise ScoringError(f"there is no mask {name} in {self.path}") from None
        try:
            with PIL.Image.open(BytesIO(content)) as image:
                found = image.height, image.width
        except _UNREADABLE as error:
            raise ScoringError(f"the mask {name} in {self.path} cannot be read as an image") from error
        if found != size:
            raise ScoringError(
                f"the mask {name} in {self.path} is {found[1]} x {found[0]} pixels, expected {size[1]} x {size[0]}"
            )
        mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise ScoringError(f"the mask {name} in {self.path} cannot be read as an image")
        return np.asarray(mask)

    def _read_bytes(self, name: str) -> bytes:
        return (self.path / name).read_bytes() if self._zip is None else self._zip.read(name)


def write_mask_zip(masks: Iterable[tuple[str, np.ndarray]]) -> bytes:
    """A zip file of PNG files; `masks`: name with its folders, and uint8 (H, W) as it is saved."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for name, mask in masks:
            file.writestr(zipfile.ZipInfo(name, _EPOCH), encode_png(mask))
    return content.getvalue()


def encode_png(mask: np.ndarray) -> bytes:
    """`mask`: uint8, (H, W)."""
    content = BytesIO()
    PIL.Image.fromarray(mask).save(content, "PNG")
    return content.getvalue()
