"""Conversations about generated scenes, with the answer that is right after every turn.

An example: "the shapes", "only the red ones", "also the dogs", "not number 3", "how many are there now?".

Answers follow from the objects' centres, areas and colours alone; only what leaves no doubt is said.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count

import numpy as np

from evals.datasets.synthetic.measures import MeasuredScene
from evals.datasets.synthetic.scenes import CLEARLY_APART, CLEARLY_LARGER, SIZES, format_concept
from sam3_tool.synthetic.nouns import COLOURS, PATTERNS
from sam3_tool.synthetic.phrases import Concept
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

FIRST_SEED = HELD_OUT + 10**12
"""Beyond the scenes of all other queries."""
OTHER_IMAGES = 120
"""Scenes to choose from for 'the same in this picture'."""


@dataclass(frozen=True)
class Turn:
    kind: str
    """One of KINDS."""
    text: str
    """The user's words; '{0}', '{1}' stand for the numbers of the masks of the objects `named_objects`."""
    targets: tuple[int, ...]
    """Indices of the objects that are the answer afterwards."""
    named_objects: tuple[int, ...] = ()
    shown_scene: Scene | None = None
    """The image that is shown before it is said, where that is another one."""
    reapply: "Filter | None" = field(default=None, compare=False)
    """The turn's effect on an answer in another image; None where that cannot be told."""


@dataclass(frozen=True, eq=False)
class SceneDialogue:
    scene: Scene
    """That the conversation begins with."""
    turns: tuple[Turn, ...]


def generate_dialogues(number: int, *, seed: int = 0) -> Iterator[SceneDialogue]:
    """`number` conversations of four to six turns, each about a scene of its own; all kinds of turns about as often."""
    seeds = count(FIRST_SEED + 10**6 * seed)
    used = Counter[str](KINDS)
    candidates = (_generate_dialogue(scene_seed, used) for scene_seed in seeds)
    dialogues = (dialogue for dialogue in candidates if dialogue is not None)
    for _ in range(number):
        dialogue = next(dialogues)
        used.update(turn.kind for turn in dialogue.turns)
        yield dialogue


def _generate_dialogue(seed: int, used: Mapping[str, int]) -> SceneDialogue | None:
    """None for a scene about which there is too little to say."""
    rng = np.random.default_rng(seed)
    state = _DialogueState(_LinkedScene(draw_scene(seed, size=SIZES[seed % len(SIZES)])), rng)
    turns = _propose_first_turn(state)
    if turns is None:
        return None
    length = int(rng.integers(4, 7))
    said: list[Turn] = []
    while turns:
        said += turns
        for turn in turns:
            state = state.apply_turn(turn)
        room = 0 if said[-1].shown_scene else length - len(said)
        turns = next((more for more in _propose_turns(state, used) if len(more) <= room), None)
    return SceneDialogue(state.view.first.scene, tuple(said)) if len(said) >= 4 else None


def _propose_turns(state: "_DialogueState", used: Mapping[str, int]) -> Iterator[list[Turn]]:
    """Propose what to say next: the kinds that were used least come first."""
    often = {**used, "the largest of them": min(used[kind] for kind in _FOLLOW_UP_KINDS)}
    for kind in sorted(_PROPOSERS, key=lambda kind: (often[kind] + 3 * (kind in state.kinds), state.rng.random())):
        turns = _PROPOSERS[kind](state)
        if turns and turns[-1].targets:
            yield turns


