"""What all formats of videos have in common."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import OutputError, UsageError
from agent.exports import (
    EXPORTERS,
    Exporter,
    ExportTrack,
    VideoExportAnswer,
    export_masklets,
    list_formats,
    select_exporters,
)
from sam3_tool import Image, Masklet, Masklets, Video

FORMATS = [*list_formats("video")]


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_one_file_named_after_the_video(write, kind, tmp_path):
    path = write(kind)
    assert path.name == f"throw{EXPORTERS[kind].suffix}"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("kind", FORMATS)
def test_an_object_that_is_seen_nowhere_is_left_out(write, tracks, kind):
    unseen = ExportTrack(99, Masklet((), (), (), 1.0), "ghost")
    assert write(kind, (*tracks, unseen)).read_bytes() == write(kind, tracks).read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_answer_without_objects_and_a_clip_of_one_frame_are_written_too(write, clip, tracks, kind):
    still = Video.from_images([clip.read_frame(0)])
    assert write(kind, ()).stat().st_size >= 0
    first = [replace(track, masklet=track.masklet.slice(0, 1)) for track in tracks]
    assert write(kind, first, video=still).stat().st_size > 0


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b\\c:d\n.mp4", "x" * 300 + ".webm", "\ud800.mov"])
def test_no_name_of_a_video_leads_out_of_the_folder(write, tracks, kind, name, tmp_path):
    path = write(kind, [replace(tracks[0], phrase="\ud800 \U0001f431\x00</script>\x85")], name=name)
    assert [*tmp_path.iterdir()] == [path]


def test_objects_of_another_video_are_refused(clip, tracks):
    small = Masklet.from_masks(np.ones((1, 4, 6), bool))
    late = Masklet((len(clip),), tracks[1].masklet.rles[:1], (1.0,), 1.0)
    for chosen, reason in [
        ([ExportTrack(1, small, "ball")], r"object 1 is \(4, 6\), the video is \(47, 63\)"),
        ([ExportTrack(1, late, "ball")], "object 1 is on frame 8, the video has 8 frames"),
        ([tracks[0], tracks[0]], "an id of its own"),
    ]:
        with pytest.raises(ValueError, match=reason):
            VideoExportAnswer.from_tracks(clip, chosen, "x.mp4")


def test_a_format_of_the_other_medium_is_one_line_with_those_that_fit():
    assert [*select_exporters("coco,mot", "video")] == ["coco", "mot"]
    with pytest.raises(UsageError, match=r"^the format yolo-seg is for images; for videos there are: coco, davis, "):
        select_exporters("coco,yolo-seg", "video")
    with pytest.raises(UsageError, match=r"^the format mp4 is for videos; for images there are: coco, "):
        select_exporters("mp4", "image")
    with pytest.raises(ValueError, match="a format of videos only"):
        EXPORTERS["mot"].write(Image(np.zeros((4, 6, 3), np.uint8)), [], "x.png", Path(), {})
    with pytest.raises(ValueError, match="`encode`, `write_video` or both"):
        Exporter(".none", "")


def test_what_tracking_found_is_exported_by_the_name_of_a_format(clip, tracks, tmp_path):
    def gather(*chosen: ExportTrack) -> Masklets:
        ids, masklets = tuple(one.id for one in chosen), tuple(one.masklet for one in chosen)
        return Masklets(masklets, ids, (clip.height, clip.width), len(clip), chosen[0].phrase, np.ones(len(clip)))

    found = [gather(tracks[0], tracks[2]), gather(tracks[1])]
    path = export_masklets(clip, found, "coco", folder=tmp_path / "new", name="throw.mp4")
    held = json.loads(path.read_text("utf-8"))
    assert [track["id"] for track in held["tracks"]] == [2, 9, 7]
    assert [category["name"] for category in held["categories"]] == ["red ball", "car"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write into .*file"):
        export_masklets(clip, found, "coco", folder=tmp_path / "file", name="throw.mp4")
    with pytest.raises(UsageError, match="is for images"):
        export_masklets(clip, found, "cutout", folder=tmp_path, name="throw.mp4")
