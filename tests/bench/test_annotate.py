"""The benchmark of runs over many images, small: it really kills, and it counts what is left."""

from pathlib import Path

from bench.suites.annotation.measuring import measure_kills, write_scenes


def test_a_run_that_is_killed_loses_nothing_and_the_benchmark_says_so(tmp_path: Path) -> None:
    source = write_scenes(tmp_path / "in", 240, size=(32, 24))
    table = measure_kills(source, tmp_path, kills=1)
    [row] = table.rows
    told = dict(zip(table.columns, row, strict=True))
    assert told["images"] == 240
    assert (told["kills of a worker"], told["lost"], told["twice"], told["torn files"]) == (1, 0, 0, 0)
