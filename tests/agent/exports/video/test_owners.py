"""Formats of videos, read by the tools that own them: TrackEval, vos-benchmark, pycocotools, and our own loaders."""

import json
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from agent.exports import ExportTrack
from agent.exports.video.davis import build_palette
from evals.datasets.videos import sav
from evals.datasets.videos.davis import load as load_davis
from sam3_tool import Masklet
from tests.agent.exports.video.conftest import HEIGHT, LENGTH, WIDTH, decode_track, remove_overlaps

pytestmark = pytest.mark.usefixtures("owners")


def read_by_trackeval(kind: str, gt: Path, trackers: Path, **config: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """What TrackEval reads of tracker "ours", and the HOTA that it gives it against the target."""
    import trackeval

    with redirect_stdout(StringIO()):
        folders = {"GT_FOLDER": f"{gt}/", "TRACKERS_FOLDER": f"{trackers}/"}
        dataset = getattr(trackeval.datasets, kind)(
            {**folders, "PRINT_CONFIG": False, "TRACKERS_TO_EVAL": ["ours"], **config}
        )
        raw = dataset.get_raw_seq_data("ours", dataset.seq_list[0])
        scores = {}
        for name in dataset.class_list:
            data = dataset.get_preprocessed_seq_data(deepcopy(raw), name)
            scores[name] = float(trackeval.metrics.HOTA().eval_sequence(data)["HOTA"].mean())
    return raw, scores


def test_pycocotools_reads_every_mask_of_every_frame(write, tracks, clip):
    with redirect_stdout(StringIO()):
        known = COCO(str(write("coco")))
    seen = []
    for image in known.loadImgs(known.getImgIds()):
        frame = int(image["file_name"].removeprefix("throw/").removesuffix(".jpg"))
        assert image["time"] == clip.times[frame]
        for annotation in known.loadAnns(known.getAnnIds([image["id"]])):
            track = next(one for one in tracks if one.id == annotation["track_id"])
            place = track.masklet.find_place(frame)
            assert place is not None
            assert (known.annToMask(annotation) == decode_track(track)[frame]).all()
            assert annotation["score"] == track.masklet.scores[place]
            assert annotation["area"] == decode_track(track)[frame].sum()
            assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
            assert known.loadCats(annotation["category_id"])[0]["name"] == (track.phrase or "object")
            seen.append((track.id, frame))
    assert sorted(seen) == sorted((one.id, frame) for one in tracks for frame in one.masklet.frames)


def test_trackeval_reads_youtube_vis_and_finds_it_perfect_against_itself(write, tracks, tmp_path):
    held = json.loads(write("youtube-vis").read_text("utf-8"))
    for folder in ("youtube_vis_train", "youtube_vis_train/ours/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "gt" / "youtube_vis_train").mkdir(parents=True)
    (tmp_path / "gt" / "youtube_vis_train" / "all.json").write_text(json.dumps(held))
    for one in held["annotations"]:  # results hold run lengths as letters
        one["segmentations"] = [mask and coco_mask.frPyObjects(mask, *mask["size"]) for mask in one["segmentations"]]
        for mask in filter(None, one["segmentations"]):
            mask["counts"] = mask["counts"].decode()
    (tmp_path / "youtube_vis_train/ours/data/all.json").write_text(json.dumps(held["annotations"]))
    raw, scores = read_by_trackeval("YouTubeVIS", tmp_path / "gt", tmp_path, SPLIT_TO_EVAL="train")
    assert scores == {"red ball": 1.0, "car": 1.0, "object": 1.0}
    for frame in range(LENGTH):
        there = [one for one in tracks if one.masklet.at(frame)]
        assert raw["gt_ids"][frame].tolist() == [one.id for one in there]
        for one, mask in zip(there, raw["gt_dets"][frame], strict=True):
            assert (coco_mask.decode(mask) == decode_track(one)[frame]).all()
    boxes = held["annotations"][0]["bboxes"]
    assert [box is None for box in boxes] == [tracks[0].masklet.at(frame) is None for frame in range(LENGTH)]


def test_trackeval_and_vos_benchmark_read_davis_images(write, unpack, tracks):
    from vos_benchmark.benchmark import VideoEvaluator

    folder = unpack(write("davis")) / "Annotations"
    wanted = remove_overlaps(tracks)
    name, iou, boundary = VideoEvaluator(str(folder), str(folder), skip_first_and_last=False)("throw")
    assert (name, set(iou.values()), set(boundary.values())) == ("throw", {100.0}, {100.0})
    assert set(iou) == set(wanted)
    for path in ("gt/480p", "trackers/ours/data"):
        (folder.parent / path).mkdir(parents=True)
        (folder.parent / path / "throw").symlink_to(folder / "throw")
    raw, scores = read_by_trackeval(
        "DAVIS", folder.parent / "gt" / "480p", folder.parent / "trackers", SEQ_INFO={"throw": LENGTH}
    )
    assert scores == {"general": 1.0}
    for frame in range(LENGTH):
        assert raw["tracker_ids"][frame].tolist() == sorted(id for id in wanted if wanted[id][frame].any())
        for id, mask in zip(raw["tracker_ids"][frame], raw["tracker_dets"][frame], strict=True):
            assert (coco_mask.decode(mask) == wanted[id][frame]).all()


def test_davis_images_have_davis_palette_and_no_void(write, unpack, tracks):
    folder = unpack(write("davis"))
    images = [PIL.Image.open(path) for path in sorted((folder / "Annotations" / "throw").iterdir())]
    assert [image.mode for image in images] == ["P"] * LENGTH
    assert {bytes(image.palette.palette) for image in images if image.palette} == {build_palette()}
    assert max(np.asarray(image).max() for image in images) == 9
    held = json.loads((folder / "objects.json").read_text("utf-8"))["objects"]
    assert [(one["number"], one["id"], one["reason"]) for one in held][:2] == [(2, 2, "It is red."), (7, 7, "")]


def test_davis_counts_anew_where_an_id_is_too_high_and_leaves_out_what_has_no_place(write, unpack, tracks, caplog):
    folder = unpack(write("davis", [*tracks[:2], replace(tracks[2], id=300)]))
    last = np.asarray(PIL.Image.open(folder / "Annotations" / "throw" / f"{LENGTH - 1:05}.png"))
    assert np.unique(last).tolist() == [0, 2, 3]
    many = []
    for place in range(256):
        mask = np.zeros((LENGTH, HEIGHT, WIDTH), bool)
        mask[0, 2 + place // 60, place % 60] = True
        many.append(ExportTrack(place + 1, Masklet.from_masks(mask, score=0.5 if place in (3, 4) else 0.6), "dot"))
    first = unpack(write("davis", many, name="many")) / "Annotations" / "many" / "00000.png"
    assert np.unique(PIL.Image.open(first)).tolist() == [*range(255)]
    assert "room for 254 objects; the 2 with the lowest scores are left out" in caplog.text


def test_our_own_loaders_score_the_folders_as_perfect(write, unpack, tracks, tmp_path):
    # DAVIS' own rules ask for every object on the first frame, and SA-V's leave out the last one
    chosen = {"davis": tracks[:2], "sav-png": tracks[:3]}
    folders = {kind: unpack(write(kind, chosen[kind])) / "Annotations" for kind in chosen}
    data = tmp_path / "data"
    (data / "ImageSets" / "2017").mkdir(parents=True)
    (data / "ImageSets" / "2017" / "val.txt").write_text("throw\n")
    (data / "sav_val.txt").write_text("throw\n")
    (data / "Annotations").mkdir()
    (data / "Annotations" / "480p").symlink_to(folders["davis"])
    (data / "Annotations_6fps").symlink_to(folders["sav-png"])
    for frames in ("JPEGImages/480p/throw", "JPEGImages_24fps/throw"):
        (data / frames).mkdir(parents=True)
    assert load_davis(data, "val").score_file(folders["davis"])["jf"] == pytest.approx(100)
    assert sav.load(data, "val").score_file(folders["sav-png"])["jf"] == pytest.approx(100)
    for one in chosen["sav-png"]:
        paths = sorted((folders["sav-png"] / "throw" / f"{one.id:03}").iterdir())
        assert (np.array([np.asarray(PIL.Image.open(path)) for path in paths]) == decode_track(one)).all()


def test_pycocotools_decodes_sav_annotations_frame_by_frame(write, tracks):
    held = json.loads(write("sav-json").read_text("utf-8"))
    assert (held["video_id"], held["video_frame_count"], held["masklet_num"]) == ("throw", LENGTH, len(tracks))
    assert held["video_duration"] == pytest.approx(LENGTH / 25)
    for frame, masks in enumerate(held["masklet"]):
        for one, mask in zip(tracks, masks, strict=True):
            assert (coco_mask.decode(mask) == decode_track(one)[frame]).all()
    assert held["masklet_id"] == [2, 7, 9, 5]
    assert held["masklet_visibility_changes"] == [3, 0, 0, 0]
    assert held["masklet_first_appeared_frame"] == [0, 0, 3, 7]
    areas = [decode_track(one)[list(one.masklet.frames)].sum() / len(one.masklet) for one in tracks]
    assert held["masklet_size_abs"] == pytest.approx(areas)
    assert held["masklet_size_bucket"] == ["small" if area < 32**2 else "medium" for area in areas]


def test_trackeval_reads_mot_boxes(write, tracks, tmp_path):
    text = write("mot").read_text("ascii")
    (tmp_path / "ours" / "data").mkdir(parents=True)
    (tmp_path / "ours" / "data" / "throw.txt").write_text(text)
    (tmp_path / "throw" / "gt").mkdir(parents=True)
    # a target has a flag, a class and a visibility where a result has its score and nothing
    rows = [line.split(",")[:6] for line in text.splitlines()]
    (tmp_path / "throw" / "gt" / "gt.txt").write_text("".join(f"{','.join(row)},1,1,1\n" for row in rows))
    raw, scores = read_by_trackeval(
        "MotChallenge2DBox", tmp_path, tmp_path, SKIP_SPLIT_FOL=True, SEQ_INFO={"throw": LENGTH}, BENCHMARK="MOT15"
    )
    assert scores == {"pedestrian": 1.0}
    for frame in range(LENGTH):
        places = [(one, one.masklet.find_place(frame)) for one in tracks]
        there = [(one, place) for one, place in places if place is not None]
        assert raw["tracker_ids"][frame].tolist() == [one.id for one, _ in there]
        assert raw["tracker_confidences"][frame].tolist() == [one.masklet.scores[place] for one, place in there]
        # pixels count from 1
        boxes = raw["tracker_dets"][frame] - [1, 1, 0, 0]
        boxes[:, 2:] += boxes[:, :2]
        assert boxes.tolist() == [one.masklet.boxes[place].tolist() for one, place in there]


def test_trackeval_reads_mots_masks(write, tracks, tmp_path):
    text = write("mots").read_text("ascii")
    for path in (tmp_path / "ours" / "data" / "throw.txt", tmp_path / "throw" / "gt" / "gt.txt"):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    raw, scores = read_by_trackeval(
        "MOTSChallenge", tmp_path, tmp_path, SKIP_SPLIT_FOL=True, SEQ_INFO={"throw": LENGTH}
    )
    assert scores == {"pedestrian": 1.0}
    wanted = remove_overlaps(tracks)
    for frame in range(LENGTH):
        assert sorted(raw["tracker_ids"][frame]) == sorted(id for id in wanted if wanted[id][frame].any())
        for id, kind, mask in zip(
            raw["tracker_ids"][frame], raw["tracker_classes"][frame], raw["tracker_dets"][frame], strict=True
        ):
            assert (coco_mask.decode(mask) == wanted[id][frame]).all()
            assert kind == (1 if id == 7 else 2)
