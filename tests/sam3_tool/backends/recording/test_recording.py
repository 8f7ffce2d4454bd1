import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3
from sam3_tool.backends.recording.format import Recorder, RecordingReader
from sam3_tool.backends.recording.record import RecordingBackend
from sam3_tool.backends.recording.replay import ReplayingBackend
from sam3_tool.backends.scripted import ScriptedBackend
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.errors import RecordError

EDGE = np.array([[0.1, 0.2, 39.9, 59.7]], np.float32) + np.float32(1e-6)


def one(presence: float = 0.1, phrase: str = "") -> Instances:
    mask = np.zeros((1, 60, 80), bool)
    mask[0, 3:50, 5:31] = True
    return Instances(mask, EDGE, np.array([0.7], np.float32) * np.float32(1.0000001), presence, phrase)


def same(a: Instances, b: Instances) -> bool:
    """Bit for bit."""
    arrays = all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in [(a.masks, b.masks), (a.boxes, b.boxes), (a.scores, b.scores)]
    )
    return arrays and (a.presence, a.phrase) == (b.presence, b.phrase)


@pytest.fixture
def small() -> Image:
    return Image(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))


@pytest.fixture
def recording(small: Image, tmp_path: Path) -> Path:
    """One phrase asked of one picture."""
    Sam3(RecordingBackend(ScriptedBackend({None: {"red cup": one()}}), tmp_path)).segment(small, "red cup")
    return tmp_path


def entry(folder: Path, what: str) -> Path:
    [path] = [path for path in (folder / "sam3").iterdir() if json.loads(path.read_text())["asked"]["what"] == what]
    return path


def test_what_the_network_found_comes_back_bit_for_bit_without_it(picture: Image, tmp_path: Path) -> None:
    recorder = Sam3.load("tiny", record=tmp_path)
    asked = [
        (picture, ConceptPrompt("red circle")),
        (picture, ConceptPrompt("unicorn")),
        (picture, ConceptPrompt("circle", ((30.5, 60.0, 150.0, 180.25),), (1,), 0.2)),
        (picture, ConceptPrompt(None, ((205.0, 85.0, 285.0, 165.0),))),
        (picture.crop(10, 20, 200, 230), ConceptPrompt("red circle")),
    ]
    found = recorder.segment_batch(asked)
    replayed = Sam3.replay(tmp_path)
    assert all(same(a, b) for a, b in zip(replayed.segment_batch(asked), found, strict=True))
    assert len(found[0]) == 1
    assert replayed.name == "tiny"
    # the same network, as last digits depend on what was encoded together, and a segmenter that has seen no picture
    assert same(found[0], Sam3.load("tiny").segment_batch(asked)[0]), "recording changes nothing"


def test_what_a_caller_may_say_about_the_weights_is_replayed_too(
    tiny: Sam3, network: TransformersBackend, tmp_path: Path
) -> None:
    said = Sam3(RecordingBackend(network, tmp_path)).vocabulary_warning("unicorn")
    assert said == tiny.vocabulary_warning("unicorn") != ""
    assert Sam3.replay(tmp_path).vocabulary_warning("unicorn") == said
    with pytest.raises(CheckpointError, match="the vocabulary warning on 'dragon'"):
        Sam3.replay(tmp_path).vocabulary_warning("dragon")


def test_costs_are_counted_as_if_the_network_were_there(
    network: TransformersBackend, picture: Image, tmp_path: Path
) -> None:
    requests = [(picture, ConceptPrompt("red circle")), (picture, ConceptPrompt("blue square"))]
    first = Sam3(RecordingBackend(network, tmp_path))
    recorded = [first.run_requests(requests), first.run_requests(requests)]
    second = Sam3.replay(tmp_path)
    replayed = [second.run_requests(requests), second.run_requests(requests)]
    costs = [[(report.encodes, report.decodes) for report in reports] for reports in (recorded, replayed)]
    assert costs == [[(1, 2), (0, 2)]] * 2


def test_a_replay_loads_neither_torch_nor_a_checkpoint(recording: Path) -> None:
    program = f"import sys; from sam3_tool import Sam3; Sam3.replay({str(recording)!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    "other",
    [ConceptPrompt("red cup", threshold=0.4), ConceptPrompt("Red cup"), ConceptPrompt("red cup", ((0, 0, 9, 9),))],
)
def test_what_was_not_asked_is_refused_in_one_sentence(other: ConceptPrompt, recording: Path, small: Image) -> None:
    sam3 = Sam3.replay(recording)
    with pytest.raises(CheckpointError, match=r"holds no recording of this call .* not asked for '[Rr]ed cup'") as said:
        sam3.segment_batch([(small, other)])
    assert "\n" not in str(said.value)
    assert len(sam3.segment(small, "red cup")) == 1


