"""What a format is: a file name's ending, a few words, and functions that turn an answer into the file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.core.workspace import Candidate
from agent.exports.answer import ExportAnswer
from agent.exports.video.answer import VideoExportAnswer
from sam3_tool.image import Image
from sam3_tool.system.files import replace_atomically, write_atomically

Medium = Literal["image", "video"]
"""What an answer is about."""


@dataclass(frozen=True)
class Exporter:
    """One format that answers can be written in. An installed package offers its own as `sam3_agent.exporters`.

    Args:
        suffix: The ending of the file's name, e.g. ".coco.json"; the stem of the image's file name comes before it.
        description: A few words for people who choose among formats.
        encode: Turns an answer about an image into the content of the file. The answer may hold no mask. None for a
            format of videos only.
        write_video: Writes an answer about a video to a path, where it may find an empty file. The answer may hold no
            object. None for a format of images only.

    Raises:
        ValueError: The suffix does not begin with a dot, or would lead to another folder; or there is no function.

    Example:
        >>> def encode_ids(answer):
        ...     return b",".join(b"%d" % candidate.id for candidate in answer.candidates)
        >>> mask_ids = Exporter(".ids.txt", "Ids", encode_ids)
        >>> mask_ids.build_file_name("scene.png")
        'scene.ids.txt'
    """

    suffix: str
    description: str
    encode: Callable[[ExportAnswer], bytes] | None = None
    write_video: Callable[[VideoExportAnswer, Path], None] | None = None

    def __post_init__(self) -> None:
        if self.encode is None and self.write_video is None:
            raise ValueError("an exporter has `encode`, `write_video` or both")
        if not self.suffix.startswith(".") or set("/\\") & set(self.suffix):
            raise ValueError(f"an exporter's suffix begins with a dot and holds no slash, got {self.suffix!r}")

    def write(
        self,
        image: Image,
        candidates: Sequence[Candidate],
        name: str,
        folder: Path,
        reasons: Mapping[int, str],
        *,
        tolerance: float = 0.0,
    ) -> Path:
        """Write one file into a folder. A file of the same name is replaced as a whole.

        Args:
            image: The image that the masks lie in.
            candidates: The masks, in the order of the answer. Masks without a pixel are left out.
            name: The image's file name, which the format stores; the file's own name is made from it.
            folder: An existing folder.
            reasons: Mask id -> why the mask belongs to the answer.
            tolerance: Pixels by which polygons may miss a mask's edge, from 0 to 100; 0 loses nothing.

        Returns:
            The path of the file. Without any mask, the file is valid and holds none.

        Raises:
            ValueError: A mask has another size than the image, the format is for videos only, or the tolerance is out
                of range.
            OSError: The file cannot be written.
        """
        if self.encode is None:
            raise ValueError(f"{self.suffix} is a format of videos only")
        answer = ExportAnswer.from_candidates(image, candidates, name, reasons, tolerance=tolerance)
        path = folder / self.build_file_name(name)
        write_atomically(path, self.encode(answer))
        return path

    def write_video_answer(self, answer: VideoExportAnswer, folder: Path) -> Path:
        """Write one file about a video into a folder. A file of the same name is replaced as a whole.

        Args:
            answer: The video and the objects in it.
            folder: An existing folder.

        Returns:
            The path of the file. Without any object, the file is valid and holds none.

        Raises:
            ValueError: The format is for images only.
            OSError: The file cannot be written.
            MissingPackageError: A package that the format needs is not installed.
        """
        if self.write_video is None:
            raise ValueError(f"{self.suffix} is a format of images only")
        path = folder / self.build_file_name(answer.name)
        with replace_atomically(path) as unfinished:
            self.write_video(answer, unfinished)
        return path

    def handles(self, medium: Medium) -> bool:
        """Tell whether answers about an image, or about a video, can be written in this format.

        Args:
            medium: "image" or "video".

        Returns:
            Whether they can.
        """
        return (self.encode if medium == "image" else self.write_video) is not None

    def build_file_name(self, name: str) -> str:
        """Return the name of the file that `write` makes.

        Args:
            name: The file name of the image or video; it may have folders before it.

        Returns:
            The file name, without a folder.
        """
        return ExportAnswer.build_stem(name) + self.suffix
