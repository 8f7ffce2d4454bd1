"""Complex queries about generated scenes, with known answers, in ten kinds.

An example: scene 2**40 + 1_000_009, kind 'relation', "the triangles left of the black pentagon", targets (8,).

Answers follow from the objects' centres, areas and outlines alone; a query is only asked where they leave no doubt.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import cv2
import numpy as np

from evals.datasets.synthetic.measures import MeasuredScene
from sam3_tool import ConceptPrompt, Image, Instances, VisualPrompt
from sam3_tool.backends.scripted import ScriptedEmbedding, rank_by_agreement
from sam3_tool.synthetic.nouns import COLOURS, HYPERNYMS, NOUNS, PATTERNS, SHAPES, STRANGERS, pluralize_noun
from sam3_tool.synthetic.phrases import Concept
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

__all__ = ["HELD_OUT", "KINDS", "SceneQuery", "TruthBackend", "generate_queries"]

SIZES = ((640, 480), (480, 640), (512, 512), (640, 360))
"""(width, height) of the scenes, in turn."""
CLEARLY_APART = 0.06
"""Share of the image's width or height by which centres must differ for left, right, above and below, and in rows."""
CLEARLY_LARGER = 1.2
"""Ratio of areas, and of distances, that leaves no doubt."""


@dataclass(frozen=True, eq=False)
class SceneQuery:
    scene: Scene
    kind: str
    """One of KINDS."""
    text: str
    targets: tuple[int, ...]
    """Indices of the objects meant; empty for 'no target'."""
    seed: int = 0
    """Seed of the scene: `draw_scene` draws it again."""

    @property
    def target(self) -> np.ndarray:
        """uint8, (H, W), 1 where a meant object is."""
        return np.isin(self.scene.ids, np.array(self.targets, int) + 1).astype(np.uint8)


def generate_queries(
    number: int, *, seed: int = 0, sizes: Sequence[tuple[int, int]] = SIZES, kinds: Sequence[str] | None = None
) -> Iterator[SceneQuery]:
    """`number` held-out queries, all `kinds` in turn (all there are, if left out), each about a scene of its own.

    Different seeds give different scenes, as long as one draws fewer than about 100,000 queries.
    """
    seeds = count(HELD_OUT + 1_000_000 * (seed + 1))
    asked = list(kinds or KINDS)
    for index in range(number):
        yield next(_generate_kind(asked[index % len(asked)], seeds, sizes))


def _generate_kind(kind: str, seeds: Iterator[int], sizes: Sequence[tuple[int, int]]) -> Iterator[SceneQuery]:
    for seed in seeds:
        view = _SceneView(draw_scene(seed, size=sizes[seed % len(sizes)]), np.random.default_rng(seed))
        asked = KINDS[kind](view) if len(view.scene.objects) >= 2 else None
        if asked is not None:
            yield SceneQuery(view.scene, kind, *asked, seed=seed)


AskedQuery = tuple[str, tuple[int, ...]] | None
"""The query and its targets, or None where this scene has no clear query of the kind."""


