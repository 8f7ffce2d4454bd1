"""`sam3-agent chat`: lines in, answers out."""

import os
import pty
import re
import select
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent import ChatPlanner, GrammarPlanner, ScriptedPlanner
from agent.cli.chat.commands import COMMANDS
from agent.cli.chat.loop import chat_loop
from agent.cli.chat.session import Chat
from agent.cli.main import app
from agent.conversation.conversation import Conversation
from agent.core.planner import Planner
from agent.models.base import Call
from agent.planners.chat.scripted_model import ScriptedModel
from agent.records.provenance import Provenance
from agent.tools.toolsets import Answer, AskUser, Segment
from sam3_tool import Image, Sam3
from tests.support.program import Program, run_program, start_program

pytestmark = pytest.mark.usefixtures("tiny")  # which every command then shares

EXAMPLE = Path(__file__).parents[3] / "examples" / "scene.png"

Said = tuple[Conversation, list[str]]


@pytest.fixture
def chat(kitchen: Image, kitchen_sam3: Sam3, tmp_path: Path) -> Callable[..., Said]:
    """The conversation after these lines, and what was said to each."""

    def chat(lines: Iterable[str], planner: Planner | None = None, **options: object) -> Said:
        said: list[str] = []
        made_by = Provenance(planner="grammar", sam3="scripted")
        here = Chat(planner or GrammarPlanner(), kitchen_sam3, made_by, tmp_path / "out", said.append, **options)
        conversation = Conversation.start(kitchen, "kitchen.png")
        *_, (conversation, _) = [(conversation, True), *chat_loop(here, conversation, lines)]
        return conversation, said

    return chat


def test_an_answer_is_one_line_that_names_its_masks(chat) -> None:
    conversation, said = chat(["the red cups"])
    assert said == ["3 masks: 'red cup'. [1 red cup 0.91; 2 red cup 0.85; 3 red cup 0.72]"]
    assert conversation.selected == (1, 2, 3)


def test_an_answer_says_what_a_language_model_cost(chat) -> None:
    look = Call("segment", '{"phrases": ["red cup"]}')
    _, said = chat(["cups", "/keep 1"], ChatPlanner(ScriptedModel([look, Call("answer", '{"ids": [1, 2]}')])))
    assert re.fullmatch(r"2 masks\. \[1 red cup 0\.91; 2 red cup 0\.85\] \(2 model calls, \d,\d{3} tokens\)", said[0])
    assert said[1] == "1 mask; without 2. [1 red cup 0.91]"


def test_the_answer_is_drawn_after_every_turn(chat, kitchen, tmp_path: Path) -> None:
    chat(["the red cups"])
    drawn = Image.open(tmp_path / "out" / "overlay.png")
    chat(["the red cups", "/remove 1 2 3"])
    assert drawn.pixels.shape == kitchen.pixels.shape
    assert (drawn.pixels != kitchen.pixels).any()
    assert (Image.open(tmp_path / "out" / "overlay.png").pixels == kitchen.pixels).all()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["overlay.png"]


