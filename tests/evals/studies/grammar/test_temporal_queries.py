"""The command that measures temporal queries: exact masklets, a right answer, and none at all."""

import json

import numpy as np
import pytest

from agent import VIDEO, GrammarPlanner
from evals.datasets.synthetic.temporal import generate_temporal_queries
from evals.studies.grammar import temporal_queries as study
from sam3_tool.synthetic.nouns import HYPERNYMS


@pytest.fixture(scope="module")
def queries():
    return list(generate_temporal_queries(2, kinds=["moves left", "fastest"]))


def test_exact_masklets_are_found_by_every_plain_phrase_of_an_object(queries):
    for query in queries:
        sam3, video = study.build_truth(query), study.open_video(query)
        thing = query.clip.objects[query.targets[0]]
        family = next(family for family, nouns in HYPERNYMS.items() if thing.noun in nouns)
        for phrase in filter(None, (thing.noun, family, thing.colour and f"{thing.colour} {thing.noun}")):
            [found] = sam3.track_masklets(video, phrase)
            assert len(found)
        [nothing] = sam3.track_masklets(video, "idea")
        assert len(nothing) == 0


def test_a_plain_answer_is_measured_by_kind(queries, capsys):
    answered = study.answer_queries(GrammarPlanner(VIDEO), study.build_truth, queries)
    rows = study.average_by_kind(answered)
    assert list(rows) == ["moves left", "fastest", "overall"]
    assert rows["overall"]["n"] == 2
    assert 0 <= rows["overall"]["jf"] <= 1
    assert rows["overall"]["jf"] == pytest.approx(np.mean([rows[kind]["jf"] for kind in ("moves left", "fastest")]))
    assert study.format_temporal_table(rows).count("\n") == 3


def test_no_answer_is_right_where_nothing_is_and_wrong_elsewhere(queries):
    nothing = study.AnsweredQuery(queries[0], None, "no server")
    empty_share = 1 - queries[0].target.any(axis=(1, 2)).mean()
    assert nothing.curves == (pytest.approx(empty_share), pytest.approx(empty_share))


def test_the_command_prints_a_table_and_keeps_the_numbers(tmp_path, capsys):
    out = tmp_path / "numbers.json"
    words = ["--sam3", "truth", "--number", "1", "--kinds", "passes", "--out", str(out), "--below", "1.1"]
    study.main(words)
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith("overall")
    assert "passes: 'the" in said.err
    assert json.loads(out.read_text())["overall"]["n"] == 1
