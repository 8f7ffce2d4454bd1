"""A language model that sees: it answers a multiple-choice question about each mask, and about each pair."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Literal

import prompts
from agent.core.text.sanitizing import to_one_line
from agent.models.base import ChatModel, Message, Messages
from agent.planners.chat.messages import truncate_text
from engine.chat_models.questions import ModelAnswer, ask_questions
from engine.errors import EngineError
from engine.verifiers.language_model.answer_log import AnswerLog, SavedAnswer, make_item_key
from engine.verifiers.language_model.letters import (
    LETTERS,
    ChooseOfFive,
    ChooseOfSix,
    count_votes,
    draw_order,
    format_options,
    read_letter_odds,
    write_choice_arguments,
)
from engine.verifiers.language_model.views import SIDE, draw_coverage_view, draw_mask_view
from engine.verifiers.verifier import MaskItem, PairItem, Verdict
from sam3_tool.image import Image
from sam3_tool.masks.rle import RleMask

Stage = Literal["mv", "ev"]
TURNS = 3
"""Answers about one thing where the server tells no odds, each with the choices under other letters."""
TOP_LOGPROBS = 10
"""Odds that are asked for of each token: six letters, with and without a quote before them."""
BATCH = 32
"""Things that are asked about side by side, by default."""
_TEXTS: Mapping[Stage, tuple[str, str, str]] = {
    "mv": ("engine/verify_mask", "engine/mask_question", "engine/mask_choices"),
    "ev": ("engine/verify_all", "engine/coverage_question", "engine/coverage_choices"),
}
"""Instructions, question and choices of each stage, in `prompts`."""


@dataclass(frozen=True)
class AskingLimits:
    """What a verifier may spend. None is no limit.

    Raises:
        ValueError: A limit is not positive.

    >>> AskingLimits(max_calls=100).max_tokens is None
    True
    """

    max_calls: int | None = None
    """Requests."""
    max_tokens: int | None = None
    """Of prompts and replies together."""

    def __post_init__(self) -> None:
        if any(limit is not None and limit <= 0 for limit in (self.max_calls, self.max_tokens)):
            raise ValueError(f"every limit must be positive, got {self}")


@dataclass(frozen=True, eq=False)
class _Subject:
    """What is judged: one mask, or all accepted masks of a pair."""

    key: str
    image: str
    stage: Stage
    phrase: str
    load_image: Callable[[], Image]
    masks: tuple[RleMask, ...]

    def draw_view(self, side: int) -> Image:
        image = self.load_image()
        if self.stage == "mv":
            return draw_mask_view(image, self.masks[0], side=side)
        return draw_coverage_view(image, self.masks, side=side)


class MllmVerifier:
    """A verifier that asks a language model which of several answers fits, under letters that are shuffled each time.

    Where the server tells the odds of each token, the probabilities are those of the letters after one answer; else the
    model is asked `turns` times with the choices under other letters, and its answers are votes.

    Args:
        model: It must see images.
        answers: Where answers are written, and looked up before anything is asked.
        seed: Of the order of the letters.
        turns: Answers about one thing where no odds are told.
        side: Pixels of the long side of what it is shown.
        batch: Things that are asked about side by side; their answers are written down before the next are asked.
        limits: What it may spend.

    Raises:
        ValueError: `turns` or `batch` is less than 1.

    >>> from agent import ScriptedModel
    >>> MllmVerifier(ScriptedModel([], name="openai:m")).name
    'openai:m'
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        answers: AnswerLog | None = None,
        seed: str = "0",
        turns: int = TURNS,
        side: int = SIDE,
        batch: int = BATCH,
        limits: AskingLimits | None = None,
    ) -> None:
        if turns < 1 or batch < 1:
            raise ValueError(f"`turns` and `batch` must be at least 1, got {turns} and {batch}")
        with_odds = getattr(model, "with_token_odds", None)
        self.model: ChatModel = model if with_odds is None else with_odds(TOP_LOGPROBS)
        self.name = model.name
        self.fingerprint = hash_question_texts(side)
        self.answers = answers
        self.seed, self.turns, self.side, self.batch = seed, turns, side, batch
        self.limits = limits or AskingLimits()
        self.calls = 0
        """Requests so far."""
        self.tokens = 0
        """Of prompts and replies so far."""

    def verify_masks(self, items: Sequence[MaskItem]) -> list[Verdict | None]:
        """Judge masks, each alone.

        Args:
            items: Masks, of any images.

        Returns:
            One verdict per item, in order; None where the model gave no answer, or was not asked for lack of budget.

        Raises:
            EngineError: The server answers nothing at all, or an answer cannot be written. What was answered before is
                in the log.
        """
        return self._verify_all(
            [
                _Subject(
                    make_item_key("mv", item.image, item.phrase, [item.mask]),
                    item.image,
                    "mv",
                    item.phrase,
                    item.load_image,
                    (item.mask,),
                )
                for item in items
            ]
        )

    def verify_coverage(self, items: Sequence[PairItem]) -> list[Verdict | None]:
        """Judge whether the accepted masks show everything that the phrase names.

        Args:
            items: Pairs, of any images, with accepted masks alone.

        Returns:
            As `verify_masks`.

        Raises:
            EngineError: As `verify_masks`.
        """
        return self._verify_all(
            [
                _Subject(
                    make_item_key("ev", item.image, item.phrase, item.masks),
                    item.image,
                    "ev",
                    item.phrase,
                    item.load_image,
                    item.masks,
                )
                for item in items
            ]
        )

    def _verify_all(self, subjects: Sequence[_Subject]) -> list[Verdict | None]:
        batches = (subjects[start : start + self.batch] for start in range(0, len(subjects), self.batch))
        return [verdict for batch in batches for verdict in self._verify_batch(batch)]

    def _verify_batch(self, subjects: Sequence[_Subject]) -> list[Verdict | None]:
        """Ask once about each; and again, in one go, about those whose odds the server does not tell."""
        known = self._answer_turns([(subject, 0) for subject in subjects])
        again = [
            (subject, turn)
            for subject in subjects
            if (first := known.get((subject.key, 0))) and first.odds is None
            for turn in range(1, self.turns)
        ]
        known |= self._answer_turns(again)
        return [self._combine_answers(subject, known) for subject in subjects]

    def _answer_turns(self, turns: Sequence[tuple[_Subject, int]]) -> dict[tuple[str, int], SavedAnswer]:
        """Return the answers that are known, and those that the model gives now."""
        wanted = {(subject.key, turn): subject for subject, turn in turns}
        known: dict[tuple[str, int], SavedAnswer] = {}
        for key, turn in wanted:
            if self.answers is not None and (saved := self.answers.find_answer(self._by, key, turn)):
                known[key, turn] = saved
        missing = [(subject, turn) for (key, turn), subject in wanted.items() if (key, turn) not in known]
        if affordable := missing[: self._count_affordable()]:
            known |= {(answer.item, answer.turn): answer for answer in self._ask_model(affordable)}
        return known

    def _ask_model(self, turns: Sequence[tuple[_Subject, int]]) -> list[SavedAnswer]:
        started = time.perf_counter()
        stage = turns[0][0].stage
        orders = [draw_order([*load_choices(stage)], f"{self.seed}\0{subject.key}", turn) for subject, turn in turns]
        conversations = [
            build_question(stage, subject.draw_view(self.side), subject.phrase, len(subject.masks), order)
            for (subject, _), order in zip(turns, orders, strict=True)
        ]
        tool = ChooseOfFive if stage == "mv" else ChooseOfSix
        answers = ask_questions(self.model, conversations, tool, read_text=write_choice_arguments)
        self.calls += sum(max(1, answer.usage.model_calls) for answer in answers)
        self.tokens += sum(answer.usage.prompt_tokens + answer.usage.completion_tokens for answer in answers)
        seconds = (time.perf_counter() - started) / len(turns)
        saved = [
            self._to_saved(subject, turn, order, answer, seconds)
            for (subject, turn), order, answer in zip(turns, orders, answers, strict=True)
            if answer.call is not None
        ]
        if self.answers is not None and saved:
            self.answers.append(saved)
        self._check_server(answers)
        return saved

    def _to_saved(
        self,
        subject: _Subject,
        turn: int,
        order: tuple[str, ...],
        answer: ModelAnswer[ChooseOfFive],
        seconds: float,
    ) -> SavedAnswer:
        assert answer.call is not None
        letter = answer.call.letter
        odds = read_letter_odds(answer.reply, letter, len(order))
        return SavedAnswer(
            item=subject.key,
            image=subject.image,
            stage=subject.stage,
            phrase=subject.phrase,
            turn=turn,
            turns=self.turns,
            order=order,
            letter=letter,
            choice=order[LETTERS.index(letter)],
            odds=odds and {choice: odds[sign] for sign, choice in zip(LETTERS, order, strict=False)},
            by=self._by,
            seconds=round(seconds, 3),
            tokens=answer.usage.prompt_tokens + answer.usage.completion_tokens,
            at=time.time(),
        )

    def _combine_answers(self, subject: _Subject, known: Mapping[tuple[str, int], SavedAnswer]) -> Verdict | None:
        turns = (known.get((subject.key, turn)) for turn in range(self.turns))
        return combine_answers(subject.stage, [answer for answer in turns if answer is not None])

    def _count_affordable(self) -> int:
        """Return how many questions the budget leaves, at most."""
        if self.limits.max_tokens is not None and self.tokens >= self.limits.max_tokens:
            return 0
        return 10**9 if self.limits.max_calls is None else max(0, self.limits.max_calls - self.calls)

    def _check_server(self, answers: Sequence[ModelAnswer[ChooseOfFive]]) -> None:
        """Raise EngineError where the server answered none of several questions: the next ones would wait in vain."""
        if all(answer.reply.error for answer in answers):
            raise EngineError(
                f"the verifier {self.name} gives no answer: {to_one_line(answers[0].problem)}; what it answered before"
                " is kept, so run again when it answers"
            )

    @property
    def _by(self) -> str:
        return f"model:{self.name}@{self.fingerprint}"


