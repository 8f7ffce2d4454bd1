"""Data sets of many images, read by pycocotools, supervision and Label Studio's own library, and read back."""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO

from agent.exports.sets.base import ImageSet, SetImage
from agent.exports.sets.registry import SET_EXPORTERS
from agent.imports.reading import read_file, read_files
from sam3_tool import Image
from sam3_tool.masks.polygons import measure_polygons
from sam3_tool.masks.rle import compute_ious, decode_mask

pytestmark = pytest.mark.usefixtures("owners")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory, scene) -> list[Path]:
    """One scene in three files: as it is, turned by its metadata, and under the same name in another folder."""
    folder = tmp_path_factory.mktemp("photographs")
    picture = scene.to_pil()
    picture.save(folder / "a.png")
    turned = PIL.Image.Exif()
    turned[0x0112] = 3
    picture.rotate(180).save(folder / "b.jpg", quality=95, exif=turned)
    (folder / "other").mkdir()
    picture.save(folder / "other" / "a.png")
    return [folder / "a.png", folder / "b.jpg", folder / "other" / "a.png"]


@pytest.fixture(scope="session")
def images(photographs, fruit) -> ImageSet:
    """Three images: the first with fruit, the second with a class that a person gave, the third without a mask."""
    apples = tuple(replace(one, id=number, label="apple") for number, one in enumerate(fruit[:2], start=1))
    masks = [fruit, apples, ()]
    names = ["a.png", "b.jpg", "other/a.png"]
    return ImageSet(
        [
            SetImage(name, 640, 480, held, {1: "It is round."}, path, lambda path=path: Image.open(path))
            for name, held, path in zip(names, masks, photographs, strict=True)
        ]
    )


def write_set(images: ImageSet, kind: str, folder: Path) -> Path:
    path = folder / f"set{SET_EXPORTERS[kind].suffix}"
    SET_EXPORTERS[kind].write(images, path)
    return path


@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
def test_pycocotools_draws_every_mask_of_every_image(images, kind, tmp_path) -> None:
    with redirect_stdout(StringIO()):
        known = COCO(str(write_set(images, kind, tmp_path)))
    assert [row["file_name"] for row in known.loadImgs(known.getImgIds())] == ["a.png", "b.jpg", "other/a.png"]
    drawn = [known.annToMask(row).astype(bool) for row in known.loadAnns(known.getAnnIds())]
    wanted = [decode_mask(one.rle) for image in images.images for one in image.candidates]
    assert [(a == b).all() for a, b in zip(drawn, wanted, strict=True)] == [True] * len(wanted)
    names = {row["id"]: row["name"] for row in known.loadCats(known.getCatIds())}
    assert [names[row["category_id"]] for row in known.loadAnns(known.getAnnIds([2]))] == ["apple", "apple"]
    assert known.getAnnIds([3]) == []


