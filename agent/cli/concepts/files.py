"""The files of concepts that stand for phrases on the command line."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.core.errors import UsageError
from sam3_tool.errors import PathError
from sam3_tool.phrases import normalize_phrase
from sam3_tool.system.paths import expand_path

if TYPE_CHECKING:
    from agent.core.episode import Episode
    from sam3_tool import Concept, Sam3


def load_concepts(words: Sequence[str]) -> "dict[str, Concept]":
    """Load the concepts of `--concept`, each "FILE" or "PHRASE=FILE", by the phrase that they stand for.

    Raises UsageError for words that name no file or the same phrase twice, and ConceptError for a file that is none.
    """
    if not words:
        return {}
    from sam3_tool import Concept

    concepts: dict[str, Concept] = {}
    for word in words:
        phrase, file = _split_word(word)
        concept = Concept.load(file)
        name = normalize_phrase(phrase or concept.phrase or file.stem.replace("_", " ").replace("-", " "))
        if name in concepts:
            raise UsageError(f"--concept: two files stand for {name!r}; give one another phrase, as in PHRASE=FILE")
        concepts[name] = concept
    return concepts


def _split_word(word: str) -> tuple[str, Path]:
    try:
        phrase, equals, rest = word.partition("=")
        if not equals or expand_path(word).exists():
            return "", expand_path(word)
        if not phrase.strip():
            raise UsageError(f"--concept: no phrase stands before the = in {word!r}; expected PHRASE=FILE, or FILE")
        return phrase, expand_path(rest)
    except PathError as error:
        raise UsageError(f"--concept: {error}") from error


def apply_concepts(sam3: "Sam3", concepts: "Mapping[str, Concept]") -> "Sam3":
    """Return the segmenter with these concepts.

    Raises ConceptError for one of other weights, and CheckpointError where the backend knows no concepts.
    """
    if not concepts:
        return sam3
    view = sam3.with_concepts(concepts)
    for concept in concepts.values():
        if view.fingerprint:  # a recording has none, and holds what was asked of the weights that it is of
            concept.check_weights(view.fingerprint, view.name)
    return view


def check_replayed_concepts(made_with: Mapping[str, str], given: "Mapping[str, Concept]") -> None:
    """Raise UsageError unless what an episode was made with is given again for its replay."""
    for name, key in made_with.items():
        if name not in given:
            raise UsageError(f"it was made with a concept for {name!r}; give its file again: --concept '{name}=FILE'")
        if given[name].key != key:
            raise UsageError(f"it was made with another concept for {name!r}; give the file that it was made with")


def describe_unused_concepts(concepts: Iterable[str], episode: "Episode") -> list[str]:
    """Say which concepts nobody asked for, and what was asked for in their place."""
    asked = list(dict.fromkeys(search.phrase for search in episode.workspace.searches if search.phrase))
    known = {normalize_phrase(phrase) for phrase in asked}
    instead = f"SAM 3 was asked for {', '.join(map(repr, asked)) or 'nothing'}"
    return [
        f"nobody asked for {name!r}, so its concept was of no use; {instead}: use the phrase {name!r} in the query"
        for name in concepts
        if name not in known
    ]
