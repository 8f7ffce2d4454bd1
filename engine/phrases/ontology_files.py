"""Ontologies of users, in JSON, OBO or CSV, and the one of the generated world."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.phrases.ontology import MAX_NODES, Ontology, OntologyNode
from engine.phrases.word_lists import read_text_file
from sam3_tool.synthetic.nouns import HYPERNYMS, NOUNS, SYNONYMS

GENERATED_WORLD = "generated-world"
"""In the place of a file: the words of the generated scenes, which the embedded SAM 3 knows."""
MAX_BYTES = 512 * 2**20
"""Of a file."""
MAX_DEPTH = 200
"""Of a nested tree."""
_LIST_KEYS = ("nodes", "concepts", "categories", "terms")
_PARENT_COLUMNS = ("parents", "parent", "is_a", "hypernym", "hypernyms", "supercategory")
_SYNONYM_COLUMNS = ("synonyms", "synonym", "aliases", "other_names")


def load_ontology(source: str) -> Ontology:
    """Load an ontology.

    Args:
        source: The path of a file that ends in .json, .obo, .csv or .tsv; or 'generated-world'.

    Returns:
        The concepts of the file.

    Raises:
        EngineError: The file cannot be read, or is no tree of concepts.

    >>> load_ontology("generated-world").list_siblings("dog")[:3]
    ['cat', 'horse', 'cow']
    """
    if source == GENERATED_WORLD:
        return build_world_ontology()
    path = Path(source)
    readers = {".json": parse_json_ontology, ".obo": parse_obo_ontology, ".csv": parse_csv_ontology}
    reader = (readers | {".tsv": parse_csv_ontology}).get(path.suffix.casefold())
    if reader is None:
        raise EngineError(
            f"the ontology {source} ends in {path.suffix or 'nothing'!r}; give a .json, .obo or .csv file"
        )
    text = read_text_file(path, MAX_BYTES)
    try:
        return reader(text)
    except EngineError as error:
        raise EngineError(f"{path.name}: {error}") from error


def build_world_ontology() -> Ontology:
    """Build the ontology of the generated world: its nouns below 'object', and synonyms as its phrases have them.

    >>> build_world_ontology().list_uncles("apple")
    ['bread', 'cheese', 'pizza', 'burger', 'cake', 'egg', 'carrot', 'mushroom', 'donut']
    """
    kinds = [kind for kind in HYPERNYMS if kind not in ("object", "thing")]
    nodes = [OntologyNode("object", "object", ("thing",))]
    for kind in kinds:
        wider = [other for other in kinds if HYPERNYMS[kind] < HYPERNYMS[other]]
        nodes.append(OntologyNode(kind, kind, parents=tuple(wider) or ("object",)))
    for noun in NOUNS:
        over = [kind for kind in kinds if noun in HYPERNYMS[kind]]
        nearest = [kind for kind in over if not any(HYPERNYMS[other] < HYPERNYMS[kind] for other in over)]
        nodes.append(OntologyNode(noun, noun, SYNONYMS.get(noun, ()), tuple(nearest) or ("object",)))
    return Ontology.from_nodes(nodes)


def parse_json_ontology(text: str) -> Ontology:
    """Parse a tree in JSON: nested nodes, a list of nodes with their parents, or names above lists of names.

    Raises:
        EngineError: It is no JSON, or none of these.

    >>> parse_json_ontology('{"name": "animal", "children": [{"name": "dog", "synonyms": ["puppy"]}]}').list_leaves()
    ['dog']
    >>> parse_json_ontology('[{"name": "dog", "parents": ["animal"]}, {"name": "animal"}]').list_leaves()
    ['dog']
    >>> parse_json_ontology('{"animal": {"pet": ["dog", "cat"]}}').list_siblings("dog")
    ['cat']
    """
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise EngineError(f"it is no JSON ({error}); save it again as JSON") from error
    except RecursionError:
        raise _make_depth_error() from None
    listed = next((tree[key] for key in _LIST_KEYS if isinstance(tree, dict) and isinstance(tree.get(key), list)), tree)
    return Ontology.from_nodes(_merge_nodes(_walk_json(listed, (), 0)))


def parse_obo_ontology(text: str) -> Ontology:
    r"""Parse the terms of an OBO file. Obsolete terms are left out, and relations other than 'is_a'.

    Raises:
        EngineError: It has no term, or a term has no id.

    >>> terms = "[Term]\nid: A:1\nname: animal\n\n[Term]\nid: A:2\nname: dog\nis_a: A:1 ! animal"
    >>> parse_obo_ontology(terms).list_leaves()
    ['dog']
    """
    stanzas = re.split(r"^\[(\w+)\][^\S\n]*$", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE)
    terms = [body for kind, body in zip(stanzas[1::2], stanzas[2::2], strict=True) if kind == "Term"]
    nodes = [node for number, body in enumerate(terms, start=1) if (node := _parse_term(body, number))]
    return Ontology.from_nodes(nodes)


def parse_csv_ontology(text: str) -> Ontology:
    r"""Parse a table with a header: `name`, and if need be `id`, `parents` and `synonyms`, with `|` between several.

    Columns are parted by commas, semicolons or tabs. A concept with several lines lies below the parents of all.

    Raises:
        EngineError: There is no column `name`, or a row has more cells than the header.

    >>> parse_csv_ontology("name;parents\nanimal;\ndog;animal\n").list_leaves()
    ['dog']
    """
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    csv.field_size_limit(2**20)
    try:
        rows = [*csv.DictReader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter, restkey="")]
    except csv.Error as error:
        raise EngineError(f"it is no table ({error}); expected a header and one concept a line") from error
    named = {str(name).strip().casefold(): name for name in (rows[0] if rows else ())}
    if "name" not in named:
        found = ", ".join(name for name in named if name) or "nothing"
        raise EngineError(f"its header has no column 'name', found {found}; add one")
    return Ontology.from_nodes(_merge_nodes(_parse_row(row, named, number) for number, row in enumerate(rows, start=2)))


# --- JSON -------------------------------------------------------------------------------------------------------------


def _walk_json(tree: Any, parents: tuple[str, ...], depth: int) -> Iterator[OntologyNode]:
    """Yield a node for each place at which a concept stands; one with two places is there twice."""
    if depth > MAX_DEPTH:
        raise _make_depth_error()
    match tree:
        case str() if tree.strip():
            yield OntologyNode(tree.strip(), tree.strip(), parents=parents)
        case list():
            for each in tree:
                yield from _walk_json(each, parents, depth + 1)
        case {"name": str() as name} if name.strip():
            key = _read_key(tree.get("id"), name.strip())
            above = tuple(dict.fromkeys((*parents, *_read_keys(tree))))
            yield OntologyNode(key, name.strip(), _read_names(tree.get("synonyms")), above)
            yield from _walk_json(tree.get("children") or [], (key,), depth + 1)
        case dict() if "name" not in tree:
            for name, below in tree.items():
                yield from _walk_json(name, parents, depth + 1)
                yield from _walk_json(below or [], (name.strip(),), depth + 1)
        case _:
            shown = json.dumps(tree, ensure_ascii=False)[:80]
            raise EngineError(f"{shown} is no concept; expected a name, or an object with a name and children")


def _merge_nodes(nodes: Iterable[OntologyNode]) -> list[OntologyNode]:
    """Return each concept once, below all the parents that it stands under."""
    merged: dict[str, OntologyNode] = {}
    for node in nodes:
        before = merged.get(node.key)
        if before is None and len(merged) >= MAX_NODES:
            raise EngineError(f"it has more than {MAX_NODES:,} concepts; give a part of it")
        if before is not None and before.name != node.name:
            raise EngineError(f"the id {node.key!r} is that of {before.name!r} and of {node.name!r}; mend one of them")
        parents = dict.fromkeys((*(before.parents if before else ()), *node.parents))
        synonyms = dict.fromkeys((*(before.synonyms if before else ()), *node.synonyms))
        merged[node.key] = OntologyNode(node.key, node.name, tuple(synonyms), tuple(parents))
    return [*merged.values()]


def _read_key(value: Any, name: str) -> str:
    return name if value is None or value == "" else str(value)


def _read_keys(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parents that a node names itself, under whichever key."""
    named = next((tree[key] for key in _PARENT_COLUMNS if tree.get(key)), ())
    return tuple(str(parent) for parent in (named if isinstance(named, list) else [named] if named else []))


