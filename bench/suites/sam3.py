"""The cost of SAM 3, part by part, and of k phrases or images beside the published way and transformers.

`sam3-agent bench sam3 --size tiny|full`. Full size is the published architecture with random weights, made on the
device: its times are real, its masks are noise.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from agent import Decision, Episode, ScriptedPlanner, Task, watch
from agent.core.errors import UsageError
from agent.tools.toolsets import Answer, Segment
from bench.harness.machine import measure_copy_rate, measure_matmul_rate
from bench.harness.networks import Network, load_network
from bench.harness.tables import Cell, Table
from bench.harness.timing import Timing, read_clock, time_alternatives, time_runs
from bench.harness.workload import Workload, choose_threshold, generate_phrases, get_scene, list_phrases, make_image
from bench.suites import baselines
from bench.suites.episode import measure_episode, time_mask_work
from sam3_tool import ConceptPrompt, Image
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.synthetic.nouns import STRANGERS
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

THOUGHTS = (0.0, 0.05, 0.1, 0.5)
"""Seconds. A language model thinks for half a second at least."""

RICH_SCENE = 3
"""Number of the scene that further phrases are asked of, if there are so many rounds."""
CALL_PHRASES = 5
"""Phrases that are asked of it in a round: one, and then four together."""


def measure_sam3(workload: Workload) -> Iterator[Table]:
    """Yield each chosen table as soon as it is measured.

    Raises:
        UsageError: The workload takes more phrases than there are.
        DeviceError: The device is not there.
    """
    _check_phrase_counts(workload)
    torch.set_num_threads(workload.threads)
    measured = load_network(workload.size, device=workload.device, dtype=workload.dtype, compile=workload.compile)
    if workload.compile is not None:
        yield measure_compiling(measured, workload)
    for name, measure in TABLES.items():
        if name in workload.tables:
            yield measure(measured, workload)


def _check_phrase_counts(workload: Workload) -> None:
    rounds, most = workload.rounds + 1, max(workload.phrases)
    needed = {"parts": ("--rounds", rounds), "phrases": ("--phrases", most), "episode": ("--phrases", most)}
    for table in workload.tables:
        if table == "calls":
            _check_phrase_count(table, "--rounds", CALL_PHRASES * rounds, len(_list_further_phrases(workload.rounds)))
        elif table in needed:
            _check_phrase_count(table, *needed[table], len(list_phrases()))


def _check_phrase_count(table: str, option: str, needed: int, there: int) -> None:
    if needed > there:
        raise UsageError(f"the table {table!r} would take {needed} phrases and has {there}; choose fewer with {option}")


def measure_compiling(measured: Network, workload: Workload) -> Table:
    """Time ours by the clock with numbers of images and phrases that it meets for the first time, and once more."""
    sam3, fresh = measured.build_sam3(), count(1)

    def time_segmentation(image_count: int, phrases: int) -> float:
        images = [make_image(next(fresh)) for _ in range(image_count)]
        began = time.perf_counter()
        sam3.segment_batch([(image, ConceptPrompt(phrase)) for image in images for phrase in list_phrases()[:phrases]])
        return time.perf_counter() - began

    rows = [
        (f"{n} x {k}", time_segmentation(n, k), time_segmentation(n, k)) for n, k in ((1, 1), (1, 4), (4, 2), (2, 3))
    ]
    columns = ("pictures x phrases", "first, s", "again, s")
    return Table("sam3-compiling", "What compiling takes", columns, rows, workload.conditions)


def measure_memory(_: Network, workload: Workload) -> Table:
    """Read the peak of memory so far."""
    rows: list[Sequence[Cell]] = [("of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)]
    if workload.device != "cpu":
        rows.append(("of the device", torch.cuda.max_memory_allocated(workload.device) / 2**30))
    return Table("sam3-memory", "Peak memory", ("memory", "GiB"), rows, workload.conditions)


class Meter:
    """Measures seconds and FLOP of the parts of a network while it runs."""

    def __init__(self, parts: Mapping[str, torch.nn.Module], device: torch.device) -> None:
        self.device = device
        self.seconds, self.flop = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0)
        self.counting = False
        for name, part in parts.items():
            part.register_forward_pre_hook(lambda *_, name=name: self._begin_part(name))
            part.register_forward_hook(lambda *_, name=name: self._end_part(name))

    def reset(self, *, counting: bool) -> None:
        self.seconds, self.flop = dict.fromkeys(self.seconds, 0.0), dict.fromkeys(self.flop, 0)
        self.counting = counting

    def _begin_part(self, name: str) -> None:
        if self.counting:
            self._counter = create_flop_counter()
            self._counter.__enter__()  # type: ignore[no-untyped-call]
        self._began = read_clock(self.device)

    def _end_part(self, name: str) -> None:
        self.seconds[name] += read_clock(self.device) - self._began
        if self.counting:
            self._counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self.flop[name] += self._counter.get_total_flops()


def create_flop_counter() -> FlopCounterMode:
    """Return a counter of FLOP, two per multiplication and addition, that knows PyTorch's attention on CPUs too."""

    def count_attention_flop(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> int:  # their shapes
        return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={on_cpu: count_attention_flop})


