"""A tree of concepts: what is near to a phrase without being true of the same things."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from engine.errors import EngineError
from engine.phrases.phrase_keys import make_phrase_key, spell_word, split_attributes

MAX_NODES = 1_000_000
"""Of an ontology."""
MAX_NAME = 200
"""Letters of a name."""


@dataclass(frozen=True)
class OntologyNode:
    """A concept.

    >>> OntologyNode("dog", "dog", parents=("animal",)).synonyms
    ()
    """

    key: str
    name: str
    """What SAM 3 would be asked for."""
    synonyms: tuple[str, ...] = ()
    """Other names of the same things."""
    parents: tuple[str, ...] = ()
    """Keys of the concepts that cover it; several are allowed."""
    related: tuple[str, ...] = ()
    """Names of nearly the same things, which are neither asked for in its place nor negatives of it."""


@dataclass(frozen=True)
class Ontology:
    """Concepts, each below those that cover it.

    Raises:
        EngineError: A key is there twice, a parent is missing, or concepts cover each other in a circle.

    >>> pets = Ontology.from_children({"animal": ["dog", "cat"], "thing": ["animal", "vehicle"], "vehicle": ["car"]})
    >>> pets.list_siblings("Dogs"), pets.list_uncles("dog"), pets.list_cousins("red dog")
    (['cat'], ['vehicle'], ['car'])
    """

    nodes: Mapping[str, OntologyNode]
    """By key, in the order of the file."""

    def __post_init__(self) -> None:
        _check_parents(self.nodes)
        _check_circles(self.nodes)

    @classmethod
    def from_nodes(cls, nodes: Iterable[OntologyNode], *, max_nodes: int = MAX_NODES) -> "Ontology":
        """Build an ontology of at most `max_nodes` nodes in any order. Raises EngineError, as the class does."""
        by_key: dict[str, OntologyNode] = {}
        for node in nodes:
            if node.key in by_key:
                raise EngineError(f"the ontology has the concept {node.key!r} twice; give each concept once")
            if len(by_key) >= max_nodes:
                raise EngineError(f"the ontology has more than {max_nodes:,} concepts; give a part of it")
            by_key[node.key] = node
        if not by_key:
            raise EngineError("the ontology has no concepts; expected at least one")
        return cls(by_key)

    @classmethod
    def from_children(cls, children: Mapping[str, Iterable[str]]) -> "Ontology":
        """Build an ontology of names and those that each one covers. Raises EngineError, as the class does."""
        parents: dict[str, list[str]] = {name: [] for name in children}
        for parent, names in children.items():
            for name in names:
                parents.setdefault(name, []).append(parent)
        return cls.from_nodes(OntologyNode(name, name, parents=tuple(above)) for name, above in parents.items())

    # --- which concepts a phrase names --------------------------------------------------------------------------------

    def find_keys(self, phrase: str) -> tuple[str, ...]:
        """Find the concepts that a phrase names; of 'red cup', where there is none, those of 'cup'.

        Args:
            phrase: Any phrase, in any number.

        Returns:
            Their keys; several where a name has several meanings, none where it is not known.
        """
        return self._keys_by_name.get(make_phrase_key(phrase)) or self._keys_by_name.get(
            make_phrase_key(split_attributes(phrase)[1]), ()
        )

    def make_key(self, phrase: str) -> str:
        """Return a text that a phrase shares with its synonyms, with equal attributes.

        Args:
            phrase: In the singular.

        >>> cups = Ontology.from_nodes([OntologyNode("c", "cup", synonyms=("mug",))])
        >>> cups.make_key("red mug") == cups.make_key("red cup") != cups.make_key("cup")
        True
        """
        if whole := self._keys_by_name.get(make_phrase_key(phrase)):
            return f"={','.join(whole)}"
        attributes, noun = split_attributes(phrase)
        named = self._keys_by_name.get(make_phrase_key(noun), ())
        return f"{' '.join(sorted(attributes))}={','.join(named)}" if named else make_phrase_key(phrase)

    # --- relatives ----------------------------------------------------------------------------------------------------

    def list_siblings(self, phrase: str) -> list[str]:
        """List the names of the concepts with a parent of the phrase's, in the order of the file."""
        return self._name_relatives(self.find_keys(phrase), self._find_siblings(self.find_keys(phrase)))

    def list_uncles(self, phrase: str) -> list[str]:
        """List the names of its parents' siblings."""
        keys = self.find_keys(phrase)
        return self._name_relatives(keys, self._find_siblings(self._list_parents(keys)))

    def list_cousins(self, phrase: str) -> list[str]:
        """List the names of its parents' siblings' children."""
        keys = self.find_keys(phrase)
        uncles = self._find_siblings(self._list_parents(keys))
        cousins = (child for uncle in uncles for child in self._children.get(uncle, ()))
        siblings = {*self._find_siblings(keys), *uncles}
        return self._name_relatives(keys, (key for key in cousins if key not in siblings))

    def list_leaves(self) -> list[str]:
        """List the names of the concepts that cover no others."""
        return [node.name for key, node in self.nodes.items() if key not in self._children]

    def find_ancestors(self, keys: Iterable[str]) -> frozenset[str]:
        """Find all concepts that cover one of these, without these themselves."""
        return self._reach(keys, lambda key: self.nodes[key].parents)

    def find_descendants(self, keys: Iterable[str]) -> frozenset[str]:
        """Find all concepts that one of these covers, without these themselves."""
        return self._reach(keys, lambda key: self._children.get(key, ()))

    def may_cover(self, candidate: str, positive: str) -> bool:
        """Whether a phrase may be true of what another one names: as a synonym, or because one covers the other.

        Attributes count: 'blue cup' is not true of what 'red cup' names, but 'cup' is.

        Args:
            candidate: The phrase that would be a negative.
            positive: A phrase that is in the image.

        >>> pets = Ontology.from_children({"animal": ["dog", "cat"]})
        >>> [pets.may_cover(word, "black dog") for word in ("animal", "dog", "black animal", "white dog", "cat")]
        [True, True, True, False, False]
        """
        asked, given = self.find_keys(candidate), {*self.find_keys(positive)}
        same = self.make_key(candidate) == self.make_key(positive) or make_phrase_key(
            candidate
        ) in self._find_related_names(given)
        kin = bool({*asked} & (given | self.find_ancestors(given) | self.find_descendants(given)))
        return same or (kin and self._read_attributes(candidate) <= self._read_attributes(positive))

    def _read_attributes(self, phrase: str) -> frozenset[str]:
        """Return what a phrase says beside its concept: nothing where the whole of it is a name."""
        if make_phrase_key(phrase) in self._keys_by_name:
            return frozenset()
        attributes, noun = split_attributes(phrase)
        return frozenset(map(spell_word, attributes)) if noun else frozenset()

    def _find_related_names(self, keys: Iterable[str]) -> set[str]:
        return {make_phrase_key(name) for key in keys for name in self.nodes[key].related}

    def _find_siblings(self, keys: Iterable[str]) -> list[str]:
        own = {*keys}
        found = (child for parent in self._list_parents(keys) for child in self._children[parent])
        return [key for key in dict.fromkeys(found) if key not in own]

    def _list_parents(self, keys: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(parent for key in keys for parent in self.nodes[key].parents))

    def _name_relatives(self, keys: tuple[str, ...], relatives: Iterable[str]) -> list[str]:
        """Return the names of relatives that neither cover the concepts nor are covered by them."""
        kin = {*keys, *self.find_ancestors(keys), *self.find_descendants(keys)}
        return list(dict.fromkeys(self.nodes[key].name for key in relatives if key not in kin))

    def _reach(self, keys: Iterable[str], step: Callable[[str], Iterable[str]]) -> frozenset[str]:
        start = {*keys}
        seen: set[str] = set()
        waiting = list(start)
        while waiting:
            for key in step(waiting.pop()):
                if key not in seen:
                    seen.add(key)
                    waiting.append(key)
        return frozenset(seen - start)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.parents:
                children.setdefault(parent, []).append(node.key)
        return children

    @cached_property
    def _keys_by_name(self) -> dict[str, tuple[str, ...]]:
        named: dict[str, dict[str, None]] = {}
        for node in self.nodes.values():
            for name in (node.name, *node.synonyms):
                named.setdefault(make_phrase_key(name), {})[node.key] = None
        return {name: tuple(keys) for name, keys in named.items()}


