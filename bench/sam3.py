"""What SAM 3 costs, part by part, and k phrases or pictures side by side with the published way and transformers.

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
from agent.options import BadInput
from agent.tools.workspace import Answer, Segment
from bench import rivals
from bench.episode import around, episode
from bench.machine import copy_rate, matmul_rate
from bench.networks import Network, network
from bench.setting import Setting, all_phrases, new_picture, phrases_of, scene, threshold
from bench.tables import Cell, Table
from bench.timing import Timing, clock, side_by_side, timed
from sam3_tool import ConceptPrompt, Picture
from sam3_tool.backends.transformers import TransformersBackend
from sam3_tool.training.scenes import HELD_OUT, Scene, draw_scene
from sam3_tool.training.vocabulary import STRANGERS

THOUGHTS = (0.0, 0.05, 0.1, 0.5)
"""Seconds. A language model thinks for half a second at the least."""

RICH = 3
"""Number of the scene that further phrases are asked of, where there are so many rounds."""
CALL_PHRASES = 5
"""Asked of it in a round: one, and then four together."""


def measure(setting: Setting) -> Iterator[Table]:
    """The chosen tables, each as soon as it is there. Raises BadInput for more than there are phrases for."""
    _check(setting)
    torch.set_num_threads(setting.threads)
    measured = network(setting.size, device=setting.device, dtype=setting.dtype, compile=setting.compile)
    if setting.compile is not None:
        yield compiling(measured, setting)
    for table in (parts, calls, first_mask, phrases, pictures, episode, memory):
        if table.__name__.replace("_", "-") in setting.tables:
            yield table(measured, setting)


def _check(setting: Setting) -> None:
    rounds, most = setting.rounds + 1, max(setting.phrases)
    needed = {"parts": ("--rounds", rounds), "phrases": ("--phrases", most), "episode": ("--phrases", most)}
    for table in setting.tables:
        if table == "calls":
            _check_phrases(table, "--rounds", CALL_PHRASES * rounds, len(_further(setting.rounds)))
        elif table in needed:
            _check_phrases(table, *needed[table], len(all_phrases()))


def _check_phrases(table: str, option: str, needed: int, there: int) -> None:
    if needed > there:
        raise BadInput(f"the table {table!r} would take {needed} phrases and has {there}; choose fewer with {option}")


def compiling(measured: Network, setting: Setting) -> Table:
    """By the clock, ours with numbers of pictures and phrases that it meets for the first time, and once more."""
    sam3, fresh = measured.ours(), count(1)

    def took(pictures: int, phrases: int) -> float:
        seen = [new_picture(next(fresh)) for _ in range(pictures)]
        began = time.perf_counter()
        sam3.segment_all([(one, ConceptPrompt(phrase)) for one in seen for phrase in all_phrases()[:phrases]])
        return time.perf_counter() - began

    rows = [(f"{n} x {k}", took(n, k), took(n, k)) for n, k in ((1, 1), (1, 4), (4, 2), (2, 3))]
    columns = ("pictures x phrases", "first, s", "again, s")
    return Table("sam3-compiling", "What compiling takes", columns, rows, setting.about)


def memory(_: Network, setting: Setting) -> Table:
    """The most that there was of it up to here."""
    rows: list[Sequence[Cell]] = [("of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)]
    if setting.device != "cpu":
        rows.append(("of the device", torch.cuda.max_memory_allocated(setting.device) / 2**30))
    return Table("sam3-memory", "Peak memory", ("memory", "GiB"), rows, setting.about)


class Meter:
    """Seconds and FLOP of the parts of a network, as it runs."""

    def __init__(self, parts: Mapping[str, torch.nn.Module], device: torch.device) -> None:
        self.device = device
        self.seconds, self.flop = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0)
        self.counting = False
        for name, part in parts.items():
            part.register_forward_pre_hook(lambda *_, name=name: self._begin(name))
            part.register_forward_hook(lambda *_, name=name: self._end(name))

    def reset(self, *, counting: bool) -> None:
        self.seconds, self.flop = dict.fromkeys(self.seconds, 0.0), dict.fromkeys(self.flop, 0)
        self.counting = counting

    def _begin(self, name: str) -> None:
        if self.counting:
            self._counter = counter()
            self._counter.__enter__()  # type: ignore[no-untyped-call]
        self._began = clock(self.device)

    def _end(self, name: str) -> None:
        self.seconds[name] += clock(self.device) - self._began
        if self.counting:
            self._counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self.flop[name] += self._counter.get_total_flops()


def counter() -> FlopCounterMode:
    """Two FLOP per multiplication and addition; PyTorch itself leaves out the attention it has for CPUs."""

    def attention(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> int:  # their shapes
        return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={on_cpu: attention})


def parts(measured: Network, setting: Setting) -> Table:
    """One new picture and one new phrase: where the time goes, and how near it is to what the machine can do."""
    backend = measured.backend()
    meter = Meter(backend.parts, measured.device)
    cut = threshold(measured, setting.size)
    backend.encode([new_picture(0)])  # the first picture pays for what all of them share
    runs = [_one_run(backend, meter, number, cut) for number in range(setting.rounds + 1)]
    flop, counted = runs[0], runs[1:]
    peak = matmul_rate(measured.device, setting.dtype)
    rows: list[Sequence[Cell]] = []
    for name in counted[0]:
        took, work = Timing.of([1000 * run[name] for run in counted]), flop.get(name, 0)
        share = 100_000 * work / took.median / peak if work else None
        rows.append((name, took.median, took.span, work / 1e9 or None, share, _weights(backend.parts.get(name))))
    rows += [(name, took.median, took.span, None, None, None) for name, took in around(setting.rounds).items()]
    about = {**setting.about, "peak, TFLOP/s": peak / 1e12, "copy, GB/s": copy_rate(measured.device) / 1e9}
    columns = ("part", "ms", "from to", "GFLOP", "% of peak", "weights, MB")
    return Table("sam3-parts", "One picture, one phrase, part by part", columns, rows, about)


def _one_run(backend: TransformersBackend, meter: Meter, number: int, cut: float) -> dict[str, float]:
    """Seconds of each part and of what is around them; of run 0, FLOP."""
    meter.reset(counting=number == 0)
    picture, prompt = new_picture(number), ConceptPrompt(all_phrases()[number], threshold=cut)
    began = clock(meter.device)
    [embedding] = backend.encode([picture])
    encoded = clock(meter.device)
    backend.decode([embedding], [prompt])
    decoded = clock(meter.device)
    if number == 0:
        return dict(meter.flop)
    first = meter.seconds["vision encoder"] + meter.seconds["geometry encoder"]  # what no phrase is needed for
    rest = {
        "resizing and the rest of encoding": encoded - began - first,
        "upsampling, cutting and the rest of decoding": decoded - encoded - sum(meter.seconds.values()) + first,
    }
    return {**meter.seconds, **rest, "encoding": encoded - began, "decoding": decoded - encoded}


def _weights(part: torch.nn.Module | None) -> float | None:
    """Megabytes that have to be read for this part."""
    return sum(weight.nbytes for weight in part.parameters()) / 1e6 if part else None


def calls(measured: Network, setting: Setting) -> Table:
    """What a user of `Sam3` waits for, on scenes of 640 x 480; every phrase is asked once."""
    sam3, rounds = measured.ours(), setting.rounds
    pictures = [Picture(_small(number).pixels) for number in range(rounds + 1)]
    one, present = pictures[RICH % len(pictures)], _further(rounds)
    asked: dict[str, Callable[[int], object]] = {
        "a new picture and its first phrase": lambda run: sam3.segment(pictures[run], "object"),
        "a further phrase": lambda run: sam3.segment(one, present[run]),
        "a further phrase that is absent": lambda run: sam3.segment(one, STRANGERS[run]),
        "four further phrases together": lambda run: sam3.segment_all(
            [(one, ConceptPrompt(phrase)) for phrase in present[rounds + 1 + 4 * run :][:4]]
        ),
    }
    took = {name: timed(work, runs=rounds, clock=partial(clock, measured.device)) for name, work in asked.items()}
    rows = [(name, one.median, one.span) for name, one in took.items()]
    return Table("sam3-calls", "Calls on 640 x 480", ("call", "ms", "from to"), rows, setting.about)


def _further(rounds: int) -> list[str]:
    """What can be asked of the picture that is asked again and again."""
    return phrases_of(_small(RICH % (rounds + 1)))


def _small(number: int) -> Scene:
    return draw_scene(HELD_OUT + number, size=(640, 480))


class Thoughtful(ScriptedPlanner):
    """Thinks for so many seconds before its first call, as a language model does."""

    def __init__(self, seconds: float) -> None:
        super().__init__([Segment(phrases=["object"]), Answer(ids=[1])])
        self._seconds = seconds

    def decide(self, episode: Episode) -> Decision:
        if not episode.steps:
            time.sleep(self._seconds)
        return super().decide(episode)


def first_mask(measured: Network, setting: Setting) -> Table:
    """From the query to the first mask, for planners that think for so long; by the clock.

    SAM 3 encodes the picture meanwhile, so that it should be the longer of the two and the decoder, not the sum.
    """
    sam3, fresh = measured.ours(), count(1)

    def shown(seconds: float) -> float:
        task = Task(Picture(np.roll(scene().pixels, next(fresh), axis=0)), "object")
        began = time.perf_counter()
        next(watch(task, Thoughtful(seconds), sam3))
        return 1000 * (time.perf_counter() - began)

    rows = [(1000 * seconds, statistics.median(shown(seconds) for _ in range(setting.rounds))) for seconds in THOUGHTS]
    at_once = rows[0][1]
    columns = ("planner thinks, ms", "first mask after, ms", "one after the other, ms")
    return Table(
        "sam3-first-mask", "Time to the first mask", columns, [(*row, row[0] + at_once) for row in rows], setting.about
    )


Asked = tuple[Sequence[Picture], Sequence[str]]
"""New pictures, and the phrases that each of them is asked for."""


def ways(measured: Network, setting: Setting) -> dict[str, Callable[[Asked], object]]:
    """Ours first, then the least it could take: the network's two halves and nothing else."""
    cut = threshold(measured, setting.size)
    sam3, backend = measured.ours(), measured.backend(compile=measured.compile)

    def prompts(phrases: Sequence[str]) -> list[ConceptPrompt]:
        return [ConceptPrompt(phrase, threshold=cut) for phrase in phrases]

    def ours(asked: Asked) -> object:
        return sam3.segment_all([(picture, prompt) for picture in asked[0] for prompt in prompts(asked[1])])

    def ideal(asked: Asked) -> object:
        seen = [one for one in backend.encode(asked[0]) for _ in asked[1]]
        return backend.decode(seen, prompts(asked[1]) * len(asked[0]))

    def published(asked: Asked) -> object:
        return [rivals.published(measured, picture, asked[1], cut) for picture in asked[0]]

    def documented(asked: Asked) -> object:
        return [rivals.as_documented(measured, picture, asked[1], cut) for picture in asked[0]]

    by_itself = measured.in_float32() if "float32" in setting.against else measured

    def in_float32(asked: Asked) -> object:
        return [rivals.as_documented(by_itself, picture, asked[1], cut) for picture in asked[0]]

    chosen = {
        "ours": ours, "ideal": ideal, "published": published, "transformers": documented, "float32": in_float32,
    }  # fmt: skip
    return {name: way for name, way in chosen.items() if name in ("ours", "ideal", *setting.against)}