def measure_parts(measured: Network, workload: Workload) -> Table:
    """Measure one new image and one new phrase: the time of each part, and its share of what the machine can do."""
    backend = measured.build_backend()
    meter = Meter(backend.parts, measured.device)
    cut = choose_threshold(measured, workload.size)
    backend.encode([make_image(0)])  # the first image pays for what all of them share
    runs = [_measure_run(backend, meter, number, cut) for number in range(workload.rounds + 1)]
    flop, counted = runs[0], runs[1:]
    peak = measure_matmul_rate(measured.device, workload.dtype)
    rows: list[Sequence[Cell]] = []
    for name in counted[0]:
        took, work = Timing.from_durations([1000 * run[name] for run in counted]), flop.get(name, 0)
        share = 100_000 * work / took.median / peak if work else None
        rows.append((name, took.median, took.span, work / 1e9 or None, share, _sum_weights(backend.parts.get(name))))
    rows += [(name, took.median, took.span, None, None, None) for name, took in time_mask_work(workload.rounds).items()]
    about = {
        **workload.conditions,
        "peak, TFLOP/s": peak / 1e12,
        "copy, GB/s": measure_copy_rate(measured.device) / 1e9,
    }
    columns = ("part", "ms", "from to", "GFLOP", "% of peak", "weights, MB")
    return Table("sam3-parts", "One picture, one phrase, part by part", columns, rows, about)


def _measure_run(backend: TransformersBackend, meter: Meter, number: int, cut: float) -> dict[str, float]:
    """Seconds of each part and of what is around them; for run 0, FLOP."""
    meter.reset(counting=number == 0)
    image, prompt = make_image(number), ConceptPrompt(list_phrases()[number], threshold=cut)
    began = read_clock(meter.device)
    [embedding] = backend.encode([image])
    encoded = read_clock(meter.device)
    backend.decode([embedding], [prompt])
    decoded = read_clock(meter.device)
    if number == 0:
        return dict(meter.flop)
    first = meter.seconds["vision encoder"] + meter.seconds["geometry encoder"]  # what no phrase is needed for
    rest = {
        "resizing and the rest of encoding": encoded - began - first,
        "upsampling, cutting and the rest of decoding": decoded - encoded - sum(meter.seconds.values()) + first,
    }
    return {**meter.seconds, **rest, "encoding": encoded - began, "decoding": decoded - encoded}


def _sum_weights(part: torch.nn.Module | None) -> float | None:
    """Megabytes that have to be read for this part."""
    return sum(weight.nbytes for weight in part.parameters()) / 1e6 if part else None


