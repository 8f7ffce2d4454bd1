"""Results in other tools' formats hold exactly the masks of the shards."""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from agent.core.errors import UsageError
from annotate.exporting import ExportJob, parse_formats
from annotate.job import Job
from annotate.workers.worker import ShardWorker, Unit
from tests.support.annotating import SIZE, build_job, write_images


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Ten images, one of which is none, in shards of four."""
    root = tmp_path_factory.mktemp("exports")
    write_images(root / "in", 10)
    (root / "in" / "0004.png").write_bytes(b"")
    job = build_job(root / "in", root / "out", shard=4)
    worker = ShardWorker(job.setup)
    for number in range(3):
        start, stop = job.plan.get_range(number)
        worker.run_unit(Unit(number, tuple(job.listing.get_items(start, stop)), stop - start))
    return job


def export(job: Job, names: str, **options: Any) -> list[Path]:
    return ExportJob(job.folder, job.plan, job.listing, **options).write_formats(parse_formats(names))


CUP = np.zeros(SIZE, bool)
CUP[2:6, 3:9] = True


def test_coco_is_read_by_its_owner(finished: Job, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = export(finished, "coco")
    read = COCO(path)
    assert sorted(read.imgs) == [number + 1 for number in range(10) if number != 4]
    assert read.imgs[4] == {"id": 4, "file_name": "0003.png", "width": SIZE[1], "height": SIZE[0]}
    assert [category["name"] for category in read.cats.values()] == ["cup", "hat"]
    assert len(read.anns) == 9
    for annotation in read.anns.values():
        assert (coco_mask.decode(annotation["segmentation"]) == CUP).all()
        assert (annotation["area"], annotation["bbox"], annotation["category_id"]) == (24, [3, 2, 6, 4], 1)


def test_coco_is_a_file_for_each_shard_where_there_are_many_masks(finished: Job) -> None:
    [file] = export(finished, "coco")
    [folder] = export(finished, "coco", max_coco_masks=5)
    whole = json.loads(file.read_bytes())
    parts = [json.loads(path.read_bytes()) for path in sorted(folder.iterdir())]
    assert [len(part["images"]) for part in parts] == [4, 3, 2]
    for name in ("images", "annotations"):
        assert [value for part in parts for value in part[name]] == whole[name]


def test_yolo_and_webdataset_hold_the_files_as_they_are(finished: Job) -> None:
    yolo, tars = export(finished, "yolo-seg,webdataset")
    assert yaml.safe_load((yolo / "data.yaml").read_text("utf-8"))["names"] == {0: "cup", 1: "hat"}
    original = (finished.listing.reader.root / "0003.png").read_bytes()  # type: ignore[attr-defined]
    assert (yolo / "images" / "000000003-0003.png").read_bytes() == original
    label = (yolo / "labels" / "000000003-0003.txt").read_text("utf-8").split()
    assert label[0] == "0"
    assert len(list((yolo / "labels").iterdir())) == len(list((yolo / "images").iterdir())) == 9
    with tarfile.open(tars / "shard-000000.tar") as archive:
        names = archive.getnames()
        assert names[:2] == ["000000000.png", "000000000.json"]
        told = json.load(archive.extractfile("000000003.json"))  # type: ignore[arg-type]
        assert archive.extractfile("000000003.png").read() == original  # type: ignore[union-attr]
    assert told["image"] == "0003.png"
    assert told["presence"] == {"cup": pytest.approx(0.9), "hat": 0.0}
    assert [annotation["phrase"] for annotation in told["annotations"]] == ["cup"]


def test_an_installed_exporter_writes_a_file_for_each_image(finished: Job) -> None:
    [folder] = export(finished, "label-studio")
    files = sorted(path.name for path in folder.rglob("*.json"))
    assert len(files) == 9
    assert files[3].startswith("000000003-0003.")


def test_the_same_export_again_writes_the_same(finished: Job) -> None:
    first = [path.read_bytes() for path in export(finished, "coco")]
    assert [path.read_bytes() for path in export(finished, "coco")] == first


@pytest.mark.parametrize("text", ["nonsense", "coco,mot"])
def test_a_format_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="of whole sets there are also parquet, coco, yolo-seg, webdataset"):
        parse_formats(text)