def phrases(measured: Network, setting: Setting) -> Table:
    """k phrases on one new picture; the last column counts operations, which no noise can touch."""
    compared = _compared(measured, setting, "phrases", {k: (1, k) for k in setting.phrases})
    once, each, anew = counted_work(measured, setting.size)
    rows = [(*row, k * anew / (once + k * each)) for row, k in zip(compared.rows, setting.phrases, strict=True)]
    return replace(compared, rows=rows, columns=(*compared.columns, "operations, published / ours"))


def counted_work(measured: Network, size: str) -> tuple[int, int, int]:
    """FLOP: ours for a picture, ours for each phrase, the published way's for each phrase with its picture."""
    backend, phrase, cut = measured.backend(), all_phrases()[:1], threshold(measured, size)
    backend.encode([new_picture(0)])  # the first picture pays for what all of them share
    with counter() as once:
        [embedding] = backend.encode([new_picture(1)])
    with counter() as each:
        backend.decode([embedding], [ConceptPrompt(phrase[0], threshold=cut)])
    with counter() as anew:
        rivals.published(measured, new_picture(1), phrase, cut)
    return once.get_total_flops(), each.get_total_flops(), anew.get_total_flops()


def pictures(measured: Network, setting: Setting) -> Table:
    """Two phrases on each of n new pictures."""
    return _compared(measured, setting, "pictures", {n: (n, 2) for n in setting.pictures})


def _compared(measured: Network, setting: Setting, what: str, cases: Mapping[int, tuple[int, int]]) -> Table:
    every = ways(measured, setting)
    fresh = count(1)
    rows: list[Sequence[Cell]] = []
    for case, (number, k) in cases.items():

        def prepare(_: int, number: int = number, k: int = k) -> Asked:
            return [new_picture(next(fresh)) for _ in range(number)], all_phrases()[:k]

        took = side_by_side(every, prepare, measured.device, rounds=setting.rounds)
        mine = took["ours"]
        ratios = [took[name].median / mine.median for name in every if name != "ours"]
        rows.append((case, *(one.median for one in took.values()), *ratios, mine.span))
    times = [f"{name}, ms" for name in every]
    columns = (what, *times, *(f"{name} / ours" for name in every if name != "ours"), "ours, from to")
    return Table(f"sam3-{what}", f"New {what}, model alone", columns, rows, setting.about)
