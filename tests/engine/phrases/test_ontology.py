"""Ontologies of strangers: three formats, relatives of a phrase, and files that are no tree."""

import json

import pytest

from engine.errors import EngineError
from engine.phrases.ontology import Ontology, OntologyNode
from engine.phrases.ontology_files import build_world_ontology, load_ontology
from sam3_tool.synthetic.nouns import HYPERNYMS, NOUNS, SYNONYMS

NESTED = {
    "name": "thing",
    "children": [
        {"name": "animal", "children": [{"name": "dog", "synonyms": ["puppy"]}, {"name": "cat"}]},
        {"name": "vehicle", "children": [{"name": "car"}]},
    ],
}
LISTED = {
    "nodes": [
        {"id": 4, "name": "dog", "parents": [2], "synonyms": ["puppy"]},
        {"id": 5, "name": "cat", "parents": [2]},
        {"id": 6, "name": "car", "parents": [3]},
        {"id": 1, "name": "thing"},
        {"id": 2, "name": "animal", "parents": [1]},
        {"id": 3, "name": "vehicle", "parent": 1},
    ]
}
NAMES = {"thing": {"animal": ["dog", "cat"], "vehicle": ["car"]}}
OBO = """format-version: 1.2

[Term]
id: T:1
name: thing

[Term]
id: T:2
name: animal
is_a: T:1 ! thing

[Term]
id: T:3
name: vehicle
is_a: T:1

[Term]
id: T:4
name: dog
synonym: "puppy" EXACT []
synonym: "hound" BROAD []
is_a: T:2 {source="x"} ! animal

[Term]
id: T:5
name: cat
is_a: T:2

[Term]
id: T:6
name: car
is_a: T:3

[Term]
id: T:9
name: unicorn
is_obsolete: true
is_a: T:77

[Typedef]
id: part_of
"""
CSV = "id,name,parents,synonyms\n1,thing,,\n2,animal,1,\n3,vehicle,1,\n4,dog,2,puppy|doggy\n5,cat,2,\n6,car,3,\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps(NESTED)),
        ("b.json", "\ufeff" + json.dumps(LISTED)),
        ("c.json", json.dumps(NAMES)),
        ("d.obo", OBO.replace("\n", "\r\n")),
        ("e.csv", "\ufeff" + CSV),
        ("f.tsv", CSV.replace(",", "\t")),
        ("g.CSV", CSV.replace(",", ";").replace("\n", "\r\n")),
    ],
)
def test_every_format_tells_the_same_tree(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    tree = load_ontology(str(path))
    assert (tree.list_siblings("dogs"), tree.list_uncles("dog"), tree.list_cousins("dog")) == (
        ["cat"],
        ["vehicle"],
        ["car"],
    )
    assert sorted(tree.list_leaves()) == ["car", "cat", "dog"]


def test_names_that_mean_the_same_share_a_key_and_related_ones_do_not(tmp_path):
    path = tmp_path / "t.obo"
    path.write_text(OBO, encoding="utf-8")
    tree = load_ontology(str(path))
    assert tree.make_key("black puppy") == tree.make_key("black dog") != tree.make_key("dog")
    assert tree.make_key("hound") != tree.make_key("dog")
    assert tree.may_cover("hound", "dog")


def test_a_concept_may_lie_below_two_others():
    tree = Ontology.from_children({"pet": ["dog", "cat"], "worker": ["dog", "horse"]})
    assert tree.list_siblings("dog") == ["cat", "horse"]


@pytest.mark.parametrize("positive", ["dog", "puppy", "black dog", "Dogs"])
def test_what_covers_a_phrase_or_is_covered_by_it_may_be_true_of_it(positive):
    tree = Ontology.from_nodes(
        [
            OntologyNode("thing", "thing"),
            OntologyNode("animal", "animal", parents=("thing",)),
            OntologyNode("dog", "dog", ("puppy",), ("animal",)),
            OntologyNode("poodle", "poodle", (), ("dog",)),
            OntologyNode("cat", "cat", (), ("animal",)),
        ]
    )
    true = [word for word in ("thing", "animal", "dog", "puppy", "poodle", "cat") if tree.may_cover(word, positive)]
    assert true == ["thing", "animal", "dog", "puppy", "poodle"]
    assert not tree.may_cover("white dog", "black dog")


def test_the_generated_world_has_all_its_nouns_with_their_synonyms():
    world = build_world_ontology()
    assert {*world.list_leaves()} == {*NOUNS}
    for kind, nouns in HYPERNYMS.items():
        below = {world.nodes[key].name for key in world.find_descendants(world.find_keys(kind))}
        assert below >= nouns, kind
    assert all(world.make_key(other) == world.make_key(noun) for noun, others in SYNONYMS.items() for other in others)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '{"a": ["b"], "b": ["c"], "c": ["a"]}', "in a circle: a below c below b below a"),
        ("a.json", '[{"name": "a", "parents": ["a"]}]', "in a circle: a below a"),
        ("a.csv", "name,parents\ndog,animal\n", "'dog' lies below 'animal', which the file has not"),
        ("a.json", "{nothing", "is no JSON"),
        ("a.json", "3", "3 is no concept"),
        ("a.json", "[]", "has no concepts"),
        ("a.json", '[{"name": 3}]', "is no concept"),
        ("a.json", '[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]', "the id '1' is that of 'a' and of 'b'"),
        ("a.json", "[" * 5000 + "]" * 5000, "nested more than 200 deep"),
        ("a.json", "[" * 100_000 + "]" * 100_000, "nested more than 200 deep"),
        ("a.json", json.dumps(["x" * 201]), "a name of 201 letters"),
        ("a.csv", "title\ndog\n", "no column 'name', found title"),
        ("a.csv", "", "no column 'name', found nothing"),
        ("a.csv", "name\ndog,cat\n", "line 2 has more cells"),
        ("a.csv", "name,id\n,3\n", "line 2 has no name"),
        ("a.obo", "", "has no concepts"),
        ("a.obo", "[Term]\nname: dog\n", "term 1 has no 'id:'"),
        ("a.obo", "[Term]\nid: 1\n[Term]\nid: 1\n", "'1' twice"),
        ("a.yaml", "a:", "give a .json, .obo or .csv file"),
        ("a.json", b"\xe4\xff\x00", "UTF-8"),
        ("a.json", None, "cannot read"),
    ],
)
def test_a_file_that_is_no_tree_is_one_sentence(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EngineError) as raised:
        load_ontology(str(path))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_large_tree_is_read_and_a_longer_one_than_may_be_is_refused():
    tree = Ontology.from_nodes(
        OntologyNode(str(n), f"thing {n}", parents=(str(n // 2),) if n else ()) for n in range(10_000)
    )
    assert len(tree.find_ancestors(("9999",))) == 14
    with pytest.raises(EngineError, match="more than 1,000 concepts"):
        Ontology.from_nodes((OntologyNode(str(n), "x") for n in range(1001)), max_nodes=1000)
