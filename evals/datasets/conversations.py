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

from evals.datasets.measured import MeasuredScene
from evals.datasets.scenes import CLEARLY_APART, CLEARLY_LARGER, SIZES, name
from sam3_tool.training.prompts import Concept
from sam3_tool.training.scenes import HELD_OUT, Scene, draw_scene
from sam3_tool.training.vocabulary import COLOURS, PATTERNS

FIRST_SEED = HELD_OUT + 10**12
"""Beyond the scenes of all other queries."""
OTHER_PICTURES = 120
"""Scenes to choose from for 'the same in this picture'."""


@dataclass(frozen=True)
class Turn:
    kind: str
    """One of KINDS."""
    text: str
    """What is said; '{0}', '{1}' stand for the numbers of the masks of the objects `named`."""
    targets: tuple[int, ...]
    """Indices of the objects that are the answer afterwards."""
    named: tuple[int, ...] = ()
    shows: Scene | None = None
    """The picture that is shown before it is said, where that is another one."""
    again: "Filter | None" = field(default=None, compare=False)
    """What it makes of an answer in another picture; None where that cannot be told."""


@dataclass(frozen=True, eq=False)
class SceneTalk:
    scene: Scene
    """That the conversation begins with."""
    turns: tuple[Turn, ...]


def scene_talks(number: int, *, seed: int = 0) -> Iterator[SceneTalk]:
    """`number` conversations of four to six turns, each about a scene of its own; all kinds of turns about as often."""
    seeds = count(FIRST_SEED + 10**6 * seed)
    used = Counter[str](KINDS)
    made = (_talk(one, used) for one in seeds)
    talks = (talk for talk in made if talk is not None)
    for _ in range(number):
        talk = next(talks)
        used.update(turn.kind for turn in talk.turns)
        yield talk


def _talk(seed: int, used: Mapping[str, int]) -> SceneTalk | None:
    """None for a scene about which there is too little to say."""
    rng = np.random.default_rng(seed)
    talk = _Talk(_Measured(draw_scene(seed, size=SIZES[seed % len(SIZES)])), rng)
    turns = _begin(talk)
    if turns is None:
        return None
    length = int(rng.integers(4, 7))
    said: list[Turn] = []
    while turns:
        said += turns
        for turn in turns:
            talk = talk.after(turn)
        room = 0 if said[-1].shows else length - len(said)
        turns = next((more for more in _following(talk, used) if len(more) <= room), None)
    return SceneTalk(talk.view.first.scene, tuple(said)) if len(said) >= 4 else None


def _following(talk: "_Talk", used: Mapping[str, int]) -> Iterator[list[Turn]]:
    """What could be said next: the kinds that were used least come first."""
    often = {**used, "the largest of them": min(used[kind] for kind in _LEADS_TO)}
    for kind in sorted(_KINDS, key=lambda kind: (often[kind] + 3 * (kind in talk.kinds), talk.rng.random())):
        turns = _KINDS[kind](talk)
        if turns and turns[-1].targets:
            yield turns


@dataclass(frozen=True, eq=False)
class _Measured(MeasuredScene):
    earlier: "_Measured | None" = None
    """The picture before."""

    @property
    def first(self) -> "_Measured":
        return self.earlier.first if self.earlier else self

    def concepts(self, least: int, most: int = 99) -> list[Concept]:
        """Nouns and wider words that describe `least` to `most` objects here."""
        words = [Concept(thing.noun) for thing in self.scene.objects]
        words += [Concept(wide) for wide in ("animal", "vehicle", "fruit", "shape")]
        return [one for one in dict.fromkeys(words) if least <= len(self.matches(one)) <= most]

    def ranked(self, among: Sequence[int], word: str) -> tuple[int, ...] | None:
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
Filter = Callable[[_Measured, tuple[int, ...]], tuple[int, ...] | None]
"""What a turn makes of an answer, in whatever picture."""


