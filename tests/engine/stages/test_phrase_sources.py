"""Stage 2 with alternative texts, a language model behind a real server, and negatives of what is verified."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.media.images import EngineImage
from engine.pairs import Judgement, Proposal
from engine.phrases.phrase_log import count_dropped, forget_sources, read_sources
from engine.stages.propose import ProposeStage
from engine.stages.stage import RunContext, StageReport
from engine.store.settings import EngineSettings
from engine.store.store import EngineStore
from engine.verifiers.loading import load_model_verifier
from engine.verifiers.verifier import MaskItem, PairItem
from sam3_tool import Image, Sam3
from sam3_tool.masks.rle import encode_masks
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene
from tests.support.chat_server import Answer, ChatServer, completion, refusal

REPLIES: dict[str, Any] = {
    "propose_phrases": {"caption": "A drawing.", "phrases": ["Red Cups", "it", "3 dogs", "cosy evening", "black men"]},
    "sort_phrases": {"numbers": [2]},
    "propose_look_alikes": {"phrases": ["the stars", "3 moons"]},
    "choose": {"letter": "A"},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = ChatServer()
    server.script(answer_by_tool)
    yield server
    server.close()


def find_tool(request: dict[str, Any]) -> str:
    """The tool that a request offers, on whichever wire; "" for another question, such as that of a probe."""
    text = json.dumps(request)
    return next((tool for tool in REPLIES if f'"{tool}"' in text.replace("\\", "")), "")


def answer_by_tool(request: dict[str, Any]) -> Any:
    tool = find_tool(request)
    if not tool:
        return completion("hello")
    call = json.dumps({"name": tool, "arguments": REPLIES[tool]})
    return completion(f"<tool_call>\n{call}\n</tool_call>")


def count_questions(server: ChatServer, tool: str) -> int:
    return sum(find_tool(request) == tool for request in server.requests)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EngineStore]:
    """Three drawn images; the first one has an alternative text."""
    with EngineStore.create(tmp_path / "engine", EngineSettings(ontology="generated-world")) as store:
        for number in range(3):
            image = Image(draw_scene(HELD_OUT + number, size=(160, 120)).pixels)
            path = tmp_path / f"{number}.png"
            image.to_pil().save(path)
            text = "" if number else "Photo of two brown dogs with a red ball on the left. Nice mood!"
            store.add_images([EngineImage(key=image.key, path=path, width=160, height=120, alt_text=text)])
        yield store


def run_stage(store: EngineStore, sam3: Sam3 | None = None, **options: Any) -> StageReport:
    notes: list[str] = []
    context = RunContext(store=store, load_sam3=lambda: sam3, options=options, on_note=notes.append)  # type: ignore[arg-type,return-value]
    return ProposeStage().run(context)


def test_an_alternative_text_is_read_once_and_what_is_dropped_is_kept_with_why(store):
    assert run_stage(store).done == 2
    assert [(pair.phrase, pair.origin) for pair in store.pairs()] == [
        ("brown dog", "alt-text"),
        ("red ball", "alt-text"),
    ]
    assert run_stage(store).done == 0
    [said] = read_sources(store)
    assert {one.kind for one in said.dropped} == {"not_groundable"}
    assert count_dropped(store)["not_groundable"] >= 1


def test_a_model_is_asked_once_about_each_image_and_its_phrases_are_cleaned(store, server):
    report = run_stage(store, planner="openai:m", base_url=server.url)
    assert (report.done - 2, report.errors) == (3, 0)
    assert {pair.phrase for pair in store.pairs() if pair.origin == "model"} == {"red cup"}
    assert count_questions(server, "propose_phrases") == 3
    assert count_questions(server, "sort_phrases") == 1
    said = [one for one in read_sources(store) if one.source == "model"]
    assert {one.caption for one in said} == {"A drawing."}
    assert [one.kind for one in said[0].dropped] == ["pronoun", "count", "blocked", "not_groundable"]
    assert "model:openai:m@" in said[0].by
    assert run_stage(store, planner="openai:m", base_url=server.url).done == 0
    assert count_questions(server, "propose_phrases") == 3


def test_a_server_that_fails_is_one_sentence_and_the_next_run_asks_for_the_rest(store, server):
    def fail_at_first(request: dict[str, Any]) -> Answer | dict[str, Any]:
        failing = find_tool(request) == "propose_phrases"
        return refusal(400, "out of order") if failing else answer_by_tool(request)

    server.script(fail_at_first)
    with pytest.raises(EngineError, match=r"the planner openai:m gives no answer: .*out of order") as raised:
        run_stage(store, planner="openai:m", base_url=server.url)
    assert "\n" not in str(raised.value)
    assert [one.source for one in read_sources(store)] == ["alt-text"]
    server.script(answer_by_tool)
    assert run_stage(store, planner="openai:m", base_url=server.url).done == 3


def test_an_image_without_a_readable_answer_is_not_asked_again(store, server):
    server.script(completion("I see cups."))
    assert run_stage(store, planner="openai:m", base_url=server.url).done == 2
    asked = len(server.requests)
    assert [one.kept for one in read_sources(store) if one.source == "model"] == [(), (), ()]
    run_stage(store, planner="openai:m", base_url=server.url)
    assert not any("outlined in it" in json.dumps(request) for request in server.requests[asked:])


def verify_scene(store: EngineStore, number: int) -> list[str]:
    """Add the nouns of a drawn scene as pairs, with true masks that a person accepted; the nouns."""
    from engine.pairs import Pair

    scene = draw_scene(HELD_OUT + number, size=(160, 120))
    image = Image(scene.pixels).key
    rles = encode_masks(scene.masks)
    nouns = sorted({thing.noun for thing in scene.objects})
    for noun in nouns:
        masks = tuple(rle for rle, thing in zip(rles, scene.objects, strict=True) if thing.noun == noun)
        pair = Pair(image=image, phrase=noun, original=noun, origin="list")
        store.add_pairs([pair])
        found = Proposal(pair=pair.key, masks=masks, scores=(0.9,) * len(masks), presence=1.0, made_by="truth")
        store.add_proposals([found], at=0.0)
        said = {"pair": pair.key, "choice": "accept", "by": "human:anna", "at": 0.0, "drawn": "risk"}
        judgements = [Judgement(stage="mv", mask=mask, **said) for mask in range(len(masks))]
        store.append([*judgements, Judgement(stage="ev", shown=tuple(range(len(masks))), **said)])
    return nouns


def test_negatives_come_to_images_with_verified_masks_alone_and_only_once(store, tiny):
    run_stage(store)
    nouns = verify_scene(store, 1)
    report = run_stage(store, tiny, negatives=8)
    added = [pair for pair in store.pairs() if pair.origin not in ("list", "alt-text")]
    assert report.done == len(added) == 8
    assert len({pair.image for pair in added}) == 1
    assert not {pair.phrase for pair in added} & {*nouns, "object", "thing"}
    parents = {pair.key for pair in store.pairs() if pair.phrase in nouns}
    assert all(pair.parent in parents for pair in added if pair.origin != "easy")
    assert "easy" in {pair.origin for pair in added}
    assert run_stage(store, tiny, negatives=8).done == 0


def test_a_model_names_look_alikes_of_what_is_verified(store, server, tiny):
    verify_scene(store, 1)
    run_stage(store, tiny, planner="openai:m", base_url=server.url, negatives=40)
    added = {pair.phrase: pair.origin for pair in store.pairs()}
    assert added.get("star") in ("look-alike", "sibling", "easy", "list")
    assert "moon" not in added
    assert count_questions(server, "propose_look_alikes") > 0


def test_a_forgotten_image_leaves_nothing_of_what_was_said_of_it(store):
    run_stage(store)
    [said] = read_sources(store)
    assert forget_sources(store, said.image) == 1
    assert [*read_sources(store)] == []


def test_a_verifier_is_loaded_by_the_name_of_a_model_or_of_a_recording(store, server):
    image = next(store.images())
    mask = encode_masks(draw_scene(HELD_OUT, size=(160, 120)).masks)[0]
    items = [MaskItem(image.key, image.open_pixels, "cup", mask, {})]
    pairs = [PairItem(image.key, image.open_pixels, "cup", (mask,), {})]
    verifier = load_model_verifier("openai:m", store.folder, {"base_url": server.url})
    assert verifier is not None
    said = verifier.verify_masks(items), verifier.verify_coverage(pairs)
    assert None not in (*said[0], *said[1])
    recorded = load_model_verifier(f"recorded:{store.folder / 'answers.jsonl'}", store.folder, {})
    assert recorded is not None
    assert (recorded.verify_masks(items), recorded.verify_coverage(pairs)) == said
    with pytest.raises(EngineError, match="there is no file"):
        load_model_verifier("recorded:nowhere.jsonl", store.folder, {})
