"""The file of a concept: what goes in comes out, and any other file is one sentence."""

import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from sam3_tool import Concept, ConceptError
from sam3_tool.concepts.file import MAX_BYTES

HEADER = {
    "format": "sam3-agent concept",
    "version": "1",
    "fingerprint": "ab" * 32,
    "weights": "mine",
    "dtype": "float32",
    "phrase": "cup",
}
ROWS = np.linspace(-3, 3, 24, dtype=np.float32).reshape(3, 8)
ARRAYS = {"examples": ROWS, "labels": np.array([1, 0, 1], np.uint8), "surroundings": ROWS[:2].copy()}


def build_concept() -> Concept:
    return Concept(ROWS, (1, 0, 1), ROWS[:2], "cup", "ab" * 32, "mine", "float32")


def test_what_is_saved_is_read_to_the_last_bit(tmp_path):
    for number, concept in enumerate([build_concept(), build_concept().with_phrase(None)]):
        concept.save(tmp_path / f"{number}.concept")
        again = Concept.load(tmp_path / f"{number}.concept")
        assert (again.key, again.phrase, again.labels) == (concept.key, concept.phrase, (1, 0, 1))
        assert (again.weights, again.dtype, again.fingerprint) == ("mine", "float32", "ab" * 32)
        assert again.examples.tobytes() == ROWS.tobytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0.concept", "1.concept"]


def test_every_part_counts_in_the_key():
    concept = build_concept()
    changed = [
        concept.with_phrase("mug"),
        replace(concept, labels=(1, 1, 1)),
        replace(concept, fingerprint="cd" * 32),
        replace(concept, examples=-ROWS),
        replace(concept, surroundings=-ROWS[:2]),
        replace(concept, surroundings=ROWS[:1]),
    ]
    assert len({concept.key, *(each.key for each in changed)}) == 7
    assert replace(concept, dtype="bfloat16", weights="a copy").key == concept.key


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 40, -1])
def test_a_part_of_a_file_is_refused(tmp_path, cut):
    build_concept().save(tmp_path / "whole")
    (tmp_path / "part").write_bytes((tmp_path / "whole").read_bytes()[:cut])
    with pytest.raises(ConceptError, match="part is no concept, or is cut off"):
        Concept.load(tmp_path / "part")


@pytest.mark.parametrize(
    ("arrays", "header", "why"),
    [
        ({}, {"format": "pt"}, "does not say format 'sam3-agent concept'; expected what `Concept.save`"),
        ({}, {"version": "2"}, "has version '2' of the format, and this program reads version 1; update it"),
        ({}, {"fingerprint": ""}, "names no weights"),
        ({}, {"phrase": "cup " * 1000}, "a text that is too long"),
        ({"examples": np.full((3, 8), np.nan, np.float32)}, {}, "`examples` must be finite"),
        ({"surroundings": np.full((2, 8), np.inf, np.float32)}, {}, "`surroundings` must be finite"),
        ({"examples": ROWS.astype(np.float64)}, {}, "is damaged"),
        ({"examples": ROWS[:, :4].copy()}, {}, "of width 4, but surroundings of width 8"),
        ({"labels": np.array([1, 0], np.uint8)}, {}, "need as many labels"),
        ({"labels": np.array([1, 0, 7], np.uint8)}, {}, "labels out of 0 and 1"),
        ({"examples": np.zeros((0, 8), np.float32)}, {}, "must be finite float32"),
        ({"examples": np.zeros((65, 8), np.float32), "labels": np.ones(65, np.uint8)}, {}, "at most 64 examples"),
        ({"surroundings": np.zeros((4, 8), np.float32)}, {}, "no more images than examples"),
        ({"picture": np.zeros((2, 2), np.float32)}, {}, "expected examples, labels, surroundings"),
    ],
)
def test_numbers_that_make_no_concept_are_refused(tmp_path, arrays, header, why):
    save_file(ARRAYS | arrays, tmp_path / "odd.concept", HEADER | header)
    with pytest.raises(ConceptError, match=why):
        Concept.load(tmp_path / "odd.concept")


def write_foreign_files(folder: Path) -> None:
    (folder / "text").write_text("a cup", encoding="utf-8")
    (folder / "weights").write_bytes(save({"layer.weight": ROWS}))
    (folder / "pickled").write_bytes(pickle.dumps(ROWS))
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(4000))
    # a header that claims to be as long as memory is
    (folder / "claim").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with zipfile.ZipFile(folder / "zipped", "w") as file:
        file.writestr("examples.npy", b"\0" * 1000)


@pytest.mark.parametrize("name", ["text", "weights", "pickled", "noise", "claim", "zipped"])
def test_files_of_another_kind_are_refused(tmp_path, name):
    write_foreign_files(tmp_path)
    with pytest.raises(ConceptError, match=f"{name} is no concept.*expected what `Concept.save`"):
        Concept.load(tmp_path / name)


def test_what_is_no_small_file_is_not_opened(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    os.mkfifo(tmp_path / "pipe")
    for name, why in [("large", "has 4,194,305 bytes"), ("pipe", "not a file"), ("", "not a file"), ("no", "no such")]:
        with pytest.raises(ConceptError, match=why):
            Concept.load(tmp_path / name)


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ConceptError, match=r"cannot write .*nowhere"):
        build_concept().save(tmp_path / "nowhere" / "cup.concept")
    with pytest.raises(ConceptError, match="have no fingerprint"):
        replace(build_concept(), fingerprint="").save(tmp_path / "cup.concept")
    assert not list(tmp_path.iterdir())