@dataclass(frozen=True, eq=False)
class _Talk:
    """What was said so far, and what the answer is now."""

    view: _Measured
    rng: np.random.Generator
    now: tuple[int, ...] = ()
    """Indices of objects."""
    before: "_Talk | None" = None
    """Before the last turn that changed the answer; what 'undo' brings back."""
    kinds: tuple[str, ...] = ()
    again: tuple[Filter, ...] | None = ()
    """What was asked for, to be asked of another picture; None where that cannot be."""

    def after(self, turn: Turn) -> "_Talk":
        kinds = (*self.kinds, turn.kind)
        if turn.kind == "undo" and self.before is not None:
            return replace(self.before, kinds=kinds)
        view = self.view if turn.shows is None else _Measured(turn.shows, self.view)
        known = self.again is not None and turn.again is not None
        again = (*(self.again or ()), turn.again) if known and turn.again else None
        if turn.kind == "new question" and turn.again:
            again = (turn.again,)
        return replace(self, view=view, now=turn.targets, before=self, kinds=kinds, again=again)

    @property
    def last(self) -> str:
        return self.kinds[-1]

    def one_of(self, *words: str) -> str:
        return str(self.rng.choice(words))

    def some(self, number: int) -> tuple[int, ...]:
        return tuple(sorted(self.rng.choice(self.now, number, replace=False).tolist()))

    def a_concept(self, least: int, most: int = 99) -> Concept | None:
        fits = self.view.concepts(least, most)
        return fits[self.rng.integers(len(fits))] if fits else None

    def another(self) -> Concept | None:
        """What is in the picture and shares nothing with the answer."""
        fits = [one for one in self.view.concepts(1) if not {*self.view.matches(one)} & {*self.now}]
        return fits[self.rng.integers(len(fits))] if fits else None

    def attribute(self) -> tuple[str, tuple[int, ...]] | None:
        """A colour or pattern that some of the answer have and some have not, and who has it."""
        things = self.view.scene.objects
        found = []
        for word in (*COLOURS, *PATTERNS[1:]):
            having = tuple(i for i in self.now if word in (things[i].colour, things[i].pattern))
            if 0 < len(having) < len(self.now):
                found.append((word, having))
        return found[self.rng.integers(len(found))] if found else None

    def extreme(self, take: int) -> tuple[str, tuple[int, ...]] | None:
        """A superlative, and which of the answer it takes."""
        word = self.one_of(*_SUPERLATIVES)
        ranked = self.view.ranked(self.now, word) if len(self.now) > take else None
        return (word, tuple(sorted(ranked[:take]))) if ranked else None

    def without(self, out: Sequence[int]) -> tuple[int, ...]:
        return tuple(index for index in self.now if index not in out)


def _as_it_was(view: _Measured, now: tuple[int, ...]) -> tuple[int, ...] | None:
    return now


def _all(concept: Concept) -> Filter:
    return lambda view, now: tuple(sorted({*now, *view.matches(concept)}))


def _new_all(concept: Concept) -> Filter:
    return lambda view, now: view.matches(concept)


def _having(word: str, *, out: bool = False) -> Filter:
    def those(view: _Measured, now: tuple[int, ...]) -> tuple[int, ...]:
        things = view.scene.objects
        return tuple(i for i in now if (word in (things[i].colour, things[i].pattern)) != out)

    return those


def _first(word: str, take: int) -> Filter:
    def those(view: _Measured, now: tuple[int, ...]) -> tuple[int, ...] | None:
        ranked = view.ranked(now, word) if len(now) > take else None
        return None if ranked is None else tuple(sorted(ranked[:take]))

    return those


@cache
def _others() -> list[_Measured]:
    seeds = range(FIRST_SEED - OTHER_PICTURES, FIRST_SEED)
    return [_Measured(draw_scene(seed, size=SIZES[seed % len(SIZES)])) for seed in seeds]


# What can be said. Each gives the turns, or None where it would not be clear.

Turns = list[Turn] | None


def _begin(talk: _Talk) -> Turns:
    concept = talk.a_concept(3)
    if concept is None:
        return None
    text = talk.one_of("{}", "the {}", "find all the {}", "show me the {}").format(name(concept, many=True))
    return [Turn("new question", text, talk.view.matches(concept), again=_new_all(concept))]


def _new(talk: _Talk) -> Turns:
    concept = talk.another()
    if concept is None:
        return None
    text = talk.one_of("find the {}", "the {}", "the {} instead", "what about the {}?", "where are the {}?")
    text = text.format(name(concept, many=True))
    return [Turn("new question", text, talk.view.matches(concept), again=_new_all(concept))]


def _keep_attribute(talk: _Talk) -> Turns:
    found = talk.attribute()
    if found is None:
        return None
    word, having = found
    text = talk.one_of("only the {} ones", "now just the {} ones", "keep the {} ones", "the {} ones only, please")
    return [Turn("only the red ones", text.format(word), having, again=_having(word))]


