"""The masks of an answer as files that other tools read, one file a format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.episode import Candidate
from agent.core.errors import UsageError
from agent.exports import coco, images, label_studio, yolo
from agent.exports.answer import ExportAnswer
from sam3_tool.files import write_atomically
from sam3_tool.image import Image


@dataclass(frozen=True)
class Exporter:
    suffix: str
    """Of the file's name; what comes before it is the picture's."""
    description: str
    """For people who choose among formats: a few words."""
    encode: Callable[[ExportAnswer], bytes]

    def write(
        self,
        image: Image,
        candidates: Sequence[Candidate],
        name: str,
        folder: Path,
        reasons: Mapping[int, str],
    ) -> Path:
        """One file in `folder`, which is there already; a file of its name is replaced as a whole. Returns its path.

        `name`: the picture's file name, which tells the files apart and is what they call the picture; of a path or
        of letters that a file system refuses only what is harmless is used. `reasons`: by a mask's number. Masks
        without a pixel are left out; without any mask at all it is a valid file that holds none.
        """
        answer = ExportAnswer.from_candidates(image, candidates, name, reasons)
        path = folder / self.build_file_name(name)
        write_atomically(path, self.encode(answer))
        return path

    def build_file_name(self, name: str) -> str:
        """What `write` calls its file for a picture of this name."""
        return ExportAnswer.build_stem(name) + self.suffix


EXPORTERS: Mapping[str, Exporter] = {
    "png-indexed": Exporter(".indexed.png", "PNG, one picture with a number at each pixel", images.encode_indexed),
    "png-masks": Exporter(".masks.zip", "PNG, one picture per mask (zip)", images.encode_black_and_white),
    "coco": Exporter(".coco.json", "COCO JSON, run lengths", coco.encode_with_runs),
    "coco-polygons": Exporter(".coco-polygons.json", "COCO JSON, polygons", coco.encode_with_polygons),
    "yolo-seg": Exporter(".yolo-seg.zip", "YOLO segmentation (zip)", yolo.encode_data_set),
    "cutout": Exporter(".cutout.zip", "Cut-outs on a transparent ground (zip)", images.encode_cut_outs),
    "label-studio": Exporter(".label-studio.json", "Label Studio JSON", label_studio.encode_task),
}


def select_exporters(names: str) -> dict[str, Exporter]:
    """Those formats that a list such as 'coco,yolo-seg' names, each once. Raises BadInput for any other name.

    >>> [*select_exporters("coco, yolo-seg,coco")]
    ['coco', 'yolo-seg']
    """
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in EXPORTERS]:
        raise UsageError(f"no export format {unknown[0]!r}; there are: {', '.join(EXPORTERS)}")
    return {name: EXPORTERS[name] for name in wanted}