@dataclass(frozen=True, eq=False)
class _LinkedScene(MeasuredScene):
    earlier: "_LinkedScene | None" = None
    """The image before."""

    @property
    def first(self) -> "_LinkedScene":
        return self.earlier.first if self.earlier else self

    def list_concepts(self, least: int, most: int = 99) -> list[Concept]:
        """Nouns and wider words that describe `least` to `most` objects here."""
        words = [Concept(thing.noun) for thing in self.scene.objects]
        words += [Concept(wide) for wide in ("animal", "vehicle", "fruit", "shape")]
        return [concept for concept in dict.fromkeys(words) if least <= len(self.find_matches(concept)) <= most]

    def rank_objects(self, among: Sequence[int], word: str) -> tuple[int, ...] | None:
        """The objects in the order of a superlative; None where two neighbours are too alike to tell."""
        if word in ("largest", "smallest"):
            values = self.areas[list(among)]
            order = np.argsort(-values)
            ranked = values[order]
            clear = (ranked[:-1] > CLEARLY_LARGER * ranked[1:]).all()
            order = order if word == "largest" else order[::-1]
        else:
            axis, sign = _SIDES[word]
            values = sign * self.centres[list(among), axis]
            order = np.argsort(values)
            clear = (np.diff(values[order]) > CLEARLY_APART).all()
        return tuple(among[index] for index in order) if clear else None


_SIDES = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "bottommost": (1, -1)}
_SUPERLATIVES = ("largest", "smallest", *_SIDES)
Filter = Callable[[_LinkedScene, tuple[int, ...]], tuple[int, ...] | None]
"""The effect of a turn on an answer, in any image."""


@dataclass(frozen=True, eq=False)
class _DialogueState:
    """The turns so far, and the present answer."""

    view: _LinkedScene
    rng: np.random.Generator
    answer: tuple[int, ...] = ()
    """Indices of objects."""
    previous: "_DialogueState | None" = None
    """Before the last turn that changed the answer; what 'undo' brings back."""
    kinds: tuple[str, ...] = ()
    filters: tuple[Filter, ...] | None = ()
    """The accumulated query, to be asked of another image; None where that cannot be."""

    def apply_turn(self, turn: Turn) -> "_DialogueState":
        kinds = (*self.kinds, turn.kind)
        if turn.kind == "undo" and self.previous is not None:
            return replace(self.previous, kinds=kinds)
        view = self.view if turn.shown_scene is None else _LinkedScene(turn.shown_scene, self.view)
        known = self.filters is not None and turn.reapply is not None
        again = (*(self.filters or ()), turn.reapply) if known and turn.reapply else None
        if turn.kind == "new question" and turn.reapply:
            again = (turn.reapply,)
        return replace(self, view=view, answer=turn.targets, previous=self, kinds=kinds, filters=again)

    @property
    def last_kind(self) -> str:
        return self.kinds[-1]

    def choose_text(self, *words: str) -> str:
        return str(self.rng.choice(words))

    def choose_objects(self, number: int) -> tuple[int, ...]:
        return tuple(sorted(self.rng.choice(self.answer, number, replace=False).tolist()))

    def choose_concept(self, least: int, most: int = 99) -> Concept | None:
        fits = self.view.list_concepts(least, most)
        return fits[self.rng.integers(len(fits))] if fits else None

    def choose_other_concept(self) -> Concept | None:
        """Choose something in the image that shares nothing with the answer."""
        fits = [
            concept for concept in self.view.list_concepts(1) if not {*self.view.find_matches(concept)} & {*self.answer}
        ]
        return fits[self.rng.integers(len(fits))] if fits else None

    def choose_attribute(self) -> tuple[str, tuple[int, ...]] | None:
        """A colour or pattern that some of the answer have and some have not, and who has it."""
        things = self.view.scene.objects
        found = []
        for word in (*COLOURS, *PATTERNS[1:]):
            having = tuple(i for i in self.answer if word in (things[i].colour, things[i].pattern))
            if 0 < len(having) < len(self.answer):
                found.append((word, having))
        return found[self.rng.integers(len(found))] if found else None

    def choose_extreme(self, take: int) -> tuple[str, tuple[int, ...]] | None:
        """A superlative, and which of the answer it takes."""
        word = self.choose_text(*_SUPERLATIVES)
        ranked = self.view.rank_objects(self.answer, word) if len(self.answer) > take else None
        return (word, tuple(sorted(ranked[:take]))) if ranked else None

    def exclude_objects(self, out: Sequence[int]) -> tuple[int, ...]:
        return tuple(index for index in self.answer if index not in out)