def _keep_extreme(talk: _Talk) -> Turns:
    found = talk.extreme(2)
    if found is None:
        return None
    text = talk.one_of("only the two {}", "keep just the two {} ones", "now only the two {} of them")
    return [Turn("only the two largest", text.format(found[0]), found[1], again=_first(found[0], 2))]


def _keep_side(talk: _Talk) -> Turns:
    side = talk.one_of("left", "right")
    x = talk.view.centres[list(talk.now), 0] - 0.5
    kept = tuple(index for index, lead in zip(talk.now, x, strict=True) if (lead < 0) == (side == "left"))
    if (abs(x) < CLEARLY_APART).any() or not 0 < len(kept) < len(talk.now):
        return None
    text = talk.one_of("only the {} ones", "just the ones in the {} half", "those on the {} side only")
    return [Turn("only those on the left", text.format(side), kept)]


def _keep_related(talk: _Talk) -> Turns:
    marks = [one for one in talk.view.concepts(1, 1) if not {*talk.view.matches(one)} & {*talk.now}]
    if not marks:
        return None
    mark = marks[talk.rng.integers(len(marks))]
    relation = talk.one_of("left of", "right of", "above", "below")
    axis, sign = (0 if "of" in relation else 1), (-1 if relation in ("left of", "above") else 1)
    lead = sign * (talk.view.centres[list(talk.now), axis] - talk.view.centres[talk.view.matches(mark)[0], axis])
    kept = tuple(index for index, one in zip(talk.now, lead, strict=True) if one > 0)
    if (abs(lead) < CLEARLY_APART).any() or not 0 < len(kept) < len(talk.now):
        return None
    text = talk.one_of("only those {} the {}", "keep the ones {} the {}", "the ones of them {} the {}")
    return [Turn("only those above the dog", text.format(relation, name(mark)), kept)]


def _keep_size(talk: _Talk) -> Turns:
    areas = talk.view.areas[list(talk.now)]
    bigger = talk.rng.random() < 0.5
    if len(areas) < 2 or (abs(areas / areas.mean() - 1) < 0.15).any():
        return None
    kept = tuple(i for i, area in zip(talk.now, areas, strict=True) if (area > areas.mean()) == bigger)
    word = "bigger" if bigger else "smaller"
    if talk.rng.random() < 0.4:
        other = "small" if bigger else "big"
        return [Turn("bigger ones only", f"without the {other} ones", kept)]
    return [Turn("bigger ones only", talk.one_of(f"{word} ones only", f"only the {word} ones"), kept)]


def _numbers(talk: _Talk) -> Turns:
    if len(talk.now) < 3:
        return None
    two = talk.some(2)
    text = talk.one_of("only number {0} and {1}", "{0} and {1}", "keep masks {0} and {1}", "just #{0} and #{1}")
    return [Turn("only number 2 and 4", text, two, two, again=_as_it_was)]


def _choose(talk: _Talk) -> Turns:
    found = talk.extreme(1)
    if found is None:
        return None
    word, one = found
    text = talk.one_of("the {} one", "the {} of them", "the {} of these", "only the {} one")
    first = Turn("the largest of them", text.format(word), one)
    return [first, *(_then(talk, word, one) or [])]


def _then(talk: _Talk, word: str, one: tuple[int, ...]) -> Turns:
    """What can only be said straight after one was chosen."""
    if talk.rng.random() < 0.4:
        text = talk.one_of("the others", "the other ones", "the rest of them")
        return [Turn("the others", text, talk.without(one))] if len(talk.now) > 2 else None
    other = talk.one_of(*(other for other in _SUPERLATIVES if other != word))
    ranked = talk.view.ranked(talk.now, other)
    if ranked is None:
        return None
    text = talk.one_of("no, the {} one", "I meant the {} one", "not that one, the {} one", "sorry, the {} one")
    return [Turn("no, the left one", text.format(other), ranked[:1])]


def _add(talk: _Talk) -> Turns:
    concept = talk.another()
    if concept is None:
        return None
    text = talk.one_of("also the {}", "and the {} too", "add the {}", "the {} as well, please", "plus the {}")
    both = tuple(sorted((*talk.now, *talk.view.matches(concept))))
    return [Turn("also the dogs", text.format(name(concept, many=True)), both, again=_all(concept))]


