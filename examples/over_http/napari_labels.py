"""Show masks in napari as a layer of labels: `python napari_labels.py IMAGE PHRASE…`."""

import sys

import numpy as np
import PIL.Image
from find_masks import decode_mask, find_instances


def build_labels(path: str, phrases: list[str]) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Return a label image, int32, (height, width), and what stands for each of its numbers; 0 is background."""
    with PIL.Image.open(path) as image:
        width, height = image.size
    labels, found = np.zeros((height, width), np.int32), find_instances(path, phrases)
    for number, instance in reversed([*enumerate(found, start=1)]):  # the best of a phrase lies on top
        labels[decode_mask(instance)] = number
    return labels, {"phrase": ["background", *(f"{one['phrase']} {one['score']:.2f}" for one in found)]}


if __name__ == "__main__":
    import napari

    numbers, names = build_labels(sys.argv[1], sys.argv[2:])
    viewer = napari.Viewer()
    viewer.add_image(np.asarray(PIL.Image.open(sys.argv[1])), name="image")
    viewer.add_labels(numbers, name="sam3-agent", features=names)
    napari.run()
