"""The own cost of the evaluation harness: `python -m bench.suites.agent.evaluation`.

overhead: processor time per sample beside the agent's own, with a scripted planner and a scripted SAM 3: the image is
read from a JPEG file, the answer's masks are encoded, the episode and the prediction are written. throughput: samples a
second with a planner that waits one second per call, as for a server. omnilabel, saco: official files of the published
size, generated, read and scored, with every interval of the report; each in a process of its own, for its memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from agent import Decision, Episode, ScriptedPlanner, Task, run
from agent.records.provenance import Provenance
from agent.tools.segment import Segment
from agent.tools.toolsets import Answer
from bench.suites.drawing import draw_blob
from evals.datasets.loading import load_dataset
from evals.evaluation import Evaluation
from evals.reports.summary import summarize_run
from evals.runs.manifest import ALL_SAMPLES, Manifest
from evals.runs.run_folder import RunFolder
from evals.runs.solver import Solver
from evals.samples import Dataset, Prediction, Sample
from sam3_tool import Image, Instances, Sam3, ScriptedBackend
from sam3_tool.masks.boxes import masks_to_boxes
from sam3_tool.masks.rle import RleMask, compute_areas, encode_masks

IMAGE_SIZE = 480, 640
"""(height, width) of images."""
MASKS = 5
"""Masks that an episode finds."""
SAMPLES = 200
OVERHEAD_GOAL, SPEED_UP_GOAL, SCORING_GOAL, MEMORY_GOAL = 15, 25, 60, 2048
"""Milliseconds a sample; speed-up with 32 workers; seconds; MiB."""
OMNILABEL_PAIRS, SACO_PAIRS = 28_000, 33_000
SCRIPT = (Segment(phrases=["pebble"]), Answer(ids=list(range(1, MASKS + 1)), message="All of them."))


class SlowPlanner(ScriptedPlanner):
    """A scripted planner that takes a second for every decision, as a language model on a server does."""

    def decide(self, episode: Episode) -> Decision:
        time.sleep(1)
        return super().decide(episode)


def make_scripted_sam3(rng: np.random.Generator) -> Sam3:
    masks = np.stack([draw_blob(*IMAGE_SIZE, rng) for _ in range(MASKS)])
    scores = np.linspace(0.99, 0.6, MASKS, dtype=np.float32)
    return Sam3(ScriptedBackend({None: {"pebble": Instances(masks, masks_to_boxes(masks), scores, 0.99, "pebble")}}))


def write_own_data(folder: Path, number: int, rng: np.random.Generator) -> Dataset:
    """Write that many JPEG files, as hard to decode as photographs, and a query about each."""
    for index in range(number):
        clouds = cv2.resize(
            rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC
        )
        cv2.imwrite(str(folder / f"{index}.jpg"), clouds)
    lines = [json.dumps({"image": f"{index}.jpg", "query": "the pebbles"}) for index in range(number)]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_dataset("own", folder, "all")


def run_evaluation(dataset: Dataset, solver: Solver, out: Path, *, workers: int) -> list[Prediction]:
    """Run all samples in a new run folder."""
    settings = {"made_by": Provenance(planner="scripted", sam3="scripted"), "checkpoint": "", "threshold": 0.5}
    manifest = Manifest.from_dataset(dataset, dataset.collect_info(), ALL_SAMPLES, **settings)
    with RunFolder.start(out, manifest) as folder:
        return Evaluation(folder, dataset, dataset.list_samples()).ask_samples(solver, workers=workers)


def measure_overhead(folder: Path) -> str:
    """Time the evaluation and the agent alone, in one thread and in turn, so that a busy machine hits both alike."""
    rng = np.random.default_rng(0)
    dataset, sam3, planner = (
        write_own_data(folder, SAMPLES, rng),
        make_scripted_sam3(rng),
        ScriptedPlanner(SCRIPT),
    )
    run_evaluation(dataset, Solver(sam3, planner), folder / "warm", workers=1)
    images = [sample.open_image() for sample in dataset.list_samples()]

    def run_episodes() -> None:
        for image in images:
            run(Task(Image(image.pixels), "the pebbles"), planner, sam3)

    def run_benchmark() -> None:
        with TemporaryDirectory(dir=folder) as out:
            run_evaluation(dataset, Solver(sam3, planner), Path(out), workers=1)

    alone, whole = (min(measure_cpu_seconds(work) for _ in range(3)) for work in (run_episodes, run_benchmark))
    ours = 1000 * (whole - alone) / SAMPLES
    return (
        f"overhead: {ours:.1f} ms of processor time a sample beside {1000 * alone / SAMPLES:.1f} ms of the agent's own"
        f" (goal: under {OVERHEAD_GOAL})"
    )


def measure_cpu_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of processor time of `work`."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure_throughput(folder: Path) -> str:
    rng = np.random.default_rng(0)
    sam3, rates = make_scripted_sam3(rng), {}
    for workers in (1, 8, 32):
        data = folder / f"data{workers}"
        data.mkdir()
        dataset = write_own_data(data, 4 * workers, rng)
        began = time.perf_counter()
        run_evaluation(dataset, Solver(sam3, SlowPlanner(SCRIPT)), folder / f"run{workers}", workers=workers)
        rates[workers] = 4 * workers / (time.perf_counter() - began)
    times = {workers: rate / rates[1] for workers, rate in rates.items()}
    summary = ", ".join(f"{workers} workers {rates[workers]:.2f} ({times[workers]:.1f} x)" for workers in rates)
    return (
        f"throughput, samples a second with {len(SCRIPT)} calls of 1 s each: {summary} (goal at 32: {SPEED_UP_GOAL} x)"
    )


def measure_omnilabel(folder: Path) -> str:
    """Score OmniLabel: half of the pairs have 2 boxes, all have 6 detections, half are plain categories."""
    rng = np.random.default_rng(0)
    images = OMNILABEL_PAIRS // 8
    (folder / "coco").mkdir()
    cv2.imwrite(str(folder / "coco" / "0.jpg"), np.zeros((*IMAGE_SIZE, 3), np.uint8))
    descriptions = [_make_description(number, images) for number in range(OMNILABEL_PAIRS)]
    annotations: list[dict[str, Any]] = [
        {"id": 2 * number + index, "image_id": number % images, "bbox": box, "description_ids": [number], "iscrowd": 0}
        for number in range(0, OMNILABEL_PAIRS, 2)
        for index, box in enumerate(_make_boxes(rng, 2))
    ]
    file = {
        "info": {"version": "0.1.3"},
        "images": [{"id": number, "file_name": f"coco/{number}.jpg"} for number in range(images)],
        "descriptions": descriptions,
        "annotations": [
            {**annotation, "area": annotation["bbox"][2] * annotation["bbox"][3]} for annotation in annotations
        ],
    }
    (folder / "dataset_all_val_v0.1.3.json").write_text(json.dumps(file), encoding="utf-8")
    truth = {annotation["description_ids"][0]: annotation["bbox"] for annotation in annotations}
    detections = {number: _make_detections(rng, truth.get(number)) for number in range(OMNILABEL_PAIRS)}

    def predict(sample: Sample) -> Prediction:
        found = detections[int(sample.id.partition("-")[2])]
        boxes = tuple((x, y, x + w, y + h) for x, y, w, h in found)
        scores = np.linspace(0.9, 0.1, len(found)).tolist()
        return Prediction(id=sample.id, status="ok", boxes=boxes, scores=tuple(scores))

    return measure_scoring("omnilabel", "val", folder, predict)


def _make_description(number: int, images: int) -> dict[str, Any]:
    kind = "object_category" if number % 4 < 2 else "object_description"
    text = " ".join(["word"] * (1 + number % 12))
    return {"id": number, "text": text, "image_ids": [number % images], "anno_info": {"type": kind, "orig_id": number}}


def _make_boxes(rng: np.random.Generator, number: int) -> Iterator[list[float]]:
    """Random boxes, x y w h in pixels."""
    for x, y, w, h in rng.random((number, 4)).tolist():
        yield [500 * x, 350 * y, 20 + 100 * w, 20 + 80 * h]


def _make_detections(rng: np.random.Generator, near: list[float] | None) -> list[list[float]]:
    hit = (
        [] if near is None else [[side + shift for side, shift in zip(near, rng.normal(0, 4, 4).tolist(), strict=True)]]
    )
    return [*([max(side, 1.0) for side in box] for box in hit), *_make_boxes(rng, 5)]


def measure_saco(folder: Path) -> str:
    """Score SA-Co Gold: three annotators; 40 % of the pairs have 1 to 8 objects; masks of images of 1008 x 756."""
    rng = np.random.default_rng(0)
    height, width = 756, 1008
    bank = encode_masks(np.stack([draw_blob(height, width, rng) for _ in range(400)]))
    sizes = compute_areas(bank).tolist()
    (folder / "metaclip-images").mkdir()
    cv2.imwrite(str(folder / "metaclip-images" / "0.jpg"), np.zeros((*IMAGE_SIZE, 3), np.uint8))
    counts = np.where(rng.random(SACO_PAIRS) < 0.4, rng.integers(1, 9, SACO_PAIRS), 0)
    chosen = [rng.integers(0, len(bank), count).tolist() for count in counts]
    for annotator in "abc":
        file = _make_saco_file(chosen, bank, sizes, height, width)
        (folder / f"gold_metaclip_merged_{annotator}_release_test.json").write_text(json.dumps(file), encoding="utf-8")

    def predict(sample: Sample) -> Prediction:
        there = chosen[int(sample.id)][:6]
        masks = tuple(bank[index] for index in there)
        boxes = tuple((0.0, 0.0, 10.0, 10.0) for _ in masks)
        return Prediction(id=sample.id, status="ok", masks=masks, boxes=boxes, scores=(0.9,) * len(masks))

    return measure_scoring("saco-gold", "metaclip", folder, predict)


def _make_saco_file(
    chosen: list[list[int]], bank: list[RleMask], sizes: list[int], height: int, width: int
) -> dict[str, Any]:
    images = [
        {"id": pair, "file_name": f"{pair // 4}.jpg", "text_input": "pebble", "width": width, "height": height}
        | {"queried_category": "1", "is_instance_exhaustive": 1, "is_pixel_exhaustive": 1}
        for pair in range(len(chosen))
    ]
    found = [(pair, index) for pair, there in enumerate(chosen) for index in there]
    annotations = [
        {"id": number, "image_id": pair, "category_id": 1, "iscrowd": 0, "segmentation": bank[index].to_coco()}
        | {"bbox": [0.1, 0.1, 0.2, 0.2], "area": sizes[index] / (height * width)}
        for number, (pair, index) in enumerate(found)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}


def measure_scoring(name: str, split: str, folder: Path, predict: Callable[[Sample], Prediction]) -> str:
    """Read the files and score with every interval; say the processor time of each, and the peak of memory."""
    began = time.process_time()
    dataset = load_dataset(name, folder, split)
    samples = dataset.list_samples()
    predictions = [predict(sample) for sample in samples]
    read = time.process_time()
    dataset.score(predictions)
    scored = time.process_time()
    summarize_run(dataset, samples, predictions)
    ended = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{name}: {len(samples)} pairs read in {read - began:.1f} s, scored in {scored - read:.1f} s, intervals in"
        f" {ended - scored:.1f} s of processor time, {memory:.0f} MiB (goal: scored under {SCORING_GOAL} s,"
        f" {MEMORY_GOAL} MiB)"
    )


PARTS: dict[str, Callable[[Path], str]] = {
    "overhead": measure_overhead,
    "throughput": measure_throughput,
    "omnilabel": measure_omnilabel,
    "saco": measure_saco,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one")
    part = parser.parse_args().part
    cv2.setNumThreads(1)
    if part is None:
        for name in PARTS:
            subprocess.run([sys.executable, "-m", "bench.suites.agent.evaluation", name], check=True)
        return
    with TemporaryDirectory() as folder:
        print(PARTS[part](Path(folder)), flush=True)


if __name__ == "__main__":
    main()
