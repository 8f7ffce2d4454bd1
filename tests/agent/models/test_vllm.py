"""What can be known of the `vllm:` model without running vLLM; the rest is in `tests/vllm`."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

WITHOUT_VLLM = """
import sys
sys.modules["vllm"] = None  # as if it were not installed
from agent.models.base import ModelError
from agent.models.vllm import VllmModel
try:
    VllmModel.load("Qwen/Qwen3-VL-8B-Instruct")
except ModelError as error:
    print(error)
"""
WITHOUT_GPU = """
from agent.models.base import ModelError
from agent.models.vllm import VllmModel
try:
    VllmModel.load("Qwen/Qwen3-VL-8B-Instruct")
except ModelError as error:
    print(error)
"""
IMPORTED = """
import sys
import agent.models.vllm
print(*sorted({"vllm", "torch", "transformers", "openai"} & set(sys.modules)))
"""


def printed(program: str) -> str:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ended.stdout


def test_where_vllm_is_not_installed_the_user_is_told_how_to_install_it():
    said = printed(WITHOUT_VLLM)
    assert said == "vllm is not installed; install it with: uv sync --inexact --extra vllm\n"


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs the extra 'vllm'")
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_where_there_is_no_gpu_the_user_is_told_what_else_to_use():
    said = printed(WITHOUT_GPU)
    assert "no GPU" in said
    assert "openai:MODEL" in said
    assert said.count("\n") == 1


def test_importing_it_loads_no_heavy_library():
    assert printed(IMPORTED) == "\n"
