"""A data set for YOLO: https://docs.ultralytics.com/datasets/segment/, with a part to validate with."""

from collections.abc import Iterator
from pathlib import Path

from agent.exports.answer import get_category
from agent.exports.archive import write_archive
from agent.exports.sets.base import ImageSet, SetExporter, SetImage
from agent.exports.yolo import build_description, format_corners
from sam3_tool.masks.rle import decode_mask


def write_data_set(images: ImageSet, path: Path) -> None:
    """A ZIP that can be trained on as it is: `data.yaml`, and images and labels in a folder for each part.

    One image is in memory at a time. A single image is trained on and validated with.
    """
    names, stems, (train, val) = images.list_categories(), images.build_stems(), images.split()
    has_parts = {image.name for image in train}.isdisjoint(image.name for image in val)
    parts = {"train": train, "val": val} if has_parts else {"train": train}

    def list_files() -> Iterator[tuple[str, bytes]]:
        folders = [f"images/{part}" for part in parts]
        yield "data.yaml", build_description(names, train=folders[0], val=folders[-1]).encode()
        for part, members in parts.items():
            for image in members:
                suffix, content = image.read_file()
                yield f"images/{part}/{stems[image.name]}{suffix}", content
                yield f"labels/{part}/{stems[image.name]}.txt", _format_labels(image, names, images.tolerance).encode()

    write_archive(path, list_files())


def _format_labels(image: SetImage, names: list[str], tolerance: float) -> str:
    size = image.width, image.height
    lines = (
        f"{names.index(get_category(mask))} {format_corners(decode_mask(mask.rle), size, tolerance=tolerance)}\n"
        for mask in image.filled
    )
    return "".join(lines)


SEGMENTATION = SetExporter(".yolo-seg.zip", "YOLO segmentation, train and val (zip)", write_data_set)