@dataclass(frozen=True, eq=False)
class _SceneView(MeasuredScene):
    """A scene, measured."""

    rng: np.random.Generator

    def measure_distances(self, index: int) -> np.ndarray:
        """float, (N,), pixels from each object to the nearest pixel of object `index`."""
        far = cv2.distanceTransform((self.scene.ids != index + 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.array([far[mask].min() for mask in self.scene.masks])

    def choose_concept(self, least: int, most: int = 99) -> Concept | None:
        """A noun, coloured noun or hypernym that describes `least` to `most` objects here."""
        fits = [c for c in self._list_concepts() if least <= len(self.find_matches(c)) <= most]
        return fits[self.rng.integers(len(fits))] if fits else None

    def _list_concepts(self) -> list[Concept]:
        plain = [Concept(o.noun) for o in self.scene.objects]
        coloured = [Concept(o.noun, o.colour) for o in self.scene.objects if o.noun in SHAPES]
        wider = [
            Concept(h) for h in ("animal", "vehicle", "fruit", "shape") if Concept(h).find_matches(self.scene.objects)
        ]
        return list(dict.fromkeys([*plain, *coloured, *wider]))

    def choose_two_concepts(self, least: int) -> tuple[Concept, Concept, int] | None:
        """Choose what is asked for, a landmark that is unique here and no part of it, and the landmark's index."""
        for _ in range(8):
            asked, landmark = self.choose_concept(least), self.choose_concept(1, 1)
            if asked and landmark and not set(self.find_matches(asked)) & set(self.find_matches(landmark)):
                return asked, landmark, self.find_matches(landmark)[0]
        return None


def format_concept(concept: Concept, *, many: bool = False) -> str:
    """'large red circles' for a concept."""
    noun = pluralize_noun(concept.noun) if many else concept.noun
    return " ".join(filter(None, [concept.size, concept.colour, concept.pattern, noun]))


def _ask_plain(view: _SceneView) -> AskedQuery:
    concept = view.choose_concept(1)
    if concept is None or concept.colour:
        return None
    opening = view.rng.choice(["", "the ", "all the ", "segment the ", "show me all the "])
    return f"{opening}{format_concept(concept, many=True)}", view.find_matches(concept)


def _ask_attribute(view: _SceneView) -> AskedQuery:
    thing = view.scene.objects[view.rng.integers(len(view.scene.objects))]
    said = view.rng.choice(["colour", "pattern", "size", "colour and pattern"])
    concept = Concept(
        thing.noun,
        colour=thing.colour if "colour" in said else None,
        pattern=thing.pattern if "pattern" in said and thing.pattern != "plain" else None,
        size=thing.size if said == "size" and thing.size != "medium" else None,
    )
    return (
        (f"the {format_concept(concept, many=True)}", view.find_matches(concept))
        if concept != Concept(thing.noun)
        else None
    )


_SIDES = {"left of": (0, -1), "to the right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Relation -> (axis, sign) in which the asked objects differ from the landmark."""


def _find_on_side(view: _SceneView, asked: Concept, relation: str, landmark: int) -> tuple[int, ...] | None:
    """Who stands on that side, or None where one of them is neither clearly there nor clearly not."""
    axis, sign = _SIDES[relation]
    found = view.find_matches(asked)
    lead = sign * (view.centres[list(found), axis] - view.centres[landmark, axis])
    clear = (np.abs(lead) > CLEARLY_APART).all() and (lead > 0).any()
    return tuple(np.array(found)[lead > 0].tolist()) if clear else None


def _ask_relation(view: _SceneView) -> AskedQuery:
    pair = view.choose_two_concepts(2)
    if pair is None:
        return None
    asked, landmark, index = pair
    if view.rng.random() < 0.3:
        return _ask_by_distance(view, asked, landmark, index)
    relation = str(view.rng.choice(list(_SIDES)))
    targets = _find_on_side(view, asked, relation, index)
    return (
        (f"the {format_concept(asked, many=True)} {relation} the {format_concept(landmark)}", targets)
        if targets
        else None
    )


def _ask_by_distance(view: _SceneView, asked: Concept, landmark: Concept, index: int) -> AskedQuery:
    nearest = bool(view.rng.random() < 0.6)
    found = np.array(view.find_matches(asked))
    distances = view.measure_distances(index)[found]
    order = np.argsort(distances if nearest else -distances)
    short, long = sorted(distances[order[:2]])
    if long < CLEARLY_LARGER * short + 4:
        return None
    words = view.rng.choice(["nearest to", "closest to"]) if nearest else "farthest from"
    return f"the {format_concept(asked)} {words} the {format_concept(landmark)}", (int(found[order[0]]),)


_ROWS = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}


def _ask_ordinal(view: _SceneView) -> AskedQuery:
    asked = view.choose_concept(3)
    if asked is None:
        return None
    found = np.array(view.find_matches(asked))
    start = int(view.rng.integers(1, min(4, len(found))))
    word = ("first", "second", "third", "fourth")[start]
    if view.rng.random() < 0.35:
        order = _sort_if_clear(-view.areas[found], relative=True)
        return None if order is None else (f"the {word} largest {format_concept(asked)}", (int(found[order[start]]),))
    side = str(view.rng.choice(list(_ROWS)))
    axis, sign = _ROWS[side]
    order = _sort_if_clear(sign * view.centres[found, axis], relative=False)
    return (
        None if order is None else (f"the {word} {format_concept(asked)} from the {side}", (int(found[order[start]]),))
    )


def _sort_if_clear(values: np.ndarray, *, relative: bool) -> np.ndarray | None:
    """Indices in ascending order of `values`, or None where two neighbours are too alike to tell."""
    order = np.argsort(values)
    ranked = values[order]
    ratios, gaps = np.abs(ranked[:-1]) / np.abs(ranked[1:]), np.diff(ranked)
    clear = ratios > CLEARLY_LARGER if relative else gaps > CLEARLY_APART
    return order if clear.all() else None


_EXTREMES = {"leftmost": (0, 1), "rightmost": (0, -1), "highest": (1, 1), "lowest": (1, -1)}


def _ask_superlative(view: _SceneView) -> AskedQuery:
    asked = view.choose_concept(3)
    if asked is None:
        return None
    found = np.array(view.find_matches(asked))
    take = 2 if view.rng.random() < 0.3 else 1
    if view.rng.random() < 0.5:
        word, sign = ("largest", -1) if view.rng.random() < 0.6 else ("smallest", 1)
        order = _sort_if_clear(sign * view.areas[found], relative=True) if sign < 0 else None
        if sign > 0:
            backwards = _sort_if_clear(-view.areas[found], relative=True)
            order = None if backwards is None else backwards[::-1]
    else:
        word = str(view.rng.choice(list(_EXTREMES)))
        axis, sign = _EXTREMES[word]
        order = _sort_if_clear(sign * view.centres[found, axis], relative=False)
    if order is None:
        return None
    text = f"the {word} {format_concept(asked)}" if take == 1 else f"the two {word} {format_concept(asked, many=True)}"
    return text, tuple(sorted(found[order[:take]].tolist()))


def _ask_exclusion(view: _SceneView) -> AskedQuery:
    wide = view.choose_concept(2)
    if wide is None:
        return None
    found = view.find_matches(wide)
    thing = view.scene.objects[int(view.rng.choice(found))]
    if wide.noun in HYPERNYMS:
        left_out = Concept(thing.noun)
        every = view.rng.choice(["every", "each"])
        text = f"{every} {format_concept(wide)} except the {format_concept(left_out, many=True)}"
    elif wide.noun in SHAPES and not wide.colour and thing.colour:
        left_out = Concept(thing.noun, thing.colour)
        text = f"the {format_concept(wide, many=True)} that are not {thing.colour}"
    else:
        return None
    targets = tuple(index for index in found if not left_out.is_true_of(view.scene.objects[index]))
    return (text, targets) if targets else None


def _ask_union(view: _SceneView) -> AskedQuery:
    first, second = view.choose_concept(1), view.choose_concept(1)
    if not first or not second or set(view.find_matches(first)) & set(view.find_matches(second)):
        return None
    targets = tuple(sorted((*view.find_matches(first), *view.find_matches(second))))
    joint = view.rng.choice(["and", "and also"], p=[0.8, 0.2])
    return f"the {format_concept(first, many=True)} {joint} the {format_concept(second, many=True)}", targets


def _ask_nested(view: _SceneView) -> AskedQuery:
    """A superlative among those on one side of a landmark, or a superlative less a colour."""
    pair = view.choose_two_concepts(2)
    if pair is None:
        return None
    asked, landmark, index = pair
    relation = str(view.rng.choice(list(_SIDES)))
    found = _find_on_side(view, asked, relation, index)
    if not found or len(found) < 2:
        return None
    members = np.array(found)
    order = _sort_if_clear(-view.areas[members], relative=True)
    if order is None:
        return None
    return f"the largest {format_concept(asked)} {relation} the {format_concept(landmark)}", (int(members[order[0]]),)


def _ask_counting(view: _SceneView) -> AskedQuery:
    concept = view.choose_concept(1)
    if concept is None:
        return None
    many = format_concept(concept, many=True)
    text = view.rng.choice([f"how many {many} are there?", f"count the {many}", f"how many {many} can you see?"])
    return str(text), view.find_matches(concept)


def _ask_no_target(view: _SceneView) -> AskedQuery:
    """An absent thing, an absent colour of a present thing, or a relation to a landmark that is not there."""
    present = view.choose_concept(1)
    absent = Concept(str(view.rng.choice([*NOUNS, *STRANGERS])))
    if present is None or view.find_matches(absent):
        return None
    match str(view.rng.choice(["thing", "colour", "landmark"])):
        case "thing":
            return f"the {format_concept(absent, many=True)}", ()
        case "colour" if present.noun in SHAPES:
            other = replace(present, colour=str(view.rng.choice(list(COLOURS))))
            return (f"the {format_concept(other, many=True)}", ()) if not view.find_matches(other) else None
        case _:
            return f"the {format_concept(present, many=True)} left of the {format_concept(absent)}", ()


KINDS: dict[str, Callable[[_SceneView], AskedQuery]] = {
    "plain": _ask_plain,
    "attribute": _ask_attribute,
    "relation": _ask_relation,
    "ordinal": _ask_ordinal,
    "superlative": _ask_superlative,
    "exclusion": _ask_exclusion,
    "union": _ask_union,
    "nested": _ask_nested,
    "counting": _ask_counting,
    "no target": _ask_no_target,
}


class TruthBackend:
    """A scripted SAM 3 that knows the scenes: it answers a phrase with the exact masks of what the phrase describes.

    With it, every error of an episode is the planner's.
    """

    name = "scripted"

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._scenes = {Image(scene.pixels).key: scene for scene in scenes}

    def encode(self, images: Sequence[Image]) -> list[ScriptedEmbedding]:
        return [ScriptedEmbedding(image.key, image.height, image.width) for image in images]

    def decode(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        return [
            _find_exact_masks(self._scenes[embedding.key], prompt.phrase or "")
            for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def refine(self, embeddings: Sequence[ScriptedEmbedding], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        return [
            rank_by_agreement(self._scenes[embedding.key].masks, prompt)
            for embedding, prompt in zip(embeddings, prompts, strict=True)
        ]

    def vocabulary_warning(self, phrase: str) -> str:
        return ""


def _find_exact_masks(scene: Scene, phrase: str) -> Instances:
    concept = parse_phrase(phrase)
    found = [] if concept is None else list(concept.find_matches(scene.objects))
    if not found:
        return Instances.empty(*scene.ids.shape, phrase=phrase)
    ones = np.ones(len(found), np.float32)
    return Instances(scene.masks[found], scene.boxes[found], ones, presence=1.0, phrase=phrase)


def parse_phrase(phrase: str) -> Concept | None:
    """The concept that a plain phrase of the generated world names; None if it holds a word of another world.

    >>> parse_phrase("the large red dotted circles")
    Concept(noun='circle', colour='red', pattern='dotted', size='large')
    >>> parse_phrase("a blue idea")
    """
    words = [word for word in phrase.lower().split() if word not in ("the", "a", "an", "all", "every", "each")]
    singular = {form: noun for noun in (*NOUNS, *HYPERNYMS) for form in (noun, pluralize_noun(noun))}
    if not words or words[-1] not in singular:
        return None
    said: dict[str, str] = {}
    for word in words[:-1]:
        kinds = (("colour", COLOURS), ("pattern", PATTERNS), ("size", ("small", "large")))
        said |= {kind: word for kind, known in kinds if word in known}
        if word not in said.values():
            return None
    return Concept(singular[words[-1]], **said)
