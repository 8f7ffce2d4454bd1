"""What is wrong with the weights is said in one sentence: what was found, what was expected, what to do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sam3_tool import CheckpointError, Image, Sam3
from sam3_tool.backends.open_models.calibration import Calibration
from sam3_tool.backends.open_models.folders import GROUNDING_DINO, OWLV2


@pytest.fixture
def dino(dino_folder: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(dino_folder, tmp_path / "dino"))


@pytest.fixture
def sam2(sam2_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sam2_folder, tmp_path / "sam2"))


def load(*folders: Path) -> Sam3:
    return Sam3.load("open:" + ",".join(map(str, folders)), device="cpu", dtype="float32")


def assert_refused(*folders: Path, said: str) -> None:
    with pytest.raises(CheckpointError, match=said) as caught:
        load(*folders)
    assert "\n" not in str(caught.value)
    assert "`--sam3 tiny`" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "repository"),
    [("open", GROUNDING_DINO), ("open:owlv2", OWLV2), ("open:nobody/detector", "nobody/detector")],
)
def test_without_the_hub_it_says_what_is_missing_and_what_to_do(name, repository):
    with pytest.raises(CheckpointError, match="is not on this machine") as caught:
        Sam3.load(name)
    assert str(caught.value).startswith(repository)
    assert "gated" not in str(caught.value)
    assert "copy its folder here and load `open:DETECTOR_FOLDER,SEGMENTER_FOLDER`" in str(caught.value)


@pytest.mark.parametrize("weights", ["a,b,c", ",", "a,", ",b", " "])
def test_a_name_of_another_form_is_refused_with_the_forms_that_there_are(weights):
    with pytest.raises(CheckpointError, match=r"expected `open`, `open:owlv2`, `open:DETECTOR` or"):
        Sam3.load(f"open:{weights}")


@pytest.mark.parametrize("weights", ["/nowhere", "nowhere", "~nobody/x", "\x00", "x" * 5000])
def test_a_folder_that_is_not_there_is_named(weights):
    with pytest.raises(CheckpointError, match="a detector") as caught:
        Sam3.load(f"open:{weights}")
    assert "\n" not in str(caught.value)


def test_folders_in_the_wrong_order_are_told_apart(dino, sam2, owl_folder, tmp_path):
    assert_refused(sam2, dino, said="holds the model 'sam2_video'; a detector is Grounding DINO or OWLv2")
    assert_refused(dino, owl_folder, said="holds the model 'owlv2'; a segmenter is SAM 2")
    assert_refused(dino, tmp_path, said="holds no config.json, so it is no model of transformers")
    assert_refused(dino, dino / "config.json", said="not a folder")


def test_half_a_folder_names_what_is_missing(dino, sam2):
    for file in (dino / "tokenizer.json", dino / "vocab.txt"):
        file.unlink(missing_ok=True)
    assert_refused(dino, sam2, said=r"is not a whole Grounding DINO: tokenizer\.json is missing")
    (sam2 / "model.safetensors").unlink()
    (sam2 / "pytorch_model.bin").write_bytes(b"\x80\x04")  # never unpickled
    (dino / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert_refused(dino, sam2, said=r"is not a whole SAM 2: model\.safetensors is missing")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"])
def test_a_damaged_file_ends_in_one_sentence(dino, sam2, file):
    if not (dino / file).exists():
        pytest.skip(f"this version of transformers writes no {file}")
    content = (dino / file).read_bytes()
    (dino / file).write_bytes(content[: len(content) // 2])
    assert_refused(dino, sam2, said="cannot be read|is only a part of a file")


def test_weights_that_are_missing_or_of_another_size_are_named(dino, sam2):
    weights = load_file(dino / "model.safetensors")
    name = "model.text_projection.weight"
    save_file({**weights, name: torch.zeros(3, 3)}, dino / "model.safetensors", metadata={"format": "pt"})
    assert_refused(dino, sam2, said="cannot be read as Grounding DINO")
    weights.pop(name)
    save_file(weights, dino / "model.safetensors", metadata={"format": "pt"})
    assert_refused(dino, sam2, said=f"is not a whole Grounding DINO: 1 weights are missing, e.g. {name}")


def test_the_tokenizer_of_another_model_is_refused(dino, sam2):
    file = dino / "tokenizer.json"
    words = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = words["model"]["vocab"]
    vocabulary["."], vocabulary["red"] = vocabulary["red"], vocabulary["."]
    file.write_text(json.dumps(words), encoding="utf-8")
    assert_refused(dino, sam2, said=r"the tokenizer has the numbers \[101, 102, 200, 1029\]")


def test_weights_that_are_no_numbers_find_nothing(dino, sam2, photo):
    weights = load_file(dino / "model.safetensors")
    weights["model.text_projection.weight"].fill_(float("nan"))
    save_file(weights, dino / "model.safetensors", metadata={"format": "pt"})
    found = load(dino, sam2).segment(photo, "cat")
    assert (len(found), found.presence) == (0, pytest.approx(0, abs=1e-4))
    assert len(load(dino, sam2).segment(photo, "cat", threshold=0.0)) == 0


def test_a_calibration_in_the_folder_of_the_detector_counts(dino, sam2, photo):
    plain = load(dino, sam2).segment(photo, "cat", threshold=0.0)
    (dino / "calibration.json").write_text('{"phrase": {"midpoint": 0.6, "slope": 2.0}}', encoding="utf-8")
    bent = load(dino, sam2).segment(photo, "cat", threshold=0.0)
    raw = Calibration(0.35).to_raw_scores(plain.scores)
    assert np.allclose(bent.scores, Calibration(0.6, 2.0).to_scores(raw), atol=1e-4)
    assert np.array_equal(bent.boxes, plain.boxes)


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"phrase": 3}', '{"phrase": {"midpoint": 2}}', '{"phrase": {"slope": 1}}'),
        '{"phrase": {"midpoint": 0.3, "slope": -1}}',
    ],
)
def test_a_damaged_calibration_is_named(dino, sam2, content):
    (dino / "calibration.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"calibration\.json cannot be read as a calibration: .*; expected"):
        load(dino, sam2)


def test_what_open_models_cannot_do_is_said_before_anything_is_read():
    with pytest.raises(CheckpointError, match="open models are not compiled"):
        Sam3.load("open", compile="default")


def test_the_fingerprint_tells_weights_apart(with_dino, with_owl, dino_folder, sam2_folder):
    assert len(with_dino.fingerprint) == 128
    assert with_dino.fingerprint != with_owl.fingerprint
    assert with_dino.fingerprint[64:] == with_owl.fingerprint[64:]  # the same SAM 2
    assert with_dino.name == f"open:{dino_folder},{sam2_folder}"
    assert len(with_dino.segment(Image(np.zeros((20, 30, 3), np.uint8)), "cat", threshold=0.999)) == 0
