"""How costs grow is measured against everything that can be many."""

import numpy as np

from bench.harness.memory import measure_peak_mib
from bench.harness.plots import plot_table
from bench.harness.tables import Table
from bench.suites import growth


def test_the_peak_of_a_work_is_what_it_had_at_most_and_not_what_it_kept():
    peak = measure_peak_mib(lambda: [np.ones((40, 2**20), np.uint8).sum() for _ in range(3)])
    assert peak is None or 39 < peak < 100


def test_masks_holes_frames_phrases_episodes_and_samples_are_counted_and_the_growth_of_each_told_as_a_power():
    tables = [
        growth.measure_mask_growth((2, 8)),
        growth.measure_hole_growth((400, 1600)),
        growth.measure_frame_growth((4, 12), (48, 64)),
        growth.measure_phrase_growth((1, 2)),
        growth.measure_episode_growth((1, 2)),
        growth.measure_sample_growth((2, 6)),
    ]
    for table in tables:
        small, large = table.rows
        assert small[0] < large[0]
        times = [cell for name, cell in zip(table.columns, large, strict=True) if name.endswith(", ms")]
        assert min(times) > 0
    told = growth.fit_powers(tables)
    assert {row[1] for row in told.rows} == {"masks", "holes", "frames", "phrases", "at a time", "samples"}
    powers = [row[-1] for row in told.rows]
    assert powers == sorted(powers, reverse=True)


def test_a_cost_that_grows_with_the_square_of_the_size_has_the_power_2():
    """Fitted to the last tenfold of sizes; what is too small to be measured has none."""
    rows = [(1, 99.0, 9.0, 0.0), (10, 7.0, 7.0, 0.1), (30, 63.0, 7.0, 4.0), (100, 700.0, 7.0, 9.0)]
    table = Table("t", "", ("masks", "ours, ms", "theirs, ms", "ours, MiB"), rows, {})
    told = growth.fit_powers([table]).rows
    assert told == [("ours, ms", "masks", 10, 100, 2.0), ("theirs, ms", "masks", 10, 100, 0.0)]


def test_a_plot_shows_time_and_memory_and_what_would_grow_in_proportion(tmp_path):
    rows = [(1, 9.0, None, 0.0), (10, 7.0, 7.0, 0.1)]
    plot_table(Table("sizes", "", ("masks", "ours, ms", "theirs, ms", "ours, MiB"), rows, {}), tmp_path)
    plot_table(
        Table("times", "", ("after, s", "visits", "held, MiB"), [(1.5, 8, 400.0), (3.0, 16, 401.0)], {}), tmp_path
    )
    plot_table(Table("words", "", ("part", "ours, ms"), [("encoder", 1.0), ("decoder", 2.0)], {}), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"sizes.svg", "times.svg"}
    shown = (tmp_path / "sizes.svg").read_text("utf-8")
    assert all(f"<!-- {words} -->" in shown for words in ("ms", "MiB", "ours", "theirs", "in proportion"))
    assert "<!-- in proportion -->" not in (tmp_path / "times.svg").read_text("utf-8")
