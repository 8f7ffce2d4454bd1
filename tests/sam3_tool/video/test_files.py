"""Video files: every frame once, in order, upright, at its time, however it is asked for."""

import os
import random
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sam3_tool import Video, VideoError
from tests.support.video_files import copy_clip, decode_clip, draw_frames, write_clip

OPEN_GROUPS = {"x264-params": "open-gop=1:keyint=8:scenecut=0:bframes=3:b-adapt=0"}
KINDS = {
    "h264.mp4": ("libx264", {"g": "8", "bf": "3"}, "yuv420p"),
    "open-groups.mkv": ("libx264", OPEN_GROUPS, "yuv420p"),
    "open-groups.ts": ("libx264", OPEN_GROUPS, "yuv420p"),
    "refresh.mkv": ("libx264", {"x264-params": "intra-refresh=1:keyint=8"}, "yuv420p"),
    "no-stamps.h264": ("libx264", {"g": "8", "bf": "3"}, "yuv420p"),
    "guessed-stamps.avi": ("libx264", {"g": "8", "bf": "3"}, "yuv420p"),
    "wide-colour.mp4": ("libx264", {"g": "8"}, "yuv420p10le"),
    "h265.mp4": ("libx265", {"x265-params": "log-level=none:keyint=8:open-gop=1:bframes=3"}, "yuv420p"),
    "vp9.webm": ("libvpx-vp9", {"g": "8", "lag-in-frames": "16", "auto-alt-ref": "1"}, "yuv420p"),
    "av1.mkv": ("libsvtav1", {"preset": "12", "g": "8"}, "yuv420p"),
    "mpeg4.avi": ("mpeg4", {"g": "8", "bf": "2"}, "yuv420p"),
    "mpeg2.mpg": ("mpeg2video", {"g": "8", "bf": "2"}, "yuv420p"),
    "mjpeg.avi": ("mjpeg", {}, "yuvj420p"),
    "prores.mov": ("prores_ks", {}, "yuv422p10le"),
    "flash.flv": ("flv", {}, "yuv420p"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["SVT_LOG"] = "0"  # the encoder of AV1 writes a page about itself
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return write_clip(folder / "clip.mp4", draw_frames(24), options={"g": "8", "bf": "3"})


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_in_any_order_is_that_of_a_read_from_the_start(name: str, folder: Path):
    codec, options, pixel_format = KINDS[name]
    path = write_clip(folder / name, draw_frames(24), codec, options=options, pixel_format=pixel_format)
    expected = decode_clip(path)
    video = Video.open(path)
    assert len(video) == len(expected) == 24
    np.testing.assert_allclose(video.times, np.arange(24) / 24, atol=0.001)
    order = random.Random(0).sample(range(24), 24)
    assert all(np.array_equal(video.read_frame(index).pixels, expected[index]) for index in order)
    backwards = {index: image.pixels for index, image in Video.open(path).iterate_frames(step=-1)}
    assert list(backwards) == list(range(23, -1, -1))
    assert all(np.array_equal(pixels, expected[index]) for index, pixels in backwards.items())


def test_frames_are_shown_at_their_own_times(folder: Path):
    stamps = [100, 101, 103, 110, 111, 130]
    video = Video.open(write_clip(folder / "variable.mkv", draw_frames(6), stamps=stamps))
    np.testing.assert_allclose(video.times, (np.array(stamps) - 100) / 24, atol=0.001)


def test_frames_that_an_edit_list_hides_are_not_there(folder: Path, clip: Path):
    """A cut without encoding starts at a key frame, and hides what lies before the wanted one."""
    path = folder / "edited.mp4"
    with av.open(str(clip)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - 5 * 512, packet.dts - 5 * 512, stream
                written.mux(packet)
    expected = decode_clip(path)
    video = Video.open(path)
    assert len(video) == len(expected) == 19
    for index in (18, 0, 4):
        np.testing.assert_array_equal(video.read_frame(index).pixels, expected[index])
    np.testing.assert_array_equal(video.read_frame(0).pixels, Video.open(clip).read_frame(5).pixels)


@pytest.mark.parametrize(
    ("display", "make_upright"),
    [
        ({"degrees": 90.0}, lambda pixels: np.rot90(pixels, 1)),
        ({"degrees": 180.0}, lambda pixels: np.rot90(pixels, 2)),
        ({"degrees": -90.0}, lambda pixels: np.rot90(pixels, 3)),
        ({"degrees": 0.0, "hflip": True}, lambda pixels: pixels[:, ::-1]),
        ({"degrees": 0.0, "vflip": True}, lambda pixels: pixels[::-1]),
    ],
)
def test_a_frame_is_turned_as_its_container_says(display, make_upright, folder: Path, clip: Path):
    video = Video.open(copy_clip(clip, folder / "turned.mp4", **display))
    expected = make_upright(decode_clip(clip)[3])
    assert (video.height, video.width) == expected.shape[:2]
    np.testing.assert_array_equal(video.read_frame(3).pixels, expected)
    assert video.notes == ()


def test_a_turn_by_other_than_90_degrees_is_told(folder: Path, clip: Path):
    video = Video.open(copy_clip(clip, folder / "askew.mp4", degrees=10.0))
    assert (video.width, video.height) == (96, 64)
    assert "no multiple of 90 degrees" in video.notes[0]


@pytest.mark.parametrize("codec", ["ffv1", "libvpx-vp9"])
def test_odd_sizes_keep_their_last_row_and_column(codec: str, folder: Path):
    frame = np.full((65, 97, 3), 200, np.uint8)
    frame[-1] = frame[:, -1] = 0
    options = {"crf": "1"} if codec == "libvpx-vp9" else {}
    video = Video.open(write_clip(folder / "odd.mkv", [frame] * 2, codec, pixel_format="yuv444p", options=options))
    assert video.read_frame(0).pixels.shape == frame.shape
    assert np.abs(video.read_frame(0).pixels.astype(int) - frame).max() < 40


@pytest.mark.parametrize(("space", "matrix"), [(1, "ITU709"), (5, "ITU601")])
@pytest.mark.parametrize(("range_number", "range_name"), [(1, "MPEG"), (2, "JPEG")])
def test_colours_come_back_by_the_matrix_and_range_of_the_file(space, matrix, range_number, range_name, folder: Path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [20, 40, 230], [250, 250, 250], [9, 9, 9]], np.uint8)
    pixels = np.repeat(np.repeat(colours[None], 32, 0), 16, 1)
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
        format="yuv444p", dst_colorspace=matrix, dst_color_range=range_name
    )
    path = folder / "colours.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, range_number
        frame.colorspace, frame.color_range, frame.pts = space, range_number, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    found = Video.open(path).read_frame(0).pixels
    assert np.abs(found[:, 8::16].astype(int) - colours).max() <= 4


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"), [("a.mov", "png", "rgba"), ("a.webm", "libvpx-vp9", "yuva420p")]
)
def test_what_is_transparent_becomes_white(name, codec, pixel_format, folder: Path):
    frame = np.zeros((64, 96, 4), np.uint8)
    frame[:, 48:, 3] = 255
    options = {"auto-alt-ref": "0"} if codec == "libvpx-vp9" else {}
    path = write_clip(folder / name, [frame] * 3, codec, pixel_format=pixel_format, options=options, format="rgba")
    pixels = Video.open(path).read_frame(2).pixels
    assert pixels[:, :40].min() > 250
    assert pixels[:, 56:].max() < 5