def _read_names(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value] if value else []
    return tuple(name.strip() for name in listed if isinstance(name, str) and name.strip())


def _make_depth_error() -> EngineError:
    return EngineError(f"it is nested more than {MAX_DEPTH} deep; give a list of concepts with their parents")


# --- OBO --------------------------------------------------------------------------------------------------------------

_SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(EXACT)?')


def _parse_term(body: str, number: int) -> OntologyNode | None:
    """Return the node of a term; None for one that is obsolete."""
    tags: dict[str, list[str]] = {}
    for line in body.splitlines():
        tag, colon, value = line.partition(":")
        if colon:
            tags.setdefault(tag.strip(), []).append(re.split(r"\s+!\s", f"{value} ")[0].strip())
    if tags.get("is_obsolete") == ["true"]:
        return None
    if not tags.get("id", [""])[0]:
        raise EngineError(f"its term {number} has no 'id:'; add one")
    said = [_SYNONYM.match(value) for value in tags.get("synonym", ())]
    named = [(found[1], bool(found[2])) for found in said if found]
    key = tags["id"][0]
    return OntologyNode(
        key,
        tags.get("name", [key])[0],
        tuple(name for name, is_exact in named if is_exact),
        tuple(parent.split("{")[0].strip() for parent in tags.get("is_a", ())),
        tuple(name for name, is_exact in named if not is_exact),
    )


# --- CSV --------------------------------------------------------------------------------------------------------------


def _parse_row(row: Mapping[str, Any], named: Mapping[str, str], number: int) -> OntologyNode:
    if row.get(""):
        raise EngineError(f"its line {number} has more cells than the header; put names with a comma in quotes")
    name = str(row[named["name"]] or "").strip()
    if not name:
        raise EngineError(f"its line {number} has no name; give one, or take the line out")
    key = _read_key(str(row.get(named.get("id", ""), "") or "").strip(), name)
    synonyms, parents = (_split_cell(row, named, columns) for columns in (_SYNONYM_COLUMNS, _PARENT_COLUMNS))
    return OntologyNode(key, name, synonyms, parents)


def _split_cell(row: Mapping[str, Any], named: Mapping[str, str], columns: Iterable[str]) -> tuple[str, ...]:
    cell = next((row[named[column]] for column in columns if column in named), "")
    return tuple(part.strip() for part in str(cell or "").split("|") if part.strip())
