"""A hosted SAM 3 answers as the weights behind its server do, and says what it cannot do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent import Budget, Task, run
from agent.core.usage import Usage
from agent.planners.grammar.planner import GrammarPlanner
from agent.report.result import Result
from agent.report.text import to_text
from sam3_tool import CheckpointError, ConceptPrompt, Image, Sam3, Video, VisualPrompt
from sam3_tool.backends.hosted.backend import HostedBackend
from sam3_tool.backends.hosted.client import HostedClient
from sam3_tool.backends.hosted.endpoint import HostedEndpoint
from sam3_tool.backends.hosted.settings import HostedSettings
from sam3_tool.masks.rle import compute_ious

Load = Callable[..., Sam3]


@pytest.mark.parametrize("encoding", ["one_bit", "lossless"])
def test_a_phrase_is_answered_with_the_masks_of_a_direct_call(
    address: str, tiny: Sam3, scene: Image, encoding: Any
) -> None:
    settings = HostedSettings(mask_encoding=encoding)
    hosted = Sam3(HostedBackend(HostedClient.connect(HostedEndpoint(address, ""), settings)))
    found, expected = hosted.segment(scene, "object"), tiny.segment(scene, "object")
    assert len(expected) > 3
    assert np.array_equal(found.masks, expected.masks)
    assert found.scores == pytest.approx(expected.scores, abs=5e-5)
    assert found.presence == found.scores.max()
    assert (found.phrase, found.cost.requests) == ("object", 1)


def test_several_phrases_are_several_requests_and_keep_their_order(load: Load, tiny: Sam3, scene: Image) -> None:
    phrases = ["object", "giraffe", "thing", "object"]
    report = load().run_requests([(scene, ConceptPrompt(phrase)) for phrase in phrases])
    assert [found.phrase for found in report.instances] == phrases
    assert [len(found) for found in report.instances] == [len(tiny.segment(scene, phrase)) for phrase in phrases]
    assert (report.encodes, report.decodes, report.cost.requests) == (1, 4, 4)


def test_a_threshold_cuts_what_the_server_sent(load: Load, scene: Image) -> None:
    hosted = load()
    scores = hosted.segment(scene, "object").scores
    middle = float(np.median(scores))
    assert hosted.segment(scene, "object", threshold=middle).scores.tolist() == scores[scores > middle].tolist()


def test_a_box_and_clicks_show_one_object(load: Load, tiny: Sam3, scene: Image) -> None:
    hosted = load()
    first = tiny.segment(scene, "object")[[0]]
    box = tuple(float(edge) for edge in first.boxes[0].round())
    middle = (int(box[0] + box[2]) // 2 + 0.5, int(box[1] + box[3]) // 2 + 0.5)
    by_box = hosted.refine(scene, box=box)  # type: ignore[arg-type]
    assert np.array_equal(by_box.masks, tiny.refine(scene, box=box, multimask=False).masks)  # type: ignore[arg-type]
    clicks, labels = [middle, (0.5, 0.5)], [1, 0]
    by_clicks = hosted.refine(scene, clicks, labels)
    assert np.array_equal(by_clicks.masks, tiny.refine(scene, clicks, labels, multimask=False).masks)
    # the protocol has no masks: one is shown by its extent
    by_mask = hosted.refine(scene, mask=first.masks[0])
    assert compute_ious(by_mask.rles, first.rles)[0, 0] > 0.5


def test_examples_beside_a_phrase_add_and_remove_the_objects_that_they_show(load: Load, scene: Image) -> None:
    hosted = load()
    every = hosted.segment(scene, "object")
    best, rest = every[[0]], every[range(1, len(every))]
    box = tuple(map(float, best.boxes[0]))
    without = hosted.segment(scene, "object", boxes=[box], box_labels=[0])  # type: ignore[list-item]
    assert compute_ious(without.rles, best.rles).max() <= 0.5
    assert len(without) == len(rest)
    with_it = hosted.segment(scene, "giraffe", boxes=[box])  # type: ignore[list-item]
    assert len(with_it) == 1
    assert compute_ious(with_it.rles, best.rles)[0, 0] > 0.5
    assert with_it.cost.requests == 2


def test_a_large_image_is_sent_reduced_and_its_masks_are_of_its_own_size(
    load: Load, tiny: Sam3, scene: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Image(scene.pixels.repeat(3, axis=0).repeat(3, axis=1))
    monkeypatch.setenv("SAM_IMAGE_SIDE", str(max(scene.width, scene.height)))
    found, expected = load().segment(large, "object"), tiny.segment(large, "object")
    assert found.size == (large.height, large.width)
    assert len(found) == len(expected)
    ious = compute_ious(found.rles, expected.rles).max(axis=1)
    assert ious.min() > 0.85
    assert found.boxes.max() > max(scene.width, scene.height)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda sam3, image: sam3.segment_everything(image), "cannot segment everything"),
        (lambda sam3, image: sam3.segment(image, boxes=[(1, 1, 9, 9)]), "does not look for more of what boxes show"),
        (
            lambda sam3, image: sam3.segment(image, "cup", boxes=[(1, 1, 9, 9)], exemplar_image=image),
            "takes no examples from another image and no concepts",
        ),
        (lambda sam3, image: list(sam3.track(Video.from_images([image]), "cup")), "cannot follow objects"),
        (lambda sam3, image: sam3.segment(image, "<0f>1<|point;x=1;y=1|>"), "is no noun phrase"),
        (lambda sam3, image: sam3.segment(image, "cup " * 200), "at most 500"),
        (lambda sam3, image: sam3.refine(image, box=(-9, -9, -1, -1)), "lies outside the image"),
        (lambda sam3, image: sam3.refine(image, mask=np.zeros((image.height, image.width), bool)), "has no pixel"),
    ],
)
def test_what_the_protocol_has_not_is_refused_before_anything_is_sent(
    load: Load, scene: Image, ask: Callable[[Sam3, Image], Any], message: str
) -> None:
    with pytest.raises((CheckpointError, ValueError), match=message) as caught:
        ask(load("http://127.0.0.1:9/v1"), scene)
    assert "\n" not in str(caught.value)


def test_answers_are_recorded_replayed_and_cached(load: Load, scene: Image, tmp_path: Path) -> None:
    recorded = load(record=tmp_path / "record").segment(scene, "object")
    again = Sam3.replay(tmp_path / "record").segment(scene, "object")
    assert np.array_equal(recorded.masks, again.masks)
    assert recorded.scores.tolist() == again.scores.tolist()
    first = load(cache=tmp_path / "cache").run_requests([(scene, ConceptPrompt("object"))])
    second = load(cache=tmp_path / "cache").run_requests([(scene, ConceptPrompt("object"))])
    assert np.array_equal(first.instances[0].masks, second.instances[0].masks)
    assert (first.cost.requests, second.cost.requests) == (1, 0)


def test_the_fingerprint_tells_servers_models_and_sizes_apart(address: str) -> None:
    def read_fingerprint(where: str = address, **options: Any) -> str:
        settings = replace(HostedSettings(), **options)
        return HostedBackend(HostedClient.connect(HostedEndpoint(where, "k" * 20), settings)).fingerprint

    plain = read_fingerprint()
    others = {read_fingerprint("http://127.0.0.1:9/v1"), read_fingerprint(model="b"), read_fingerprint(image_side=512)}
    assert plain == read_fingerprint(timeout=5.0)
    assert len(others | {plain}) == 4


def test_its_bare_name_means_the_model_that_meta_hosts(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_BASE_URL", address)
    assert Sam3.load("hosted").name == "hosted:sam-3.1"
    assert Sam3.load("hosted:another").name == "hosted:another"


def test_an_object_that_is_not_found_is_an_empty_mask(load: Load) -> None:
    blank = Image(np.zeros((40, 60, 3), np.uint8))
    found = load().segment_batch([(blank, VisualPrompt(points=((5.0, 5.0),)))])[0]
    assert found.masks.shape == (1, 40, 60)
    assert found.presence == found.scores[0]


def test_a_query_is_answered_by_the_grammar_over_a_hosted_sam3(load: Load, tiny: Sam3) -> None:
    scene, query = Image.open("examples/scene.png"), "the largest watermelon"
    episodes = [run(Task(scene, query), GrammarPlanner(), sam3) for sam3 in (load(), tiny)]
    hosted, local = episodes
    assert [one.outcome for one in episodes] == ["answered", "answered"]
    assert np.array_equal(hosted.answer.masks, local.answer.masks)
    assert (hosted.usage.sam_requests, local.usage.sam_requests) == (1, 0)
    assert "1 SAM 3 requests" in to_text(hosted)
    assert "SAM 3 requests" not in to_text(local)
    assert "sam_requests" not in Result.from_episode(local, seconds=0.0).model_dump_json()
    step = hosted.steps[0]
    dear = replace(step, observation=replace(step.observation, usage=Usage(sam_decodes=1, sam_requests=4)))
    reached = Budget(max_sam_calls=4).find_reached_limit(replace(hosted, steps=(dear,)))
    assert reached == ("budget", "at the limit of 4 phrases for SAM 3")
    assert '"sam_requests":1' in Result.from_episode(hosted, seconds=0.0).model_dump_json()
