"""A program: loads YOLO data sets of one picture as ultralytics does to train on them.

It runs in a process of its own, for ultralytics changes OpenCV and PyTorch as it is imported. Beside each `data.yaml`
that it is given it writes `loaded.npz`: `image`, uint8, (H, W, 3); `masks`, bool, (N, H, W); `names`, (N,).
"""

import sys
from pathlib import Path

import numpy as np


def load(description: Path) -> dict[str, np.ndarray]:
    """The picture's long side must be a multiple of 32, or ultralytics scales it."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(description, autodownload=False)
    exact = get_cfg(overrides={"mask_ratio": 1, "overlap_mask": False})
    loader = YOLODataset(data["train"], data=data, task="segment", augment=False, hyp=exact)
    loader.imgsz = max(loader.labels[0]["shape"])
    loader.transforms = loader.build_transforms(exact)
    (sample,) = loader
    x, y = (round(padding - 0.1) for padding in sample["ratio_pad"][1])
    height, width = sample["ori_shape"]
    return {
        "image": sample["img"].numpy()[:, y : y + height, x : x + width].transpose(1, 2, 0),
        "masks": sample["masks"].numpy()[:, y : y + height, x : x + width] > 0,
        "names": np.array([data["names"][int(number)] for number in sample["cls"].ravel()], str),
    }


if __name__ == "__main__":
    for description in map(Path, sys.argv[1:]):
        np.savez(description.parent / "loaded.npz", **load(description))
