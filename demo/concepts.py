"""Concepts on the page: examples of another image, from the operator or in a file that a visitor drops."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.conversation.conversation import Conversation
from agent.core.episode import Episode
from agent.core.errors import ConversationError
from agent.planners.scripted import ScriptEntry
from agent.tools import Tool
from agent.tools.toolsets import Combine, Segment
from sam3_tool import Concept, Sam3
from sam3_tool.errors import CheckpointError, ConceptError, RecordError
from sam3_tool.phrases import normalize_phrase

SUFFIXES = (".concept", ".safetensors")
"""Of the files that are read as concepts."""
MAX_CONCEPTS = 20
"""Concepts that a visitor may drop."""
MAX_PHRASE_LENGTH = 80
"""Characters of the phrase that a concept stands for."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EquippedSam3:
    """A SAM 3 with the concepts that its weights can look for."""

    sam3: Sam3
    notes: Mapping[str, str]
    """A sentence for a visitor on each concept that it cannot look for, by phrase."""


def equip_sam3(sam3: Sam3, concepts: Mapping[str, Concept]) -> EquippedSam3:
    """Give a SAM 3 those concepts that its weights made.

    Args:
        sam3: The segmenter.
        concepts: By the phrase that each stands for.
    """
    notes = {phrase: note for phrase, concept in concepts.items() if (note := _find_fault(sam3, phrase, concept))}
    usable = {phrase: concept for phrase, concept in concepts.items() if phrase not in notes}
    return EquippedSam3(sam3.with_concepts(usable) if usable else sam3, notes)


def _find_fault(sam3: Sam3, phrase: str, concept: Concept) -> str:
    """Why a SAM 3 cannot look for a concept, for a visitor; '' where it can."""
    try:
        view = sam3.with_concepts({phrase: concept})
        if view.fingerprint:
            concept.check_weights(view.fingerprint, view.name)
    except CheckpointError as error:
        log.warning("the concept %r is of no use: %s", phrase, error)
        return f"The chosen model cannot look for examples of another image, so {phrase} is looked for by its words."
    except ConceptError as error:
        log.warning("the concept %r is of no use: %s", phrase, error)
        return (
            f"The examples of {phrase} were read by another model than the chosen one, so {phrase} is looked for by"
            " its words."
        )
    return ""


def is_concept_file(path: Path) -> bool:
    """Tell whether a file is named as those of concepts are.

    Example:
        >>> is_concept_file(Path("cup.concept"))
        True
    """
    return path.suffix.lower() in SUFFIXES


def read_concept_file(path: Path, name: str) -> tuple[str, Concept]:
    """Read a file that a visitor dropped.

    Args:
        path: Where it lies.
        name: What the visitor calls it.

    Returns:
        The phrase that it stands for, and the concept.

    Raises:
        RecordError: It is no concept. The message is a sentence for the visitor.
    """
    try:
        concept = Concept.load(path)
    except ConceptError as error:
        log.warning("a dropped concept is refused: %s", error)
        raise RecordError(f"{Path(name).name} is no concept that this page reads, or it is damaged") from error
    phrase = concept.phrase or Path(name).stem.replace("_", " ").replace("-", " ")
    return normalize_phrase(phrase)[:MAX_PHRASE_LENGTH] or "example", concept


def add_everything_like(conversation: Conversation, phrase: str, sam3: Sam3) -> Conversation:
    """Add everything that looks like the examples of a concept, as a turn by hand.

    Args:
        conversation: About the image in which it is looked for.
        phrase: That the concept stands for.
        sam3: Has the concept.

    Returns:
        The conversation with the turn.

    Raises:
        ConversationError: Nothing looks like the examples.
    """
    calls: list[ScriptEntry] = [Segment(phrases=[phrase]), partial(_union_with_answer, phrase)]
    return conversation.edit(calls, sam3, f"add everything like {phrase}", label=phrase)


def _union_with_answer(phrase: str, episode: Episode) -> Tool:
    if not episode.current_ids:
        raise ConversationError(f"nothing here looks like the examples of {phrase}, so the answer stays as it was")
    return Combine(op="union", a=[*episode.task.context.selected], b=[*episode.current_ids])
