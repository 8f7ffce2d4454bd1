"""The generated world as a benchmark, and its files in the formats of the others."""

import filecmp

import pytest

from evals.datasets.loading import load_dataset
from evals.datasets.synthetic.make_scenes import write_scenes
from evals.errors import DatasetError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_dataset("scenes", tmp_path_factory.mktemp("none"), "test", number=10, size="200x150")


def test_scenes_need_no_file_and_are_drawn_again_the_same(dataset, predicted, nothing):
    samples = dataset.list_samples()
    assert len({sample.slices["kind"] for sample in samples}) == 10
    picture = samples[2].open_image()
    assert picture.key == samples[2].open_image().key
    assert samples[2].target().shape == (picture.height, picture.width)
    perfect = [predicted(sample.id, sample.target()[None]) for sample in samples]
    assert dataset.score(perfect).metrics["giou"] == pytest.approx(1, abs=1e-5)
    assert dataset.score(nothing(samples)).metrics["giou"] == pytest.approx(0.1, abs=1e-5)
    assert dataset.build_measure(perfect)([3, 3]) == pytest.approx(1, abs=1e-4)
    assert list(dataset.build_submission(perfect)) == ["scenes.json"]


def test_another_seed_gives_other_scenes(dataset, tmp_path):
    other = load_dataset("scenes", tmp_path, "test", number=10, size="200x150", seed=1)
    assert not {sample.id for sample in other.list_samples()} & {sample.id for sample in dataset.list_samples()}
    assert other.collect_info().hash != dataset.collect_info().hash


def test_wrong_numbers_and_splits_are_told(tmp_path):
    with pytest.raises(DatasetError, match="the split test, not 'val'"):
        load_dataset("scenes", tmp_path, "val")
    with pytest.raises(DatasetError, match=r"the number .* whole number from 1 on, found 0"):
        load_dataset("scenes", tmp_path, "test", number=0)
    with pytest.raises(DatasetError, match=r"the seed .* from 0 on, found 'many'"):
        load_dataset("scenes", tmp_path, "test", seed="many")
    for size in ("9x9", "200", "99999x200", "a x b"):
        with pytest.raises(DatasetError, match=r"the size .* WIDTHxHEIGHT, each from 72 to 4096, found"):
            load_dataset("scenes", tmp_path, "test", size=size)


def test_fewer_scenes_in_the_same_folder_leave_none_of_the_earlier_ones_and_every_other_file(tmp_path):
    write_scenes(tmp_path, number=8, sizes=((96, 72),))
    val = tmp_path / "reasonseg" / "val"
    foreign = [val / "scene_notes.txt", val / "scene_000007_0.png", val / "scene_000007_1.json", val / "mine.json"]
    for path in foreign:
        path.touch()
    write_scenes(tmp_path, number=3, sizes=((96, 72),))
    fresh = write_scenes(tmp_path / "fresh", number=3, sizes=((96, 72),))
    again, alone = (load_dataset("reasonseg", folder, "val") for folder in (tmp_path / "reasonseg", fresh["reasonseg"]))
    assert [sample.id for sample in again.list_samples()] == [sample.id for sample in alone.list_samples()]
    assert again.collect_info().hash == alone.collect_info().hash
    assert all(path.exists() for path in foreign)


def test_the_same_seed_writes_the_same_files(tmp_path):
    one, two, other = (
        write_scenes(tmp_path / name, number=3, seed=seed, sizes=((96, 72),))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(names) > 20
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)[0] == names
    assert set(one) == set(two) == set(other)
    assert not filecmp.cmp(one["own"] / "queries.jsonl", other["own"] / "queries.jsonl", shallow=False)
