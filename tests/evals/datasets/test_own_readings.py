"""Data of one's own are read as they say, or refused in one sentence: never otherwise and in silence."""

import codecs
import json

import numpy as np
import PIL.Image
import pytest

from evals.datasets.loading import load_dataset
from evals.errors import DatasetError
from evals.reports.summary import summarize_run
from evals.samples import Prediction

SHAPE = np.zeros((12, 16), bool)
SHAPE[2:6, 3:9] = True
SQUARE = [3, 2, 9, 2, 9, 6, 3, 6]


@pytest.fixture
def folder(tmp_path):
    PIL.Image.new("RGB", (16, 12)).save(tmp_path / "a.png")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    PIL.Image.new("RGB", (16, 12)).save(tmp_path / "deep" / "er" / "b.PNG")
    PIL.Image.fromarray(np.where(SHAPE, np.uint8(255), np.uint8(0))).save(tmp_path / "deep" / "mask.png")
    return tmp_path


def write(folder, *lines):
    (folder / "queries.jsonl").write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return load_dataset("own", folder)


def read_mask(folder, image, **how):
    image.save(folder / "mask.png", **how)
    [sample] = write(folder, {"image": "a.png", "query": "cup", "mask": "mask.png"}).list_samples()
    return sample.target()


def grey(values, mode=None):
    return (
        PIL.Image.fromarray(np.asarray(values))
        if mode is None
        else PIL.Image.fromarray(np.asarray(values)).convert(mode)
    )


@pytest.mark.parametrize(
    "image",
    [
        grey(SHAPE.astype(np.uint8)),
        grey(SHAPE),
        grey(SHAPE.astype(np.uint16) * 256),
        grey(SHAPE.astype(np.int32) * 70_000),
        grey(SHAPE.astype(np.float32) / 2),
        grey(np.where(SHAPE, np.float32(1), np.float32("nan"))),
        grey(SHAPE.astype(np.uint8) * 255, "CMYK"),
        grey(np.stack([SHAPE * 0, SHAPE * 0, SHAPE * 9], axis=-1).astype(np.uint8)),
        grey(np.stack([SHAPE * 255, SHAPE * 128], axis=-1).astype(np.uint8)),
        grey(np.full((12, 16, 4), 255, np.uint8) * SHAPE[..., None]),
        grey(np.where(SHAPE[..., None], np.uint8(255), np.array([255, 255, 255, 0], np.uint8))),
        grey(np.where(SHAPE[..., None], np.uint8(255), np.array([0, 0, 0, 255], np.uint8))),
    ],
    ids=[
        "1",
        "bool",
        "16-bit",
        "32-bit",
        "float",
        "nan",
        "cmyk",
        "blue",
        "LA",
        "clear",
        "white-clear",
        "opaque",
    ],
)
def test_the_target_is_what_is_neither_black_nor_transparent(folder, image):
    assert np.array_equal(
        read_mask(folder, image, format="TIFF" if image.mode not in ("L", "1", "RGBA", "LA", "RGB") else "PNG"), SHAPE
    )


def test_a_mask_that_is_black_wherever_it_shows_says_nothing(folder):
    black = np.zeros((12, 16, 4), np.uint8)
    black[SHAPE, 3] = 255
    with pytest.raises(DatasetError, match=r"mask.png is black wherever it is not transparent.*; expected"):
        read_mask(folder, grey(black))
    assert not read_mask(folder, grey(np.where(SHAPE[..., None], black, [0, 0, 0, 255]).astype(np.uint8))).any()


def test_the_noise_of_a_jpeg_is_no_target(folder):
    image = grey(np.kron(SHAPE, np.ones((8, 8))).astype(np.uint8) * 255)
    PIL.Image.new("RGB", (128, 96)).save(folder / "a.png")
    found = read_mask(folder, image, format="JPEG", quality=30)
    assert np.array_equal(found, np.kron(SHAPE, np.ones((8, 8))) > 0)
    with pytest.raises(DatasetError, match="of a kind that changes values, and its brightest is"):
        read_mask(folder, grey(np.kron(SHAPE, np.ones((8, 8))).astype(np.uint8)), format="JPEG", quality=100)


def test_a_mask_that_is_turned_by_its_metadata_is_read_upright(folder):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    assert np.array_equal(read_mask(folder, grey(np.rot90(SHAPE).astype(np.uint8) * 255), exif=exif), SHAPE)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_mask_that_is_no_image_is_refused(folder, content):
    (folder / "mask.png").write_bytes(content)
    [sample] = write(folder, {"image": "a.png", "query": "cup", "mask": "mask.png"}).list_samples()
    with pytest.raises(DatasetError, match=r"mask.png cannot be read as an image"):
        sample.target()


