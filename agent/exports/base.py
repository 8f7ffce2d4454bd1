"""What a format is: a file name's ending, a few words, and a function from an answer to bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.workspace import Candidate
from agent.exports.answer import ExportAnswer
from sam3_tool.image import Image
from sam3_tool.system.files import write_atomically


@dataclass(frozen=True)
class Exporter:
    """One format that answers can be written in. An installed package offers its own as `sam3_agent.exporters`.

    Args:
        suffix: The ending of the file's name, e.g. ".coco.json"; the stem of the image's file name comes before it.
        description: A few words for people who choose among formats.
        encode: Turns an answer into the content of the file. The answer may hold no mask.

    Raises:
        ValueError: The suffix does not begin with a dot, or would lead to another folder.

    Example:
        >>> def encode_ids(answer):
        ...     return b",".join(b"%d" % candidate.id for candidate in answer.candidates)
        >>> mask_ids = Exporter(".ids.txt", "Ids", encode_ids)
        >>> mask_ids.build_file_name("scene.png")
        'scene.ids.txt'
    """

    suffix: str
    description: str
    encode: Callable[[ExportAnswer], bytes]

    def __post_init__(self) -> None:
        if not self.suffix.startswith(".") or set("/\\") & set(self.suffix):
            raise ValueError(f"an exporter's suffix begins with a dot and holds no slash, got {self.suffix!r}")

    def write(
        self,
        image: Image,
        candidates: Sequence[Candidate],
        name: str,
        folder: Path,
        reasons: Mapping[int, str],
    ) -> Path:
        """Write one file into a folder. A file of the same name is replaced as a whole.

        Args:
            image: The image that the masks lie in.
            candidates: The masks, in the order of the answer. Masks without a pixel are left out.
            name: The image's file name, which the format stores; the file's own name is made from it.
            folder: An existing folder.
            reasons: Mask id -> why the mask belongs to the answer.

        Returns:
            The path of the file. Without any mask, the file is valid and holds none.

        Raises:
            ValueError: A mask has another size than the image.
            OSError: The file cannot be written.
        """
        answer = ExportAnswer.from_candidates(image, candidates, name, reasons)
        path = folder / self.build_file_name(name)
        write_atomically(path, self.encode(answer))
        return path

    def build_file_name(self, name: str) -> str:
        """Return the name of the file that `write` makes.

        Args:
            name: The image's file name; it may have folders before it.

        Returns:
            The file name, without a folder.
        """
        return ExportAnswer.build_stem(name) + self.suffix
