"""Result files: what they hold, and that they appear together or not at all."""

from pathlib import Path

import pytest

from agent import Decision, Episode, Task
from agent.core.errors import OutputError
from agent.report.output_folder import stage_files
from agent.report.result import Result, build_result_schema

NAMES = ("a.txt", "b.txt")


def fill(stage: Path) -> None:
    for name in NAMES:
        (stage / name).write_text("fresh")


def test_a_result_needs_a_finished_episode(picture):
    with pytest.raises(ValueError, match="no outcome yet"):
        Result.from_episode(Episode(Task(picture, "cup")), seconds=1.0)


def test_a_result_holds_the_masks_that_were_answered(play):
    episode = play(Decision("segment", '{"phrases": ["red cup"]}'), Decision("answer", '{"ids": [3, 1]}'))
    result = Result.from_episode(episode, seconds=1.23456)
    assert [mask.id for mask in result.masks] == list(episode.current_ids)
    assert {mask.phrase for mask in result.masks} == {"red cup"}
    assert result.masks[0].bbox in {(5.0, 20.0, 10.0, 10.0), (55.0, 20.0, 20.0, 10.0)}
    assert (result.count, result.seconds, result.is_conclusive) == (2, 1.235, True)
    assert Result.model_validate_json(result.to_json()) == result


def test_the_schema_describes_what_a_result_holds(play):
    schema = build_result_schema()
    held = Result.from_episode(play(Decision("segment", '{"phrases": ["red cup"]}')), seconds=1.0).model_dump()
    assert set(schema["properties"]) == {*held, "video", "warnings"}
    assert set(schema["$defs"]["Mask"]["properties"]) == {*held["masks"][0], "track", "label"}
    assert schema["properties"]["message"]["description"] == "The answer in words."


def test_an_episode_that_ran_out_of_steps_did_not_end_well(play):
    assert not Result.from_episode(play(Decision("segment", '{"phrases": ["red cup"]}')), seconds=1.0).is_conclusive


def test_files_appear_together(tmp_path):
    with stage_files(tmp_path / "new" / "folder", NAMES) as stage:
        fill(stage)
        assert not (tmp_path / "new" / "folder" / "a.txt").exists()
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == list(NAMES)


def fail_while_writing(folder: Path, error: type[BaseException]) -> None:
    with stage_files(folder, NAMES) as stage:
        fill(stage)
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_leaves_nothing_behind(tmp_path, error):
    with pytest.raises(error):
        fail_while_writing(tmp_path / "new" / "folder", error)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_earlier_files_as_they_were(tmp_path):
    (tmp_path / "a.txt").write_text("earlier")
    with pytest.raises(RuntimeError):
        fail_while_writing(tmp_path, RuntimeError)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "earlier")]


def test_a_folder_that_cannot_be_made_is_said_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"cannot write into .*: Not a directory"),
        stage_files(tmp_path / "file" / "below", NAMES),
    ):
        pytest.fail("the block ran")


def test_a_file_in_the_place_of_the_folder_is_said_before_any_work(tmp_path):
    (tmp_path / "file").write_text("earlier")
    with pytest.raises(OutputError, match="it is a file; choose another folder"), stage_files(tmp_path / "file", NAMES):
        pytest.fail("the block ran")
    assert (tmp_path / "file").read_text() == "earlier"


def test_a_folder_in_the_place_of_a_file_is_said_before_any_work(tmp_path):
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(OutputError, match=r"b\.txt"), stage_files(tmp_path, NAMES):
        pytest.fail("the block ran")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]