def measure_calls(measured: Network, workload: Workload) -> Table:
    """Time the calls that a user of `Sam3` waits for, on scenes of 640 x 480; every phrase is asked once."""
    sam3, rounds = measured.build_sam3(), workload.rounds
    images = [Image(_draw_small_scene(number).pixels) for number in range(rounds + 1)]
    image, present = images[RICH_SCENE % len(images)], _list_further_phrases(rounds)
    asked: dict[str, Callable[[int], object]] = {
        "a new picture and its first phrase": lambda run: sam3.segment(images[run], "object"),
        "a further phrase": lambda run: sam3.segment(image, present[run]),
        "a further phrase that is absent": lambda run: sam3.segment(image, STRANGERS[run]),
        "four further phrases together": lambda run: sam3.segment_batch(
            [(image, ConceptPrompt(phrase)) for phrase in present[rounds + 1 + 4 * run :][:4]]
        ),
    }
    took = {
        name: time_runs(work, runs=rounds, clock=partial(read_clock, measured.device)) for name, work in asked.items()
    }
    rows = [(name, timing.median, timing.span) for name, timing in took.items()]
    return Table("sam3-calls", "Calls on 640 x 480", ("call", "ms", "from to"), rows, workload.conditions)


def _list_further_phrases(rounds: int) -> list[str]:
    """The phrases for the image that is asked again and again."""
    return generate_phrases(_draw_small_scene(RICH_SCENE % (rounds + 1)))


def _draw_small_scene(number: int) -> Scene:
    return draw_scene(HELD_OUT + number, size=(640, 480))


class ThinkingPlanner(ScriptedPlanner):
    """A planner that thinks for so many seconds before its first call, as a language model does."""

    def __init__(self, seconds: float) -> None:
        super().__init__([Segment(phrases=["object"]), Answer(ids=[1])])
        self._seconds = seconds

    def decide(self, episode: Episode) -> Decision:
        if not episode.steps:
            time.sleep(self._seconds)
        return super().decide(episode)


def measure_first_mask(measured: Network, workload: Workload) -> Table:
    """Time from the query to the first mask by the clock, for planners that think for so long.

    SAM 3 encodes the image meanwhile, so the time should be the longer of the two plus the decoder, not the sum.
    """
    sam3, fresh = measured.build_sam3(), count(1)

    def time_first_mask(seconds: float) -> float:
        task = Task(Image(np.roll(get_scene().pixels, next(fresh), axis=0)), "object")
        began = time.perf_counter()
        next(watch(task, ThinkingPlanner(seconds), sam3))
        return 1000 * (time.perf_counter() - began)

    rows = [
        (1000 * seconds, statistics.median(time_first_mask(seconds) for _ in range(workload.rounds)))
        for seconds in THOUGHTS
    ]
    at_once = rows[0][1]
    columns = ("planner thinks, ms", "first mask after, ms", "one after the other, ms")
    return Table(
        "sam3-first-mask",
        "Time to the first mask",
        columns,
        [(*row, row[0] + at_once) for row in rows],
        workload.conditions,
    )


ImagesAndPhrases = tuple[Sequence[Image], Sequence[str]]
"""New images, and the phrases that each of them is asked for."""


