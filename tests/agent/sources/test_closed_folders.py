"""What lies in a folder that this user may not enter is one sentence, whatever it is taken for."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.sources.expanding import expand_sources
from sam3_tool.errors import UserError
from tests.support.nobody import become_nobody


def open_all(source: str, each: bool) -> None:
    for item in expand_sources([source], each=each).items:
        item.open_subject(max_pixels=None, fetch=lambda url: b"")


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("name", ["photo.png", "clip.mp4", "list.txt", "frames", "*.png", ""])
def test_what_lies_in_a_closed_folder_is_one_sentence(name, each):
    with TemporaryDirectory() as place:  # pytest's own folders are closed to everybody else
        Path(place).chmod(0o755)
        folder = Path(place, "closed")
        (folder / "frames").mkdir(parents=True)
        for file in ("photo.png", "clip.mp4", "list.txt", "frames/1.png"):
            (folder / file).touch()
        folder.chmod(0)
        with become_nobody(), pytest.raises(UserError) as caught:
            open_all(str(folder / name), each)
        folder.chmod(0o755)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
