"""`sam3-agent engine` as a person types it: the story, and every refusal in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.cli.main import app
from engine.pairs import Judgement
from engine.phrases.phrase_log import read_sources
from engine.review.opening import open_services
from engine.review.queue.tables import NewOpinion
from engine.review.team.people import People
from engine.store.store import EngineStore
from tests.support.engines import write_photos


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, ["engine", *map(str, words)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 2)


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """An engine that was begun."""
    assert invoke("init", tmp_path / "engine", "--images", photos, "--phrases", "cup, dog").exit_code == 0
    return tmp_path / "engine"


def test_an_engine_is_begun_run_asked_and_told_to_forget(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "phrases.txt").write_text("# of the kitchen\nRed Cups\ndog\n\n3 dogs\n", encoding="utf-16")
    (tmp_path / "alt.csv").write_text("file_name,alt_text\n0.png,a red cup\nkitchen/1.png,two dogs\n")
    (tmp_path / "rules.md").write_text("A cup has a handle.")
    begun = invoke(
        *("init", tmp_path / "engine", "--images", photos, "--phrases", tmp_path / "phrases.txt"),
        *("--alt-text", tmp_path / "alt.csv", "--guidelines", tmp_path / "rules.md"),
        *("--ontology", "generated-world", "--licence", "CC0"),
    )
    assert "begun with 2 images and 3 phrases, 1 of which are not asked about" in begun.stdout
    assert "'3 dogs' is not asked about" in begun.stderr
    ran = invoke("run", tmp_path / "engine", "--sam3", "tiny")
    assert ran.exit_code == 0, ran.stderr
    assert "masks: 4 pairs proposed" in ran.stdout
    with EngineStore.open(tmp_path / "engine", read_only=True) as store:
        assert sorted((image.alt_text, image.licence) for image in store.images()) == [
            ("a red cup", "CC0"),
            ("two dogs", "CC0"),
        ]
        assert (store.folder / store.read_settings().guidelines).read_text() == "A cup has a handle."
    standing = json.loads(invoke("status", tmp_path / "engine", "--json").stdout)
    assert (standing["images"]["kept"], standing["pairs"]["pairs"], standing["phrases"]) == (2, 4, 2)
    assert sum(split["pairs"] for split in standing["splits"].values()) == 4
    assert "0 of 4" in invoke("status", tmp_path / "engine").stdout
    forgotten = invoke("forget", tmp_path / "engine", photos / "0.png")
    assert "forgotten, with 2 pairs, 2 proposals of masks" in forgotten.stdout
    again = json.loads(invoke("status", tmp_path / "engine", "--json").stdout)
    assert (again["images"]["forgotten"], again["pairs"]["pairs"]) == (1, 2)


def test_answers_are_taken_back_by_the_name_of_who_gave_them(folder: Path) -> None:
    refused = invoke("undo", folder, "anna")
    assert (refused.exit_code, "Say how many" in refused.stderr) == (2, True)
    nobody = invoke("undo", folder, "anna", "--last", 200)
    assert (nobody.exit_code, "who has answered: nobody yet" in nobody.stderr) == (2, True)
    invoke("run", folder, "--sam3", "tiny")
    with open_services(folder, People.build_alone()) as services:
        items = services.desk.queue.take_items("anna", "ev", count=2) or services.desk.queue.take_items("anna", "mv")
        for item in items:
            services.desk.keep_opinions("anna", [NewOpinion(item.id, f"a{item.id}", "reject")])
    assert "there are accept, accept_text" in invoke("undo", folder, "anna", "--last", 1, "--choice", "R").stderr
    assert "who has answered: anna" in invoke("undo", folder, "Anna", "--last", 1).stderr
    assert "0 answers of anna" in invoke("undo", folder, "anna", "--since", "2999-01-01").stdout
    undone = invoke("undo", folder, "anna", "--last", 200, "--choice", "reject")
    assert undone.stdout.startswith(f"taken back: {len(items)} answers of anna about {len(items)} pairs;"), undone


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--phrases", "cup"), "is to be begun without images"),
        (("--images", "nowhere"), "there is no file or folder"),
        (("--images", "empty"), "there is no image in"),
        (("--images", "photos", "--phrases", "nowhere.txt"), "cannot be read"),
        (("--images", "photos", "--ontology", "nowhere.json"), "nowhere.json"),
        (("--images", "photos", "--ontology", "photos/0.png"), "give a .json, .obo or .csv file"),
        (("--images", "photos", "--guidelines", "nowhere.md"), "the guidelines nowhere.md cannot be read"),
        (("--images", "photos", "--alt-text", "photos/0.png"), "give alt-texts as a .json, .csv or .tsv file"),
        (("--images", "photos", "--alt-text", "list.json"), "holds something else than texts by file name"),
        (("--images", "photos", "--alt-text", "other.csv"), "expected one named file_name"),
        (("--images", "photos", "--blocked", "photos/0.png"), "photos/0.png is not in UTF-8"),
        (("--images", "photos", "--blocked", "wordless.txt"), "line 1 of wordless.txt has no words"),
        (("--images", "photos", "--not-groundable", "nowhere.txt"), "cannot read nowhere.txt"),
        (("--images", "many.zip"), "many.zip is a compressed archive; unpack it first"),
        (("--images", "many.tar", "--max-copied-gb", "0.0000001"), "allow more with --max-copied-gb"),
        (("--images", "photos/*.png"), "the pattern photos/*.png names 1 image;"),
        (("--images", "photos", "--phrases", "photos/0.png"), "photos/0.png is no text"),
        (("--images", "photos", "--phrases", "zeros.txt"), "zeros.txt is no text; save the phrases"),
    ],
)
def test_what_cannot_be_begun_is_one_line_and_leaves_nothing(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    import tarfile

    (tmp_path / "empty").mkdir()
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "other.csv").write_text("a;b\n")
    (tmp_path / "wordless.txt").write_text("; race\n")
    (tmp_path / "zeros.txt").write_bytes(b"PK\3\4cup\0\0")
    (tmp_path / "many.zip").write_bytes(b"PK")
    with tarfile.open(tmp_path / "many.tar", "w") as archive:
        archive.add(photos / "0.png", "0.png")
    monkeypatch.chdir(tmp_path)
    done = invoke("init", "engine", *words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert not (tmp_path / "engine").exists()


def test_a_folder_of_something_else_is_refused_and_left_alone(photos: Path) -> None:
    before = sorted(photos.rglob("*"))
    for words in (("init", photos, "--images", photos), ("run", photos), ("status", photos), ("forget", photos, "x")):
        done = invoke(*words)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "--out" not in done.stderr
    assert sorted(photos.rglob("*")) == before


def test_what_is_said_later_of_images_that_are_listed_counts_or_is_told(
    folder: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "alt.json").write_text('{"0.png": "a red cup", "gone.png": "a hat"}')
    said = ("--licence", "CC0", "--alt-text", tmp_path / "alt.json", "--source", "market")
    again = invoke("init", folder, "--images", photos, *said)
    assert "2 images that were listed before have this licence or text now" in again.stderr
    assert "2 images that were listed before keep their source" in again.stderr
    assert "1 of 2 alternative texts name no image of these" in again.stderr
    assert "have this licence" not in invoke("init", folder, "--images", photos, *said).stderr
    assert invoke("run", folder, "--until", "media").exit_code == 0
    with EngineStore.open(folder, read_only=True) as store:
        found = sorted((image.licence, image.alt_text, image.source) for image in store.images())
    assert found == [("CC0", "", "kitchen"), ("CC0", "a red cup", "")]
    for option, value in zip(said[::2], said[1::2], strict=True):
        refused = invoke("init", folder, option, value)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert f"{option} says something of images" in refused.stderr


def test_an_engine_that_is_begun_without_phrases_says_how_it_gets_some(tmp_path: Path, photos: Path) -> None:
    begun = invoke("init", tmp_path / "bare", "--images", photos)
    assert (begun.exit_code, begun.stderr.count("\n")) == (0, 1)
    assert "no phrases for all images yet: give --phrases" in begun.stderr
    assert invoke("init", tmp_path / "bare", "--phrases", "cup").stderr == ""


def test_an_audit_where_models_have_decided_nothing_says_what_lets_them(folder: Path) -> None:
    told = invoke("audit", folder)
    assert (told.exit_code, told.stdout.partition(";")[0]) == (0, "0 labels of models were drawn for people to look at")
    assert "models have decided nothing yet" in told.stderr


def test_splits_never_change_once_images_have_them(folder: Path) -> None:
    assert invoke("init", folder, "--split-by", "source").exit_code == 0
    assert invoke("run", folder, "--until", "media").exit_code == 0
    refused = invoke("init", folder, "--split-by", "group")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "splits never change" in refused.stderr


@pytest.mark.parametrize(
    ("verifier", "said"),
    [
        ("sgnals", "--verifier takes signals, fitted or a language model"),
        ("fitted", "has no fit of stage 'mv' yet"),
        ("recorded:nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("recorded:", "expected the answers of an earlier run"),
        ("openai:", "it is written openai:MODEL"),
    ],
)
def test_a_verifier_that_cannot_judge_is_refused_before_anything_is_computed(
    folder: Path, verifier: str, said: str
) -> None:
    done = invoke("run", folder, "--verifier", verifier)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf"])
def test_a_budget_that_is_no_time_is_refused(folder: Path, hours: str) -> None:
    done = invoke("run", folder, "--budget-hours", hours)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr


def test_a_second_run_at_the_same_time_is_refused_and_status_is_not(folder: Path) -> None:
    with EngineStore.open(folder):
        refused = invoke("run", folder)
        assert refused.exit_code == 2
        assert "another process works on" in refused.stderr
        assert invoke("status", folder).exit_code == 0


def test_a_list_that_is_given_later_withdraws_pairs_and_one_without_them_brings_them_back(
    folder: Path, tmp_path: Path
) -> None:
    assert invoke("run", folder, "--until", "propose").exit_code == 0
    with EngineStore.open(folder) as store:
        phrases = sorted({pair.phrase for pair in store.pairs()})
        pair = next(store.pairs(phrase=phrases[0]))
        said = Judgement(pair=pair.key, stage="ev", choice="accept", by="human:anna", at=1.0, drawn="random")
        store.append([said])
    for text, states in ((f"{phrases[0]}; not ours", {"rejected"}), ("elephant; too large", {"proposed"})):
        (tmp_path / "list.txt").write_text(text)
        done = invoke("init", folder, "--blocked", tmp_path / "list.txt")
        assert "pairs" in done.stderr, done.stderr
        with EngineStore.open(folder, read_only=True) as store:
            assert {state.name for state in store.iterate_states() if state.pair.phrase == phrases[0]} == states
            assert [record.entry for record in store.entries()] == [said]
        assert ("not ours" in invoke("status", folder).stdout) == (states == {"rejected"})


FULL = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from agent.cli.main import main
import engine.cli, engine.store.store, engine.stages.running
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
main(sys.argv[2:])
"""


