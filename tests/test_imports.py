"""Who may import whom, and where heavy libraries may be imported: read off the syntax trees."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "prompts": set(),
    "sam3_tool": set(),
    "agent": {"sam3_tool", "prompts"},
    "demo": {"agent", "sam3_tool", "prompts"},
    "evals": {"agent", "sam3_tool", "prompts"},
    "bench": {"agent", "sam3_tool", "prompts", "demo", "evals"},
}
WRAPPED_IN = {
    "torch": (
        "sam3_tool/backends/transformers/layers/mask_decoder.py",
        "sam3_tool/backends/transformers/layers/pixel_decoder.py",
        "sam3_tool/backends/transformers/layers/precision.py",
        "sam3_tool/backends/transformers/text.py",
        "sam3_tool/backends/transformers/layers/pyramid.py",
        "sam3_tool/backends/transformers/layers/rotary.py",
        "sam3_tool/backends/transformers/layers/mask_runs.py",
        "sam3_tool/backends/transformers/tracker.py",
        "sam3_tool/backends/transformers/transfers.py",
        "sam3_tool/backends/transformers/backend.py",
        "sam3_tool/backends/transformers/layers/upsampling.py",
        "sam3_tool/backends/transformers/weights.py",
        "sam3_tool/training/",
        "agent/cli/doctor.py",
        "agent/models/transformers.py",
        "bench/",
    ),
    "torchvision": ("sam3_tool/backends/transformers/backend.py", "sam3_tool/training/"),
    "transformers": (
        "sam3_tool/backends/transformers/backend.py",
        "sam3_tool/backends/transformers/weights.py",
        "sam3_tool/training/",
        "agent/models/transformers.py",
        "bench/harness/networks.py",
    ),
    "safetensors": ("sam3_tool/backends/transformers/weights.py", "sam3_tool/training/"),
    "huggingface_hub": ("sam3_tool/backends/transformers/checkpoint.py", "agent/cli/doctor.py"),
    "scipy": ("sam3_tool/training/", "evals/metrics/"),
    "matplotlib": ("bench/harness/plots.py", "bench/suites/baselines.py"),
    "skimage": ("sam3_tool/training/",),
    "pyarrow": ("evals/datasets/formats/parquet.py",),
    "pycocotools": ("sam3_tool/masks/rle.py",),
    "lark": ("agent/query.py", "agent/query_words.py"),
    "jinja2": ("agent/report/html.py", "evals/reports/report.py"),
    "typer": (
        "bench/cli.py",
        "agent/cli/main.py",
        "agent/cli/shared_options.py",
        "agent/cli/segment.py",
        "agent/cli/chat/command.py",
        "agent/cli/console.py",
        "demo/cli.py",
        "evals/cli.py",
    ),
    "rich": ("agent/cli/console.py",),
    "openai": ("agent/models/openai/client.py",),
    "vllm": ("agent/models/vllm.py",),
    "gradio": ("demo/app.py", "demo/events.py", "demo/server.py"),
}
"""Library: the files and folders that may import it. The doctor looks whether torch loads at all."""


def modules() -> list[Path]:
    return [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_in_one_direction(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert set(imported(path)) & set(MAY_IMPORT) <= MAY_IMPORT[package] | {package}, path


def test_no_module_imports_by_relative_path() -> None:
    relative = [
        path
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []


@pytest.mark.parametrize("library", WRAPPED_IN)
def test_a_heavy_library_is_imported_only_where_it_is_wrapped(library: str) -> None:
    importers = [path.relative_to(ROOT).as_posix() for path in modules() if library in imported(path)]
    assert [path for path in importers if not path.startswith(WRAPPED_IN[library])] == []


def test_importing_the_packages_and_the_command_line_loads_no_heavy_library() -> None:
    heavy = {"torch", "transformers", "openai", "lark", "cv2", "jinja2", "huggingface_hub"}
    program = f"import sys, agent.planners.loading, agent.cli.main; print(*sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (loaded.stdout, loaded.stderr) == ("\n", "")