def test_another_picture_is_not_mistaken_for_the_recorded_one(recording: Path, small: Image) -> None:
    pixels = small.pixels.copy()
    pixels[0, 0, 0] ^= 1
    with pytest.raises(CheckpointError, match="no recording"):
        Sam3.replay(recording).segment(Image(pixels), "red cup")


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no recording"):
        Sam3.replay(tmp_path / "none")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot record into .*file/sam3: Not a directory"):
        RecordingBackend(ScriptedBackend({}), tmp_path / "file")


DAMAGE = {
    "version 7 of recorded calls; expected 1": lambda held: {**held, "version": 7},
    "not a recorded call": lambda held: {"version": 1},
    "holds no answer": lambda held: {**held, "answers": []},
    "'red cup' is damaged in the recording: 'masks'": lambda held: {**held, "answers": [{"height": 60, "width": 80}]},
    "the runs do not make up": lambda held: {**held, "answers": [{**held["answers"][0], "masks": ["ooo"]}]},
    "1 masks, but boxes are": lambda held: {**held, "answers": [{**held["answers"][0], "boxes": []}]},
}


@pytest.mark.parametrize("said", DAMAGE)
def test_a_damaged_recording_is_refused_in_one_sentence(said: str, recording: Path, small: Image) -> None:
    path = entry(recording, "find")
    path.write_text(json.dumps(DAMAGE[said](json.loads(path.read_text()))))
    with pytest.raises(CheckpointError, match=said):
        Sam3.replay(recording).segment(small, "red cup")


def test_half_a_file_is_refused_in_one_sentence(recording: Path, small: Image) -> None:
    path = entry(recording, "find")
    path.write_text(path.read_text()[:90])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        Sam3.replay(recording).segment(small, "red cup")


class Changing:
    """Answers each call with another presence."""

    name = "changing"

    def __init__(self) -> None:
        self.presences: Iterator[float] = iter([0.25, 0.25, 0.5])

    def encode(self, images):
        return ScriptedBackend({}).encode(images)

    def decode(self, embeddings, prompts):
        return [one(next(self.presences)) for _ in prompts]

    def vocabulary_warning(self, phrase):
        return ""


def test_answers_that_change_are_replayed_in_order_and_from_the_start_again(small: Image, tmp_path: Path) -> None:
    recorder = Sam3(RecordingBackend(Changing(), tmp_path))
    assert [recorder.segment(small, "cup").presence for _ in range(3)] == [0.25, 0.25, 0.5]
    replayed = Sam3.replay(tmp_path)
    assert [replayed.segment(small, "cup").presence for _ in range(6)] == [0.25, 0.25, 0.5] * 2


def test_a_second_recording_replaces_what_the_first_said(small: Image, recording: Path) -> None:
    Sam3(RecordingBackend(ScriptedBackend({None: {"red cup": one(0.75)}}), recording)).segment(small, "red cup")
    assert Sam3.replay(recording).segment(small, "red cup").presence == 0.75


def test_an_answer_that_stays_the_same_is_kept_once(small: Image, tmp_path: Path) -> None:
    recorder = Sam3(RecordingBackend(ScriptedBackend({None: {"cup": one()}}), tmp_path))
    for _ in range(5):
        recorder.segment(small, "cup")
    assert len(json.loads(entry(tmp_path, "find").read_text())["answers"]) == 1


def test_many_threads_write_whole_files(tmp_path: Path) -> None:
    recorder, question = Recorder(tmp_path), {"what": "is asked by all"}
    letters = ["\ud83d" + letter * 20_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda letter: recorder.add_answer(question, letter), letters * 3))
        list(threads.map(lambda number: recorder.add_answer({"what": number}, number), range(60)))
    again = RecordingReader(tmp_path)
    assert sorted(again.read_answer(question) for _ in range(24)) == sorted(letters * 3)
    assert [again.read_answer({"what": number}) for number in range(60)] == list(range(60))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json"}


def test_a_recording_on_a_full_or_lost_disk_says_so(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "lost")
    (tmp_path / "lost").rmdir()
    with pytest.raises(RecordError, match=r"cannot record into .*lost: No such file"):
        recorder.add_answer({"what": 1}, 1)


def test_a_replayed_picture_takes_no_room(recording: Path, small: Image) -> None:
    [embedding] = ReplayingBackend(recording).encode([small])
    assert (embedding.key, embedding.nbytes) == (small.key, 0)