def _keep_answer(view: _LinkedScene, now: tuple[int, ...]) -> tuple[int, ...] | None:
    return now


def _make_union_filter(concept: Concept) -> Filter:
    return lambda view, now: tuple(sorted({*now, *view.find_matches(concept)}))


def _make_concept_filter(concept: Concept) -> Filter:
    return lambda view, now: view.find_matches(concept)


def _make_attribute_filter(word: str, *, exclude: bool = False) -> Filter:
    def filter_by_attribute(view: _LinkedScene, now: tuple[int, ...]) -> tuple[int, ...]:
        things = view.scene.objects
        return tuple(i for i in now if (word in (things[i].colour, things[i].pattern)) != exclude)

    return filter_by_attribute


def _make_rank_filter(word: str, take: int) -> Filter:
    def filter_by_rank(view: _LinkedScene, now: tuple[int, ...]) -> tuple[int, ...] | None:
        ranked = view.rank_objects(now, word) if len(now) > take else None
        return None if ranked is None else tuple(sorted(ranked[:take]))

    return filter_by_rank


@cache
def _draw_other_scene(place: int) -> _LinkedScene:
    seed = FIRST_SEED - OTHER_IMAGES + place
    return _LinkedScene(draw_scene(seed, size=SIZES[seed % len(SIZES)]))


# What can be said. Each gives the turns, or None where it would not be clear.

ProposedTurns = list[Turn] | None


def _propose_first_turn(state: _DialogueState) -> ProposedTurns:
    concept = state.choose_concept(3)
    if concept is None:
        return None
    text = state.choose_text("{}", "the {}", "find all the {}", "show me the {}").format(
        format_concept(concept, many=True)
    )
    return [Turn("new question", text, state.view.find_matches(concept), reapply=_make_concept_filter(concept))]


def _ask_new_query(state: _DialogueState) -> ProposedTurns:
    concept = state.choose_other_concept()
    if concept is None:
        return None
    text = state.choose_text("find the {}", "the {}", "the {} instead", "what about the {}?", "where are the {}?")
    text = text.format(format_concept(concept, many=True))
    return [Turn("new question", text, state.view.find_matches(concept), reapply=_make_concept_filter(concept))]


def _keep_attribute(state: _DialogueState) -> ProposedTurns:
    found = state.choose_attribute()
    if found is None:
        return None
    word, having = found
    text = state.choose_text("only the {} ones", "now just the {} ones", "keep the {} ones", "the {} ones only, please")
    return [Turn("only the red ones", text.format(word), having, reapply=_make_attribute_filter(word))]


def _keep_extreme(state: _DialogueState) -> ProposedTurns:
    found = state.choose_extreme(2)
    if found is None:
        return None
    text = state.choose_text("only the two {}", "keep just the two {} ones", "now only the two {} of them")
    return [Turn("only the two largest", text.format(found[0]), found[1], reapply=_make_rank_filter(found[0], 2))]


def _keep_side(state: _DialogueState) -> ProposedTurns:
    side = state.choose_text("left", "right")
    x = state.view.centres[list(state.answer), 0] - 0.5
    kept = tuple(index for index, lead in zip(state.answer, x, strict=True) if (lead < 0) == (side == "left"))
    if (abs(x) < CLEARLY_APART).any() or not 0 < len(kept) < len(state.answer):
        return None
    text = state.choose_text("only the {} ones", "just the ones in the {} half", "those on the {} side only")
    return [Turn("only those on the left", text.format(side), kept)]


def _keep_related(state: _DialogueState) -> ProposedTurns:
    marks = [
        concept
        for concept in state.view.list_concepts(1, 1)
        if not {*state.view.find_matches(concept)} & {*state.answer}
    ]
    if not marks:
        return None
    mark = marks[state.rng.integers(len(marks))]
    relation = state.choose_text("left of", "right of", "above", "below")
    axis, sign = (0 if "of" in relation else 1), (-1 if relation in ("left of", "above") else 1)
    lead = sign * (
        state.view.centres[list(state.answer), axis] - state.view.centres[state.view.find_matches(mark)[0], axis]
    )
    kept = tuple(index for index, distance in zip(state.answer, lead, strict=True) if distance > 0)
    if (abs(lead) < CLEARLY_APART).any() or not 0 < len(kept) < len(state.answer):
        return None
    text = state.choose_text("only those {} the {}", "keep the ones {} the {}", "the ones of them {} the {}")
    return [Turn("only those above the dog", text.format(relation, format_concept(mark)), kept)]