def _add_extreme(talk: _Talk) -> Turns:
    concept = talk.another()
    found = () if concept is None else talk.view.matches(concept)
    word = talk.one_of(*_SUPERLATIVES)
    ranked = talk.view.ranked(found, word) if len(found) > 1 else None
    if concept is None or ranked is None:
        return None
    text = talk.one_of("also the {} {}", "add the {} {}").format(word, name(concept))
    return [Turn("also the largest dog", text, tuple(sorted((*talk.now, ranked[0]))))]


def _remove_number(talk: _Talk) -> Turns:
    if len(talk.now) < 2:
        return None
    out = talk.some(1)
    text = talk.one_of("not number {0}", "remove number {0}", "drop {0}", "without mask {0}", "all except number {0}")
    return [Turn("not number 3", text, talk.without(out), out, again=_as_it_was)]


def _remove_attribute(talk: _Talk) -> Turns:
    found = talk.attribute()
    if found is None:
        return None
    text = talk.one_of("not the {} ones", "without the {} ones", "remove the {} ones", "all of them except the {} ones")
    kept = talk.without(found[1])
    return [Turn("without the red ones", text.format(found[0]), kept, again=_having(found[0], out=True))]


def _remove_extreme(talk: _Talk) -> Turns:
    found = talk.extreme(1)
    if found is None:
        return None
    text = talk.one_of("not the {} one", "remove the {} one", "drop the {} one", "take the {} one out")
    return [Turn("remove the largest one", text.format(found[0]), talk.without(found[1]))]


def _count(talk: _Talk) -> Turns:
    found = talk.attribute() if talk.rng.random() < 0.5 else None
    if found is None:
        text = talk.one_of("how many are there now?", "how many of them?", "count them")
        return [Turn("how many", text, talk.now, again=_as_it_was)]
    return [Turn("how many", f"how many of them are {found[0]}?", found[1])]


def _undo(talk: _Talk) -> Turns:
    if talk.before is None or not talk.before.now or talk.last in ("undo", "another picture", "asked back"):
        return None
    return [Turn("undo", talk.one_of("undo", "undo that", "go back", "take that back"), talk.before.now)]


def _ask(talk: _Talk) -> Turns:
    if not 2 < len(talk.now) <= 6:
        return None
    out = talk.some(1)
    which = Turn("asked back", talk.one_of("remove it", "without it", "not that one"), talk.now)
    reply = talk.one_of("number {0}", "mask {0}", "#{0}, please", "I meant number {0}")
    return [which, Turn("asked back", reply, talk.without(out), out)]


def _nothing(talk: _Talk) -> Turns:
    concept = talk.another()
    if concept is None:
        return None
    text = talk.one_of("only the {}", "keep the {}", "just the {} of them").format(name(concept, many=True))
    return [Turn("only what is not there", text, talk.now, again=_as_it_was)]


def _again(talk: _Talk) -> Turns:
    """The same in another picture, without what was said of numbers."""
    if talk.again is None or len(talk.kinds) < 3:
        return None
    for place in talk.rng.permutation(OTHER_PICTURES).tolist():
        view = _others()[place]
        now: tuple[int, ...] | None = ()
        for filtered in talk.again:
            now = filtered(view, now) if now is not None else None
            now = now or None
        if now:
            text = talk.one_of("the same in this picture", "same here", "do it again", "and now the same here, please")
            return [Turn("another picture", text, now, shows=view.scene)]
    return None


_KINDS: dict[str, Callable[[_Talk], Turns]] = {
    "new question": _new,
    "only the red ones": _keep_attribute,
    "only the two largest": _keep_extreme,
    "only those on the left": _keep_side,
    "only those above the dog": _keep_related,
    "bigger ones only": _keep_size,
    "only number 2 and 4": _numbers,
    "the largest of them": _choose,
    "also the dogs": _add,
    "also the largest dog": _add_extreme,
    "not number 3": _remove_number,
    "without the red ones": _remove_attribute,
    "remove the largest one": _remove_extreme,
    "how many": _count,
    "undo": _undo,
    "asked back": _ask,
    "only what is not there": _nothing,
    "another picture": _again,
}
_LEADS_TO = ("the others", "no, the left one")
"""What is only said straight after one was chosen."""
KINDS = (*_KINDS, *_LEADS_TO)
