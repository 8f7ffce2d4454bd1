"""The masks of an answer as files that other tools read, one file a format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.episode import Candidate
from agent.exports import coco, images, label_studio, yolo
from agent.exports.answer import Answer
from agent.options import BadInput
from sam3_tool.files import write_whole
from sam3_tool.picture import Picture


@dataclass(frozen=True)
class Format:
    ending: str
    """Of the file's name; what comes before it is the picture's."""
    about: str
    """For people who choose among formats: a few words."""
    content: Callable[[Answer], bytes]

    def write(
        self,
        picture: Picture,
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
        answer = Answer.of(picture, candidates, name, reasons)
        path = folder / self.file_name(name)
        write_whole(path, self.content(answer))
        return path

    def file_name(self, name: str) -> str:
        """What `write` calls its file for a picture of this name."""
        return Answer.stem_of(name) + self.ending


FORMATS: Mapping[str, Format] = {
    "png-indexed": Format(".indexed.png", "PNG, one picture with a number at each pixel", images.indexed),
    "png-masks": Format(".masks.zip", "PNG, one picture per mask (zip)", images.black_and_white),
    "coco": Format(".coco.json", "COCO JSON, run lengths", coco.with_runs),
    "coco-polygons": Format(".coco-polygons.json", "COCO JSON, polygons", coco.with_polygons),
    "yolo-seg": Format(".yolo-seg.zip", "YOLO segmentation (zip)", yolo.data_set),
    "cutout": Format(".cutout.zip", "Cut-outs on a transparent ground (zip)", images.cut_out),
    "label-studio": Format(".label-studio.json", "Label Studio JSON", label_studio.task),
}


def chosen(names: str) -> dict[str, Format]:
    """Those formats that a list such as 'coco,yolo-seg' names, each once. Raises BadInput for any other name.

    >>> [*chosen("coco, yolo-seg,coco")]
    ['coco', 'yolo-seg']
    """
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise BadInput(f"no export format {unknown[0]!r}; there are: {', '.join(FORMATS)}")
    return {name: FORMATS[name] for name in wanted}
