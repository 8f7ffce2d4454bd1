"""The images of a data engine: where each lies, whose it is, and to which group and split it belongs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sam3_tool.errors import ImageError
from sam3_tool.image import Image

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class EngineImage:
    """One image; files with the same pixels are one image.

    >>> EngineImage(key="5d", path=Path("a.png"), width=4, height=3).is_kept
    True
    """

    key: str
    """`Image.key`, the hash of the pixels."""
    path: Path
    """The first file that it was found in."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    source: str = ""
    """Where it came from: the folder within those that were given, or what the user says."""
    licence: str = ""
    original_hash: str = ""
    """SHA-256 of the file, in hexadecimal."""
    group: str = ""
    """Key of the image that stands for its near-duplicates; left out, it stands for itself."""
    split: Split = "train"
    dhash: str = ""
    """16 hexadecimal digits that near-duplicates nearly share; "" where nobody has computed them."""
    alt_text: str = ""
    """What a page or a catalogue says of it."""
    error: str = ""
    """Why it cannot be read now, though it could be before; "" where it can."""

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.key)

    @property
    def is_kept(self) -> bool:
        """Whether it is labelled: of near-duplicates one alone is."""
        return self.group == self.key

    def open_pixels(self) -> Image:
        """Open the image.

        Returns:
            The very pixels that were labelled.

        Raises:
            ImageError: The file is gone, damaged, or holds other pixels now.
        """
        image = Image.open(self.path)
        if image.key != self.key:
            raise ImageError(f"{self.path} holds other pixels than when it was added; put the image of then back")
        return image
