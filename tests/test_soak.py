"""Memory stays flat while conversations come and go, and a soak says so where it does not."""

import numpy as np

from bench import soak
from bench.draw import scene
from bench.memory import held
from bench.tables import Table
from sam3_tool import Sam3, ScriptedBackend


def test_half_a_minute_of_conversations_side_by_side_leaves_nothing_behind():
    soaked = soak.measure(seconds=30)
    visits, episodes = (sum(row[place] for row in soaked.table.rows[-1:]) for place in (1, 2))
    assert visits >= soak.WORKERS
    assert episodes > 1.5 * visits  # most of them go on with a click and a further query
    assert soaked.failed == soaked.left == 0
    assert soaked.grown < soak.MOST_GROWTH
    assert soaked.complaint == ""


def test_a_soak_says_what_is_wrong():
    table = Table("soak", "", (), [], {})
    assert "2 visits failed" in soak.Soaked(table, grown=0.0, failed=2, left=0).complaint
    assert "grew by 300 MiB" in soak.Soaked(table, grown=300.0, failed=0, left=0).complaint
    assert "left behind: 1" in soak.Soaked(table, grown=0.0, failed=0, left=1).complaint


def test_a_soak_counts_what_is_kept_and_not_what_is_given_back():
    before = held()
    kept = [np.ones((480, 640, 3), np.uint8) for _ in range(100)]
    assert 80 < held() - before < 100
    kept.clear()
    assert abs(held() - before) < 5


def test_a_visit_that_raises_is_counted_as_failed():
    misfit = ScriptedBackend({None: {"": scene(8, 8, 1)[1]}}, normalise=lambda phrase: "")  # of no picture's size
    crowd = soak.Crowd(Sam3(misfit))
    list(crowd.watched(1.0, samples=1))
    assert crowd.failed == crowd.visits > 0