def build_ways(measured: Network, workload: Workload) -> dict[str, Callable[[ImagesAndPhrases], object]]:
    """Return name -> way: ours, then 'ideal', the network's two halves and nothing else, then the baselines."""
    cut = choose_threshold(measured, workload.size)
    sam3, backend = measured.build_sam3(), measured.build_backend(compile=measured.compile)

    def build_prompts(phrases: Sequence[str]) -> list[ConceptPrompt]:
        return [ConceptPrompt(phrase, threshold=cut) for phrase in phrases]

    def run_ours(asked: ImagesAndPhrases) -> object:
        return sam3.segment_batch([(image, prompt) for image in asked[0] for prompt in build_prompts(asked[1])])

    def run_ideal(asked: ImagesAndPhrases) -> object:
        embeddings = [embedding for embedding in backend.encode(asked[0]) for _ in asked[1]]
        return backend.decode(embeddings, build_prompts(asked[1]) * len(asked[0]))

    def run_published(asked: ImagesAndPhrases) -> object:
        return [baselines.segment_as_published(measured, image, asked[1], cut) for image in asked[0]]

    def run_documented(asked: ImagesAndPhrases) -> object:
        return [baselines.segment_as_documented(measured, image, asked[1], cut) for image in asked[0]]

    default_network = measured.to_float32() if "float32" in workload.against else measured

    def run_float32(asked: ImagesAndPhrases) -> object:
        return [baselines.segment_as_documented(default_network, image, asked[1], cut) for image in asked[0]]

    ways = {
        "ours": run_ours,
        "ideal": run_ideal,
        "published": run_published,
        "transformers": run_documented,
        "float32": run_float32,
    }
    return {name: way for name, way in ways.items() if name in ("ours", "ideal", *workload.against)}


def measure_phrases(measured: Network, workload: Workload) -> Table:
    """Time k phrases on one new image; the last column counts operations, which no noise can touch."""
    compared = _compare_ways(measured, workload, "phrases", {k: (1, k) for k in workload.phrases})
    once, each, anew = count_operations(measured, workload.size)
    rows = [(*row, k * anew / (once + k * each)) for row, k in zip(compared.rows, workload.phrases, strict=True)]
    return replace(compared, rows=rows, columns=(*compared.columns, "operations, published / ours"))


def count_operations(measured: Network, size: str) -> tuple[int, int, int]:
    """Return FLOP: ours for an image, ours for each phrase, the published way's for each phrase with its image."""
    backend, phrase, cut = measured.build_backend(), list_phrases()[:1], choose_threshold(measured, size)
    backend.encode([make_image(0)])  # the first image pays for what all of them share
    with create_flop_counter() as once:
        [embedding] = backend.encode([make_image(1)])
    with create_flop_counter() as each:
        backend.decode([embedding], [ConceptPrompt(phrase[0], threshold=cut)])
    with create_flop_counter() as anew:
        baselines.segment_as_published(measured, make_image(1), phrase, cut)
    return once.get_total_flops(), each.get_total_flops(), anew.get_total_flops()


def measure_images(measured: Network, workload: Workload) -> Table:
    """Time two phrases on each of n new images."""
    return _compare_ways(measured, workload, "pictures", {n: (n, 2) for n in workload.images})


def _compare_ways(measured: Network, workload: Workload, what: str, cases: Mapping[int, tuple[int, int]]) -> Table:
    every = build_ways(measured, workload)
    fresh = count(1)
    rows: list[Sequence[Cell]] = []
    for case, (number, k) in cases.items():

        def prepare(_: int, number: int = number, k: int = k) -> ImagesAndPhrases:
            return [make_image(next(fresh)) for _ in range(number)], list_phrases()[:k]

        took = time_alternatives(every, prepare, measured.device, rounds=workload.rounds)
        mine = took["ours"]
        ratios = [took[name].median / mine.median for name in every if name != "ours"]
        rows.append((case, *(timing.median for timing in took.values()), *ratios, mine.span))
    times = [f"{name}, ms" for name in every]
    columns = (what, *times, *(f"{name} / ours" for name in every if name != "ours"), "ours, from to")
    return Table(f"sam3-{what}", f"New {what}, model alone", columns, rows, workload.conditions)


TABLES = {
    "parts": measure_parts,
    "calls": measure_calls,
    "first-mask": measure_first_mask,
    "phrases": measure_phrases,
    "pictures": measure_images,
    "episode": measure_episode,
    "memory": measure_memory,
}
"""Name of a table -> what measures it, in the order of measuring."""
