"""What a person types in the chat: history, and what the Tab key completes."""

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from agent.cli.chat.line_input import MAX_HISTORY, ChatCompleter, LineHistory, find_history_file


def complete(line: str) -> list[str]:
    """The lines that the Tab key offers."""
    completions = ChatCompleter().get_completions(Document(line), CompleteEvent())
    return [line[: len(line) + completion.start_position] + completion.text for completion in completions]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("/un", ["/undo"]),
        ("/re", ["/redo", "/remove"]),
        ("/export co", ["/export coco", "/export coco-polygons"]),
        ("/export coco yo", ["/export coco yolo-seg", "/export coco youtube-vis"]),
        ("/open ta", ["/open talk.json"]),
        ("/picture 'a p", ["/picture 'a picture.png"]),
        ("/undo ta", []),
        ("/nonsense ta", []),
        ("the red cups", []),
    ],
)
def test_commands_formats_and_files_are_completed(
    line: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("talk.json", "a picture.png"):
        Path(name).touch()
    assert complete(line) == offered


def test_lines_are_kept_from_chat_to_chat(tmp_path: Path) -> None:
    path = tmp_path / "state" / "chat-history"
    for line in ("the red cups", "only the left one", "half a \udce2 letter"):
        LineHistory(path).append_string(line)
    assert [*LineHistory(path).load_history_strings()] == ["half a \udce2 letter", "only the left one", "the red cups"]
    assert path.stat().st_mode & 0o077 == 0, "nobody else reads what was asked"


def test_the_latest_lines_of_a_long_history_are_reached(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("".join(f"line {number}\n" for number in range(MAX_HISTORY + 10)))
    lines = [*LineHistory(tmp_path / "history").load_history_strings()]
    assert (len(lines), lines[0], lines[-1]) == (MAX_HISTORY, f"line {MAX_HISTORY + 9}", "line 10")


def test_a_history_that_cannot_be_kept_is_no_trouble(tmp_path: Path) -> None:
    history = LineHistory(tmp_path)
    history.append_string("the red cups")
    assert [*history.load_history_strings()] == []


def test_a_history_of_readline_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = tmp_path / ".local" / "state" / "sam3-agent" / "chat-history"
    former.parent.mkdir(parents=True)
    former.write_text("_HiStOrY_V2_\nthe\\040red\\040cups\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    path = find_history_file()
    assert path == tmp_path / "elsewhere" / "sam3-agent" / "chat-history"
    assert [*LineHistory(path).load_history_strings()] == ["the red cups"]
    LineHistory(path).append_string("the plates")
    assert next(iter(LineHistory(find_history_file()).load_history_strings())) == "the plates"
