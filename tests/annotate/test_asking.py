"""What is asked about each image: blocks of phrases, episodes of the agent, and images read a little ahead."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agent import Budget, GrammarPlanner
from agent.core.episode import Decision, Episode
from agent.core.errors import PlannerError
from agent.doubt.calibration import check_calibration
from agent.doubt.policy import DoubtPolicy
from annotate.asking import Decoded, PhraseAsker, decode_ahead, map_ahead
from annotate.querying import QueryAsker
from annotate.sources.base import Item
from sam3_tool import (
    ConceptPrompt,
    Image,
    Instances,
    ProbabilityCurve,
    ProbabilityEstimator,
    Sam3,
    ScriptedBackend,
)
from sam3_tool.backends.scripted import ScriptedEmbedding
from sam3_tool.errors import ImageError
from tests.support.annotating import SIZE, TouchyBackend


def make_images(number: int) -> Iterator[Decoded]:
    for index in range(number):
        yield Item(index, b"%d.png" % index), Image(np.full((*SIZE, 3), index, np.uint8))


class CountingBackend(TouchyBackend):
    """Remembers the sizes of batches, and fails at one phrase."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def decode(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        self.batches.append(len(prompts))
        if any(prompt.phrase == "thing 13" for prompt in prompts):
            raise RuntimeError("no such thing")
        return super().decode(embeddings, prompts)


def test_more_phrases_than_a_batch_holds_are_asked_in_blocks_and_rows_keep_their_order() -> None:
    backend, phrases = CountingBackend(), [f"thing {number}" for number in range(20, 40)]
    answers = list(PhraseAsker(Sam3(backend, max_batch=8), phrases, batch=8).answer_images(make_images(3)))
    assert [[row.phrase for row in rows] for rows in answers] == [phrases] * 3
    assert [rows[0].index for rows in answers] == [0, 1, 2]
    assert max(backend.batches) == 8
    assert sum(backend.batches) == 60


def test_a_phrase_that_fails_costs_its_image_and_no_other() -> None:
    backend = CountingBackend()
    decoded = [*make_images(1), (Item(1, b"b.png"), ImageError("b.png: no image"))]
    answers = list(PhraseAsker(Sam3(backend), ["cup", "thing 13"], batch=8).answer_images(decoded))
    assert [(rows[0].index, rows[0].error_kind, rows[0].error, len(rows)) for rows in answers] == [
        (0, "RuntimeError", "no such thing", 1),
        (1, "ImageError", "b.png: no image", 1),
    ]


def test_masks_in_doubt_are_left_out_of_the_rows_of_phrases_and_of_queries() -> None:
    curve = ProbabilityCurve(score=1.0, high_score=0.0, presence=0.0, size=0.0, bias=0.0)
    estimator = ProbabilityEstimator({"phrase": curve}, fitted_on="nothing", weights="")
    masks = np.zeros((2, *SIZE), bool)
    masks[0, :4, :4] = masks[1, 5:8, 5:8] = True
    boxes = np.array([[0, 0, 4, 4], [5, 5, 8, 8]], np.float32)
    cups = Instances(masks, boxes, np.array([0.9, 0.6], np.float32), 0.95, "cup")
    sam3 = Sam3(ScriptedBackend({None: {"cup": cups}}, probability_estimator=estimator))
    policy = DoubtPolicy(0.7)
    by_phrase = PhraseAsker(sam3, ["cup"], min_probability=0.7)
    by_query = QueryAsker(sam3, GrammarPlanner(), "the cups", Budget(), {}, doubt=policy)
    for asker in (by_phrase, by_query):
        [[row]] = asker.answer_images(make_images(1))
        assert [round(score, 2) for score in row.scores] == [0.9]
    check_calibration(sam3, policy)
    uncalibrated = Sam3(ScriptedBackend({None: {"cup": cups}}))
    [[row]] = PhraseAsker(uncalibrated, ["cup"], min_probability=0.7).answer_images(make_images(1))
    assert len(row.scores) == 2


def test_a_query_is_an_episode_for_each_image() -> None:
    asker = QueryAsker(Sam3(TouchyBackend()), GrammarPlanner(), "the cup", Budget(), {"planner": "grammar"}, 2)
    decoded = [*make_images(2), (Item(2, b"c.png"), ImageError("c.png: no image"))]
    answers = [row for rows in asker.answer_images(decoded) for row in rows]
    assert [(row.index, row.phrase, row.outcome, row.labels, row.error_kind) for row in answers] == [
        (0, "the cup", "answered", ["cup"], ""),
        (1, "the cup", "answered", ["cup"], ""),
        (2, "", None, None, "ImageError"),
    ]
    assert answers[0].boxes == [(3.0, 2.0, 9.0, 6.0)]
    assert asker.describe_maker()["episodes"] == {"planner": "grammar"}


class AbsentPlanner(GrammarPlanner):
    """A planner whose server is down."""

    def decide(self, episode: Episode) -> Decision:
        raise PlannerError("the server does not answer")


def test_a_planner_that_cannot_begin_is_an_error_of_the_image() -> None:
    asker = QueryAsker(Sam3(TouchyBackend()), AbsentPlanner(), "the cup", Budget(), {})
    [[row]] = asker.answer_images(make_images(1))
    assert (row.error_kind, row.error) == ("PlannerError", "the server does not answer")


def test_no_more_is_begun_than_may_wait() -> None:
    begun, most = 0, 0
    lock = threading.Lock()

    def begin(value: int) -> int:
        nonlocal begun, most
        with lock:
            begun += 1
            most = max(most, begun)
        return value

    with ThreadPoolExecutor(4) as pool:
        taken = []
        for value in map_ahead(pool, begin, range(100), 6):
            taken.append(value)
            with lock:
                begun -= 1
    assert taken == [*range(100)]
    assert most <= 6


def test_a_decoder_that_is_at_fault_spoils_only_its_image() -> None:
    def open_image(item: Item) -> Image:
        if item.index == 1:
            raise ZeroDivisionError("a defect")
        return Image(np.zeros((*SIZE, 3), np.uint8))

    items = [Item(index, b"x") for index in range(3)]
    found = [image for _, image in decode_ahead(items, open_image, threads=2, ahead=2)]
    assert [type(image) for image in found] == [Image, ZeroDivisionError, Image]


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    images = dict(make_images(50))
    asker = PhraseAsker(Sam3(TouchyBackend()), ["cup"], batch=1)
    answers = asker.answer_images(decode_ahead(images, lambda item: images[item], threads=2, ahead=4))  # type: ignore[arg-type,return-value]
    assert next(answers)[0].index == 0
    answers.close()  # type: ignore[attr-defined]
    assert threading.active_count() <= before + 1  # the one that serves SAM 3's batches
