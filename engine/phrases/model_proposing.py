"""What a language model says of images: phrases for what is in them, look-alikes, and phrases without an outline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

import prompts
from agent.core.tools.tool import Tool
from agent.models.base import ChatModel, Message, Messages
from agent.planners.chat.messages import truncate_text
from agent.tools.base import FreeText, Phrases, SmallInt
from engine.chat_models.questions import ModelAnswer, ask_questions
from engine.verifiers.language_model.views import SIDE, reduce_view
from sam3_tool.image import Image

MAX_PHRASES = 20
"""Of an image, in one answer."""
MAX_LOOK_ALIKES = 10
"""Of a phrase, in one answer."""
_PROPOSING, _NEGATIVES, _SORTING = "propose_phrases", "propose_negatives", "groundable"
_QUESTIONS = {_PROPOSING: "propose_question", _NEGATIVES: "negatives_question", _SORTING: "groundable_question"}
"""Text of the instructions -> text of the question, in `prompts/engine`."""


def _keep_texts(value: object) -> object:
    """Return the texts of a list, each once; anything but a list as it is, to be refused."""
    if not isinstance(value, list):
        return value
    named = [entry.get("phrase", entry.get("name")) if isinstance(entry, dict) else entry for entry in value]
    texts = [name.strip() for name in named if isinstance(name, str)]
    return list(dict.fromkeys(text for text in texts if 0 < len(text) <= 200))[:MAX_PHRASES]


KeptPhrases = Annotated[Phrases, BeforeValidator(_keep_texts)]


class ProposePhrases(Tool):
    """Describe the picture, and name what can be outlined in it."""

    name: ClassVar[str] = "propose_phrases"
    aliases: ClassVar = ("propose", "phrases", "answer")
    field_aliases: ClassVar = {
        **dict.fromkeys(("noun_phrases", "names", "objects", "items"), "phrases"),
        **dict.fromkeys(("description", "text"), "caption"),
    }
    ignores_unknown_arguments: ClassVar = True

    caption: FreeText = Field(default="", description="The picture in two or three sentences.")
    phrases: KeptPhrases = Field(max_length=MAX_PHRASES, description="Short English noun phrases in the singular.")


class ProposeLookAlikes(Tool):
    """Name what might be taken for the phrase and is something else."""

    name: ClassVar[str] = "propose_look_alikes"
    aliases: ClassVar = ("look_alikes", "propose", "answer")
    field_aliases: ClassVar = dict.fromkeys(("look_alikes", "names", "objects", "negatives"), "phrases")
    ignores_unknown_arguments: ClassVar = True

    phrases: KeptPhrases = Field(max_length=MAX_PHRASES, description="Short English noun phrases in the singular.")


class SortPhrases(Tool):
    """Give the numbers of the phrases that cannot be outlined."""

    name: ClassVar[str] = "sort_phrases"
    aliases: ClassVar = ("sort", "answer")
    field_aliases: ClassVar = dict.fromkeys(("ids", "vague", "not_groundable"), "numbers")
    ignores_unknown_arguments: ClassVar = True

    numbers: list[SmallInt] = Field(default=[], max_length=100, description="Of phrases that cannot be outlined.")


@dataclass(frozen=True)
class PhraseAnswer:
    """What a model said of one image.

    >>> PhraseAnswer(("red cup",), "A red cup.").problem
    ''
    """

    phrases: tuple[str, ...] = ()
    """As it wrote them: not cleaned yet."""
    caption: str = ""
    problem: str = ""
    """Why there is no answer; "" where there is one, even without a phrase."""
    is_error: bool = False
    """Whether the server failed, and not the model's answer."""


def ask_for_phrases(model: ChatModel, images: Sequence[Image], *, side: int = SIDE) -> list[PhraseAnswer]:
    """Ask which things can be outlined in images, one question for each.

    Args:
        model: It must see images.
        images: Any number; the questions are asked side by side.
        side: Pixels of the long side of what it is shown.

    Returns:
        One answer per image, in order. Nothing that a server does is raised.

    >>> import numpy as np
    >>> from agent import ScriptedModel
    >>> from agent.models.base import Call
    >>> model = ScriptedModel([], answers={"propose_phrases": [Call("propose_phrases", '{"phrases": ["red cup"]}')]})
    >>> ask_for_phrases(model, [Image(np.zeros((4, 6, 3), np.uint8))])[0].phrases
    ('red cup',)
    """
    views = [reduce_view(image.pixels, side) for image in images]
    asked = [_build_question(_PROPOSING, (view,), count=MAX_PHRASES) for view in views]
    return [
        _to_phrases(answer, answer.call.caption if answer.call else "")
        for answer in ask_questions(model, asked, ProposePhrases)
    ]


def ask_for_look_alikes(
    model: ChatModel, image: Image, phrases: Sequence[str], *, side: int = SIDE
) -> dict[str, PhraseAnswer]:
    """Ask what might be taken for what phrases name in an image, one question for each phrase.

    Args:
        model: It must see images.
        image: What the phrases are in.
        phrases: Positive ones.
        side: Pixels of the long side of what it is shown.

    Returns:
        Phrase -> look-alikes, as the model wrote them.
    """
    view = reduce_view(image.pixels, side)
    asked = [
        _build_question(_NEGATIVES, (view,), phrase=truncate_text(phrase), count=MAX_LOOK_ALIKES) for phrase in phrases
    ]
    answers = ask_questions(model, asked, ProposeLookAlikes)
    return {phrase: _to_phrases(answer) for phrase, answer in zip(phrases, answers, strict=True)}


def ask_for_vague_phrases(model: ChatModel, phrases: Sequence[str]) -> frozenset[str]:
    """Ask which phrases have no outline. A model that gives no answer finds none.

    Args:
        model: Any chat model.
        phrases: At most 100.

    >>> from agent import ScriptedModel
    >>> from agent.models.base import Call
    >>> model = ScriptedModel([], answers={"sort_phrases": [Call("sort_phrases", '{"numbers": [2, 7]}')]})
    >>> ask_for_vague_phrases(model, ["red cup", "cosy evening"])
    frozenset({'cosy evening'})
    """
    if not phrases:
        return frozenset()
    numbered = "\n".join(f"{number}. {truncate_text(phrase)}" for number, phrase in enumerate(phrases, start=1))
    [answer] = ask_questions(model, [_build_question(_SORTING, (), phrases=numbered)], SortPhrases)
    chosen = answer.call.numbers if answer.call else []
    return frozenset(phrases[number - 1] for number in chosen if 1 <= number <= len(phrases))


@cache
def hash_proposing_texts() -> str:
    """Return 12 hexadecimal digits of every text that a model reads when it proposes phrases."""
    names = [name for pair in _QUESTIONS.items() for name in pair]
    return sha256("\0".join(prompts.load_prompt(f"engine/{name}") for name in names).encode()).hexdigest()[:12]


def _build_question(kind: str, images: tuple[Image, ...], **values: object) -> Messages:
    asked = prompts.fill_prompt(f"engine/{_QUESTIONS[kind]}", **values)
    return [Message("system", (prompts.load_prompt(f"engine/{kind}"),)), Message("user", (*images, asked))]


def _to_phrases(
    answer: ModelAnswer[ProposePhrases] | ModelAnswer[ProposeLookAlikes], caption: str = ""
) -> PhraseAnswer:
    if answer.call is None:
        return PhraseAnswer(problem=answer.problem, is_error=bool(answer.reply.error))
    return PhraseAnswer(tuple(answer.call.phrases), caption.strip())
