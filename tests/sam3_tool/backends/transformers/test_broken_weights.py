"""What lies under the name of weights and is something else is named, with what to do about it, wherever it lies."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import numpy as np
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError
from safetensors.torch import load_file, save_file

from sam3_tool import CheckpointError, Image, Sam3
from sam3_tool.backends.catalog import CATALOG, suggest_name
from sam3_tool.backends.open_models.folders import locate_open_models
from sam3_tool.backends.transformers.files.checkpoint import describe_obstacle, locate_checkpoint
from sam3_tool.errors import DeviceError
from tests.support.nobody import become_nobody

HEADER = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3440000000\n"


def build_safetensors(kind: str) -> bytes:
    """A file of one weight in a number format."""
    header = HEADER.replace(b"F32", kind.encode())
    return len(header).to_bytes(8, "little") + header + bytes(16)


NO_WEIGHTS = [
    (POINTER, "is a Git LFS pointer, which stands for the file itself; fetch that with `git lfs pull`"),
    (b"\n<!DOCTYPE html><title>Sign in</title>", "is an HTML page, which a server sends in place of a file; log in"),
    (b'{"error": "unauthorized"}', "is a text, perhaps what a server says in place of a file"),
    (b"", "is empty; download it again"),
    (bytes(600), "begins with zero bytes, as an interrupted download leaves"),
    (len(HEADER).to_bytes(8, "little") + HEADER + bytes(9), f"{8 + len(HEADER) + 9} of {8 + len(HEADER) + 16} bytes"),
    (len(HEADER).to_bytes(8, "little") + HEADER[:20], f"is only a part of a file: 28 of {8 + len(HEADER)} bytes"),
    *((build_safetensors(kind), f"holds a as {kind}") for kind in ("I8", "U8", "F8_E4M3")),
]


def refused(name_or_path: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        Sam3.load(name_or_path, device="cpu")
    assert "\n" not in str(caught.value)
    assert "`--sam3 tiny`" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("content", "said"), NO_WEIGHTS)
def test_what_is_no_weights_is_named_in_a_file_a_folder_and_one_of_several(content, said, tmp_path):
    file, folder, parts = tmp_path / "sam3.pt", tmp_path / "folder", tmp_path / "parts"
    for place in (folder, parts):
        place.mkdir()
        (place / "config.json").write_text('{"model_type": "sam3_video"}')
    for written in (file, folder / "model.safetensors", parts / "1.safetensors"):
        written.write_bytes(content)
    (parts / "model.safetensors.index.json").write_text('{"weight_map": {"a": "1.safetensors"}}')
    assert said in refused(file)
    assert said in refused(folder)
    assert said in refused(parts)


@pytest.mark.parametrize(("content", "said"), NO_WEIGHTS)
def test_the_same_is_said_of_the_folder_of_an_open_model(content, said, tmp_path):
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        (tmp_path / name).write_text('{"model_type": "grounding-dino"}')
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        locate_open_models(str(tmp_path))
    assert said in str(caught.value)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the embedded checkpoint to be damaged."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in locate_checkpoint("tiny").glob("*.json"):
        shutil.copy(file, folder)
    (folder / "model.safetensors").symlink_to(locate_checkpoint("tiny") / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "processor_config.json"])
def test_a_folder_without_a_file_that_is_needed_is_refused_before_anything_is_built(name, copy):
    (copy / name).unlink()
    assert f"{copy} is only a part of a checkpoint, without {name}; copy all files" in refused(copy)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "processor_config.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, "is a Git LFS pointer"),
        (b"<!DOCTYPE html>", "is an HTML page"),
        (b"", "is empty"),
        (b"[]", "is a text"),
        (b"null", "holds no JSON object"),
    ],
)
def test_what_lies_beside_weights_and_is_something_else_is_named(content, said, name, copy):
    (copy / name).write_bytes(content)
    assert f"{copy / name} {said}" in refused(copy)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("sam2_video", "`--sam3 open:IDEA-Research/grounding-dino-tiny,FOLDER`"),
        ("grounding-dino", "`--sam3 open:FOLDER`"),
        ("owlv2", "`--sam3 open:FOLDER`"),
        ("qwen3_vl", "expected one of sam3, "),
    ],
)
def test_the_folder_of_another_model_says_how_that_is_taken(kind, advice, copy):
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    assert advice.replace("FOLDER", str(copy)) in refused(copy)


def test_a_folder_around_a_checkpoint_or_a_file_in_one_is_told_the_folder(copy):
    assert f"holds no weights; {copy} does: name that" in refused(copy.parent)
    shutil.copy(locate_checkpoint("tiny") / "model.safetensors", copy.parent / "lone.safetensors")
    assert f"name its folder, {copy}" in refused(copy / "model.safetensors")
    assert "name its folder" not in refused(copy.parent / "lone.safetensors")


def test_a_tracker_that_does_not_fit_says_that_its_sizes_are_not_told(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({key: config[key] for key in config if key != "tracker_config"}))
    with pytest.raises(CheckpointError, match=r"config\.json has no tracker_config") as caught:
        Sam3.load(copy, device="cpu").refine(Image(np.zeros((8, 8, 3), np.uint8)), points=[(1, 1)])
    assert "size mismatch" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["https://huggingface.co/facebook/sam3", "https://huggingface.co/facebook/sam3/tree/main"]
)
def test_the_address_of_a_repository_gets_its_name(name):
    assert "write 'facebook/sam3'" in refused(name)


@pytest.mark.parametrize("name", ["facebook/sam2.1-hiera-small", "IDEA-Research/grounding-dino-tiny", "some/body"])
def test_no_gate_is_made_up_for_a_repository_that_nobody_knows_of(name):
    said = refused(name)
    assert "To get it: ask for access" not in said
    assert "Is the name right?" in said or "`--sam3 open:" in said


@pytest.mark.parametrize("name", ["weights/sam3.pt", "weights/sam3.pth", "models/sam3.safetensors", "facebook/sam3.pt"])
def test_a_file_that_is_not_there_is_no_repository_to_ask_access_to(name):
    said = refused(name)
    assert "no such folder or file" in said
    assert "huggingface.co" not in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Tiny", "tiny"),
        ("tinny", "tiny"),
        ("opne:owlv2", "open:owlv2"),
        ("facebok/sam3", "facebook/sam3"),
        ("facebook/sam-3", "facebook/sam3"),
        ("facebook/SAM3.1", "facebook/sam3.1"),
        ("vil-uob/sam3-litext-s0", "vil-uob/sam3-litetext-s0"),
        ("hosted-sam-3.1", "hosted:sam-3.1"),
        ("sam3", "facebook/sam3"),
        ("SAM3.1", "facebook/sam3.1"),
        ("owlv2", "open:owlv2"),
    ],
)
def test_a_name_with_a_slip_gets_the_one_that_is_meant_and_no_gate_that_is_not_there(typed, meant):
    said = refused(typed)
    assert f"did you mean {meant!r}" in said
    assert "ask for access" not in said


def test_a_cache_that_was_copied_without_its_files_is_said_to_be_one(tmp_path):
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).symlink_to(f"../../blobs/{name}")
    assert "model.safetensors is a link to a file that is not there" in refused(tmp_path)


def test_a_token_that_the_hub_refuses_is_not_taken_for_a_gate():
    asked = httpx2.Request("GET", "https://huggingface.co/api/models/facebook/sam3")
    said = "401 Client Error. Invalid credentials in Authorization header"
    error = HfHubHTTPError(said, response=httpx2.Response(401, request=asked))
    assert "refuses the token of this machine" in describe_obstacle("facebook/sam3", error)
    assert "is gated" in describe_obstacle("facebook/sam3", GatedRepoError("gated", response=error.response))


def test_weights_that_are_no_numbers_are_an_error_and_not_an_image_without_anything(tmp_path):
    copy = tmp_path / "damaged"
    shutil.copytree(locate_checkpoint("tiny"), copy)
    weights = load_file(copy / "model.safetensors")
    damaged = next(name for name in weights if "presence" in name and name.endswith("weight"))
    weights[damaged][:] = float("nan")
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(DeviceError, match="computed what is no number"):
        Sam3.load(copy, device="cpu").segment(Image(np.zeros((8, 8, 3), np.uint8)), "cup")


def test_a_name_that_is_right_is_never_put_right():
    assert [suggest_name(entry.name) for entry in CATALOG] == [""] * len(CATALOG)
    assert suggest_name("somebody/their-model") == ""


@pytest.mark.parametrize("closed", ["", "model.safetensors", "config.json"])
def test_what_may_not_be_read_is_said_to_be_so_and_not_to_be_missing(closed):
    with TemporaryDirectory() as place:  # pytest's own folders are closed to everybody else
        Path(place).chmod(0o755)
        folder = Path(place, "mine")
        folder.mkdir(mode=0o755)
        for name in ("config.json", "tokenizer.json", "processor_config.json"):
            (folder / name).write_text("{}")
        (folder / "model.safetensors").write_bytes(len(HEADER).to_bytes(8, "little") + HEADER + bytes(16))
        (folder / closed).chmod(0)
        with become_nobody(), pytest.raises(CheckpointError) as caught:
            locate_checkpoint(folder)
        if not closed:
            with become_nobody(), pytest.raises(CheckpointError, match="cannot be read"):
                locate_checkpoint(folder / "model.safetensors")
        (folder / closed).chmod(0o755)
    assert "cannot be read (Permission denied)" in str(caught.value)


def test_whole_weights_are_found_as_before(tmp_path):
    for name in ("config.json", "tokenizer.json", "processor_config.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(len(HEADER).to_bytes(8, "little") + HEADER + bytes(16))
    assert locate_checkpoint(tmp_path) == tmp_path
