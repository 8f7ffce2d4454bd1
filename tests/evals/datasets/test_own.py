"""A folder of one's own: images, queries, and targets where there are any."""

import json

import numpy as np
import PIL.Image
import pytest

from evals.datasets.loading import load_dataset
from evals.errors import DatasetError, ScoringError
from evals.metrics import reasonseg
from evals.samples import Prediction
from sam3_tool.masks import rle
from sam3_tool.masks.rle import RleMask


@pytest.fixture
def folder(tmp_path):
    PIL.Image.new("RGB", (16, 12)).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (20, 10)).save(tmp_path / "b.png")
    mask = np.zeros((12, 16), np.uint8)
    mask[2:6, 3:9] = 255
    PIL.Image.fromarray(mask).save(tmp_path / "a-mask.png")
    return tmp_path


def write(folder, *lines):
    text = "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    (folder / "queries.jsonl").write_text(text, encoding="utf-8")
    return load_dataset("own", folder, "all")


def boxed(id, *boxes):
    return Prediction(id=id, status="ok", boxes=boxes, scores=(0.9,) * len(boxes))


def test_generated_scenes_are_read_and_scored(folders, predicted, nothing):
    dataset = load_dataset("own", folders["own"], "all")
    samples = dataset.list_samples()
    assert len(samples) == 20
    perfect = [predicted(sample.id, sample.target()[None]) for sample in samples]
    assert dataset.score(perfect).metrics["giou"] == pytest.approx(1, abs=1e-5)
    assert dataset.score(nothing(samples)).metrics["giou"] == pytest.approx(2 / 20, abs=1e-5)
    entries = json.loads(dataset.build_submission(perfect)["predictions.json"])
    assert [entry["id"] for entry in entries] == [sample.id for sample in samples]
    pairs = [
        (rle.decode_mask(RleMask.from_coco(entry["masks"][0])), sample.target().astype(np.uint8))
        for entry, sample in zip(entries, samples, strict=True)
    ]
    assert reasonseg.score(pairs) == dataset.score(perfect).metrics


def test_only_a_picture_and_a_query_are_needed_to_predict(folder, nothing):
    dataset = write(
        folder, {"image": "a.png", "query": "the cup"}, "", {"image": "b.png", "query": "a\u2028b", "id": 7}
    )
    assert [(sample.id, sample.query) for sample in dataset.list_samples()] == [("1-a", "the cup"), ("7", "a\u2028b")]
    assert dataset.list_samples()[1].open_image().pixels.shape == (10, 20, 3)
    assert dataset.list_samples()[0].target is None
    failed = nothing(dataset.list_samples())
    assert json.loads(dataset.build_submission(failed)["predictions.json"])[1]["masks"] == []
    for score in (dataset.score, dataset.build_measure):
        with pytest.raises(DatasetError, match="nothing to score against"):
            score(failed)


def test_samples_without_a_target_do_not_count(folder, predicted, nothing):
    dataset = write(
        folder,
        {"image": "a.png", "query": "the cup", "mask": "a-mask.png"},
        {"image": "b.png", "query": "the saucer"},
        {"image": "a.png", "query": "the spoon", "mask": "a-mask.png"},
    )
    first, second, third = dataset.list_samples()
    found = [predicted(first.id, first.target()[None]), *nothing([second, third])]
    scores = dataset.score(found)
    assert (scores.metrics["n"], scores.metrics["ciou"]) == (2, 0.5)
    assert scores.per_sample == {first.id: 1, third.id: 0}
    measure = dataset.build_measure(found)
    assert measure([0, 1]) == dataset.score(found[:1]).metrics["giou"]
    assert measure([0, 1, 2, 2]) == pytest.approx(1 / 3, abs=1e-5)
    assert np.isnan(measure([1]))


def test_a_mask_that_changes_makes_other_data(folder):
    dataset = write(folder, {"image": "a.png", "query": "the cup", "mask": "a-mask.png"})
    before = dataset.collect_info().hash
    PIL.Image.fromarray(np.full((12, 16), 255, np.uint8)).save(folder / "a-mask.png")
    assert dataset.collect_info().hash != before


def in_palette(mask, *colours, **saved):
    """`mask`, uint8 (H, W), as numbers of these colours; saved as an image."""
    image = PIL.Image.new("P", mask.shape[::-1])
    image.putdata(mask.ravel().tolist())
    image.putpalette([value for colour in colours for value in colour])
    image.save(**saved)


