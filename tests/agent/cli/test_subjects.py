"""Images and videos on the command line: told apart by what they are."""

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from agent.cli.subjects import open_subject
from sam3_tool import Image, Video


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
        (["scene.png", "dog", "--start", "1"], "error: --start is for videos, and here stands a picture"),
        (["scene.png", "dog", "--end", "1"], "error: --end is for videos, and here stands a picture"),
        (
            ["moving.gif", "dog", "--start", "9"],
            "error: with --start and --end as given, nothing is shown then; what is asked about lasts from 0 s to 0.4",
        ),
        (["moving.gif", "dog", "--start", "0.3", "--end", "0.1"], "0.3 s lies after 0.1 s"),
        (["gone.mp4", "dog"], "gone.mp4"),
        (
            ["moving.gif", "dog", "--toolset", "workspace"],
            "error: the toolset 'workspace' is for pictures, and here stands a video; take 'video'",
        ),
        (
            ["scene.png", "dog", "--toolset", "video"],
            "error: the toolset 'video' is for videos, and here stands a picture; take 'workspace'",
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