def test_paths_may_be_nested_linked_or_written_as_on_windows(folder):
    (folder / "link.png").symlink_to(folder / "a.png")
    dataset = write(
        folder,
        {"image": "deep\\er\\b.PNG", "query": "cup", "mask": "deep\\mask.png"},
        {"image": "./link.png", "query": "cup"},
    )
    first, second = dataset.list_samples()
    assert np.array_equal(first.target(), SHAPE)
    assert second.open_image().width == 16
    (folder / "link.png").unlink()
    (folder / "link.png").symlink_to(folder / "gone.png")
    with pytest.raises(DatasetError, match="line 1: there is no file"):
        write(folder, {"image": "link.png", "query": "cup"})


LINE = {"image": "a.png", "query": "cup"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([LINE | {"boxs": [[1, 1, 2, 2]]}], "has the key 'boxs', which is not read; did you mean `boxes`"),
        ([LINE | {"bbox": [1, 1, 2, 2]}], "did you mean `boxes`"),
        ([LINE | {"Mask": "deep/mask.png"}], "did you mean `mask`"),
        ([LINE | {"segmentation": [SQUARE]}], "did you mean `mask`"),
        ([{"image": "a.png", "caption": "cup"}], "did you mean `query`"),
        ([{"file_name": "a.png", "query": "cup"}], "did you mean `image`"),
        ([LINE, LINE], "asks 'cup' of a.png twice, in line 1 and line 2"),
        ([LINE, LINE | {"query": " cup "}], "asks 'cup' of a.png twice"),
        (['{"image": "a.png", "query": "cup", "query": "saucer"}'], "has the key 'query' twice"),
        (["# a comment", LINE], "line 1 is not JSON .*without comments"),
        ([LINE, "// a comment"], "line 2 is not JSON"),
        (['{"image": "a.png", "query": "cup",}'], "line 1 is not JSON"),
        (["[", LINE], "line 1 is not JSON"),
        ([LINE | {"boxes": [[True, 0, 3, 3]]}], "a box is x0, y0, x1, y1"),
        ([LINE | {"boxes": [[0, 0, "3", 3]]}], "a box is x0, y0, x1, y1"),
        ([LINE | {"boxes": [0, 0, 3, 3]}], "a box is x0, y0, x1, y1"),
        ([LINE | {"id": [1]}], "`id` must be a text or a whole number"),
        ([LINE | {"id": True}], "`id` must be a text or a whole number"),
        ([LINE | {"image": "x" * 5000}], "there is no file"),
        ([LINE | {"image": "a\0.png"}], "there is no file"),
        ([LINE | {"image": "deep"}], "there is no file"),
    ],
)
def test_a_line_that_would_be_misread_is_refused(folder, lines, said):
    with pytest.raises(DatasetError, match=said):
        write(folder, *lines)


def test_blank_lines_are_nothing_and_keys_that_are_not_read_are_told(folder):
    dataset = write(
        folder, "", LINE | {"split": "val", "source": 3}, "  ", LINE | {"query": "saucer", "split": "val"}, ""
    )
    assert len(dataset.list_samples()) == 2
    assert (
        "Not read are the keys split, source; known are image, query, mask, boxes, id." in dataset.collect_info().notes
    )


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("marked", [True, False])
def test_files_are_read_in_the_encodings_that_editors_save(folder, encoding, marked):
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"") if marked else b""
    line = json.dumps(LINE | {"query": "die Tässchen"}, ensure_ascii=False)
    (folder / "queries.jsonl").write_bytes(mark + f"{line}\r\n\r\n".encode(encoding))
    assert [sample.query for sample in load_dataset("own", folder).list_samples()] == ["die Tässchen"]
    (folder / "c.json").write_bytes(mark + json.dumps(coco(), ensure_ascii=False).encode(encoding))
    assert [sample.query for sample in load_dataset("own", folder / "c.json").list_samples()] == ["cup"]


def coco(*annotations, images=(), **more):
    listed = [{"id": 4, "file_name": "a.png", "height": 12, "width": 16}, *images]
    found = annotations or ({},)
    given = [{"id": number, "image_id": 4, "category_id": 1, **one} for number, one in enumerate(found, start=1)]
    return {"images": listed, "categories": [{"id": 1, "name": "cup"}], "annotations": given, **more}