def test_an_overlay_that_cannot_be_written_costs_no_turn(chat, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    conversation, said = chat(["the red cups"])
    assert conversation.selected == (1, 2, 3)
    assert said[1].startswith(f"error: cannot write into {tmp_path / 'out'}")


def test_what_is_done_by_hand_has_commands(chat) -> None:
    conversation, said = chat(["the red cups", "/remove 2", "/add 2", "/keep 1,3", "/threshold 0.9", "/undo", "redo"])
    assert conversation.selected == (1,)
    assert [line.partition(" [")[0] for line in said[1:]] == [
        "2 masks; without 2.",
        "3 masks; added 2.",
        "2 masks; without 2.",
        "1 mask; without 3.",
        "2 masks; without 2.",
        "1 mask; without 3.",
    ]


def test_every_mask_can_be_listed(chat) -> None:
    assert chat(["/masks"])[1] == ["no mask was found so far"]
    _, said = chat(["the red cups", "/remove 2", "/masks"])
    assert said[-1].splitlines() == [
        "*   1  0.91  red cup  [5, 20, 15, 30]",
        "    2  0.85  red cup  [30, 20, 40, 30]",
        "*   3  0.72  red cup  [55, 20, 75, 30]",
    ]


def test_a_question_back_lists_the_readings_and_the_next_line_chooses(chat) -> None:
    ask = AskUser(question="Which?", options=["the left one", "the right one"])

    class Asking(ScriptedPlanner):
        def decide(self, episode):
            chosen = [Answer(ids=[2])]
            return ScriptedPlanner(chosen if episode.task.query == "2" else self.script).decide(episode)

    conversation, said = chat(["the cup", "2"], Asking([Segment(phrases=["cup"]), ask]))
    assert said[0] == "asked: Which? (1) the left one; (2) the right one. [1 cup 0.95; 2 cup 0.80]"
    assert conversation.context.turns[0].options == ("the left one", "the right one")
    assert conversation.selected == (2,)


def test_a_conversation_is_saved_opened_and_goes_on_with_another_picture(chat, kitchen, tmp_path: Path) -> None:
    darker, saved = tmp_path / "dark er.png", tmp_path / "talk.json"
    Image(kitchen.pixels // 2).to_pil().save(darker)
    lines = ["the red cups", f"/picture '{darker}'", "the red cups", f"/save {saved}", "/undo", "/undo", "/undo"]
    conversation, said = chat([*lines, f"/open {saved}"])
    assert said[1] == "dark er.png, 100 x 60 pixels: say what to find, or /help"
    assert said[3] == f"saved in {saved}"
    assert said[-1] == said[2]
    assert conversation.name == "dark er.png"


def test_the_answer_can_be_exported(chat, tmp_path: Path) -> None:
    _, said = chat(["the red cups", "/export coco yolo-seg"])
    assert said[1] == f"{tmp_path / 'out'}: kitchen.coco.json, kitchen.yolo-seg.zip"
    assert (tmp_path / "out" / "kitchen.coco.json").is_file()


WRONG = {
    "/undo": "there is nothing to undo",
    "/remove 1": "mask 1 is not in the answer, which has no masks",
    "/remove x": "it takes numbers, got 'x'",
    "/remove 1.5": "masks have whole numbers, got 1.5",
    "/remove": "it takes 1 or more numbers, got 0; see /help",
    "/click 5": "it takes 2 or 3 numbers, got 1; see /help",
    "/click 10 20 inf": "masks have whole numbers, got inf",
    "/click 10 20 nan": "masks have whole numbers, got nan",
    "/click 10 20 2.9": "masks have whole numbers, got 2.9",
    "/click 500 5": "500, 5 lies outside the image, which has 100 x 60 pixels",
    "/box 1 2 3": "it takes 4 numbers, got 3; see /help",
    "/threshold 2": "a threshold is at least 0 and below 1, not 2",
    "/picture": "it takes one file name, got 0; a name with spaces is written in quotes",
    "/picture none.png": "none.png: no such file; expected",
    "/open none.json": "cannot read none.json: No such file or directory",
    "/save /nowhere/at/all": "cannot write /nowhere/at/all: No such file or directory",
    "/save": "it takes one file name, got 0",
    "/export tiff": "no export format 'tiff'; there are: coco",
    "/export": "/export needs a format out of coco",
    "/": "there is no command /; /help names those there are",
    "/nonsense": "there is no command /nonsense; /help names those there are",
    "/open 'x": "/open 'x cannot be read: No closing quotation",
    "\ud83d": "the query is not UTF-8 text",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_done_is_one_line_and_the_conversation_goes_on(line, chat) -> None:
    conversation, (error, answer) = chat([line, "the red cups"])
    assert error.startswith(f"error: {WRONG[line]}")
    assert "\n" not in error
    assert answer.startswith("3 masks")
    assert len(conversation.turns) == 1


def test_empty_lines_mean_nothing_and_quit_ends_it(chat) -> None:
    conversation, said = chat(["", "  ", "the red cups", "/quit", "cup"])
    assert len(said) == len(conversation.turns) == 1


def test_help_names_every_command(chat) -> None:
    _, said = chat(["/help"])
    assert all(f"  /{name}" in "\n".join(said) for name in COMMANDS)


def interrupts(episode: object) -> Answer:
    raise KeyboardInterrupt


def test_ctrl_c_ends_the_turn_and_keeps_the_conversation(chat, tmp_path: Path) -> None:
    planner = ScriptedPlanner([Segment(phrases=["red cup"]), interrupts])
    conversation, said = chat(["the red cups", "/masks"], planner, interactive=True)
    assert said == ["stopped; the conversation is as it was", "no mask was found so far"]
    assert conversation.turns == ()
    with pytest.raises(KeyboardInterrupt):
        chat(["the red cups"], planner)


def test_a_person_is_told_where_the_overlay_is_or_shown_it(chat, tmp_path: Path) -> None:
    assert chat(["the red cups"], interactive=True)[1][1] == f"  {tmp_path / 'out' / 'overlay.png'}"
    assert chat(["the red cups"], interactive=True, inline="kitty")[1][1].startswith("\x1b_Ga=T")


# the program itself


def test_queries_come_from_a_pipe_and_answers_go_to_one(tmp_path: Path) -> None:
    lines = "all watermelons\n/remove 1\nthe unicorns\n/keep 99\nundo\n"
    words = ["chat", EXAMPLE, "--out", tmp_path / "there", "--save", tmp_path / "talk.json"]
    done = run_program(*words, said=lines, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, ""), "one line could not be done"
    answers = done.stdout.splitlines()
    assert len(answers) == 5
    assert answers[0].startswith("4 masks: 'watermelon'. [1 watermelon ")
    assert answers[1].startswith("3 masks; without 1. [2 watermelon ")
    assert "The answer before it stays: 2 to 4. [2 watermelon " in answers[2]
    assert answers[3] == "error: mask 99 is not in the answer, which has 2 to 4"
    assert answers[4] == answers[1]
    again = Conversation.open(tmp_path / "talk.json")
    assert (again.selected, again.can_redo) == ((2, 3, 4), True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.json", "there"]


def test_a_line_from_a_pipe_that_is_not_utf_8_is_one_error_and_the_next_is_answered(tmp_path: Path) -> None:
    lines = b"le ch\xe2teau\nall watermelons\n"
    done = run_program("chat", EXAMPLE, said=lines, text=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"")
    error, answer = done.stdout.decode().splitlines()
    assert error.startswith("error: the query is not UTF-8 text")
    assert answer.startswith("4 masks: 'watermelon'. ")


def test_lines_may_be_said_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    says = [word for line in ("all watermelons", "only the left one") for word in ("--say", line)]
    done = CliRunner().invoke(app, ["chat", str(EXAMPLE), *says, "--save", "talk.json"], input="not read\n")
    assert done.exit_code == 0
    assert [line[:6] for line in done.stdout.splitlines()] == ["4 mask", "Kept 1"]
    assert Conversation.open("talk.json").undo().selected == (1, 2, 3, 4)
    assert (tmp_path / "out" / "scene" / "overlay.png").is_file()


def test_a_person_at_a_terminal_has_a_prompt_a_history_and_ctrl_d(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = ["chat", "scene.png", "--save", "talk.json"]
    here = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "dumb"}
    (tmp_path / "scene.png").symlink_to(EXAMPLE)
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    program = start_program(*words, **streams, terminal=True, env=here, cwd=tmp_path)
    os.close(theirs)
    try:
        talked_to(program, ours)
    finally:
        program.kill()
        assert program.wait() == 0
    os.close(ours)
    assert Conversation.open(tmp_path / "talk.json").selected == (1, 2, 3, 4)
    history = (tmp_path / "state" / "sam3-agent" / "chat-history").read_text()
    assert "all watermelons" in history


def talked_to(program: Program, terminal: int) -> None:
    """A line that is thought better of, a query, and Ctrl-D."""
    seen = Reader(terminal)
    seen.until("scene.png, 640 x 480 pixels: say what to find, or /help", "out/scene/overlay.png", "> ")
    os.write(terminal, b"half a li")
    seen.until("half a li")
    os.write(terminal, b"\x03")
    seen.until("(Ctrl-D leaves)", "> ")
    os.write(terminal, b"all watermelons\n")
    seen.until("4 masks: 'watermelon'. [1 watermelon", "out/scene/overlay.png", "> ")
    for _ in range(24):  # a key that comes while the prompt takes over the terminal is lost
        os.write(terminal, b"\x04")
        with suppress(subprocess.TimeoutExpired):
            program.wait(timeout=5)
            break


class Reader:
    """What a program writes to a terminal."""

    def __init__(self, terminal: int) -> None:
        self.terminal = terminal
        self.unread = ""

    def until(self, *wanted: str) -> None:
        """Reads on until each of these came, one after the other."""
        for text in wanted:
            assert self.comes(text, seconds=120), f"{text!r} did not come after {self.unread!r}"

    def comes(self, text: str, *, seconds: float) -> bool:
        """Reads on until it came, or until nothing more came for so long."""
        while text not in self.unread:
            if not select.select([self.terminal], [], [], seconds)[0]:
                return False
            self.unread += os.read(self.terminal, 4096).decode()
        self.unread = self.unread.partition(text)[2]
        return True


def test_bad_input_is_one_line_on_stderr(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    wanted = {
        (): "error: no image to talk about; name one, or --open a saved conversation\n",
        ("none.png",): "error: none.png: no such file; ",
        (EXAMPLE, "--say", "the banana", "--say", " "): "error: --say is empty; is a variable not set?",
        (EXAMPLE, "--save", tmp_path): "error: --save needs the name of a file in a folder that is there, got ",
        (EXAMPLE, "--save", tmp_path / "none" / "talk.json"): "error: --save needs the name of a file in a folder",
        ("--open", broken): f"error: {broken} is not a saved conversation: it is not JSON, or cut off\n",
    }
    for words, said in wanted.items():
        done = run_program("chat", *words, said="")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1


def test_a_picture_without_an_answer_can_be_exported_and_has_no_mask(chat, tmp_path: Path) -> None:
    _, said = chat(["/export png-indexed"])
    assert said == [f"{tmp_path / 'out'}: kitchen.indexed.png"]
    assert not np.asarray(Image.open(tmp_path / "out" / "kitchen.indexed.png").pixels).any()
