"""What SAM 3 is asked about a scene while it learns: phrases that hold, phrases that do not, exemplar boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from sam3_tool.synthetic.nouns import (
    COLOUR_SYNONYMS,
    COLOURS,
    HYPERNYMS,
    NOUNS,
    PATTERN_WORDS,
    PATTERNS,
    SHAPES,
    SIZE_WORDS,
    STRANGERS,
    SYNONYMS,
    THING_COLOURS,
    pluralize_noun,
)
from sam3_tool.synthetic.scenes import Scene, SceneObject

VISUAL_PHRASE = "visual"
"""The phrase that stands for 'what the boxes show' (as in SAM 3)."""

Kind = Literal["positive", "negative", "visual", "text_minus_box", "text_plus_box"]


@dataclass(frozen=True)
class Concept:
    """A description; None says nothing about that property."""

    noun: str
    """A noun of the vocabulary, a hypernym, or a stranger."""
    colour: str | None = None
    pattern: str | None = None
    size: str | None = None

    @cached_property
    def nouns(self) -> frozenset[str]:
        """The nouns it covers; empty for a stranger."""
        return HYPERNYMS.get(self.noun, frozenset({self.noun}))

    def is_true_of(self, thing: SceneObject) -> bool:
        return (
            thing.noun in self.nouns
            and self.colour in (None, thing.colour)
            and self.pattern in (None, thing.pattern)
            and self.size in (None, thing.size)
        )

    def find_matches(self, objects: Sequence[SceneObject]) -> tuple[int, ...]:
        """The indices of the objects it describes."""
        return tuple(index for index, thing in enumerate(objects) if self.is_true_of(thing))


@dataclass(frozen=True)
class TrainingPrompt:
    """One question about a scene, with its answer."""

    kind: Kind
    phrase: str
    targets: tuple[int, ...]
    """Indices of the objects to be found; empty when the concept is absent."""
    exemplars: tuple[int, ...] = ()
    """Indices of the boxed objects."""
    labels: tuple[int, ...] = ()
    """1 = positive, 0 = negative, one per exemplar."""


def ask_about_scene(scene: Scene, kind: Kind, rng: np.random.Generator) -> TrainingPrompt:
    """A prompt of this kind about a scene; about an empty scene any phrase is a negative."""
    if not scene.objects:
        return _ask_negative(scene, rng)
    match kind:
        case "positive":
            concept = describe_object(pick_object(scene.objects, rng), rng)
            return TrainingPrompt(kind, phrase_concept(concept, rng), concept.find_matches(scene.objects))
        case "negative":
            return _ask_negative(scene, rng)
        case "visual":
            return _ask_by_exemplars(scene, rng)
        case "text_minus_box":
            return _ask_minus_box(scene, rng)
        case "text_plus_box":
            return _ask_plus_box(scene, rng)


def pick_object(objects: Sequence[SceneObject], rng: np.random.Generator) -> SceneObject:
    return objects[int(rng.integers(len(objects)))]


def describe_object(thing: SceneObject, rng: np.random.Generator) -> Concept:
    """A concept that holds for this object, as general or as exact as chance has it."""
    wider = [hypernym for hypernym, nouns in HYPERNYMS.items() if thing.noun in nouns]
    noun = thing.noun if rng.random() < 0.82 else str(rng.choice(wider))
    is_shape = thing.noun in SHAPES and noun not in ("object", "thing")
    colour_share = (0.5 if noun == thing.noun else 0.75) if is_shape else 0.25 * (noun == thing.noun)
    pattern_share = 0.0 if not is_shape else 0.05 if thing.pattern == "plain" else 0.25
    return Concept(
        noun,
        thing.colour if rng.random() < colour_share else None,
        thing.pattern if rng.random() < pattern_share else None,
        thing.size if thing.size != "medium" and rng.random() < 0.22 else None,
    )


def phrase_concept(concept: Concept, rng: np.random.Generator) -> str:
    """The concept in words: an article or none, singular or plural, a synonym now and then."""
    many = rng.random() < 0.25
    synonyms = SYNONYMS.get(concept.noun, ())
    noun = str(rng.choice(synonyms)) if synonyms and rng.random() < 0.2 else concept.noun
    adjectives = [
        COLOUR_SYNONYMS[concept.colour]
        if concept.colour in COLOUR_SYNONYMS and rng.random() < 0.25
        else concept.colour,
        str(rng.choice(PATTERN_WORDS[concept.pattern])) if concept.pattern else None,
    ]
    if rng.random() < 0.4:
        adjectives.reverse()
    size = str(rng.choice(SIZE_WORDS[concept.size])) if concept.size else None
    articles = ["the", "all", "all the"] if many else ["the", "a", "every"]
    words = [
        str(rng.choice(articles)) if rng.random() < 0.25 else None,
        size,
        *adjectives,
        pluralize_noun(noun) if many else noun,
    ]
    return " ".join(filter(None, words))


def _ask_negative(scene: Scene, rng: np.random.Generator) -> TrainingPrompt:
    """A phrase that nothing here fits, mostly a near miss: right but for one property."""
    for _ in range(30):
        concept = _describe_near_miss(scene, rng) if scene.objects and rng.random() < 0.6 else _draw_any_concept(rng)
        if not concept.find_matches(scene.objects):
            return TrainingPrompt("negative", phrase_concept(concept, rng), ())
    return TrainingPrompt("negative", phrase_concept(Concept(str(rng.choice(STRANGERS))), rng), ())


def _describe_near_miss(scene: Scene, rng: np.random.Generator) -> Concept:
    concept = describe_object(pick_object(scene.objects, rng), rng)
    mentioned = [name for name in ("colour", "pattern", "size") if getattr(concept, name)]
    match str(rng.choice(["noun", *mentioned, *mentioned])):
        case "colour":
            near = [o.colour for o in scene.objects if o.colour] if rng.random() < 0.5 else list(COLOURS)
            return replace(concept, colour=str(rng.choice(near)))
        case "pattern":
            return replace(concept, pattern=str(rng.choice(PATTERNS)))
        case "size":
            return replace(concept, size="small" if concept.size == "large" else "large")
    near = [o.noun for o in scene.objects] if rng.random() < 0.5 else list(SHAPES if concept.pattern else NOUNS)
    return replace(concept, noun=str(rng.choice(near)))


def _draw_any_concept(rng: np.random.Generator) -> Concept:
    if rng.random() < 0.3:
        return Concept(str(rng.choice(STRANGERS)), str(rng.choice(list(COLOURS))) if rng.random() < 0.3 else None)
    noun = str(rng.choice([*NOUNS, *SHAPES, *HYPERNYMS]))
    colours = list(COLOURS) if noun in SHAPES else [THING_COLOURS[noun]] if noun in THING_COLOURS else []
    return Concept(noun, str(rng.choice(colours)) if colours and rng.random() < 0.4 else None)


def _ask_by_exemplars(scene: Scene, rng: np.random.Generator) -> TrainingPrompt:
    """One to three positive boxes, at times a negative one: find everything of that kind."""
    kind = pick_object(scene.objects, rng).kind
    same = [index for index, thing in enumerate(scene.objects) if thing.kind == kind]
    others = [index for index in range(len(scene.objects)) if index not in same]
    count = min(len(same), int(rng.choice([1, 2, 3], p=[0.75, 0.18, 0.07])))
    shown = tuple(int(i) for i in rng.choice(same, count, replace=False))
    against = (int(rng.choice(others)),) if others and rng.random() < 0.3 else ()
    return TrainingPrompt(
        "visual", VISUAL_PHRASE, tuple(same), shown + against, (1,) * len(shown) + (0,) * len(against)
    )


def _ask_minus_box(scene: Scene, rng: np.random.Generator) -> TrainingPrompt:
    """A phrase, less every object of the boxed one's kind."""
    for _ in range(12):
        thing = pick_object(scene.objects, rng)
        concept = describe_object(thing, rng) if rng.random() < 0.4 else Concept(_choose_wider_noun(thing, rng))
        found = concept.find_matches(scene.objects)
        boxed = int(rng.choice(found))
        left = tuple(i for i in found if scene.objects[i].kind != scene.objects[boxed].kind)
        if left or rng.random() < 0.06:
            return TrainingPrompt("text_minus_box", phrase_concept(concept, rng), left, (boxed,), (0,))
    return _ask_plus_box(scene, rng)


def _choose_wider_noun(thing: SceneObject, rng: np.random.Generator) -> str:
    return str(rng.choice([noun for noun, covered in HYPERNYMS.items() if thing.noun in covered] + [thing.noun]))


def _ask_plus_box(scene: Scene, rng: np.random.Generator) -> TrainingPrompt:
    """A phrase, and every object of the boxed one's kind besides."""
    concept = describe_object(pick_object(scene.objects, rng), rng)
    boxed = int(rng.integers(len(scene.objects)))
    same = {index for index, thing in enumerate(scene.objects) if thing.kind == scene.objects[boxed].kind}
    targets = tuple(sorted(same | set(concept.find_matches(scene.objects))))
    return TrainingPrompt("text_plus_box", phrase_concept(concept, rng), targets, (boxed,), (1,))