def test_a_tolerance_makes_polygons_short_and_its_loss_is_measured(images, fruit, tmp_path) -> None:
    exact, coarse = (replace(images, tolerance=tolerance) for tolerance in (0.0, 2.0))
    points = []
    for chosen in (exact, coarse):
        content = json.loads(write_set(chosen, "coco-polygons", tmp_path).read_text("utf-8"))
        rows = [row for row in content["annotations"] if row["image_id"] == 1]
        points.append(sum(len(polygon) // 2 for row in rows for polygon in row["segmentation"]))
    measured = [[measure_polygons(decode_mask(one.rle), tolerance=tolerance) for one in fruit] for tolerance in (0, 2)]
    assert points == [sum(count for count, _ in rows) for rows in measured]
    assert points[1] < points[0] / 4
    assert {iou for _, iou in measured[0]} == {1.0}
    assert 0.9 < min(iou for _, iou in measured[1]) < 1


def test_yolo_has_a_part_to_train_on_and_one_to_validate_with(images, fruit, iou, tmp_path) -> None:
    import supervision  # slow to import

    with ZipFile(write_set(replace(images, validation_share=0.3), "yolo-seg", tmp_path)) as zipped:
        zipped.extractall(tmp_path / "set")
        names = sorted(name for name in zipped.namelist() if "/" in name)
    root = tmp_path / "set"
    assert sorted(Path(name).stem for name in names if name.startswith("labels")) == ["a", "b", "other-a"]
    found = {}
    for part in ("train", "val"):
        loaded = supervision.DetectionDataset.from_yolo(
            str(root / "images" / part), str(root / "labels" / part), str(root / "data.yaml"), force_masks=True
        )
        assert loaded.classes == ["watermelon", "cherry", "banana", "apple"]
        found |= {Path(path).name: (picture, masks) for path, picture, masks in loaded}
    assert found.keys() == {"a.png", "b.png", "other-a.png"}, "a JPEG that is turned is written upright"
    _, masks = found["a.png"]
    assert [loaded.classes[number] for number in masks.class_id] == [one.phrase for one in fruit]
    assert min(iou(mask, decode_mask(one.rle)) for one, mask in zip(fruit, masks.mask, strict=True)) > 0.98
    turned = np.asarray(found["b.png"][0])[..., ::-1].astype(int)
    assert np.abs(turned - Image.open(images.images[0].path).pixels).mean() < 4
    assert len(found["other-a.png"][1]) == 0


def test_label_studio_reads_the_brush_of_each_task(images, fruit, tmp_path) -> None:
    from label_studio_sdk.converter.brush import decode_rle  # slow to import

    tasks = json.loads(write_set(images, "label-studio", tmp_path).read_text("utf-8"))
    assert [task["data"]["file_name"] for task in tasks] == ["a.png", "b.jpg", "other/a.png"]
    assert len({task["meta"]["interface"] for task in tasks}) == 1
    region = tasks[0]["predictions"][0]["result"][0]
    pixels = np.array(decode_rle(region["value"]["rle"])).reshape(480, 640, 4)
    assert (pixels[..., 3] > 0).tolist() == decode_mask(fruit[0].rle).tolist()
    kinds = [task["data"]["image"].split(";")[0] for task in tasks]
    assert kinds == ["data:image/png"] * 3


@pytest.mark.parametrize("kind", SET_EXPORTERS)
def test_every_data_set_can_be_read_back(images, kind, tmp_path) -> None:
    path = write_set(images, kind, tmp_path)
    found, problems = read_files([(path.name, path)])
    assert problems == []
    by_stem = {one.stem: one for one in found}
    read = by_stem["a"] if kind == "yolo-seg" else found[0]
    wanted = images.images[0].candidates
    assert [mask.label for mask in read.masks] == [one.phrase for one in wanted]
    drawn = [mask.draw(480, 640) for mask in read.masks]
    overlaps = np.diag(compute_ious(drawn, [one.rle for one in wanted]))
    assert overlaps.min() > (0.95 if kind == "yolo-seg" else 0.9999)


def test_a_label_of_boxes_alone_is_drawn_as_boxes(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (image,) = read_file("x/a.txt", tmp_path / "a.txt", {1: "cup"})
    (mask,) = image.masks
    assert (image.name, mask.label) == ("x/a", "cup")
    assert decode_mask(mask.draw(8, 8)).sum() == 16


def test_classes_come_from_the_description_beside_the_labels(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("1 0 0 1 0 1 1\n0 0 0 1 0 1 1\n")
    (tmp_path / "data.yaml").write_text("path: x\nnames:\n  0: red cup\n  1: 'plate'\n# end\n")
    found, problems = read_files([(name, tmp_path / name) for name in ("a.txt", "data.yaml")])
    assert [mask.label for mask in found[0].masks] == ["plate", "red cup"]
    assert problems == []


ONE_IMAGE = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "cup"}]}


def about_image_1(**fields) -> bytes:
    return json.dumps({**ONE_IMAGE, "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **fields}]}).encode()


def build_zip(**files: str) -> bytes:
    content = BytesIO()
    with ZipFile(content, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name.replace("_", "."), text)
    return content.getvalue()


DAMAGED = {
    "no JSON": ("a.json", b"{", "a.json cannot be read: Expecting"),
    "deep JSON": ("a.json", b"[" * 100_000, "nested too deep"),
    "another JSON": ("a.json", b'{"a": 1}', "neither COCO, tasks of Label Studio nor a conversation"),
    "no category": ("a.json", about_image_1(category_id=2), "annotation 1 is of no category"),
    "no image": ("a.json", about_image_1(image_id=[]), "cannot be read"),
    "no shape": ("a.json", about_image_1(), "neither a `segmentation` nor a `bbox`"),
    "no lists": ("a.json", b'{"images": [1], "annotations": 2}', "`annotations` must be a list"),
    "no tasks": ("a.json", b'[{"data": 1}]', "the data of task 1 is no table"),
    "a brush of nothing": (
        "a.json",
        b'[{"data": {}, "annotations": [{"result": [{"value": {"format": "rle"}}]}]}]',
        "task 1 has a region that is no mask",
    ),
    "words": ("a.txt", b"once upon a time", "line 1 is no label"),
    "three numbers": ("a.txt", b"0 1 2 3", "line 1 has 3 coordinates"),
    "no text": ("a.txt", b"\xff\xfe", "cannot be read"),
    "no archive": ("a.zip", b"PK", "not a zip file"),
    "an archive of nothing": ("a.zip", build_zip(a_png="x"), "holds neither labels of YOLO nor JSON"),
    "another kind": ("a.xml", b"<xml/>", "neither COCO, YOLO, Label Studio"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_one_sentence_that_names_it(what, tmp_path) -> None:
    name, content, sentence = DAMAGED[what]
    (tmp_path / name).write_bytes(content)
    found, [problem] = read_files([(name, tmp_path / name)])
    assert (found, problem.startswith(f"{name} cannot be read: "), sentence in problem) == ([], True, True), problem


WRONG_SHAPES = {
    "of another size": {"size": [5, 4], "counts": "0d"},
    "too long runs": {"size": [4, 6], "counts": "99999999"},
    "a wrong sum": {"size": [4, 6], "counts": [1, 2]},
    "no list": "x",
    "no polygon": [[0, 0, 1]],
    "no number": [[0, 0, 1, 1, None, 1]],
    "far away": [[0, 0, 1, 1, 1e300, 1]],
    "empty": {"size": [4, 6]},
}


@pytest.mark.parametrize("what", WRONG_SHAPES)
def test_a_mask_that_does_not_fit_is_refused_before_it_is_drawn(what, tmp_path) -> None:
    (tmp_path / "a.json").write_bytes(about_image_1(segmentation=WRONG_SHAPES[what]))
    ((image,), _) = read_files([("a.json", tmp_path / "a.json")])
    with pytest.raises(ValueError, match=r"\w"):
        image.masks[0].draw(4, 6)


@pytest.mark.parametrize("tolerance", [-1.0, 101.0, float("nan")])
def test_a_tolerance_out_of_range_is_refused(images, tolerance) -> None:
    with pytest.raises(ValueError, match="0 to 100 pixels"):
        replace(images, tolerance=tolerance)
