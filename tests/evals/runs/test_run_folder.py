"""A run's folder survives whatever ends a process, and never mixes two runs."""

import json
import subprocess
import sys

import pytest

from agent.core.budget import Budget
from agent.records.provenance import Provenance
from agent.tools import PAPER
from evals.errors import RunError
from evals.runs.manifest import Selection
from evals.runs.run_folder import RunFolder, encode_file_name
from evals.samples import Prediction


def line(id: str, **more: object) -> Prediction:
    return Prediction(id=id, status="ok", **more)


def test_what_was_appended_is_read_back(world, tmp_path):
    first = line("a", message="one\u2028line\u0085 still\n, half a \ud83d character", seconds=0.1 + 0.2)
    with world.start(tmp_path).run as run:
        run.append(first)
        run.append(line("b"))
    found = RunFolder(tmp_path).load_predictions()
    assert list(found) == ["a", "b"]
    assert found["a"].message == "one\u2028line\u0085 still\n, half a ? character"
    assert found["a"] == first


def test_a_torn_last_line_is_cut_off_and_no_other(world, tmp_path):
    with world.start(tmp_path).run as run:
        run.append(line("a"))
        run.append(line("b"))
    with (tmp_path / "samples.jsonl").open("ab") as file:
        file.write(b'{"id":"c","status":"o')
    with world.start(tmp_path).run as run:
        assert list(run.load_predictions()) == ["a", "b"]
        run.append(line("c"))
    assert [json.loads(one)["id"] for one in (tmp_path / "samples.jsonl").read_text().splitlines()] == ["a", "b", "c"]


def test_a_torn_line_is_no_trouble_to_a_reader(world, tmp_path):
    with world.start(tmp_path).run as run:
        run.append(line("a"))
    with (tmp_path / "samples.jsonl").open("ab") as file:
        file.write(b'{"id":"b"')
    assert list(RunFolder(tmp_path).load_predictions()) == ["a"]


def test_a_damaged_line_is_named(world, tmp_path):
    with world.start(tmp_path).run as run:
        run.append(line("a"))
        run.append(line("b"))
    path = tmp_path / "samples.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"status":"ok"', b'"status":"fine"', 1))
    with pytest.raises(RunError, match=r"samples.jsonl, line 1 is damaged .*; delete that line"):
        RunFolder(tmp_path).load_predictions()


def test_of_a_sample_that_was_tried_again_the_latest_counts(world, tmp_path):
    with world.start(tmp_path).run as run:
        run.append(Prediction.make_failed("a", "no"))
        run.append(line("a", message="yes"))
    assert RunFolder(tmp_path).load_predictions()["a"].message == "yes"
    assert len(RunFolder(tmp_path).load_attempts()) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"threshold": 0.4}, "threshold: 0.5, now 0.4"),
        ({"checkpoint": "abc"}, "checkpoint: , now abc"),
        ({"batch": 8}, "batch: 1, now 8"),
        ({"generation": {"temperature": 0.7}}, "generation.temperature: None, now 0.7"),
        ({"options": {"number": "13"}}, "options.number: 12, now 13"),
        ({"made_by": Provenance(planner="openai:x", sam3="truth")}, "made_by.planner: grammar, now openai:x"),
        (
            {"made_by": Provenance(planner="grammar", sam3="truth", toolset=PAPER)},
            "made_by.protocol: workspace, now",
        ),
        (
            {"made_by": Provenance(planner="grammar", sam3="truth", budget=Budget(max_steps=3))},
            "made_by.budget.max_steps: 12, now 3",
        ),
        (
            {"made_by": Provenance(planner="grammar", sam3="truth", prompts={"workspace": "1f"})},
            "made_by.prompts.workspace: None, now 1f",
        ),
        ({"selection": Selection(limit=3)}, "samples: 12, now 3; limit: None, now 3; ids: "),
    ],
)
def test_a_run_that_was_made_otherwise_is_not_gone_on_with(world, tmp_path, changes, named):
    world.start(tmp_path).run.__exit__()
    with pytest.raises(RunError, match="holds another run") as error:
        world.start(tmp_path, **changes)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
    world.start(tmp_path).run.__exit__()  # the refusal has not harmed it


