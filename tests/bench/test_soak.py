"""Memory stays flat while conversations come and go, and a soak says so where it does not."""

import numpy as np

from bench.harness.memory import read_allocated_mib
from bench.harness.tables import Table
from bench.suites import soak
from bench.suites.drawing import draw_blob_scene
from sam3_tool import Sam3, ScriptedBackend


def test_conversations_side_by_side_leave_nothing_behind():
    workers = 4  # each makes a visit before each sample
    soaked = soak.measure_soak(seconds=0, samples=3, workers=workers, scenes=4)
    visits, episodes = (sum(row[place] for row in soaked.table.rows[-1:]) for place in (1, 2))
    assert visits == 3 * workers
    assert episodes > 1.5 * visits  # most of them go on with a click and a further query
    assert soaked.failed_visits == soaked.remaining_threads == 0
    assert soaked.growth < soak.MOST_GROWTH * workers / soak.WORKERS
    assert soaked.complaint == ""


def test_a_soak_says_what_is_wrong():
    table = Table("soak", "", (), [], {})
    assert "2 visits failed" in soak.SoakResult(table, growth=0.0, failed_visits=2, remaining_threads=0).complaint
    assert "grew by 300 MiB" in soak.SoakResult(table, growth=300.0, failed_visits=0, remaining_threads=0).complaint
    assert "left behind: 1" in soak.SoakResult(table, growth=0.0, failed_visits=0, remaining_threads=1).complaint


def test_a_soak_counts_what_is_kept_and_not_what_is_given_back():
    before = read_allocated_mib()
    kept = [np.ones((480, 640, 3), np.uint8) for _ in range(100)]
    assert 80 < read_allocated_mib() - before < 100
    kept.clear()
    assert abs(read_allocated_mib() - before) < 5


def test_a_visit_that_raises_is_counted_as_failed():
    misfit = ScriptedBackend({None: {"": draw_blob_scene(8, 8, 1)[1]}}, normalize=lambda phrase: "")  # fits no image
    crowd = soak.Crowd(Sam3(misfit), scenes=2)
    list(crowd.sample_memory(0, samples=1))
    assert crowd.failed == crowd.visits == soak.WORKERS