def read_coco(folder, content):
    (folder / "c.json").write_text(json.dumps(content))
    return load_dataset("own", folder / "c.json")


def test_ids_are_compared_as_texts(folder):
    content = coco({"image_id": "4", "category_id": "1"}, {"image_id": 4.0, "category_id": 1.0})
    [sample] = read_coco(folder, content).list_samples()
    assert sample.id == "4-1"


def test_windows_separators_and_nested_folders_are_found(folder):
    content = coco({"image_id": 5}, images=[{"id": 5, "file_name": "deep\\er\\b.PNG"}])
    [sample] = read_coco(folder, content).list_samples()
    assert sample.open_image().width == 16


def test_a_file_that_is_not_read_is_told(folder):
    write(folder, LINE)
    (folder / "annotations.json").write_text("{}")
    assert load_dataset("own", folder).collect_info().notes[-1] == "annotations.json beside queries.jsonl is not read."


def test_a_crowd_is_neither_target_nor_background(folder, predicted):
    crowd = {"iscrowd": 1, "segmentation": {"size": [12, 16], "counts": [96, 96]}, "bbox": [8, 0, 8, 12]}
    dataset = read_coco(folder, coco({"segmentation": [SQUARE], "bbox": [3, 2, 6, 4]}, crowd))
    [sample] = dataset.list_samples()
    assert np.array_equal(sample.target(), SHAPE)
    both = SHAPE.copy()
    both[:, 8:] = True
    scores = dataset.score([predicted(sample.id, both[None])]).metrics
    assert scores["giou"] == pytest.approx(1, abs=1e-4)


def test_a_mask_or_boxes_of_some_objects_only_are_not_scored(folder):
    only_box = {"bbox": [1, 1, 2, 2]}
    dataset = read_coco(folder, coco({"segmentation": [SQUARE], "bbox": [3, 2, 6, 4]}, only_box))
    assert dataset.list_samples()[0].target is None
    assert any("for some objects only" in note for note in dataset.collect_info().notes)
    assert dataset.collect_info().notes[0] == "0 of 1 queries have a mask, 1 have boxes."


def test_images_without_annotations_are_told(folder):
    dataset = read_coco(folder, coco(images=[{"id": 5, "file_name": "gone.png"}]))
    assert "1 of 2 images have no annotation, and are not asked." in dataset.collect_info().notes


def test_polygons_need_no_size_where_the_image_has_one(folder):
    content = coco({"segmentation": [SQUARE]})
    del content["images"][0]["height"], content["images"][0]["width"]
    assert np.array_equal(read_coco(folder, content).list_samples()[0].target(), SHAPE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (coco({"image_id": 9}), "c.json, annotation 1 is of image 9, which `images` does not list"),
        (coco({"category_id": 7}), "annotation 1 has the category 7, which `categories` does not list"),
        (coco({"category_id": None}), "annotation 1: `category_id` must be a whole number or a text, found None"),
        (coco(categories=[{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]), "`categories` has the id 1 twice"),
        (coco(categories=[{"id": 1}]), "category 1: `name` must be a text, found None"),
        (coco(images=[{"id": "4", "file_name": "b.png"}]), "`images` has the id 4 twice"),
        (coco(images=[{"file_name": "b.png"}]), "image 1 in the list has no `id`"),
        (coco({"caption": " "}), "annotation 1: `caption` must be a text, found ' '"),
        (coco({}, {"image_id": 5}, images=[{"id": 5, "file_name": "a.png"}]), "asks 'cup' of a.png twice"),
        (coco({"bbox": [1, 1, float("nan"), 2]}), "annotation 1: `bbox` must be four numbers"),
        (coco({"bbox": [True, 1, 3, 2]}), "annotation 1: `bbox` must be four numbers"),
        (coco() | {"annotations": [{"image_id": 4}]}, "annotation 0 in the list has neither a `caption` nor"),
        (coco() | {"annotations": 5}, "`annotations` must be a list, found int"),
        (coco() | {"annotations": [5]}, "annotation 0 in the list must be an object"),
        ([1], "the file must be an object, found list"),
        ({"images": []}, "the file has no `annotations`"),
    ],
)
def test_a_coco_file_that_would_be_misread_is_refused(folder, content, said):
    with pytest.raises(DatasetError, match=said):
        read_coco(folder, content)