def test_pixels_that_are_not_square_stay_as_they_are_stored(folder: Path):
    path = write_clip(folder / "wide.mp4", draw_frames(2), attributes={"sample_aspect_ratio": Fraction(3, 2)})
    video = Video.open(path)
    assert (video.width, video.height) == (96, 64)
    assert "not stretched to 144 x 64" in video.notes[0]


def test_interlaced_frames_are_told(folder: Path):
    path = write_clip(folder / "fields.mp4", draw_frames(2), options={"x264-params": "tff=1"})
    assert "interlaced" in Video.open(path).notes[0]


def test_frames_of_another_size_are_scaled_to_the_first(folder: Path):
    small = write_clip(folder / "small.h264", draw_frames(4, 64, 96))
    large = write_clip(folder / "large.h264", draw_frames(4, 128, 192))
    both = folder / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    video = Video.open(both)
    sizes = {image.pixels.shape for _, image in video.iterate_frames()}
    assert (len(video), sizes) == (8, {(64, 96, 3)})
    assert "4 frames had another size" in video.notes[-1]


def test_of_several_streams_one_is_read_and_told(folder: Path):
    path = folder / "two.mkv"
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("ffv1", rate=24) for _ in range(2)]
        for stream, size in zip(streams, (32, 64), strict=True):
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), "rgb24")
            file.mux([*stream.encode(frame), *stream.encode()])
    video = Video.open(path)
    assert f"2 video streams; number {1 if video.width == 32 else 2} ({video.width} x {video.height})" in video.notes[0]


