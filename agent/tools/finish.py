"""The tools that end an episode: with an answer, with nothing found, or with a question to the user."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from agent.core.episode import Episode, Observation
from agent.core.errors import ToolError
from agent.core.outcome import Outcome
from agent.core.text.english import format_mask_count
from agent.core.tools.examiner import Examiner
from agent.tools.base import FreeText, Ids, NonEmptyText, Phrases, Tool
from agent.tools.ids import validate_ids
from agent.tools.reasons import Reason, parse_reasons
from sam3_tool import Sam3

MAX_OPTIONS = 6
"""Of a question; more are no choice."""


class Answer(Tool):
    """Finish: these masks are the answer."""

    name: ClassVar[str] = "answer"
    aliases: ClassVar = (
        *("final_answer", "select_masks", "select_masks_and_return", "select", "select_and_return"),
        *("return_masks", "submit", "finish"),
    )
    field_aliases: ClassVar = {
        **dict.fromkeys(("masks", "mask_ids", "final_answer_masks", "numbers"), "ids"),
        **dict.fromkeys(("reason", "explanation", "explanations"), "reasons"),
    }

    ids: Ids = Field(min_length=1, description="Numbers of all masks of the answer.")
    message: FreeText = Field(default="", description="The answer in words, for the user.")
    reasons: list[Reason] = Field(default=[], description="For each mask, in a few words, why it belongs here.")

    @field_validator("reasons", mode="before")
    @classmethod
    def _accept_reason_forms(cls, value: Any, info: ValidationInfo) -> Any:
        return parse_reasons(value, info.data.get("ids", ()))

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        ids = validate_ids(self.ids, episode.workspace)
        message = self.message.strip() or f"{format_mask_count(len(ids))}."
        reasons = tuple((reason.id, reason.reason) for reason in self.reasons if reason.id in episode.workspace)
        return replace(
            build_final_observation(episode, sam3, ids=ids, outcome="answered", message=message), reasons=reasons
        )


class ReportNoMask(Tool):
    """Finish: nothing in the picture matches the query."""

    name: ClassVar[str] = "report_no_mask"
    aliases: ClassVar = ("report_no_masks", "no_mask", "no_masks", "no_match")
    nothing: ClassVar[str] = "Nothing in the picture matches."
    field_aliases: ClassVar = {"message": "reason", "explanation": "reason"}

    reason: FreeText = Field(default="", description="Why, for the user.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        message = self.reason.strip() or self.nothing
        return build_final_observation(episode, sam3, ids=(), outcome="no_match", message=message)


class AskUser(Tool):
    """Finish with a question: the query can be read in several ways that fit the picture equally well."""

    name: ClassVar[str] = "ask_user"
    aliases: ClassVar = ("ask", "ask_question", "ask_for_clarification", "clarify")
    field_aliases: ClassVar = {
        **dict.fromkeys(("message", "text"), "question"),
        **dict.fromkeys(("choices", "readings", "answers"), "options"),
    }

    question: NonEmptyText = Field(description="In the user's language.")
    options: Phrases = Field(
        min_length=2, max_length=MAX_OPTIONS, description="The readings, each as the user could have put it."
    )

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        options = tuple(dict.fromkeys(self.options))
        if len(options) == 1:
            raise ToolError(f"All options are {options[0]!r}; give different ones, or answer.")
        message = append_options(self.question, options)
        asked = build_final_observation(episode, sam3, ids=episode.best_ids, outcome="asked", message=message)
        return replace(asked, options=options)


def append_options(question: str, options: Sequence[str]) -> str:
    """Add numbered options to a question.

    >>> append_options("Which cup?", ["the red one", "the blue one"])
    'Which cup? (1) the red one; (2) the blue one.'
    """
    return f"{question} {'; '.join(f'({place}) {option}' for place, option in enumerate(options, start=1))}."


def build_final_observation(
    episode: Episode, sam3: Sam3, *, ids: tuple[int, ...], outcome: Outcome, message: str
) -> Observation:
    """`message`, and after it what SAM 3's weights cannot be expected to know of what was asked for."""
    return Observation(f"{message} {build_vocabulary_warning(episode, sam3)}".strip(), shown=ids, outcome=outcome)


def build_vocabulary_warning(episode: Episode, sam3: Sam3) -> str:
    """SAM 3's own sentence about the phrases that found nothing or that it does not know; "" when there is none."""
    if not episode.searches:
        return ""
    always = sam3.vocabulary_warning("")  # what is true of any phrase is worth saying only where nothing was found
    doubtful = [
        search.phrase
        for search in episode.searches
        if not search.ids or sam3.vocabulary_warning(search.phrase) != always
    ]
    return sam3.vocabulary_warning(", ".join(doubtful)) if doubtful else ""