def _keep_size(state: _DialogueState) -> ProposedTurns:
    areas = state.view.areas[list(state.answer)]
    bigger = state.rng.random() < 0.5
    if len(areas) < 2 or (abs(areas / areas.mean() - 1) < 0.15).any():
        return None
    kept = tuple(i for i, area in zip(state.answer, areas, strict=True) if (area > areas.mean()) == bigger)
    word = "bigger" if bigger else "smaller"
    if state.rng.random() < 0.4:
        other = "small" if bigger else "big"
        return [Turn("bigger ones only", f"without the {other} ones", kept)]
    return [Turn("bigger ones only", state.choose_text(f"{word} ones only", f"only the {word} ones"), kept)]


def _keep_by_ids(state: _DialogueState) -> ProposedTurns:
    if len(state.answer) < 3:
        return None
    two = state.choose_objects(2)
    text = state.choose_text("only number {0} and {1}", "{0} and {1}", "keep masks {0} and {1}", "just #{0} and #{1}")
    return [Turn("only number 2 and 4", text, two, two, reapply=_keep_answer)]


def _choose_one(state: _DialogueState) -> ProposedTurns:
    found = state.choose_extreme(1)
    if found is None:
        return None
    word, chosen = found
    text = state.choose_text("the {} one", "the {} of them", "the {} of these", "only the {} one")
    first = Turn("the largest of them", text.format(word), chosen)
    return [first, *(_follow_choice(state, word, chosen) or [])]


def _follow_choice(state: _DialogueState, word: str, chosen: tuple[int, ...]) -> ProposedTurns:
    """Propose what can only be said straight after one object was chosen."""
    if state.rng.random() < 0.4:
        text = state.choose_text("the others", "the other ones", "the rest of them")
        return [Turn("the others", text, state.exclude_objects(chosen))] if len(state.answer) > 2 else None
    other = state.choose_text(*(other for other in _SUPERLATIVES if other != word))
    ranked = state.view.rank_objects(state.answer, other)
    if ranked is None:
        return None
    text = state.choose_text("no, the {} one", "I meant the {} one", "not that one, the {} one", "sorry, the {} one")
    return [Turn("no, the left one", text.format(other), ranked[:1])]


def _add_concept(state: _DialogueState) -> ProposedTurns:
    concept = state.choose_other_concept()
    if concept is None:
        return None
    text = state.choose_text("also the {}", "and the {} too", "add the {}", "the {} as well, please", "plus the {}")
    both = tuple(sorted((*state.answer, *state.view.find_matches(concept))))
    return [
        Turn(
            "also the dogs", text.format(format_concept(concept, many=True)), both, reapply=_make_union_filter(concept)
        )
    ]


def _add_extreme(state: _DialogueState) -> ProposedTurns:
    concept = state.choose_other_concept()
    found = () if concept is None else state.view.find_matches(concept)
    word = state.choose_text(*_SUPERLATIVES)
    ranked = state.view.rank_objects(found, word) if len(found) > 1 else None
    if concept is None or ranked is None:
        return None
    text = state.choose_text("also the {} {}", "add the {} {}").format(word, format_concept(concept))
    return [Turn("also the largest dog", text, tuple(sorted((*state.answer, ranked[0]))))]


def _remove_by_id(state: _DialogueState) -> ProposedTurns:
    if len(state.answer) < 2:
        return None
    out = state.choose_objects(1)
    text = state.choose_text(
        "not number {0}", "remove number {0}", "drop {0}", "without mask {0}", "all except number {0}"
    )
    return [Turn("not number 3", text, state.exclude_objects(out), out, reapply=_keep_answer)]


