"""CountBench and PixMo-Count from parquet files."""

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from evals.datasets.counting import COUNTBENCH_SOURCE
from evals.datasets.formats.parquet import Table
from evals.datasets.loading import load_dataset
from evals.errors import DatasetError
from evals.metrics import counting
from sam3_tool import ImageError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def png(colour):
    content = BytesIO()
    PIL.Image.new("RGB", (8, 6), colour).save(content, "PNG")
    return content.getvalue()


def apart(number):
    """bool, (number, 6, 8): masks that do not overlap."""
    masks = np.zeros((number, 6, 8), bool)
    for index, mask in enumerate(masks):
        mask[index % 6, index // 6] = True
    return masks


@pytest.fixture
def countbench(tmp_path):
    pictures = [None if row == 1 else {"bytes": png((row, 0, 0)), "path": None} for row in range(4)]
    columns = {
        "image_url": ["u"] * 4,
        "text": [f"{row} dogs" for row in range(4)],
        "number": range(4),
        "image": pictures,
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "train-00000-of-00001-x.parquet", row_group_size=3)
    return tmp_path


def test_rows_without_a_picture_are_left_out_and_told(countbench):
    dataset = load_dataset("countbench", countbench, "train")
    assert [(sample.id, sample.query, sample.direct) for sample in dataset.list_samples()] == [
        ("0", "0 dogs", False),
        ("2", "2 dogs", False),
        ("3", "3 dogs", False),
    ]
    assert dataset.list_samples()[2].open_image().pixels[0, 0].tolist() == [3, 0, 0]
    assert dataset.collect_info().notes[0].startswith("3 of 4 rows have an image")
    assert dataset.collect_info().published == 487


def test_threads_read_a_table_whose_lock_is_there_before_the_first_of_them(countbench):
    table = Table.open_folder(countbench, COUNTBENCH_SOURCE)
    assert {"_lock", "_cache"} <= vars(table).keys()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda place: table.read_cell(place % 4, "text"), range(80))) == [
            f"{place % 4} dogs" for place in range(80)
        ]


def test_an_agents_answer_counts_as_many_as_it_holds(countbench, predicted, nothing):
    dataset = load_dataset("countbench", countbench, "train")
    found = [predicted(id, apart(number), [0.3] * number) for id, number in (("0", 0), ("2", 2), ("3", 5))]
    scores = dataset.score(found)
    assert scores.headline == "accuracy"
    assert scores.metrics == counting.score([(0, 0), (2, 2), (5, 3)])
    assert scores.per_sample == {"0": 1, "2": 1, "3": 0}
    [content] = dataset.build_submission(found).values()
    assert json.loads(content) == [{"id": "0", "count": 0}, {"id": "2", "count": 2}, {"id": "3", "count": 5}]
    assert dataset.build_measure(found)([1, 2, 2, 2]) == 25
    assert dataset.score(nothing(dataset.list_samples())).metrics["mae"] == pytest.approx(5 / 3)


def test_phrases_go_to_sam3_whose_overlapping_instances_count_once(countbench, predicted, tmp_path):
    (tmp_path / "phrases.json").write_text('{"2": "dog"}')
    dataset = load_dataset("countbench", countbench, "train", phrases=tmp_path / "phrases.json")
    sample = dataset.list_samples()[1]
    assert (sample.query, sample.direct) == ("dog", True)
    masks = np.concatenate([apart(2), apart(3)])
    assert dataset.score([predicted("2", masks, [0.9, 0.9, 0.8, 0.8, 0.4])]).metrics["accuracy"] == 100


def test_pixmo_finds_its_pictures_by_their_hash(tmp_path, predicted):
    contents = [png((row, 0, 0)) for row in range(3)]
    hashes = [sha256(content).hexdigest() for content in contents]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{hashes[0]}.png").write_bytes(contents[0])
    (tmp_path / "images" / hashes[2]).write_bytes(b"another one")
    columns = {"image_url": ["u"] * 3, "image_sha256": hashes, "count": [2, 3, 4], "label": ["dogs", "cups", "men"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "test-00000-of-00001.parquet")
    dataset = load_dataset("pixmo-count", tmp_path, "test")
    first, second = dataset.list_samples()
    assert (first.query, second.query, first.direct) == ("dogs", "men", True)
    assert first.open_image().width == 8
    with pytest.raises(ImageError, match="not the published image"):
        second.open_image()
    found = [predicted(first.id, apart(2)), predicted(second.id, apart(0))]
    assert dataset.score(found).metrics == counting.score([(2, 2), (0, 4)])


@pytest.mark.parametrize(
    ("name", "said"), [("countbench", "nielsr/countbench"), ("pixmo-count", "allenai/pixmo-count")]
)
def test_missing_files_are_one_sentence_with_the_place_to_get_them(tmp_path, name, said):
    with pytest.raises(DatasetError, match=said):
        load_dataset(name, tmp_path, "test")


def test_other_files_and_phrases_are_told(tmp_path, countbench):
    with pytest.raises(DatasetError, match="expected the images, named by their image_sha256"):
        load_dataset("pixmo-count", countbench, "train")
    (countbench / "images").mkdir()
    with pytest.raises(DatasetError, match="has the columns image_url, text, number, image, not image_sha256"):
        load_dataset("pixmo-count", countbench, "train")
    (tmp_path / "phrases.json").write_text("[]")
    with pytest.raises(DatasetError, match="must be an object of row numbers"):
        load_dataset("countbench", countbench, "train", phrases=tmp_path / "phrases.json")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_dataset("countbench", tmp_path / "broken", "train")


@pytest.mark.parametrize("query", [None, "", " "])
def test_a_row_that_asks_nothing_is_refused_unless_a_phrase_is_given(tmp_path, query):
    image = {"bytes": b"", "path": None}
    rows = [{"image": image, "text": "three dogs", "number": 3}, {"image": image, "text": query, "number": 1}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "test.parquet")
    with pytest.raises(DatasetError, match="row 1: the query must be a text, found"):
        load_dataset("countbench", tmp_path)
    (tmp_path / "phrases.json").write_text('{"1": "dog"}')
    dataset = load_dataset("countbench", tmp_path, phrases=tmp_path / "phrases.json")
    assert [sample.query for sample in dataset.list_samples()] == ["three dogs", "dog"]
