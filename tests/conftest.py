import fcntl
import gc
import importlib.util
import os
import re
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# the tests run beside each other, a process a core; set before torch is imported, and for programs they start
os.environ.setdefault("OMP_NUM_THREADS", "1")
# no test may reach a network; read where huggingface_hub is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw

from sam3_tool import Image, Sam3

# nohup, or a shell that starts the tests in its background, has them ignore these, and so would each program they start
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# transformers compiles 440 patterns for each network that it loads; Python remembers 512 of all, and forgets these
re._MAXCACHE = 8192  # type: ignore[attr-defined]

# a full collection walks half a million objects; each file ends with one, and needs few before
gc.set_threshold(10_000)

TOGETHER = {
    "demo": (
        *("demo/test_story.py", "demo/test_studio.py", "demo/test_album_story.py", "demo/test_clicking.py"),
        *("demo/test_start.py", "demo/test_video_story.py", "demo/test_page.py", "demo/test_researcher.py"),
        *("demo/test_axe.py", "demo/test_overlay_plays.py"),
    ),
    "programs": (
        *("evals/test_cli.py", "cases/test_ends.py", "agent/cli/test_chat.py", "agent/cli/test_main.py"),
        *("agent/cli/test_models.py", "demo/test_program.py", "demo/test_two_users.py", "serve/mcp/test_stdio.py"),
        *("engine/review/test_page.py", "docs/test_pages.py", "test_huggingface.py", "agent/cli/test_many.py"),
        *("agent/cli/test_describe.py", "serve/http/test_server.py"),
    ),
    "served": ("mllm/test_served.py", "mllm/test_verifying.py"),
    "trees": ("test_names.py", "test_imports.py"),
}
"""Files for one process of tests: pages of one browser, programs of one fork server, one model server, one parse."""
LONG_FILES = (
    *TOGETHER["programs"],
    *TOGETHER["demo"],
    *(*TOGETHER["served"], "bench/test_suites.py", "test_package.py"),
    *("sam3_tool/backends/transformers/test_tracker.py", "sam3_tool/training/test_training.py"),
    *("agent/models/openai/test_deviations.py", "sam3_tool/backends/transformers/test_backend.py"),
    *("sam3_tool/backends/transformers/native/test_native_checkpoint.py", "docs/test_site.py"),
    *("agent/cli/test_cold_start.py", "sam3_tool/backends/transformers/test_devices.py"),
    *("engine/stages/test_running.py", "agent/tools/test_reading.py", "sam3_tool/training/test_finetuning.py"),
    *("agent/models/test_fuzz.py", "evals/datasets/test_video_benchmarks.py", "bench/test_annotate.py"),
    *("sam3_tool/backends/open_models/test_backend.py", "sam3_tool/backends/transformers/test_lite_text.py"),
    *("sam3_tool/training/test_clicks.py", "evals/studies/test_clip_studies.py", "engine/quality/test_refitting.py"),
    *("sam3_tool/backends/transformers/video/test_memory.py", "engine/review/test_while_running.py"),
    *("evals/simulation/test_simulation.py", "bench/test_soak.py", "agent/cli/test_subjects.py"),
    *TOGETHER["trees"],
)
"""What takes seven seconds of a processor and more, the longest first."""


def has_byte_code(module: str) -> bool:
    """Whether Python need not compile the module, which is not imported for this."""
    found = importlib.util.find_spec(module)
    return found is not None and Path(importlib.util.cache_from_source(str(found.origin))).exists()


IS_COMPILED = has_byte_code("torch")


@contextmanager
def take_turns() -> Iterator[None]:
    """Let one process of tests in at a time, where byte code is missing: the first writes it, the others read it."""
    with Path(__file__).open() as file:
        if not IS_COMPILED:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all tests, and then leave out what they have imported where garbage is looked for: a million objects."""
    gc.disable()
    try:
        with take_turns():
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for no docstring examples in tests; this holds for files in this folder alone."""
    found = yield
    return [file for file in found if type(file) is pytest.Module]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Leave out what a file has left behind for good, such as syntax trees, networks and imports, in the same way."""
    yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that no process of tests is left with one when the others have ended."""
    folder = Path(__file__).parent
    if missing := [name for name in LONG_FILES if not (folder / name).exists()]:
        raise pytest.UsageError(f"tests/conftest.py names files that are not there: {', '.join(missing)}")
    places = {f"tests/{name}": place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, give the files of each of `TOGETHER` to one process as well."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    groups = {f"tests/{name}": group for group, names in TOGETHER.items() for name in names}

    class LoadGroups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return groups.get(file, file)

    return LoadGroups(config, log)


@pytest.fixture(scope="session")
def tiny() -> Sam3:
    """The real network, with the embedded checkpoint's weights."""
    return Sam3.load("tiny")


@pytest.fixture(scope="session")
def picture() -> Image:
    """320 x 240 pixels of light grey; a big red circle on the left, a blue square on the right."""
    image = PIL.Image.new("RGB", (320, 240), (208, 208, 208))
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 60, 150, 180), fill=(214, 38, 40))
    draw.rectangle((205, 85, 285, 165), fill=(44, 84, 214))
    return Image(np.asarray(image))
