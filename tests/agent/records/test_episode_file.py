import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from agent.core.budget import Budget, Price
from agent.core.episode import Decision, Episode, Observation, Step, Task
from agent.core.tools.verdict import Verdict
from agent.core.usage import Usage
from agent.core.workspace import Workspace
from agent.planners.loading import load_planner
from agent.records.episode_file import load_episode, save_episode
from agent.records.provenance import Provenance
from agent.report.html import to_html
from agent.report.text import to_text
from agent.tools import PAPER
from sam3_tool import Image, Instances
from sam3_tool.errors import RecordError
from sam3_tool.masks.boxes import masks_to_boxes

HOSTILE = """<script>alert("x")</script> & 'q' {{ 7 * 7 }} </style>\N{LINE SEPARATOR}"""
MADE_BY = Provenance(planner="grammar", sam3="tiny", budget=Budget(max_steps=7, max_seconds=30.0))


def instances(phrase: str, *boxes: tuple[int, int, int, int], height: int = 60, width: int = 80) -> Instances:
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    scores = np.linspace(0.91, 0.57, len(boxes), dtype=np.float32)
    return Instances(masks, masks_to_boxes(masks) + np.float32(0.1), scores, 0.875, phrase)


def grown(task: Task, *steps: Step) -> Episode:
    episode = Episode(task)
    for step in steps:
        episode = episode.append(step)
    return episode


