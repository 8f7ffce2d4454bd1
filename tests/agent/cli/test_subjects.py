"""Images and videos on the command line: told apart by what they are."""

import json

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.sources.opening import open_subject
from sam3_tool import Image, Video
from sam3_tool.synthetic.clips import draw_clip


def draw_frames(count: int) -> list[PIL.Image.Image]:
    return [PIL.Image.fromarray(np.full((24, 32, 3), 40 * k, np.uint8)) for k in range(count)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with an image, a folder of frames and animations."""
    monkeypatch.chdir(tmp_path)
    first, *others = draw_frames(4)
    first.save("scene.png")
    first.save("one.gif")
    for name in ("moving.gif", "moving.webp", "moving.png"):
        first.save(name, save_all=True, append_images=others, duration=100)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate((first, *others)):
        frame.save(tmp_path / "frames" / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("name", ["frames", "moving.gif", "moving.webp", "moving.png"])
def test_what_has_frames_is_a_video(here, name):
    subject = open_subject(here / name, max_pixels=None)
    assert isinstance(subject, Video)
    assert len(subject) == 4


@pytest.mark.parametrize("name", ["scene.png", "one.gif"])
def test_an_image_stays_an_image(here, name):
    assert isinstance(open_subject(here / name, max_pixels=None), Image)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["scene.png", "dog", "--start", "1"], "error: --start is for videos, and here stands an image"),
        (["scene.png", "dog", "--end", "1"], "error: --end is for videos, and here stands an image"),
        (
            ["moving.gif", "dog", "--start", "9"],
            "error: with --start and --end as given, nothing is shown then; what is asked about lasts from 0 s to 0.4",
        ),
        (["moving.gif", "dog", "--start", "0.3", "--end", "0.1"], "0.3 s lies after 0.1 s"),
        (["gone.mp4", "dog"], "gone.mp4"),
        (
            ["moving.gif", "dog", "--toolset", "workspace"],
            "error: the toolset 'workspace' is for images, and here stands a video; take 'video'",
        ),
        (
            ["scene.png", "dog", "--toolset", "video"],
            "error: the toolset 'video' is for videos, and here stands an image; take 'workspace'",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_code_2(here, words, complaint):
    done = CliRunner().invoke(app, ["segment", *words])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (here / "out").exists()


@pytest.fixture(scope="module")
def penguins(tmp_path_factory):
    """An animation of one second with two penguins."""
    path = tmp_path_factory.mktemp("clips") / "penguins.webp"
    first, *others = map(PIL.Image.fromarray, draw_clip(900023, length=8, size=(192, 144)).frames)
    first.save(path, save_all=True, append_images=others, duration=125, lossless=True)
    return path


def test_a_video_is_answered_by_tracks_in_every_file(penguins, tmp_path):
    words = ["segment", str(penguins), "the penguins", "--out", str(tmp_path), "--end", "0.7", "--export", "davis"]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stderr) == (0, "")
    answer, rest, files = done.stdout.splitlines()
    assert answer == "2 masks: 'penguin'. Tracks 1 and 2, 0:00.0 to 0:00.6."
    assert rest == "not looked at: Of the video, only 0:00.0 to 0:00.8 was looked at."
    assert all((tmp_path / name).stat().st_size for name in files.partition(": ")[2].split(", "))
    held = json.loads((tmp_path / "result.json").read_text())
    assert [mask["track"]["frames"] for mask in held["masks"]] == [[*range(6)]] * 2
    assert (held["video"]["frames"], held["video"]["last_frame"]) == (8, 5)


def test_a_chat_about_a_video_goes_on_from_its_tracks(penguins, tmp_path):
    lines = [
        word for line in ("the penguins", "only the left one", "/undo", "/export davis") for word in ("--say", line)
    ]
    done = CliRunner().invoke(app, ["chat", str(penguins), "--out", str(tmp_path), *lines])
    assert (done.exit_code, done.stderr) == (0, "")
    both, left, undone, _ = done.stdout.splitlines()
    assert both.startswith("2 masks: 'penguin'. Tracks 1 and 2, 0:00.0 to 0:00.9.")
    assert left.startswith("Kept 1 of the 2 penguins: the leftmost. Track ")
    assert undone == both
    assert (tmp_path / "overlay.png").exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/click 5 5", "error: say once in which frame of the video, as @0:01.2 or @1.2"),
        ("/click 5 5 @soon", "error: say once in which frame of the video"),
        ("/click 5 5 @9:00", "error: Nothing is shown at 9:00.0; what is asked about lasts from 0:00.0 to 0:01.0."),
        ("/picture one.png", "error: "),
        ("/export yolo-seg", "error: the format yolo-seg is for images; for videos there are: "),
    ],
)
def test_a_command_that_does_not_fit_a_video_is_one_line(penguins, tmp_path, line, complaint):
    done = CliRunner().invoke(app, ["chat", str(penguins), "--out", str(tmp_path), "--say", line])
    assert done.exit_code == 1
    assert done.stdout.startswith(complaint)
    assert len(done.stdout.splitlines()) == 1
