"""What an answer covers: what was looked for and found, what is in doubt, and what was not looked at."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agent.core.episode import Episode
from agent.core.outcome import EARLY_STOP_OUTCOMES
from agent.core.text.english import format_ids, format_mask_count
from agent.core.timeline import format_span
from agent.core.workspace import SearchRecord
from agent.doubt.policy import UNSURE_BELOW, find_doubtful, read_doubt
from agent.records.base import Text

MAX_LISTED = 8
"""Doubtful masks that a line of text names."""


class SearchedPhrase(BaseModel):
    """A phrase that SAM 3 was asked for."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    phrase: Text
    """Empty where examples were given alone."""
    presence: float
    """In [0, 1]: how sure SAM 3 is that it is in the image at all."""
    found: list[int]
    """Ids of the masks that it found."""
    region: tuple[float, float, float, float] | None = Field(default=None, exclude_if=lambda region: region is None)
    """x0, y0, x1, y1 in pixels, where only a part of the image was searched; absent for all of it."""


class DoubtfulMask(BaseModel):
    """A mask that may be wrong, and why that is said."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: int
    phrase: Text
    probability: float | None
    """In [0, 1]: that it is right; null where SAM 3 is not calibrated for it."""
    is_in_answer: bool
    reason: Text


class Coverage(BaseModel):
    """What was looked for, what is in doubt, and what was not looked at."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    searched: list[SearchedPhrase]
    """In the order in which SAM 3 was asked."""
    answered: list[int]
    """Ids of the masks of the answer that nobody doubts."""
    in_doubt: list[DoubtfulMask]
    """Of the planner's answer: those left out, asked about, more likely wrong than right, or rejected at a look."""
    uncalibrated: list[int]
    """Ids of masks of the answer whose probability nobody knows."""
    not_looked_at: list[Text]
    """One sentence for each part of the query or of the image that the answer passes over, as far as is known."""

    @classmethod
    def from_episode(cls, episode: Episode) -> "Coverage":
        """Collect what a finished episode covers.

        Args:
            episode: Its answer, its searches and its plan are read.

        Returns:
            The coverage.
        """
        doubtful = [*_list_doubtful(episode)]
        answer = episode.workspace.pick(read_doubt(episode).certain)
        named = {mask.id for mask in doubtful}
        return cls(
            searched=[_describe_search(search) for search in episode.searches],
            answered=[candidate.id for candidate in answer if candidate.id not in named],
            in_doubt=doubtful,
            uncalibrated=[candidate.id for candidate in answer if candidate.probability is None],
            not_looked_at=[*_list_passed_over(episode)],
        )

    @property
    def lines(self) -> list[str]:
        """What of it a person must know, as short lines: nothing where all was found without doubt."""
        lines = [f"not looked at: {sentence}" for sentence in self.not_looked_at]
        if self.in_doubt:
            named = "; ".join(_name_doubtful(mask) for mask in self.in_doubt[:MAX_LISTED])
            more = f"; and {len(self.in_doubt) - MAX_LISTED} more" if len(self.in_doubt) > MAX_LISTED else ""
            lines.insert(0, f"in doubt: {named}{more}")
        return lines

    @property
    def summary(self) -> str:
        """All of it on one line."""
        searched = ", ".join(f"'{search.phrase}' {len(search.found)}" for search in self.searched) or "nothing"
        parts = [
            f"looked for: {searched}",
            f"answer: {format_mask_count(len(self.answered))} without doubt",
            f"in doubt: {format_ids(mask.id for mask in self.in_doubt)}",
            *([f"not calibrated: {format_ids(self.uncalibrated)}"] if self.uncalibrated else []),
            f"not looked at: {' '.join(self.not_looked_at) or 'nothing that is known'}",
        ]
        return "; ".join(parts)


EMPTY_COVERAGE = Coverage(searched=[], answered=[], in_doubt=[], uncalibrated=[], not_looked_at=[])
"""Of an answer that was saved before there was any."""


def _name_doubtful(mask: DoubtfulMask) -> str:
    likely = "" if mask.probability is None else f", {mask.probability:.3g}"
    return f"{mask.id} ({mask.phrase or 'by example'}{likely}), {mask.reason}"


def _describe_search(search: SearchRecord) -> SearchedPhrase:
    return SearchedPhrase(
        phrase=search.phrase, presence=search.presence, found=[*search.ids], region=_read_region(search.how)
    )