def combine_answers(stage: Stage, answers: Sequence[SavedAnswer]) -> Verdict | None:
    """Make one verdict of the answers about one thing: the odds of the first where they are told, else their votes.

    Args:
        stage: Of the question.
        answers: By turn.

    Returns:
        The verdict; None where some of the votes have not been given.

    >>> one = SavedAnswer(item="5d", stage="mv", phrase="cup", turn=0, order=("reject", "accept"), letter="B",
    ...                   choice="accept", odds={"accept": 0.9, "reject": 0.1}, by="model:m@5d", seconds=1, at=0)
    >>> combine_answers("mv", [one]).probability
    0.9
    """
    if not answers or (answers[0].odds is None and len(answers) < answers[0].turns):
        return None
    probabilities = answers[0].odds or count_votes([*load_choices(stage)], [answer.choice for answer in answers])
    choice = max(probabilities, key=lambda name: (probabilities[name], name == answers[0].choice))
    right = probabilities.get("accept", 0.0) + probabilities.get("accept_text", 0.0)
    return Verdict(choice, min(right, 1.0), probabilities)


def build_question(stage: Stage, view: Image, phrase: str, count: int, order: Sequence[str]) -> Messages:
    """Build the question about one mask ("mv") or about all accepted masks of a pair ("ev").

    Args:
        stage: Which question.
        view: What `draw_mask_view` or `draw_coverage_view` shows.
        phrase: What SAM 3 was asked for.
        count: Masks that are shown.
        order: The choices under A, B, C …
    """
    system, question, _ = _TEXTS[stage]
    boxes = "There is 1 box." if count == 1 else f"There are {count or 'no'} boxes."
    options = format_options(order, load_choices(stage))
    asked = prompts.fill_prompt(question, phrase=truncate_text(phrase), options=options, boxes=boxes)
    return [Message("system", (prompts.load_prompt(system),)), Message("user", (view, asked))]


@cache
def load_choices(stage: Stage) -> Mapping[str, str]:
    """Load the answers that a model may choose among: name -> what it reads.

    >>> list(load_choices("mv"))
    ['accept', 'accept_text', 'flag', 'whole_image', 'reject']
    """
    return dict(_split_choices(prompts.load_prompt(_TEXTS[stage][2])))


@cache
def hash_question_texts(side: int) -> str:
    """Return 12 hexadecimal digits of everything that a model reads, and of how large it is shown images."""
    texts = [prompts.load_prompt(name) for names in _TEXTS.values() for name in names]
    return sha256("\0".join([*texts, str(side)]).encode()).hexdigest()[:12]


def _split_choices(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, words = line.partition(": ")
        yield name, words