@pytest.fixture
def episode() -> Episode:
    """Two searches, one mistake, a step that leaves the workspace alone, an answer."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    first = Workspace(60, 80).with_search(instances(HOSTILE, (2, 3, 30, 40), (35, 5, 50, 22)))
    second = first.with_search(instances("spot", (70, 50, 71, 51)))
    return grown(
        Task(Image(pixels), f"the box on the left {HOSTILE}"),
        Step(
            Decision("segment", json.dumps({"phrases": [HOSTILE]}), f"look first\n{HOSTILE}", Usage(1, 200, 50, 30, 1)),
            Observation("2 masks: 1, 2.", first, (1, 2), usage=Usage(sam_encodes=1, sam_decodes=1)),
            0.25,
        ),
        Step(Decision("relate", "not JSON <b>", "hm"), Observation("There is no mask <i>9</i>.", is_error=True), 0.01),
        Step(
            Decision("segment", '{"phrases": ["spot"], "region": [0, 0, 80, 60]}'),
            Observation("1 mask: 3.", second, (3,), usage=Usage(sam_decodes=1)),
        ),
        Step(Decision("count", '{"ids": [1]}'), Observation("1.", second, ())),
        Step(Decision("answer", '{"ids": [1, 3]}', "done"), Observation("2 masks.", None, (1, 3), "answered"), 0.5),
    )


@pytest.fixture
def saved(episode: Episode, tmp_path: Path) -> Path:
    path = tmp_path / "episode.json"
    save_episode(episode, path, provenance=MADE_BY, source="/some/folder/park.jpg")
    return path


def test_a_loaded_episode_equals_the_one_that_was_saved(episode: Episode, saved: Path) -> None:
    transcript = load_episode(saved)
    again = transcript.episode
    assert again.steps == episode.steps
    assert (again.outcome, again.task.query) == (episode.outcome, episode.task.query)
    assert (again.task.image.pixels == episode.task.image.pixels).all()
    assert again.workspace == episode.workspace
    assert (again.answer.masks == episode.answer.masks).all()
    assert again.usage == episode.usage
    assert transcript.made_by == MADE_BY


def test_an_episode_can_be_saved_without_saying_what_made_it(episode: Episode, tmp_path: Path) -> None:
    save_episode(episode, tmp_path / "episode.json")
    transcript = load_episode(tmp_path / "episode.json")
    assert transcript.episode.steps == episode.steps
    assert (transcript.made_by.planner, transcript.made_by.sam3) == ("", "")


def test_the_header_says_what_made_it_and_no_folder(saved: Path) -> None:
    held = json.loads(saved.read_text("utf-8"))
    assert (held["made_by"]["budget"]["max_steps"], held["made_by"]["budget"]["max_seconds"]) == (7, 30.0)
    assert held["made_by"]["protocol"] == "workspace"
    assert re.fullmatch(r"\d+\.\d+.*", held["made_by"]["version"])
    assert (held["picture"]["name"], held["picture"]["width"], held["picture"]["height"]) == ("park.jpg", 80, 60)
    assert held["picture"]["key"] == load_episode(saved).episode.task.image.key
    assert "/some/folder" not in saved.read_text("utf-8")


@pytest.fixture
def talked(episode: Episode) -> Episode:
    """As a language model makes one: it thinks, is corrected, examines, gives reasons, and asks back in the end."""
    judged = (Verdict(1, True, 0.93, "it is a <box>", Usage(1, 500, 0, 20, 2)), Verdict(2, False, 0.2))
    examined = Observation("Kept 1.", None, (1,), verdicts=judged, usage=Usage(1, 500, 0, 20, 2))
    left, right = ("the left one", f"the right one {HOSTILE}")
    asked = Observation("Which one?", None, (1, 3), "asked", options=(left, right), reasons=((3, "it is a spot"),))
    cost, note = Usage(1, 1000, 250, 100, 2), f"only one {HOSTILE}"
    call = Decision("examine", "{}", usage=cost, reasoning="hm\nhm", note=note, shortened=True)
    return grown(episode.task, *episode.steps[:4], Step(call, examined, 1.5), Step(Decision("ask_user", "{}"), asked))


CHAT = MADE_BY.model_copy(
    update={
        "planner": "replay:folder",
        "capabilities": "native tools, several pictures",
        "view": {"image_side": 640, "coordinates": "qwen", "context": None},
        "prompts": {"workspace": "0123456789abcdef"},
        "budget": Budget(max_tokens=1_000_000, max_cost=0.5, price=Price(0.4, 1.6, 0.1)),
    }
)


def test_what_a_language_model_adds_is_saved(talked: Episode, tmp_path: Path) -> None:
    save_episode(talked, tmp_path / "e.json", provenance=CHAT)
    again = load_episode(tmp_path / "e.json")
    assert again.episode.steps == talked.steps
    assert again.episode.reasons == {1: "it is a <box>", 3: "it is a spot"}
    assert again.made_by == CHAT


def test_a_file_of_version_1_can_still_be_read(episode: Episode, saved: Path) -> None:
    held = json.loads(saved.read_text("utf-8")) | {"version": 1}
    for name in ("model", "capabilities", "view", "prompts"):
        del held["made_by"][name]
    held["made_by"]["budget"] = {"max_steps": 7, "max_seconds": 30.0, "max_sam_calls": None}
    for step in held["steps"]:
        for name in ("options", "reasons", "verdicts"):
            del step[name]
        for name in ("reasoning", "note", "shortened"):
            del step["decision"][name]
    saved.write_text(json.dumps(held), "utf-8")
    assert load_episode(saved).episode.steps == episode.steps
    assert load_episode(saved).made_by == MADE_BY


def test_a_file_of_version_2_can_still_be_read(episode: Episode, saved: Path) -> None:
    held = json.loads(saved.read_text("utf-8")) | {"version": 2}
    for name in ("before", "by_hand"):
        del held[name]
    for step in held["steps"]:
        for search in (step["added"] or {"searches": []})["searches"]:
            del search["how"]
    saved.write_text(json.dumps(held), "utf-8")
    assert load_episode(saved).episode.steps == episode.steps


def test_a_file_that_does_not_say_whether_a_conversation_was_shortened_is_read_as_of_one_that_was_not(
    episode: Episode, saved: Path
) -> None:
    held = json.loads(saved.read_text("utf-8"))
    for step in held["steps"]:
        del step["decision"]["shortened"]
    saved.write_text(json.dumps(held), "utf-8")
    assert load_episode(saved).episode.steps == episode.steps
    replay = load_planner(f"replay:{saved}")
    assert replay.decide(Episode(episode.task)).arguments == episode.steps[0].decision.arguments


def test_a_mask_is_stored_once_and_in_coco_form(episode: Episode, saved: Path) -> None:
    held = json.loads(saved.read_text("utf-8"))
    added = [step["added"] and [candidate["id"] for candidate in step["added"]["candidates"]] for step in held["steps"]]
    assert added == [[1, 2], None, [3], [], None]
    assert held["steps"][2]["added"]["candidates"][0]["rle"] == episode.workspace[3].rle.to_coco()


def test_an_episode_ended_by_its_budget_keeps_that_outcome(episode: Episode, tmp_path: Path) -> None:
    save_episode(replace(episode, steps=episode.steps[:3], outcome="budget"), tmp_path / "e.json", provenance=MADE_BY)
    assert load_episode(tmp_path / "e.json").episode.outcome == "budget"


def test_saving_replaces_a_file_whole_and_leaves_nothing_else(episode: Episode, tmp_path: Path) -> None:
    path = tmp_path / "episode.json"
    path.write_text("old")
    save_episode(episode, path, provenance=MADE_BY)
    assert load_episode(path).episode.steps == episode.steps
    assert [file.name for file in tmp_path.iterdir()] == ["episode.json"]


def test_a_save_that_fails_leaves_nothing_behind(episode: Episode, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        save_episode(episode, tmp_path / "folder", provenance=MADE_BY)
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_half_a_character_is_saved_as_a_question_mark(episode: Episode, tmp_path: Path) -> None:
    broken = "red \ud83d ball"
    step = Step(Decision("segment", broken, broken), Observation(broken, is_error=True))
    odd = grown(Task(episode.task.image, broken), step)
    save_episode(odd, tmp_path / "e.json", provenance=MADE_BY, source=f"{broken}.png")
    again = load_episode(tmp_path / "e.json").episode
    assert {again.task.query, again.steps[0].decision.thought, again.message} == {"red ? ball"}
    assert "red ? ball" in to_html(odd, MADE_BY)


def test_a_workspace_that_changed_its_past_cannot_be_saved(episode: Episode, tmp_path: Path) -> None:
    other = Workspace(60, 80).with_search(instances("other", (0, 0, 5, 5)))
    forged = episode.append(Step(Decision("x", "{}"), Observation("", other)))
    with pytest.raises(ValueError, match="a workspace can only grow"):
        save_episode(forged, tmp_path / "e.json", provenance=MADE_BY)


def _set(held: dict[str, Any], path: str, value: object) -> None:
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = held
    for key in parents:
        place = place[key]
    place[last] = value


DAMAGE = {
    "made_by": (7, "made_by"),
    "query": (None, "query"),
    "outcome": ("won", "outcome"),
    "steps.0.surprise": (1, r"steps\.0\.surprise"),
    "steps.0.shown": ([1, 4], r"masks \[4\]"),
    "steps.0.added": (None, "shows masks"),
    "steps.2.added.candidates.0.id": (9, "mask 9"),
    "steps.2.added.candidates.0.rle.size": ([10, 10], "size"),
    "steps.2.added.candidates.0.rle.counts": ("ooo", "runs"),
    "picture.png": ("AAAA", "image is damaged"),
    "picture.width": (81, "image is 80 x 60"),
}


@pytest.mark.parametrize("path", DAMAGE)
def test_a_damaged_file_is_refused_in_one_line(path: str, saved: Path) -> None:
    value, said = DAMAGE[path]
    held = json.loads(saved.read_text("utf-8"))
    _set(held, path, value)
    saved.write_text(json.dumps(held))
    with pytest.raises(RecordError, match=said) as refused:
        load_episode(saved)
    assert str(saved) in str(refused.value)
    assert "\n" not in str(refused.value)


FOREIGN: dict[str, Callable[[bytes], bytes]] = {
    "it is not JSON": lambda content: content[: len(content) // 2],
    "not JSON, or cut off": lambda content: b"\x89PNG\xff\xfe",
    "does not say format": lambda content: b'{"version": 1}',
    "not a saved episode": lambda content: b"[1, 2]",
    "version 7 of the format; expected 1 or 2 or 3 or 4 or 5 or 6": lambda content: content.replace(
        b'"version": 3,', b'"version": 7,', 1
    ),
    "or cut off": lambda content: b"[" * 100_000,
}


@pytest.mark.parametrize("said", FOREIGN)
def test_a_foreign_file_is_refused_in_one_line(said: str, saved: Path) -> None:
    saved.write_bytes(FOREIGN[said](saved.read_bytes()))
    with pytest.raises(RecordError, match=said):
        load_episode(saved)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*none\.json: No such file"):
        load_episode(tmp_path / "none.json")


def test_no_run_lengths_can_crash_the_reader(saved: Path) -> None:
    held = json.loads(saved.read_text("utf-8"))
    rle = held["steps"][0]["added"]["candidates"][0]["rle"]
    chance = np.random.default_rng(0)
    whole = rle["counts"]
    for _ in range(40):
        letters = list(whole)
        letters[chance.integers(len(letters))] = chr(chance.integers(33, 300))
        rle["counts"] = "".join(letters)
        saved.write_text(json.dumps(held))
        if rle["counts"] != whole:
            with pytest.raises(RecordError):
                load_episode(saved)


def test_the_text_tells_every_step_and_the_answer(episode: Episode) -> None:
    text = to_text(episode)
    assert '3. segment {"phrases": ["spot"], "region": [0, 0, 80, 60]}' in text
    assert "mistake: There is no mask <i>9</i>." in text
    assert "answered: 2 masks." in text
    assert "3: spot, score 0.91, 1 pixels, box 70 50 71 51" in text
    assert "1 model calls" in text


def test_the_text_cannot_steer_a_terminal() -> None:
    steered = Episode(Task(Image(np.zeros((5, 5, 3), np.uint8)), "a\x1b[2Jb\rc"))
    assert to_text(steered).startswith("a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\n")


class Page(HTMLParser):
    """What a browser would find in a page."""

    VOID = frozenset({"meta", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[PIL.Image.Image] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "src" and value and value.startswith("data:image/jpeg;base64,"):
                self.pictures.append(PIL.Image.open(BytesIO(base64.b64decode(value.partition(",")[2]))))
            elif name in {"src", "href", "srcset", "action", "data"} or name.startswith("on"):
                self.links.append(f"{name}={value}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_that_runs_and_requests_nothing(episode: Episode) -> None:
    html = to_html(episode, MADE_BY, source=HOSTILE)
    page = Page(html)
    assert page.links == []
    assert page.open == []
    assert not {"script", "iframe", "link", "object", "b", "i"} & set(page.tags) - {"i"}
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_hostile_text_is_shown_as_it_is(episode: Episode) -> None:
    page = Page(to_html(episode, MADE_BY, source=HOSTILE))
    assert page.text.count('<script>alert("x")</script>') >= 4
    assert "{{ 7 * 7 }}" in page.text
    assert "not JSON <b>" in page.text
    assert "There is no mask <i>9</i>." in page.text


def test_the_page_shows_the_answer_every_step_and_the_cost(episode: Episode) -> None:
    page = Page(to_html(episode, MADE_BY, source="park.jpg"))
    assert [picture.size for picture in page.pictures] == [(480, 360)] * 5, (
        "answer, picture, and three steps with masks"
    )
    for said in ("answered", "2 masks.", "park.jpg 80 x 60", "grammar", "7 steps, 30 seconds", "1,036", "0.76", "spot"):
        assert said in page.text
    assert '"region": [0, 0, 80, 60]' in page.text
    assert "cached tokens" in page.text


def test_the_page_says_how_the_language_model_came_to_it(talked: Episode) -> None:
    page = Page(to_html(talked, CHAT))
    for said in (
        *("asked", "Which one?", "the left one", f"the right one {HOSTILE}"),
        *("Reasoning 5 characters", "hm\nhm", f"only one {HOSTILE}".strip()),
        *("accepted", "93 %", "it is a <box>", "rejected", "20 %", "it is a spot"),
        *("native tools, several pictures", "image side 640, coordinates qwen", "1,000,000 tokens, a cost of 0.5"),
        "0.4 of prompts, 0.1 of cached prompts, 1.6 of completions, per million tokens",
        "1,500 prompt tokens, 250 cached tokens, 120 completion tokens, 4 pictures, cost 0.000717",
    ):
        assert said in page.text, said
    assert page.text.count("What the model saw") == 0, "no language model is named in the header"


def test_the_page_adds_up_what_was_paid(talked: Episode) -> None:
    total = sum(CHAT.budget.price.compute_cost(step.usage) for step in talked.steps)
    page = Page(to_html(talked, CHAT))
    assert f"cost{total:.6f}".rstrip("0") in page.text.replace("\n", "").replace(" ", "")
    assert "cost</th>" in to_html(talked, CHAT)
    assert "cost</th>" not in to_html(talked, MADE_BY), "there is no price"


def test_the_text_tells_notes_options_and_reasons(talked: Episode) -> None:
    text = to_text(talked)
    assert "   note: only one <script>" in text
    assert "asked: Which one?\n  - the left one\n  - the right one" in text
    assert "box 70 50 71 51: it is a spot" in text


def test_a_large_picture_is_reduced_and_a_small_mask_on_it_can_still_be_seen() -> None:
    found = instances("spot", (700, 500, 701, 501), height=1000, width=2600)
    task = Task(Image(np.full((1000, 2600, 3), 90, np.uint8)), "the spot")
    space = Workspace(1000, 2600).with_search(found)
    whole = grown(task, Step(Decision("answer", "{}"), Observation("1 mask.", space, (1,), "answered")))
    answer, plain, step = Page(to_html(whole, MADE_BY)).pictures
    assert (answer.size, plain.size, step.size) == ((1280, 492), (1280, 492), (800, 308))
    marked = np.asarray(answer).astype(int)
    assert (np.abs(marked - 90).sum(axis=2) > 150).any()


def test_an_episode_without_an_answer_has_a_page_too() -> None:
    task = Task(Image(np.zeros((40, 30, 3), np.uint8)), "a unicorn")
    refused = grown(task, Step(Decision("", "", "I cannot"), Observation("Nothing.", None, (), "no_match")))
    page = Page(to_html(refused, MADE_BY))
    assert "no match" in page.text
    assert len(page.pictures) == 2
    assert "unfinished" in Page(to_html(Episode(task), MADE_BY)).text


def test_the_papers_protocol_shows_masks_by_their_place_and_the_answer_by_id(episode: Episode) -> None:
    html = to_html(episode, MADE_BY.model_copy(update={"toolset": PAPER}))
    chips = [re.findall(r"</i>(\d+)</span>", part) for part in re.findall(r'<div class="chips">.*?</div>', html)]
    assert chips == [["1", "2"], ["1"], ["1", "3"]]


def test_what_a_server_wants_back_with_a_call_is_kept_and_nothing_is_written_of_none(episode, tmp_path):
    plain = episode.steps[0]
    signed = replace(plain, decision=replace(plain.decision, extra='{"call": {"extra_content": {"sign": "a+/"}}}'))
    save_episode(replace(episode, steps=(signed, *episode.steps[1:])), tmp_path / "signed.json", provenance=MADE_BY)
    save_episode(episode, tmp_path / "plain.json", provenance=MADE_BY)
    assert load_episode(tmp_path / "signed.json").episode.steps[0].decision.extra == signed.decision.extra
    assert '"extra"' not in (tmp_path / "plain.json").read_text("utf-8")


NOTES = ("The grey values lie between 0 and 4095: 0 is shown as black, and 4095 as white.", "2 Bänder · 図")


def test_notes_of_an_image_are_kept_where_earlier_versions_do_not_look(tmp_path: Path) -> None:
    pixels = np.full((4, 6, 3), 90, np.uint8)
    texts = []
    for image in (Image(pixels), Image(pixels, NOTES)):
        save_episode(Episode(Task(image, "cups")), tmp_path / "episode.json")
        held = load_episode(tmp_path / "episode.json")
        assert held.episode.task.image.notes == image.notes
        assert set(held.picture.model_dump()) == {"name", "width", "height", "key", "png"}
        texts.append(to_html(held.episode, held.made_by))
    assert all(note in texts[1] and note not in texts[0] for note in NOTES)


def test_a_saved_image_is_read_whatever_pillow_allows_and_never_more_pixels_than_its_file_says(tmp_path, monkeypatch):
    path = tmp_path / "episode.json"
    save_episode(Episode(Task(Image(np.full((40, 60, 3), 90, np.uint8)), "cups")), path)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)  # a program's own limit; larger images were opened by ours
    assert load_episode(path).episode.task.image.width == 60
    path.write_text(path.read_text().replace('"width": 60', '"width": 6'))
    with pytest.raises(RecordError, match="is damaged: its image has more pixels than 6 x 40"):
        load_episode(path)
