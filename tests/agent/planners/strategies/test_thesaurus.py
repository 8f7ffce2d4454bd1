"""Other names of a thing: WordNet's files, how phrases get them, and what is said where there are none."""

from pathlib import Path

import pytest

from agent import ScriptedModel, Task, run
from agent.core.errors import PlannerError
from agent.models.base import Call
from agent.planners.strategies.options import Strategies
from agent.planners.strategies.planner import StrategyPlanner
from agent.planners.strategies.thesaurus import FixedThesaurus, WordNet, list_related_phrases, load_thesaurus

SYNSETS = {
    "furniture": (["furniture"], []),
    "seat": (["seat"], ["furniture"]),
    "sofa": (["sofa", "couch", "Lounge"], ["seat"]),
    "couch layer": (["couch"], ["furniture"]),
    "coffee mug": (["coffee_mug"], ["seat"]),
}
"""Name -> words and wider synsets, as lines of data.noun."""
NOUNS = {
    "coffee_mug": ["coffee mug"],
    "couch": ["sofa", "couch layer"],
    "furniture": ["furniture"],
    "lounge": ["sofa"],
    "seat": ["seat"],
    "sofa": ["sofa"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two files of a small WordNet, whose offsets are right; the first lines are a licence, as in the real one."""
    lines, offsets, at = ["  1 This is a licence.  \n"], dict[str, int](), 0
    for name, (words, wider) in SYNSETS.items():
        at = sum(map(len, lines))
        offsets[name] = at
        said = " ".join(f"{word} 0" for word in words)
        pointers = " ".join(f"@ {offsets[other]:08d} n 0000" for other in wider)
        lines.append(f"{at:08d} 06 n {len(words):02x} {said} {len(wider):03d} {pointers} | what it is  \n")
    (tmp_path / "data.noun").write_text("".join(lines))
    entries = ["  1 This is a licence.  \n"]
    for noun, synsets in NOUNS.items():
        places = " ".join(f"{offsets[name]:08d}" for name in synsets)
        entries.append(f"{noun} n {len(synsets)} 1 @ {len(synsets)} 0 {places}  \n")
    (tmp_path / "index.noun").write_text("".join(entries))
    return tmp_path


def test_synonyms_come_first_and_then_what_the_first_sense_is_a_kind_of(folder):
    wordnet = WordNet(folder)
    assert wordnet.list_related("sofa") == ["couch", "lounge", "seat"]
    assert wordnet.list_related("couch") == ["sofa", "lounge", "seat"]
    assert wordnet.list_related("coffee mug") == ["seat"]
    assert wordnet.list_related("furniture") == wordnet.list_related("unicorn") == wordnet.list_related("n") == []


def test_the_longest_noun_that_is_known_is_the_one_that_is_changed(folder):
    assert list_related_phrases("red coffee mug", WordNet(folder)) == ["red seat"]
    assert list_related_phrases("Red Sofa", WordNet(folder)) == ["red couch", "red lounge", "red seat"]
    assert list_related_phrases("red unicorn", WordNet(folder)) == []


def test_other_names_share_the_batch_and_find_what_the_models_word_does_not(kitchen, kitchen_sam3):
    model = ScriptedModel([], answers={"propose": [Call("propose", '{"phrases": ["red mug"]}')]})
    related = FixedThesaurus({"mug": ("cup", "vessel")})
    planner = StrategyPlanner(model, strategies=Strategies(thesaurus=True), thesaurus=related)
    episode = run(Task(kitchen, "something to drink from"), planner, kitchen_sam3)
    assert [search.phrase for search in episode.searches] == ["red mug", "red cup", "red vessel"]
    assert (episode.usage.sam_encodes, episode.outcome) == (1, "answered")
    without = run(Task(kitchen, "something to drink from"), StrategyPlanner(model), kitchen_sam3)
    assert without.outcome == "no_match"


def test_a_folder_that_is_none_of_wordnets_is_refused(tmp_path):
    with pytest.raises(PlannerError, match=r"holds no index.noun; expected the files index.noun and data.noun"):
        WordNet(tmp_path)


def test_it_is_looked_for_where_the_environment_says_and_else_said_how_to_get_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    assert Strategies(thesaurus=True).load_thesaurus().list_related("seat") == ["furniture"]
    assert Strategies(hypotheses=True).load_thesaurus() is None
    with pytest.raises(PlannerError, match=r"found none; install them .*apt install wordnet-base.*, set WNSEARCHDIR"):
        load_thesaurus([tmp_path / "nowhere"])
