"""Frames in a folder, in an animation, and in memory."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sam3_tool import Image, Video, VideoError


def save_frames(folder: Path, names: list[str], size: tuple[int, int] = (6, 4)) -> Path:
    """Write images whose red value is their place in `names`."""
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        PIL.Image.new("RGB", size, (value, 0, 0)).save(folder / name)
    return folder


def read_values(video: Video) -> list[int]:
    return [int(image.pixels[0, 0, 0]) for _, image in video.iterate_frames()]


def test_frames_of_a_folder_come_in_the_order_of_their_numbers(tmp_path: Path):
    video = Video.open(save_frames(tmp_path, ["f1.png", "f9.png", "f10.png", "f100.png"]))
    assert read_values(video) == [0, 1, 2, 3]
    np.testing.assert_allclose(video.times, np.arange(4) / 24)


def test_what_systems_leave_in_a_folder_is_no_frame(tmp_path: Path):
    folder = save_frames(tmp_path, ["1.png", "2.png"])
    for name in (".DS_Store", "._1.png", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"x")
    (folder / "masks").mkdir()
    assert (len(Video.open(folder)), Video.open(folder).notes) == (2, ())
    for name in ("notes.txt", "a.csv", "b.csv", "c.csv"):
        (folder / name).write_bytes(b"x")
    assert Video.open(folder).notes == (
        "Left out of the folder, as not named like images: a.csv, b.csv, c.csv and 1 more.",
    )


@pytest.mark.parametrize(
    ("names", "has_gaps"),
    [
        (["f1.png", "f2.png", "f4.png"], True),
        (["f010.png", "f020.png", "f030.png"], False),
        (["a.png", "b.png", "f7.png"], False),
        (["7.png"], False),
    ],
)
def test_numbers_that_are_left_out_are_told(names: list[str], has_gaps: bool, tmp_path: Path):
    notes = " ".join(Video.open(save_frames(tmp_path, names)).notes)
    assert ("The numbers from f1.png to f4.png leave gaps" in notes) == has_gaps


def test_frames_of_different_sizes_are_refused(tmp_path: Path):
    folder = save_frames(tmp_path, ["1.png", "2.png"])
    PIL.Image.new("RGB", (7, 4)).save(folder / "3.png")
    with pytest.raises(VideoError, match=r"3\.png is 7 x 4 and 1\.png is 6 x 4; the frames of a video have one size"):
        Video.open(folder)


def test_frames_are_compared_upright(tmp_path: Path):
    folder = save_frames(tmp_path, ["1.png"], (4, 6))
    sideways = PIL.Image.new("RGB", (6, 4))
    exif = sideways.getexif()
    exif[0x0112] = 6
    sideways.save(folder / "2.jpg", exif=exif)
    video = Video.open(folder)
    assert (video.width, video.height, video.read_frame(1).pixels.shape) == (4, 6, (6, 4, 3))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "a folder without images"),
        (["0001.png", "0001.jpg"], r"0001\.\w+ and 0001\.\w+ would be the same frame"),
    ],
)
def test_a_folder_that_is_no_video_is_explained(names: list[str], said: str, tmp_path: Path):
    with pytest.raises(VideoError, match=said):
        Video.open(save_frames(tmp_path / "frames", names))


def test_a_frame_that_cannot_be_read_is_named(tmp_path: Path):
    folder = save_frames(tmp_path, ["1.png", "2.png"])
    (folder / "3.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"3\.png: not an image but a text file"):
        Video.open(folder)
    (folder / "3.png").unlink()
    video = Video.open(folder)
    (folder / "2.png").unlink()
    with pytest.raises(VideoError, match=r"2\.png: no such file"):
        video.read_frame(1)


def test_only_a_folder_takes_a_frame_rate(tmp_path: Path):
    folder = save_frames(tmp_path / "frames", ["1.png", "2.png"])
    assert Video.open(folder, frame_rate=4).times.tolist() == [0, 0.25]
    with pytest.raises(ValueError, match="must be above 0"):
        Video.open(folder, frame_rate=0)
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    with pytest.raises(VideoError, match="time stamps of its own"):
        Video.open(tmp_path / "a.gif", frame_rate=4)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.avif"])
def test_every_frame_of_an_animation_is_read_at_its_time(name: str, tmp_path: Path):
    frames = [PIL.Image.new("RGB", (32, 16), (60 * value, 0, 0)) for value in range(4)]
    options = {} if name.endswith((".gif", ".png")) else {"lossless": True, "quality": 100}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=[40, 100, 250, 40], **options)
    video = Video.open(tmp_path / name)
    np.testing.assert_allclose(video.times, [0, 0.04, 0.14, 0.39], atol=0.002)
    for index in (3, 1, 2, 0):
        assert abs(int(video.read_frame(index).pixels[0, 0, 0]) - 60 * index) <= 3


def test_a_picture_for_programs_without_animations_is_no_frame(tmp_path: Path):
    frames = [PIL.Image.new("RGB", (8, 8), (60 * value, 0, 0)) for value in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=True)
    assert read_values(Video.open(tmp_path / "a.png")) == [60, 120]


def test_what_is_transparent_in_an_animation_is_white(tmp_path: Path):
    frames = [PIL.Image.new("RGBA", (8, 8), (0, 0, 200, 0)), PIL.Image.new("RGBA", (8, 8), (0, 0, 200, 255))]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    video = Video.open(tmp_path / "a.webp")
    assert [image.pixels[0, 0].tolist() for _, image in video.iterate_frames()] == [[255] * 3, [0, 0, 200]]


def test_an_animation_that_was_cut_off_has_the_frames_that_are_there(tmp_path: Path):
    chance = np.random.default_rng(0)
    frames = [PIL.Image.fromarray(chance.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[: len(content) * 7 // 10])
    video = Video.open(tmp_path / "a.gif")
    assert len(video) in (2, 3)
    assert len(read_values(video)) == len(video)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tiff"])
def test_a_single_image_is_no_video(name: str, tmp_path: Path):
    PIL.Image.new("RGB", (6, 4)).save(tmp_path / name)
    with pytest.raises(VideoError, match=r"a single image \(\w+, 6 x 4\) and not a video"):
        Video.open(tmp_path / name)


def test_images_in_memory_are_shared():
    images = [Image(np.full((4, 6, 3), value, np.uint8)) for value in range(3)]
    video = Video.from_images(images, frame_rate=10)
    assert [image is images[index] for index, image in video.iterate_frames()] == [True] * 3
    assert video.key == Video.from_images(images, frame_rate=10).key
    assert video.key != Video.from_images(images, frame_rate=20).key


def test_images_of_different_sizes_are_no_video():
    images = [Image(np.zeros((4, width, 3), np.uint8)) for width in (6, 7)]
    with pytest.raises(VideoError, match="image 1 is 7 x 4 and image 0 is 6 x 4"):
        Video.from_images(images)
    with pytest.raises(VideoError, match="no images"):
        Video.from_images([])


@pytest.mark.parametrize(
    ("start", "stop", "step", "expected"),
    [
        (None, None, 1, [0, 1, 2, 3, 4]),
        (2, None, 1, [2, 3, 4]),
        (1, 4, 2, [1, 3]),
        (None, None, -1, [4, 3, 2, 1, 0]),
        (3, 1, -1, [3, 2]),
        (5, None, 1, []),
    ],
)
def test_frames_are_iterated_in_both_directions(start, stop, step, expected):
    video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))] * 5)
    assert [index for index, _ in video.iterate_frames(start, stop, step=step)] == expected


def test_a_frame_outside_of_the_video_is_not_iterated_to():
    video = Video.from_images([Image(np.zeros((4, 6, 3), np.uint8))])
    with pytest.raises(IndexError, match="`stop` is 2"):
        list(video.iterate_frames(0, 2))