def read_annotation(folder, **changes):
    annotation = {"id": 1, "image_id": 1, "caption": "cup", "segmentation": [SQUARE], "bbox": [3, 2, 6, 4]} | changes
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [annotation]}
    (folder / "annotations.json").write_text(json.dumps(content))
    dataset = load_dataset("own", folder)
    return dataset, [sample.target() for sample in dataset.list_samples() if sample.target]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bbox": [0.1, 0.1, 0.5, 1]}, r"`bbox` is x, y, w, h in pixels .*, found \[0.1, 0.1, 0.5, 1\]"),
        ({"bbox": [3, 2, -6, 4]}, "`bbox` is x, y, w, h in pixels with w and h above 0"),
        ({"bbox": [3, 2, 0, 4]}, "`bbox` is x, y, w, h in pixels with w and h above 0"),
        ({"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]}, "a polygon is in pixels, found shares of the image"),
        ({"segmentation": [[300, 2, 900, 2, 900, 6]]}, "its polygons lie outside its image, which is 16 x 12 pixels"),
        ({"segmentation": [[3, -9, 9, -9, 9, -1]]}, "its polygons lie outside its image, which is 16 x 12 pixels"),
        ({"iscrowd": "0"}, "`iscrowd` must be 0 or 1, found '0'"),
        ({"iscrowd": "false"}, "`iscrowd` must be 0 or 1, found 'false'"),
        ({"iscrowd": [0]}, r"`iscrowd` must be 0 or 1, found \[0\]"),
    ],
)
def test_annotations_that_would_be_misread_are_refused(folder, changes, said):
    with pytest.raises(DatasetError, match=f"annotations.json, annotation 1: {said}"):
        read_annotation(folder, **changes)


def test_coordinates_that_are_small_or_reach_out_of_the_image_are_pixels(folder):
    dataset, [mask] = read_annotation(folder, bbox=[0, 0, 1, 1], segmentation=[[-3, -3, 5, -3, 5, 5, -3, 5]])
    assert dataset.dataset.entries[0].boxes == ((0, 0, 1, 1),)
    assert mask.sum() == 25
    dataset, [mask] = read_annotation(folder, segmentation=[SQUARE, [300, 2, 900, 2, 900, 6]], iscrowd=False)
    assert np.array_equal(mask, SHAPE)


def test_a_box_of_zeros_is_none(folder):
    dataset, [mask] = read_annotation(folder, bbox=[0, 0, 0, 0])
    assert (dataset.dataset.entries[0].boxes, mask.sum()) == (None, 24)


def test_a_box_in_shares_of_the_image_is_refused(folder):
    with pytest.raises(
        DatasetError, match=r"line 1: a box is x0, y0, x1, y1 in pixels, found shares of the image, \[0"
    ):
        write(folder, {"image": "a.png", "query": "cup", "boxes": [[0.1, 0.2, 0.5, 1.0]]})
    assert write(folder, {"image": "a.png", "query": "cup", "boxes": [[0, 0, 1, 1]]}).dataset.entries[0].boxes


@pytest.mark.parametrize("ending", [".tif", ".gif", ".webp"])
def test_a_mask_of_several_pages_is_refused(folder, ending):
    pages = [grey(np.where(shape, np.uint8(255), np.uint8(0))) for shape in (SHAPE, ~SHAPE)]
    pages[0].save(folder / f"mask{ending}", save_all=True, append_images=pages[1:])
    [sample] = write(folder, {"image": "a.png", "query": "cup", "mask": f"mask{ending}"}).list_samples()
    with pytest.raises(DatasetError, match=rf"mask{ending} has 2 pages; expected one"):
        sample.target()


def test_messages_about_ones_own_data_send_nobody_elsewhere(folder):
    (folder / "x.json").write_bytes(b"{")
    for data in (folder / "x.json", folder / "nowhere"):
        with pytest.raises(DatasetError, match="own data: ") as caught:
            load_dataset("own", data)
        assert "get " not in str(caught.value)
        assert "download" not in str(caught.value)


def test_a_run_in_which_only_queries_without_truth_succeeded_is_summed_up(folder):
    lines = [{"image": "a.png", "query": "cup", "mask": "deep/mask.png"}, {"image": "a.png", "query": "a plate"}]
    dataset = write(folder, *lines)
    first, second = dataset.list_samples()
    answered = [Prediction.make_failed(first.id, "no server"), Prediction(id=second.id, status="no_mask")]
    summary = summarize_run(dataset, [first, second], answered, draws=10)
    assert (summary.metrics["giou"], summary.metrics_of_successes) == (0, {})