def _check_parents(nodes: Mapping[str, OntologyNode]) -> None:
    for node in nodes.values():
        if not node.name.strip() or len(node.name) > MAX_NAME:
            raise EngineError(
                f"the ontology's concept {node.key[:MAX_NAME]!r} has a name of {len(node.name)} letters; expected 1 to"
                f" {MAX_NAME}"
            )
        for parent in node.parents:
            if parent not in nodes:
                raise EngineError(
                    f"the ontology's concept {node.key!r} lies below {parent!r}, which the file has not; add that"
                    " concept or mend its name"
                )


def _check_circles(nodes: Mapping[str, OntologyNode]) -> None:
    """Raise EngineError where a concept covers itself, with the way round."""
    left = {key: len(node.parents) for key, node in nodes.items()}
    children: dict[str, list[str]] = {}
    for node in nodes.values():
        for parent in node.parents:
            children.setdefault(parent, []).append(node.key)
    ready = [key for key, count in left.items() if not count]
    while ready:
        for child in children.get(ready.pop(), ()):
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    if circle := {key for key, count in left.items() if count}:
        raise EngineError(
            f"the ontology's concepts cover each other in a circle: {_walk_circle(nodes, circle)}; take one of these"
            " parents out"
        )


def _walk_circle(nodes: Mapping[str, OntologyNode], circle: set[str]) -> str:
    """Return the names on one way round, from a concept up to itself."""
    walked = [next(key for key in nodes if key in circle)]
    while walked[-1] not in walked[:-1]:
        walked.append(next(parent for parent in nodes[walked[-1]].parents if parent in circle))
    round_trip = walked[walked.index(walked[-1]) :]
    shown = round_trip if len(round_trip) <= MAX_SHOWN_STEPS else [*round_trip[:MAX_SHOWN_STEPS], "…", round_trip[-1]]
    return " below ".join(shown)


MAX_SHOWN_STEPS = 8
"""Of a circle, in an error."""