def test_other_code_and_packages_are_only_told(world, tmp_path):
    before = world.manifest(commit="a" * 40, packages={"numpy": "1"}, machine="one")
    now = world.manifest(commit="b" * 40, packages={"numpy": "2"}, machine="another")
    assert before.find_differences(now) == []
    told = before.find_harmless_differences(now)
    assert f"commit: {'a' * 40}, now {'b' * 40}" in told
    assert "packages.numpy: 1, now 2" in told


def test_where_the_pictures_are_is_only_told(world, tmp_path):
    here, there = (world.manifest(options={"number": "12", "pictures": place}) for place in ("/a", "/b"))
    assert here.find_differences(there) == []
    assert "options.pictures: /a, now /b" in here.find_harmless_differences(there)


HOLD = """
import sys
from pathlib import Path
from evals.runs.manifest import Manifest
from evals.runs.run_folder import RunFolder

with RunFolder.start(Path(sys.argv[1]), Manifest.load(Path(sys.argv[1]) / "manifest.json")):
    print("at work", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_write_into_one_run_unless_the_first_was_killed(world, tmp_path):
    world.start(tmp_path).run.__exit__()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "at work\n"
        with pytest.raises(RunError, match="another process is at work in"):
            world.start(tmp_path)
        other.kill()
    assert (tmp_path / ".lock").exists()
    world.start(tmp_path).run.__exit__()


def test_a_second_writer_in_one_process_is_refused_too(world, tmp_path):
    with world.start(tmp_path).run, pytest.raises(RunError, match="another process is at work in"):
        world.start(tmp_path)


def test_a_folder_without_a_run_and_a_foreign_manifest_are_one_sentence(tmp_path):
    with pytest.raises(RunError, match="is not a run: cannot read manifest"):
        RunFolder(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="is not a manifest this program can read: dataset: Field required"):
        RunFolder(tmp_path)


def test_a_place_that_cannot_be_written_is_one_sentence(world, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"^cannot write into .*file/run: Not a directory$"):
        world.start(tmp_path / "file" / "run")


@pytest.mark.parametrize("id", ["../../etc/passwd", "..", ".", "a/b\\c", "x" * 400, "日本 語", "nul\0l", "CON"])
def test_any_id_is_one_file_inside_the_folder(world, tmp_path, id):
    path = tmp_path / f"{encode_file_name(id)}.json"
    path.touch()
    assert [path.parent for path in tmp_path.iterdir()] == [tmp_path]
    assert path.resolve().parent == tmp_path.resolve()


def test_long_ids_that_begin_alike_have_files_of_their_own():
    assert encode_file_name("x" * 400 + "1") != encode_file_name("x" * 400 + "2")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_run_that_an_editor_saved_in_another_encoding_goes_on(world, tmp_path, encoding):
    with world.start(tmp_path).run as run:
        run.append(line("a", message="Tässchen"))
    for path in (tmp_path / "manifest.json", tmp_path / "samples.jsonl"):
        path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert RunFolder(tmp_path).load_predictions()["a"].message == "Tässchen"
    with world.start(tmp_path).run as run:
        run.append(line("b"))
        assert list(run.load_predictions()) == ["a", "b"]


@pytest.mark.parametrize("counts", ["~~", "PPPPPPPPP", "0"])
def test_a_mask_that_is_none_is_a_damaged_line(world, tmp_path, counts):
    with world.start(tmp_path).run as run:
        run.append(line("a", masks=[{"size": (2, 3), "counts": "06"}]))
    path = tmp_path / "samples.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"06"', json.dumps(counts).encode()))
    with pytest.raises(RunError, match=r"samples.jsonl, line 1 is damaged .*; delete that line"):
        RunFolder(tmp_path).load_predictions()