def test_a_disk_without_room_is_one_line_and_what_was_there_is_kept(folder: Path) -> None:
    """A file that may not grow any more fails as a disk without room does."""
    size = (folder / "engine.sqlite").stat().st_size
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", FULL, str(size // 8), "engine", "run", str(folder), "--until", "media"]
    done = subprocess.run(words, env=there, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "make room and run the same command again" in done.stderr
    assert invoke("run", folder, "--until", "media").stdout == "media: 2 images read\n"


def test_own_lists_add_to_those_that_ship_and_what_is_dropped_is_kept_with_why(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("dog; our customer asks for no animals", encoding="utf-16")
    (tmp_path / "vague.txt").write_text("# heads\nsparkle\n")
    lists = ("--blocked", tmp_path / "mine.txt", "--not-groundable", tmp_path / "vague.txt")
    added = invoke("init", folder, *lists, "--phrases", "hot dogs, blue sparkle, mood, hat")
    assert (added.exit_code, added.stderr.count("is not asked about")) == (0, 3), added.stderr
    assert "our customer asks for no animals" in added.stderr
    for path in tmp_path.glob("*.txt"):
        path.unlink()  # the engine has copies
    assert invoke("run", folder, "--until", "propose").stdout.endswith("propose: 4 new pairs\n")
    with EngineStore.open(folder, read_only=True) as store:
        assert sorted({pair.phrase for pair in store.pairs()}) == ["cup", "hat"]
        [said] = read_sources(store)
    assert [one.kind for one in said.dropped] == ["blocked", "blocked", "not_groundable", "not_groundable"]
    standing = json.loads(invoke("status", folder, "--json").stdout)
    assert standing["dropped_phrases"] == {"blocked": 2, "not_groundable": 2}
