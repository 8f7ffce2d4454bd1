"""A real Ray: actors that die, two nodes on this machine, and a node that is ended by kill -9."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed; see tests/ray/README.md")

from ray.cluster_utils import Cluster  # noqa: E402

from annotate.job import Job  # noqa: E402
from annotate.shards import read_shard  # noqa: E402
from tests.ray.conftest import KeepPart  # noqa: E402
from tests.support.annotating import DEADLY, build_job, write_images  # noqa: E402

measured: dict[str, Any] = {}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of one processor each; this process is the driver on the first."""
    started = time.perf_counter()
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
    found.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    found.wait_for_nodes()
    measured["seconds to start two nodes"] = round(time.perf_counter() - started, 1)
    os.environ["RAY_ADDRESS"] = found.address
    yield found
    found.shutdown()


def count_images(job: Job) -> list[int]:
    paths = map(job.folder.get_shard_path, range(job.plan.shards))
    return [rows[0].index for path in paths for rows in read_shard(path)]


def run_on_ray(job: Job) -> float:
    started = time.perf_counter()
    replace(job, place="ray").run()
    return round(time.perf_counter() - started, 1)


def test_two_nodes_answer_every_image_once_and_an_actor_that_dies_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    write_images(tmp_path / "in", 48, i0005=DEADLY)
    notes: list[str] = []
    job = build_job(tmp_path / "in", tmp_path / "out", workers=2, on_note=notes.append)
    measured["seconds for 48 images with one that ends its worker"] = run_on_ray(job)
    assert count_images(job) == [*range(48)]
    assert job.sum_up().errors == {"WorkerDeath": 1}
    assert sum("looking for the image" in note for note in notes) == 3


def test_a_node_that_is_killed_loses_no_image(cluster: Cluster, tmp_path: Path, keep_part: KeepPart) -> None:
    write_images(tmp_path / "in", 96)
    notes: list[str] = []
    job = build_job(tmp_path / "in", tmp_path / "out", workers=2, pause=0.1, on_note=notes.append)

    def kill_node() -> None:
        while len(list((job.out / "claims").glob("0*.lock"))) < 2:  # until both nodes are at work
            time.sleep(0.05)
        time.sleep(0.3)
        # all that a node is made of: its raylet, and the actors that it has started
        raylet = cluster.list_all_nodes()[-1].all_processes["raylet"][0].process.pid
        actors = Path(f"/proc/{raylet}/task/{raylet}/children").read_text(encoding="utf-8").split()
        for process in (raylet, *map(int, actors)):
            os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill_node)
    killer.start()
    measured["seconds for 96 slow images, with one of two nodes killed"] = run_on_ray(job)
    killer.join()
    assert any("died, or its machine did" in note for note in notes)
    assert count_images(job) == [*range(96)]
    assert job.sum_up().errors == {}
    measured["images lost, or there twice"] = 0
    keep_part("a run of annotate", measured)
