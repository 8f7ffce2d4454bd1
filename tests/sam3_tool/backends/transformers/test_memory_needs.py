"""A checkpoint that does not fit is refused before its weights are read."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sam3_tool import Sam3
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.memory_needs import GIB, MemoryNeed, describe_shortage, estimate_need
from sam3_tool.errors import CheckpointError, DeviceError
from sam3_tool.system.memory import _read_room_of_container, read_free_memory

EMBEDDED = locate_checkpoint("tiny")


def write_header(folder: Path, numbers: int) -> Path:
    """Write the folder of a checkpoint whose only file says that it holds so many numbers, and takes no room."""
    for file in EMBEDDED.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    header = json.dumps({"a": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}).encode()
    weights = folder / "model.safetensors"
    weights.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(weights, 8 + len(header) + 4 * numbers)
    return folder


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2), (torch.float16, 2)])
def test_weights_are_counted_in_the_format_that_they_get(dtype, width):
    with safe_open(EMBEDDED / "model.safetensors", "pt") as tensors:
        numbers = sum(tensors.get_tensor(name).numel() for name in tensors.keys())  # noqa: SIM118 - no dictionary
    assert estimate_need(EMBEDDED, dtype).weights == width * numbers


def test_the_need_is_what_the_network_takes(network):
    parameters = [*network._model.parameters(), *network._tracker.model.parameters()]
    taken = sum({weight.data_ptr(): weight.nbytes for weight in parameters}.values())
    assert taken == pytest.approx(estimate_need(EMBEDDED, torch.float32).weights, rel=0.2)


def test_what_does_not_fit_is_one_sentence(tmp_path):
    folder = write_header(tmp_path, 10**12)
    with pytest.raises(DeviceError, match=r"needs about [\d.]+ GiB in the host's memory \(weights in ") as caught:
        Sam3.load(folder, device="cpu")
    said = str(caught.value)
    assert "GiB are free; end other programs, " in said
    assert "--sam3 vil-uob/sam3-litetext-s0" in said
    assert "\n" not in said
    assert caught.value.exit_code == 2


def test_a_limit_of_the_shell_counts():
    script = (
        "import resource; from sam3_tool.system.memory import read_free_memory\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({GIB}, {GIB}))\n"
        "print(read_free_memory())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 0 < int(ended.stdout) < GIB


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 8, struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 9) + b'{"a": 1}', b"text that is none"],
)
def test_a_header_that_cannot_be_read_is_no_question_of_memory(tmp_path, content):
    folder = write_header(tmp_path, 1)
    (folder / "model.safetensors").write_bytes(content)
    assert estimate_need(folder, torch.float32).weights == 0
    with pytest.raises(CheckpointError):
        Sam3.load(folder, device="cpu")


@pytest.mark.parametrize("device", ["cuda:1", "mps", "cpu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_advice_is_what_can_be_changed(device, dtype):
    said = describe_shortage(MemoryNeed(2 * GIB, GIB), GIB, name="facebook/sam3", device=device, dtype=dtype)
    assert ("dtype='bfloat16'" in said) == (dtype == torch.float32)
    assert ("--device cpu" in said) == (device != "cpu")
    assert f"device {device!r}" in said or "host's memory" in said


def test_where_nobody_tells_what_is_free_nothing_is_refused():
    assert describe_shortage(MemoryNeed(10**15, 0), None, name="m", device="xpu", dtype=torch.float32) == ""


def test_a_container_leaves_what_it_has_not_taken_but_for_files(tmp_path):
    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon {2 * GIB}\nfile {GIB}\n")
    assert _read_room_of_container(tmp_path) == 2 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert _read_room_of_container(tmp_path) is None
    assert _read_room_of_container(tmp_path / "none") is None


def test_this_machine_tells_what_is_free():
    free = read_free_memory()
    assert free is None or 2**20 < free < 2**50