@pytest.mark.parametrize("more", [{}, {"transparency": 1}, {"transparency": bytes([255, 0])}])
def test_of_a_mask_with_a_palette_the_colours_count_and_not_their_numbers(folder, more):
    outside = np.ones((12, 16), np.uint8)
    outside[2:6, 3:9] = 0
    in_palette(outside, (255, 0, 0), (0, 0, 0), fp=folder / "mask.png", **more)
    dataset = write(folder, {"image": "a.png", "query": "the cup", "mask": "mask.png"})
    assert np.array_equal(dataset.list_samples()[0].target(), outside == 0)


def test_boxes_are_scored_by_cgf1(folder):
    dataset = write(
        folder,
        {"image": "a.png", "query": "the cups", "boxes": [[0, 0, 5, 5], [6, 6, 12, 12]]},
        {"image": "b.png", "query": "the saucers", "boxes": []},
    )
    first, second = (sample.id for sample in dataset.list_samples())
    perfect = [boxed(first, (6, 6, 12, 12), (0, 0, 5, 5)), boxed(second)]
    assert dataset.score(perfect).headline == "box_cgF1"
    assert dataset.score(perfect).metrics["box_cgF1"] == pytest.approx(99.99, abs=0.02)
    half = [boxed(first, (0, 0, 5, 5)), boxed(second)]
    assert dataset.score(half).metrics["box_pmF1"] == pytest.approx(200 / 3, abs=0.01)
    assert dataset.build_measure(half)([0, 1]) == dataset.score(half).metrics["box_cgF1"]


def test_a_coco_file_with_captions_is_read(folder, predicted):
    square = [3, 2, 9, 2, 9, 6, 3, 6]
    content = {
        "images": [{"id": 4, "file_name": "a.png", "height": 12, "width": 16}],
        "annotations": [
            {"id": 1, "image_id": 4, "caption": "the cup", "segmentation": [square], "bbox": [3, 2, 6, 4]},
            {"id": 2, "image_id": 4, "caption": "something else"},
            {
                "id": 3,
                "image_id": 4,
                "caption": "the cup ",
                "segmentation": [[11, 0, 15, 0, 15, 4]],
                "bbox": [11, 0, 4, 4],
            },
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    dataset = load_dataset("own", folder, "all")
    cup, other = dataset.list_samples()
    assert (cup.id, cup.query, other.query) == ("4-1", "the cup", "something else")
    assert cup.target()[3, 4]
    assert cup.target()[1, 13]
    assert other.target is None
    scores = dataset.score([predicted(cup.id, cup.target()[None]), predicted(other.id, np.zeros((0, 12, 16), bool))])
    assert scores.metrics["giou"] == pytest.approx(1, abs=2e-5)
    assert scores.metrics["box_pmF1"] < 1
    assert load_dataset("own", folder / "annotations.json", "all").collect_info().samples == 2


def coco(folder, *annotations, **image):
    """The data set of `a.png` with these annotations; `image`: what the file says otherwise of it."""
    listed = {"id": 4, "file_name": "a.png", "height": 12, "width": 16, **image}
    captioned = [{"id": 1, "image_id": 4, "caption": "the cup", **one} for one in annotations]
    images = [listed, {"id": 5, "height": 12, "width": 16}]
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": captioned}))
    return load_dataset("own", folder, "all")


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [12, 16], "counts": "1"}, "the runs do not make up a mask of 16 x 12 pixels"),
        ({"size": [12, 16], "counts": "0\u00ff"}, "'\u00ff' does not belong in a run-length mask"),
        ({"size": [12, 16], "counts": "P" * 40}, "a run of more than 6 letters"),
        ({"size": [12, 16], "counts": [200]}, "the runs do not make up a mask of 16 x 12 pixels"),
        ({"size": [6, 8], "counts": [8, 40]}, "its mask is 8 x 6 pixels, its image is 16 x 12"),
        (3, "`segmentation` must be run lengths with a size, or polygons"),
    ],
)
def test_run_lengths_of_a_coco_file_must_fill_the_picture(folder, nothing, segmentation, said):
    whole = {"segmentation": {"size": [12, 16], "counts": [12, 180]}}
    dataset = coco(folder, whole, {"id": 2, "segmentation": segmentation})
    for use in (lambda: dataset.score(nothing(dataset.list_samples())), dataset.list_samples()[0].target):
        with pytest.raises(DatasetError, match=f"annotations.json, annotation 2: {said}"):
            use()
    assert coco(folder, whole).list_samples()[0].target().sum() == 180


