"""SA-Co/VEval, DAVIS and SA-V in their official folders: checked, and scored from predictions."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest

from evals.datasets.loading import load_benchmark
from evals.errors import DatasetError, ScoringError
from evals.metrics import jf, veval
from evals.reports.preflight import check_images
from sam3_tool.masks import rle

FRAMES = 5


def object_at(frame: int, start: int) -> np.ndarray:
    """bool, (24, 32): a square that moves a pixel a frame."""
    mask = np.zeros((24, 32), bool)
    mask[6:14, start + frame : start + frame + 8] = True
    return mask


def draw(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = PIL.Image.fromarray(values)
    if path.suffix == ".png" and values.max() < 255:
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(path)


def frame_picture(path):
    draw(path, np.full((24, 32, 3), 90, np.uint8))


@pytest.fixture
def davis(tmp_path):
    """The data and perfect predictions."""
    root = tmp_path / "DAVIS"
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("dogs\nbike\n")
    for name in ("dogs", "bike", "of-another-split"):
        for number in range(FRAMES):
            objects = np.where(object_at(number, 2), 1, np.where(object_at(number, 16), 2, 0)).astype(np.uint8)
            draw(root / f"Annotations/480p/{name}/{number:05d}.png", objects)
            frame_picture(root / f"JPEGImages/480p/{name}/{number:05d}.jpg")
    shutil.copytree(root / "Annotations/480p", tmp_path / "predictions")
    return root, tmp_path / "predictions"


@pytest.fixture
def sav(tmp_path):
    root = tmp_path / "sav_val"
    for number in range(0, 4 * FRAMES):
        frame_picture(root / f"JPEGImages_24fps/sav_000001/{number:05d}.jpg")
    for one, start in (("000", 2), ("001", 16)):
        for number in range(FRAMES):
            mask = object_at(number, start).astype(np.uint8) * 255
            draw(root / f"Annotations_6fps/sav_000001/{one}/{4 * number:05d}.png", mask)
    (root / "sav_val.txt").write_text("sav_000001\n")
    shutil.copytree(root / "Annotations_6fps", tmp_path / "predictions")
    return root, tmp_path / "predictions"


def masklet(video, category, frames, **more):
    """As annotations and predictions have it; None is a frame without the object."""
    masks = [rle.encode_mask(np.zeros((24, 32), bool) if frame is None else object_at(frame, 2)) for frame in frames]
    boxes = [[0, 0, 0, 0] if frame is None else [2 + frame, 6, 8, 8] for frame in frames]
    areas = [0 if frame is None else 64 for frame in frames]
    shapes = {"segmentations": [mask.to_coco() for mask in masks], "bboxes": boxes, "areas": areas}
    return {"video_id": video, "category_id": category, **shapes, **more}


@pytest.fixture
def saco(tmp_path):
    names = [f"sav_000208/{number:05d}.jpg" for number in range(3)]
    for name in names:
        frame_picture(tmp_path / "media/saco_sav/JPEGImages_24fps" / name)
    video = {"id": 0, "video_name": "sav_000208", "file_names": names, "height": 24, "width": 32, "length": 3}
    pairs = [
        {"id": 1, "video_id": 0, "category_id": 7, "noun_phrase": "a braid", "num_masklets": 1},
        {"id": 2, "video_id": 0, "category_id": 9, "noun_phrase": "a gold chain", "num_masklets": 0},
    ]
    sizes = {"height": 24, "width": 32, "iscrowd": 0, "noun_phrase": "a braid"}
    file = {
        "info": {"version": "v1"},
        "videos": [video],
        "annotations": [masklet(0, 7, [0, 1, None], id=167, **sizes)],
        "categories": [{"id": 7, "name": "a braid"}, {"id": 9, "name": "a gold chain"}],
        "video_np_pairs": pairs,
    }
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation/saco_veval_sav_test.json").write_text(json.dumps(file))
    (tmp_path / "predictions.json").write_text(json.dumps([masklet(0, 7, [0, 0, None], score=0.9)]))
    return tmp_path, tmp_path / "predictions.json"


def test_davis_lists_the_videos_of_its_split_and_shouts_if_they_are_fewer(davis):
    benchmark = load_benchmark("davis", davis[0].parent, "val")
    assert [sample.id for sample in benchmark.list_samples()] == ["dogs", "bike"]
    assert (benchmark.collect_info().samples, benchmark.collect_info().published) == (2, 30)
    assert str(check_images(benchmark.list_samples())) == "2 opened, all whole"
    before = benchmark.collect_info().hash
    (davis[0] / "Annotations/480p/of-another-split/00000.png").unlink()
    assert benchmark.collect_info().hash == before
    shutil.copy(davis[0] / "Annotations/480p/dogs/00001.png", davis[0] / "Annotations/480p/dogs/00002.png")
    assert benchmark.collect_info().hash != before


def test_davis_is_scored_in_its_own_convention(davis):
    root, predictions = davis
    scores = load_benchmark("davis", root, "val").score_file(predictions)
    assert scores == {"jf": 100, "j": 100, "f": 100, "objects": 4}
    shutil.copy(predictions / "dogs/00001.png", predictions / "dogs/00003.png")
    scores = load_benchmark("davis", root, "val").score_file(predictions)
    videos = jf.read_folders(root / "Annotations/480p", predictions, names=["dogs", "bike"])
    assert scores["jf"] == jf.score(videos, convention="davis")["jf"]
    assert scores["jf"] < 100


def test_a_first_and_last_frame_need_no_prediction_and_any_other_does(davis):
    root, predictions = davis
    for number in (0, FRAMES - 1):
        (predictions / f"dogs/{number:05d}.png").unlink()
    assert load_benchmark("davis", root, "val").score_file(predictions)["jf"] == 100
    (predictions / "dogs/00002.png").unlink()
    with pytest.raises(ScoringError, match=r"there is no mask .*dogs/00002\.png"):
        load_benchmark("davis", root, "val").score_file(predictions)


def test_sav_has_a_sample_per_object_and_scores_each_from_its_entry_on(sav):
    root, predictions = sav
    benchmark = load_benchmark("sav", root.parent, "val")
    assert [sample.id for sample in benchmark.list_samples()] == ["sav_000001/000", "sav_000001/001"]
    assert benchmark.list_samples()[0].open_image().pixels.shape == (24, 32, 3)
    assert benchmark.score_file(predictions) == {"jf": 100, "j": 100, "f": 100, "objects": 2}
    PIL.Image.fromarray(np.arange(24 * 32, dtype=np.uint8).reshape(24, 32)).save(
        predictions / "sav_000001/000/00008.png"
    )
    with pytest.raises(ScoringError, match="'sav_000001/000': a mask of one object must have two values at the most"):
        benchmark.score_file(predictions)


def test_a_frame_that_is_annotated_and_not_there_is_named(sav):
    (sav[0] / "JPEGImages_24fps/sav_000001/00004.jpg").unlink()
    [fault] = check_images(load_benchmark("sav", sav[0], "val").list_samples()).broken
    assert fault.endswith("00004.jpg: no such file, though it is annotated")


def test_saco_veval_asks_every_pair_and_scores_a_file_as_its_metric_does(saco):
    data, predictions = saco
    benchmark = load_benchmark("saco-veval", data, "sav-test")
    positive, negative = benchmark.list_samples()
    assert (positive.id, positive.query, positive.slices) == ("0-7", "a braid", {"phrase": "positive"})
    assert negative.slices == {"phrase": "negative"}
    assert str(check_images(benchmark.list_samples())) == "1 opened, all whole"
    scores = benchmark.score_file(predictions)
    expected = veval.score(data / "annotation/saco_veval_sav_test.json", predictions)
    assert scores == {name: value for name, value in expected.items() if name != "official"}
    assert next(iter(scores)) == "cgF1"
    assert 0 < scores["pHOTA"] < 100


def test_missing_data_say_what_to_fetch_from_where_under_which_licence(tmp_path):
    for name, split, home in (
        ("davis", "val", "davischallenge.org"),
        ("sav", "test", "ai.meta.com"),
        ("saco-veval", "yt1b-val", "huggingface.co/datasets/facebook/SACo-VEval"),
    ):
        with pytest.raises(DatasetError, match=home) as caught:
            load_benchmark(name, tmp_path, split)
        assert "licence:" in str(caught.value)
        with pytest.raises(DatasetError, match="has the splits"):
            load_benchmark(name, tmp_path, "nonsense")


def test_broken_listings_and_files_are_named(davis, saco):
    listing = davis[0] / "ImageSets/2017/val.txt"
    listing.write_text("dogs\ncats\n")
    with pytest.raises(DatasetError, match="has no folder cats"):
        load_benchmark("davis", davis[0], "val")
    listing.write_text("\n")
    with pytest.raises(DatasetError, match="names no video"):
        load_benchmark("davis", davis[0], "val")
    (saco[0] / "annotation/saco_veval_sav_test.json").write_text('{"videos": []}')
    with pytest.raises(DatasetError, match="is not as published"):
        load_benchmark("saco-veval", saco[0], "sav-test")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "segmentations",
            [{"size": [24, 32], "counts": "PP"}, None, None],
            "the runs do not make up a mask of 32 x 24",
        ),
        ("segmentations", [[[1, 1, 5, 1, 5, 5]], None, None], "`segmentation` must be run lengths with a size, found"),
        ("segmentations", [None, None], "has 2 frames, its video 3"),
        ("segmentations", None, "must be a list, found NoneType"),
        ("id", [1], "`id` must be a number or a text"),
    ],
)
def test_a_broken_masklet_is_told_when_the_data_are_loaded(saco, key, value, said):
    file = saco[0] / "annotation/saco_veval_sav_test.json"
    content = json.loads(file.read_text())
    content["annotations"][0][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"saco_veval_sav_test.json is not as published \(.*annotation 0.*{said}"):
        load_benchmark("saco-veval", saco[0], "sav-test")


def test_videos_without_a_list_of_frames_are_refused(saco):
    file = saco[0] / "annotation/saco_veval_sav_test.json"
    content = json.loads(file.read_text())
    content["annotations"], content["videos"][0]["file_names"] = [], None
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="`file_names` of video 0 must be a list, found NoneType"):
        load_benchmark("saco-veval", saco[0], "sav-test")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read as an image"),
        (lambda path: PIL.Image.new("RGB", (32, 24)).save(path), "is 32 x 24 pixels in 3 channels, expected one value"),
        (lambda path: PIL.Image.new("L", (10, 9)).save(path), "is 10 x 9 pixels, expected one value a pixel"),
    ],
)
@pytest.mark.parametrize(
    ("name", "mask"),
    [("davis", "Annotations/480p/dogs/00002.png"), ("sav", "Annotations_6fps/sav_000001/001/00008.png")],
)
def test_masks_of_the_truth_that_cannot_be_used_are_found_by_a_check(request, name, mask, spoil, said):
    root, _ = request.getfixturevalue(name)
    spoil(root / mask)
    [fault] = check_images(load_benchmark(name, root, "val").list_samples()).broken
    assert str(root / mask) in fault
    assert said in fault


@pytest.mark.parametrize(
    ("name", "folder"), [("davis", "Annotations/480p/dogs"), ("sav", "Annotations_6fps/sav_000001/000")]
)
def test_hidden_files_and_folders_are_neither_masks_nor_objects(request, name, folder):
    root, predictions = request.getfixturevalue(name)
    before = load_benchmark(name, root, "val").collect_info().hash
    (root / folder / "._00000.png").write_bytes(b"left by a file system")
    (root / folder / "../.ipynb_checkpoints").mkdir()
    benchmark = load_benchmark(name, root, "val")
    assert benchmark.collect_info().hash == before
    assert not check_images(benchmark.list_samples()).broken
    assert benchmark.score_file(predictions)["jf"] == 100
