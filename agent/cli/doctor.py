"""What `sam3-agent doctor` reports: what is installed, where it would run, which weights are here, what to do next."""

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from agent.cli.models import format_bytes
from agent.cli.options.model_options import parse_model_options
from sam3_tool.backends.catalog import CATALOG, OPEN_NAME, CatalogEntry, list_missing_files

OPTIONAL_PACKAGES = {
    "vllm": "vllm",
    "gradio": "demo",
    "mcp": "mcp",
    "fastapi": "serve",
    "av": "video",
    "rapidocr": "ocr",
    "pyarrow": "parquet",
    "ray": "ray",
    "scikit-image": "train",
    "matplotlib": "bench",
    "pytest": "dev",
    "mypy": "dev",
    "ruff": "dev",
}
"""Package: the extra that brings it."""
ENVIRONMENT_KEYS = ("HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL")
GIB = 2**30
MODEL_ADVICE = {
    OPEN_NAME: f"for photographs, without asking anybody: use --sam3 {OPEN_NAME}, which is downloaded once",
    "facebook/sam3": "for any noun phrase on photographs: ask for access at https://huggingface.co/facebook/sam3,"
    " run `hf auth login`, then use --sam3 facebook/sam3",
}
"""What a person without these weights can do, by the model's name."""

FindingState = Literal["ok", "absent", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    section: str
    name: str
    state: FindingState
    """`absent` is a choice nobody made yet; `problem` stops `sam3-agent segment` from working."""
    detail: str
    advice: str = ""
    """What to do next; empty when nothing needs doing."""


def collect_findings() -> list[Finding]:
    """Everything, in the order in which a person wants to read it. Uses no network and shows no secret."""
    return [*_check_machine(), *_check_packages(), *check_checkpoints(), *check_planners(), *_check_environment()]


def is_healthy(findings: Iterable[Finding]) -> bool:
    return all(finding.state != "problem" for finding in findings)


def suggest_next_steps(findings: Iterable[Finding]) -> list[str]:
    """What to do, problems first; never empty."""
    findings = list(findings)
    problems = [finding.advice for finding in findings if finding.state == "problem" and finding.advice]
    if problems:
        return problems
    offers = [finding.advice for finding in findings if finding.advice]
    return ['try it: sam3-agent segment PICTURE "the second largest circle"', *offers]


def _check_machine() -> list[Finding]:
    return [_check_python(), _check_device(), _check_memory(), _check_disk()]


def _check_python() -> Finding:
    release = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("machine", "python", "ok", f"{release} ({sys.executable})")
    return Finding("machine", "python", "problem", f"{release}, 3.11 to 3.13 is needed", "install Python 3.11 to 3.13")


def _check_device() -> Finding:
    """Where a network would run. A torch that is installed but does not load is what a doctor is asked about."""
    cores = f"CPU, {os.cpu_count()} cores"
    try:
        import torch
    except Exception as error:
        what = str(error).strip() or type(error).__name__
        return Finding("machine", "device", "problem", f"torch does not load: {what}", "reinstall: uv sync --reinstall")
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return Finding("machine", "device", "ok", f"CUDA: {card.name}, {card.total_memory / GIB:.0f} GiB; {cores}")
    if torch.backends.mps.is_available():
        return Finding("machine", "device", "ok", f"MPS: a GPU of Apple's; {cores}")
    return Finding("machine", "device", "ok", f"{cores} (no CUDA device)")


def _check_memory() -> Finding:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Finding("machine", "memory", "ok", f"{pages * page_bytes / GIB:.1f} GiB")


def _check_disk() -> Finding:
    return Finding("machine", "disk", "ok", f"{shutil.disk_usage(Path.cwd()).free / GIB:.0f} GiB free here")


def _check_packages() -> list[Finding]:
    needed = [_check_required_package(name) for name in ("sam3-agent", *list_required_packages())]
    return needed + [_check_optional_package(name, extra) for name, extra in OPTIONAL_PACKAGES.items()]


def list_required_packages() -> list[str]:
    """Return the packages that every installation needs, as the metadata of this one name them."""
    needs = (need for need in requires("sam3-agent") or () if "extra ==" not in need)
    return [re.split(r"[^\w.-]", need, maxsplit=1)[0] for need in needs]


def _check_required_package(name: str) -> Finding:
    if release := get_installed_version(name):
        return Finding("packages", name, "ok", release)
    return Finding("packages", name, "problem", "not installed", f"install {name}: uv sync")


def _check_optional_package(name: str, extra: str) -> Finding:
    if release := get_installed_version(name):
        return Finding("packages", name, "ok", f"{release} (extra {extra})")
    return Finding("packages", name, "absent", f"not installed (extra {extra})")


def get_installed_version(name: str) -> str:
    """The version of an installed package; empty when it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def check_checkpoints() -> list[Finding]:
    """Which models are here."""
    return [_check_tiny_checkpoint(), *(_check_model(entry) for entry in CATALOG if entry.access in ("open", "gated"))]


def _check_tiny_checkpoint() -> Finding:
    folder = Path(str(files("sam3_tool"))) / "tiny"
    weights, words = folder / "model.safetensors", folder / "vocabulary.json"
    if not weights.is_file():
        return Finding("checkpoints", "tiny", "problem", f"missing: {weights}", "reinstall sam3-agent")
    known = len(json.loads(words.read_text(encoding="utf-8"))["words"]) if words.is_file() else 0
    return Finding("checkpoints", "tiny", "ok", f"embedded, {weights.stat().st_size / 1e6:.1f} MB, knows {known} words")


def _check_model(entry: CatalogEntry) -> Finding:
    missing = list_missing_files(entry)
    if not missing:
        return Finding("checkpoints", entry.name, "ok", "in the local cache; " + _describe_abilities(entry))
    weights = [f"{files.repository}/{files.weights}" for files in entry.files]
    named = [name for name in weights if name in missing] or missing
    detail = f"not in the local cache: {', '.join(named)} ({format_bytes(entry.nbytes)} in all)"
    return Finding("checkpoints", entry.name, "absent", detail, MODEL_ADVICE.get(entry.name, ""))


def _describe_abilities(entry: CatalogEntry) -> str:
    return f"takes {', '.join(entry.abilities)}"


def check_planners() -> list[Finding]:
    """Which planners could be made here. Whether a server answers, only `try_planner` finds out."""
    return [
        Finding("planners", "grammar", "ok", "needs no model"),
        _check_server_planner(),
        _check_local_planner("transformers:MODEL", "transformers", "in this process"),
        _check_local_planner("vllm:MODEL", "vllm", "in this process, on a GPU"),
        Finding("planners", "replay:FILE|DIR", "ok", "repeats a saved episode.json, or what --record wrote"),
    ]


def _check_server_planner() -> Finding:
    """A key alone means OpenAI's own server; an address alone, a server that asks for no key."""
    name, address, key = "openai:MODEL", is_variable_set("OPENAI_BASE_URL"), is_variable_set("OPENAI_API_KEY")
    if not address and not key:
        advice = (
            "for any query: serve a vision-language model, e.g. with `vllm serve`, then use"
            " --planner openai:MODEL --base-url http://localhost:8000/v1"
        )
        return Finding("planners", name, "absent", "needs --base-url, OPENAI_BASE_URL or OPENAI_API_KEY", advice)
    server = "the server of OPENAI_BASE_URL" if address else "api.openai.com"
    return Finding("planners", name, "ok", f"at {server}, {'with' if key else 'without'} a key; try: --planner {name}")


def _check_local_planner(name: str, package: str, place: str) -> Finding:
    from agent.models.base import describe_missing_package

    if get_installed_version(package):
        return Finding("planners", name, "ok", f"{place}; try: --planner {name}")
    return Finding("planners", name, "absent", describe_missing_package(package, OPTIONAL_PACKAGES[package]))


def try_planner(planner: str, **options: Any) -> Finding:
    """Makes a planner, as `load_planner` does, and says what its language model can do. Shows no secret."""
    from agent.core.errors import PlannerError
    from agent.planners.loading import describe_capabilities, list_planner_options, load_planner

    try:
        of_environment = parse_model_options({}, list_planner_options(planner))
        made = load_planner(planner, **of_environment, **options)
    except PlannerError as error:
        return Finding("tried", planner, "problem", str(error), f"make {planner} work, or use --planner grammar")
    return Finding("tried", planner, "ok", describe_capabilities(made) or "needs no model")


def is_variable_set(key: str) -> bool:
    """Whether an environment variable holds anything."""
    return bool(os.environ.get(key, "").strip())


def _check_environment() -> list[Finding]:
    """Whether each key is set; never its value."""
    return [
        Finding(
            "environment", key, "ok" if is_variable_set(key) else "absent", "set" if is_variable_set(key) else "not set"
        )
        for key in ENVIRONMENT_KEYS
    ]