def test_polygons_that_were_drawn_in_another_size_than_the_pictures_are_told(folder):
    [sample] = coco(folder, {"segmentation": [[3, 2, 9, 2, 9, 6]]}, height=24, width=32).list_samples()
    with pytest.raises(DatasetError, match="its mask is 32 x 24 pixels, its image is 16 x 12"):
        sample.target()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1 is not JSON"),
        ("[1]", "line 1 must be an object such as"),
        ({"query": "a"}, "`image` must be a text, found None"),
        ({"image": "a.png", "query": " "}, "`query` must be a text, found ' '"),
        ({"image": "c.png", "query": "a"}, "there is no file .*c.png"),
        ({"image": "a.png", "query": "a", "mask": "m.png"}, "there is no file .*m.png"),
        ({"image": "a.png", "query": "a", "boxes": [[5, 5, 4, 6]]}, "x0 < x1 and y0 < y1, found"),
        ({"image": "a.png", "query": "a", "boxes": 3}, "must be an object such as"),
        ({"image": "a.png", "query": "a", "boxes": [[0, 0, 10**400, 6]]}, r"x0 < x1 and y0 < y1, found \[0, 0, 1000"),
        ({"image": "a.png", "query": "a", "boxes": [[0, 0, float("inf"), 6]]}, r"found \[0, 0, inf, 6\]"),
        ("[" * 100_000, "line 1 is not JSON"),
        (r'{"image": "a.png", "query": "a", "id": "\ud800"}', r"the id '\\ud800', which is no Unicode text; give"),
    ],
)
def test_a_wrong_line_is_told_by_its_number(folder, line, said):
    with pytest.raises(DatasetError, match=said):
        write(folder, line)


@pytest.mark.parametrize(
    ("annotation", "image", "said"),
    [
        ({"caption": None}, {}, "annotation 1: `caption` must be a text, found None"),
        ({"caption": 3}, {}, "annotation 1: `caption` must be a text, found 3"),
        ({}, {"file_name": None}, "image 4: `file_name` must be a text, found None"),
        ({"image_id": 5}, {}, "image 5: `file_name` must be a text, found None"),
        ({"bbox": [0, 0, 10**400, 6]}, {}, "annotation 1: `bbox` must be four numbers x, y, w, h"),
    ],
)
def test_a_wrong_entry_of_a_coco_file_is_named(folder, annotation, image, said):
    with pytest.raises((DatasetError, ScoringError), match=said):
        coco(folder, {}, annotation, **image)


def test_a_coco_file_that_is_nested_too_deeply_is_one_sentence(folder):
    (folder / "annotations.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=r"annotations.json is not JSON"):
        load_dataset("own", folder, "all")


def test_ids_may_not_repeat(folder):
    line = {"image": "a.png", "query": "a", "id": "x"}
    with pytest.raises(DatasetError, match="the id 'x' twice"):
        write(folder, line, line)


def test_a_mask_must_have_the_pictures_size(folder, nothing):
    dataset = write(folder, {"image": "b.png", "query": "a", "mask": "a-mask.png"})
    with pytest.raises(DatasetError, match=r"a-mask.png is 16 x 12 pixels, its image is 20 x 10"):
        dataset.score(nothing(dataset.list_samples()))


def test_a_folder_without_queries_is_told_what_is_expected(tmp_path):
    with pytest.raises(
        DatasetError, match=r"queries.jsonl does not exist, expected queries.jsonl, or annotations.json"
    ):
        load_dataset("own", tmp_path, "all")
    (tmp_path / "queries.jsonl").write_text("\n")
    with pytest.raises(DatasetError, match="holds no query"):
        load_dataset("own", tmp_path, "all")


def test_a_list_may_have_any_name(folder):
    named = folder / "monday.JSONL"
    named.write_text('{"image": "a.png", "query": "the cup"}\n', encoding="utf-8")
    assert [sample.query for sample in load_dataset("own", named, "all").list_samples()] == ["the cup"]


def test_a_file_that_is_no_list_is_told_what_is_expected(folder):
    (folder / "list.csv").write_text("image,query\na.png,the cup\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"list.csv is a file; expected a folder, or a file that ends in .jsonl"):
        load_dataset("own", folder / "list.csv", "all")
    with pytest.raises(DatasetError, match=r"nowhere\.jsonl cannot be read"):
        load_dataset("own", folder / "nowhere.jsonl", "all")
