"""What becomes of the doubtful masks of an answer. It runs after the planner, and the loop never learns about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.episode import Decision, Episode, Observation, Step
from agent.core.errors import UsageError
from agent.core.text.english import format_mask_count
from agent.core.workspace import Candidate
from agent.tools.finish import MAX_OPTIONS, Answer, AskUser, ReportNoMask, append_options

UNSURE_BELOW = 0.5
"""Masks that are more likely wrong than right, where nobody says otherwise."""


@dataclass(frozen=True)
class DoubtPolicy:
    """From which probability on a mask belongs to an answer, and below which the user is asked.

    A mask without a probability is never doubtful.

    Raises:
        UsageError: A number is outside [0, 1], or nothing lies between both.

    Example:
        >>> DoubtPolicy(min_probability=0.5).is_active, DoubtPolicy().is_active
        (True, False)
    """

    min_probability: float | None = None
    """In [0, 1]: masks below it leave the answer."""
    ask_below: float | None = None
    """In [0, 1]: about masks below it the user is asked."""

    def __post_init__(self) -> None:
        given = {"min_probability": self.min_probability, "ask_when_unsure": self.ask_below}
        for name, value in given.items():
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name} must be a probability between 0 and 1, got {value:g}")
        if None not in given.values() and (self.ask_below or 0) <= (self.min_probability or 0):
            raise UsageError(
                f"nothing is asked: masks below {self.min_probability:g} are left out, and masks below"
                f" {self.ask_below:g} would be asked about; give ask_when_unsure the higher number"
            )

    @property
    def is_active(self) -> bool:
        """Whether anything becomes of doubtful masks."""
        return self.min_probability is not None or self.ask_below is not None


NO_POLICY = DoubtPolicy()
"""Answers stay as the planner gives them."""


@dataclass(frozen=True)
class AnswerDoubt:
    """Which masks of a planner's answer are certain, which were left out, and which the user is asked about."""

    certain: tuple[int, ...]
    left_out: tuple[int, ...] = ()
    asked: tuple[int, ...] = ()


def apply_doubt(episode: Episode, policy: DoubtPolicy) -> Episode:
    """Leave doubtful masks out of an answer, or ask about them.

    Each of both is one more step, so that the planner's own answer stays readable.

    Args:
        episode: A finished episode. What is no planner's answer stays as it is.
        policy: What becomes of doubtful masks.

    Returns:
        The episode with these steps; itself where nothing is doubtful.

    Example:
        >>> import numpy as np
        >>> from agent import GrammarPlanner, Task, run
        >>> from sam3_tool import Image, Sam3, ScriptedBackend
        >>> task = Task(Image(np.zeros((4, 6, 3), np.uint8)), "all the cups")
        >>> episode = run(task, GrammarPlanner(), Sam3(ScriptedBackend({})))
        >>> apply_doubt(episode, DoubtPolicy(min_probability=0.5)) is episode
        True
    """
    if episode.outcome != "answered" or episode.task.by_hand or read_doubt(episode).left_out:
        return episode
    if policy.min_probability is not None:
        episode = _leave_out(episode, policy.min_probability)
    if policy.ask_below is not None and episode.outcome == "answered":
        episode = _ask_about(episode, policy.ask_below)
    return episode


def read_doubt(episode: Episode) -> AnswerDoubt:
    """Return what `apply_doubt` made of an answer: all is certain where it did nothing.

    Args:
        episode: A finished episode.

    Returns:
        Mask ids, in the order of the planner's answer.
    """
    endings = [step.observation for step in episode.steps if step.observation.outcome is not None]
    if len(endings) < 2:
        return AnswerDoubt(episode.current_ids)
    asked = (endings[-1].shown or ()) if endings[-1].outcome == "asked" else ()
    kept = (endings[-2] if asked else endings[-1]).shown or ()
    return AnswerDoubt(
        certain=tuple(id for id in kept if id not in asked),
        left_out=tuple(id for id in endings[0].shown or () if id not in kept),
        asked=asked,
    )


def find_doubtful(candidates: Sequence[Candidate], below: float) -> tuple[int, ...]:
    """Return the ids of the masks whose probability is known and below a limit, in [0, 1]."""
    return tuple(
        candidate.id for candidate in candidates if candidate.probability is not None and candidate.probability < below
    )


def format_doubtful(candidates: Sequence[Candidate]) -> str:
    """Name masks with their phrases and probabilities.

    >>> from sam3_tool import RleMask
    >>> cup = Candidate(4, RleMask((4, 6), "0h0"), (0, 0, 6, 4), 0.6, "cup", probability=0.314)
    >>> format_doubtful([cup, cup])
    '4 (cup, 0.314) and 4 (cup, 0.314)'
    """
    named = [
        f"{candidate.id} ({candidate.phrase or 'by example'}, {candidate.probability or 0:.3g})"
        for candidate in candidates
    ]
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _leave_out(episode: Episode, least: float) -> Episode:
    chosen = episode.workspace.pick(episode.current_ids)
    doubtful = find_doubtful(chosen, least)
    if not doubtful:
        return episode
    kept = tuple(candidate.id for candidate in chosen if candidate.id not in doubtful)
    left_out = format_doubtful(episode.workspace.pick(doubtful))
    message = (
        f"{len(kept)} of {format_mask_count(len(chosen))} {'is' if len(kept) == 1 else 'are'} kept; in doubt and left"
        f" out, below {least:g}: {left_out}. Before that: {episode.message}"
    )
    call = Answer(ids=[*kept], message=message) if kept else ReportNoMask(reason=message)
    last = episode.steps[-1].observation
    ended = Observation(
        message, shown=kept, outcome="answered" if kept else "no_match", reasons=last.reasons, spans=last.spans
    )
    return episode.append(Step(call.to_decision(f"Masks below a probability of {least:g} are left out."), ended))


def _ask_about(episode: Episode, below: float) -> Episode:
    chosen = episode.workspace.pick(episode.current_ids)
    doubtful = find_doubtful(chosen, below)
    if not doubtful:
        return episode
    options = build_doubt_options(doubtful)
    question = (
        f"I am not sure of {len(doubtful)} of {format_mask_count(len(chosen))}:"
        f" {format_doubtful(episode.workspace.pick(doubtful))}. Which belong to the answer?"
    )
    decision: Decision = AskUser(question=question, options=[*options]).to_decision(
        f"Masks below a probability of {below:g} are asked about."
    )
    last = episode.steps[-1].observation
    asked = Observation(
        append_options(question, options), shown=doubtful, outcome="asked", options=options, spans=last.spans
    )
    return episode.append(Step(decision, replace(asked, reasons=last.reasons)))


def build_doubt_options(ids: Sequence[int]) -> tuple[str, ...]:
    """Return the replies that are offered; `read_reply` takes many more.

    >>> build_doubt_options([4]), build_doubt_options([4, 5])
    (('keep 4', 'drop 4'), ('keep all', 'keep 4', 'keep 5', 'drop all'))
    """
    if len(ids) == 1:
        return f"keep {ids[0]}", f"drop {ids[0]}"
    return ("keep all", *(f"keep {id}" for id in ids[: MAX_OPTIONS - 2]), "drop all")