def write_sound(path: Path, *, cover: bytes | None = None) -> Path:
    with av.open(str(path), "w") as file:
        codec = "flac" if path.suffix in (".flac", ".mka") else "pcm_s16le"
        sound = file.add_stream(codec, rate=8000)
        picture = None
        if cover is not None:
            picture = file.add_stream("mjpeg", rate=1)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate, frame.pts = 8000, 0
        packets = [*sound.encode(frame), *sound.encode()]
        if picture is not None:
            image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
            packets = [*picture.encode(image), *picture.encode(), *packets]
        file.mux(packets)
    return path


def test_stamps_that_repeat_or_go_back_are_spread(folder: Path, clip: Path):
    joined = folder / "joined.ts"
    part = copy_clip(clip, folder / "part.ts")
    joined.write_bytes(part.read_bytes() * 2)
    video = Video.open(joined)
    expected = decode_clip(joined)
    assert len(video) == len(expected)
    assert (np.diff(video.times) > 0).all()
    np.testing.assert_array_equal(video.read_frame(30).pixels, expected[30])
    assert "time stamps do not tell frames apart" in " ".join(video.notes)


# --- files that are not whole


def test_a_file_that_was_cut_off_has_the_frames_that_are_there(folder: Path):
    whole = write_clip(folder / "whole.mp4", draw_frames(24), options={"g": "8"}, container={"movflags": "faststart"})
    content = whole.read_bytes()
    cut = folder / "cut.mp4"
    cut.write_bytes(content[: -(len(content) - content.index(b"mdat")) // 3])
    video, complete = Video.open(cut), Video.open(whole)
    assert 8 <= len(video) < 24
    for index, image in video.iterate_frames():
        np.testing.assert_array_equal(image.pixels, complete.read_frame(index).pixels)
    assert "announces 24 frames" in video.notes[0]


@pytest.mark.parametrize("name", ["cut.mkv", "cut.webm", "cut.ts"])
def test_a_container_that_tells_its_size_tells_that_its_end_is_missing(name: str, folder: Path):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    whole = write_clip(folder / f"whole-{name}", draw_frames(24), codec, options={"g": "8"})
    content = whole.read_bytes()
    (folder / name).write_bytes(content[: len(content) * 2 // 3 | 1])
    video, complete = Video.open(folder / name), Video.open(whole)
    assert 1 <= len(video) < len(complete) == 24
    assert complete.notes == ()
    assert video.notes[-1].startswith("The file is cut off or damaged after frame")


def test_frames_that_lack_their_beginning_are_left_out(folder: Path):
    whole = write_clip(folder / "whole.ts", draw_frames(24), options=OPEN_GROUPS)
    video = Video.open(copy_clip(whole, folder / "tail.ts", skip=3))
    assert 8 <= len(video) < 24
    np.testing.assert_array_equal(video.read_frame(len(video) - 1).pixels, Video.open(whole).read_frame(23).pixels)
    assert "at the beginning cannot be decoded" in video.notes[0]


def test_a_damaged_frame_is_replaced_by_the_one_before_and_told(folder: Path):
    path = write_clip(folder / "damaged.mov", draw_frames(12), "png", pixel_format="rgb24")
    *before, damaged = path.read_bytes().split(b"\x89PNG", 6)  # the last part begins with frame 5
    path.write_bytes(b"\x89PNG".join(before) + bytes(4) + damaged)
    video = Video.open(path)
    images = [image.pixels for _, image in video.iterate_frames()]
    assert len(images) == 12
    np.testing.assert_array_equal(images[5], images[4])
    assert video.notes == ("1 frame cannot be decoded; the frame before is shown instead.",)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_bytes_are_wrong_frames_are_read_or_one_sentence_is_said(seed: int, folder: Path, clip: Path):
    chance = random.Random(seed)
    content = bytearray(clip.read_bytes())
    for _ in range(chance.choice([1, 10, 100])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path = folder / "fuzzed.mp4"
    path.write_bytes(content)
    try:
        video = Video.open(path)
    except VideoError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert {image.pixels.shape for _, image in video.iterate_frames()} == {(video.height, video.width, 3)}


def test_a_header_that_lies_about_the_size_is_not_believed(folder: Path, clip: Path):
    content = bytearray(clip.read_bytes())
    place = content.find(b"avc1", content.find(b"stsd")) + 28
    content[place : place + 4] = struct.pack(">2H", 60000, 60000)
    path = folder / "liar.mp4"
    path.write_bytes(content)
    try:
        assert (Video.open(path).width, Video.open(path).height) == (96, 64)
    except VideoError as error:
        assert "60000 x 60000" in str(error)  # noqa: PT017


# --- what is no video


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"these are no frames\n" * 9, "not a video but a text file"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nclip.mp4\n", "not a video but a text file"),
        ("noise.mp4", random.Random(0).randbytes(5000), "cannot be read as a video"),
        ("zeros.mkv", bytes(5000), "not a video but zero bytes"),
        ("page.mp4", b"<!DOCTYPE html><html></html>", "not a video but an HTML page"),
    ],
)
def test_a_file_of_another_kind_is_named(name: str, content: bytes, said: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        Video.open(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_sound_is_no_video(tmp_path: Path):
    with pytest.raises(VideoError, match="it holds sound, but no video"):
        Video.open(write_sound(tmp_path / "sound.wav"))


def test_the_cover_of_an_album_is_no_video(tmp_path: Path):
    with pytest.raises(VideoError, match="it holds sound, but no video"):
        Video.open(write_sound(tmp_path / "album.flac", cover=b""))


def test_what_has_no_end_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "camera")
    for path in (tmp_path / "camera", Path("/dev/zero")):
        with pytest.raises(VideoError, match="not a regular file"):
            Video.open(path)


@pytest.mark.parametrize("url", ["https://example.org/clip.mp4", "rtsp://camera/1"])
def test_a_url_is_not_fetched(url: str):
    with pytest.raises(VideoError, match="a URL"):
        Video.open(url)


@pytest.mark.parametrize("name", ["large.mp4", "large.webm", "large.ts", "large.gif"])
def test_frames_beyond_the_limit_are_refused_before_they_are_decoded(name: str, folder: Path):
    codec = {".webm": "libvpx-vp9", ".gif": "gif"}.get(Path(name).suffix, "libx264")
    path = write_clip(folder / name, draw_frames(12), codec, pixel_format="rgb8" if codec == "gif" else "yuv420p")
    with pytest.raises(VideoError, match=r"6,144 pixels, and the limit is 1,000"):
        Video.open(path, max_pixels=1000)


def test_a_codec_that_nobody_knows_is_said(folder: Path, clip: Path):
    path = folder / "unknown.mp4"
    path.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoError, match="coded in a way that is not known"):
        Video.open(path)


def test_one_frame_is_a_video(folder: Path):
    video = Video.open(write_clip(folder / "one.mp4", draw_frames(1)))
    assert (len(video), video.times.tolist()) == (1, [0.0])


def test_the_key_depends_on_the_content_alone(folder: Path, clip: Path):
    copied = folder / "copied.mp4"
    copied.write_bytes(clip.read_bytes())
    assert Video.open(copied).key == Video.open(clip).key
    assert Video.open(write_clip(folder / "other.mp4", draw_frames(3))).key != Video.open(clip).key


def test_a_frame_outside_is_refused(clip: Path):
    video = Video.open(clip)
    for index in (-1, 24):
        with pytest.raises(IndexError, match="the video has 24 frames"):
            video.read_frame(index)