def _read_region(how: str) -> tuple[float, float, float, float] | None:
    """Read the part of the image that was searched from the arguments of a search."""
    try:
        match json.loads(how or "{}"):
            case {"region": [x0, y0, x1, y1]}:
                return float(x0), float(y0), float(x1), float(y1)
    except (ValueError, TypeError, RecursionError):
        pass  # a tool of another package says it in its own way
    return None


def _list_doubtful(episode: Episode) -> Iterator[DoubtfulMask]:
    """Yield the masks of the planner's answer that may be wrong: each once, those left out first."""
    doubt, workspace = read_doubt(episode), episode.workspace
    rejected = {
        verdict.id: verdict for step in episode.steps for verdict in step.observation.verdicts if not verdict.accept
    }
    unsure = find_doubtful(workspace.pick(doubt.certain), UNSURE_BELOW)
    why = {id: "rejected when it was looked at" for id in doubt.certain if id in rejected}
    why |= dict.fromkeys(unsure, "more likely wrong than right, and kept")
    why |= dict.fromkeys(doubt.asked, "asked about") | dict.fromkeys(doubt.left_out, "left out")
    for id in (*doubt.left_out, *doubt.asked, *doubt.certain):
        if id in why:
            candidate = workspace[id]
            yield DoubtfulMask(
                id=id,
                phrase=candidate.phrase,
                probability=candidate.probability,
                is_in_answer=id in doubt.certain,
                reason=why[id],
            )


def _list_passed_over(episode: Episode) -> Iterator[str]:
    """Yield a sentence for each part of the query, the image or the video that the answer passes over."""
    if unread := find_unread_words(episode):
        yield f"The words {', '.join(map(repr, unread))} of the query were not understood."
    if missing := _list_unsearched_phrases(episode):
        yield f"SAM 3 was not asked for {', '.join(map(repr, missing))}."
    regions = [_read_region(search.how) for search in episode.searches]
    if regions and None not in regions:
        yield "Only parts of the image were searched, not all of it."
    timeline = episode.task.timeline
    if timeline is not None and (timeline.start, timeline.stop) != (0, len(timeline.times)):
        part = format_span(timeline.times[timeline.start], timeline.end)
        yield f"Of the video, only {part} was looked at."
    if episode.outcome in EARLY_STOP_OUTCOMES:
        yield "The agent stopped before it came to an answer."


def find_unread_words(episode: Episode) -> list[str]:
    """Return the words of the query that the grammar made nothing of; [] for other planners, who do not say.

    Args:
        episode: Its first decision carries the grammar's plan.
    """
    saved = episode.plan
    if saved is None or saved.get("complete", True):
        return []
    from agent.planners.grammar.coverage import find_unused_words  # loads the parser of queries
    from agent.planners.grammar.dialogue.saved_plans import interpretation_from_json
    from agent.planners.grammar.parsing.lexer import tokenize, tokenize_beginning
    from agent.planners.grammar.parsing.syntax import QuerySyntaxError
    from agent.planners.grammar.text.inscriptions import mark_inscriptions

    try:
        plan = interpretation_from_json(saved, turn=len(episode.task.context.turns)).plan
    except ValueError:
        return []  # another planner's, or of another version
    if plan is None:
        return []
    query = mark_inscriptions(episode.task.query)
    try:
        tokens = tokenize(query)
    except QuerySyntaxError:
        tokens = tokenize_beginning(query)
    return find_unused_words(tokens, plan)


def _list_unsearched_phrases(episode: Episode) -> list[str]:
    """Return the phrases of the grammar's plan that were never searched for, in this episode or before it."""
    asked = {search.phrase for search in episode.workspace.searches}
    wanted = dict.fromkeys(_walk_phrases((episode.plan or {}).get("plan")))
    return [phrase for phrase in wanted if phrase not in asked] if episode.outcome != "asked" else []


def _walk_phrases(held: Any) -> Iterator[str]:
    """Yield the phrases of a saved plan, wherever they stand in it."""
    if isinstance(held, dict):
        if held.get("op") == "phrase" and isinstance(held.get("text"), str):
            yield held["text"]
        for value in held.values():
            yield from _walk_phrases(value)
    elif isinstance(held, list):
        for value in held:
            yield from _walk_phrases(value)