def _remove_attribute(state: _DialogueState) -> ProposedTurns:
    found = state.choose_attribute()
    if found is None:
        return None
    text = state.choose_text(
        "not the {} ones", "without the {} ones", "remove the {} ones", "all of them except the {} ones"
    )
    kept = state.exclude_objects(found[1])
    return [
        Turn(
            "without the red ones", text.format(found[0]), kept, reapply=_make_attribute_filter(found[0], exclude=True)
        )
    ]


def _remove_extreme(state: _DialogueState) -> ProposedTurns:
    found = state.choose_extreme(1)
    if found is None:
        return None
    text = state.choose_text("not the {} one", "remove the {} one", "drop the {} one", "take the {} one out")
    return [Turn("remove the largest one", text.format(found[0]), state.exclude_objects(found[1]))]


def _count_objects(state: _DialogueState) -> ProposedTurns:
    found = state.choose_attribute() if state.rng.random() < 0.5 else None
    if found is None:
        text = state.choose_text("how many are there now?", "how many of them?", "count them")
        return [Turn("how many", text, state.answer, reapply=_keep_answer)]
    return [Turn("how many", f"how many of them are {found[0]}?", found[1])]


def _undo_turn(state: _DialogueState) -> ProposedTurns:
    if (
        state.previous is None
        or not state.previous.answer
        or state.last_kind in ("undo", "another picture", "asked back")
    ):
        return None
    return [Turn("undo", state.choose_text("undo", "undo that", "go back", "take that back"), state.previous.answer)]


def _ask_back(state: _DialogueState) -> ProposedTurns:
    if not 2 < len(state.answer) <= 6:
        return None
    out = state.choose_objects(1)
    which = Turn("asked back", state.choose_text("remove it", "without it", "not that one"), state.answer)
    reply = state.choose_text("number {0}", "mask {0}", "#{0}, please", "I meant number {0}")
    return [which, Turn("asked back", reply, state.exclude_objects(out), out)]


def _keep_absent(state: _DialogueState) -> ProposedTurns:
    concept = state.choose_other_concept()
    if concept is None:
        return None
    text = state.choose_text("only the {}", "keep the {}", "just the {} of them").format(
        format_concept(concept, many=True)
    )
    return [Turn("only what is not there", text, state.answer, reapply=_keep_answer)]


def _repeat_in_other_image(state: _DialogueState) -> ProposedTurns:
    """The same in another image, without what was said of numbers."""
    if state.filters is None or len(state.kinds) < 3:
        return None
    for place in state.rng.permutation(OTHER_IMAGES).tolist():
        view = _draw_other_scene(place)
        answer: tuple[int, ...] | None = ()
        for filtered in state.filters:
            answer = filtered(view, answer) if answer is not None else None
            answer = answer or None
        if answer:
            text = state.choose_text(
                "the same in this picture", "same here", "do it again", "and now the same here, please"
            )
            return [Turn("another picture", text, answer, shown_scene=view.scene)]
    return None


_PROPOSERS: dict[str, Callable[[_DialogueState], ProposedTurns]] = {
    "new question": _ask_new_query,
    "only the red ones": _keep_attribute,
    "only the two largest": _keep_extreme,
    "only those on the left": _keep_side,
    "only those above the dog": _keep_related,
    "bigger ones only": _keep_size,
    "only number 2 and 4": _keep_by_ids,
    "the largest of them": _choose_one,
    "also the dogs": _add_concept,
    "also the largest dog": _add_extreme,
    "not number 3": _remove_by_id,
    "without the red ones": _remove_attribute,
    "remove the largest one": _remove_extreme,
    "how many": _count_objects,
    "undo": _undo_turn,
    "asked back": _ask_back,
    "only what is not there": _keep_absent,
    "another picture": _repeat_in_other_image,
}
_FOLLOW_UP_KINDS = ("the others", "no, the left one")
"""Kinds of turns that only follow the choice of one object."""
KINDS = (*_PROPOSERS, *_FOLLOW_UP_KINDS)
