"""Results in other tools' formats hold exactly the masks of the shards."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
import yaml
from PIL import ExifTags
from pyarrow import parquet
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from agent.core.errors import UsageError
from annotate.errors import SourceError
from annotate.exporting import ExportJob, build_stem, parse_formats
from annotate.job import Job
from annotate.shards import Row
from annotate.workers.worker import ShardWorker, Unit
from tests.support.annotating import SIZE, build_job, write_images


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Ten images, one of which is none, in shards of four."""
    root = tmp_path_factory.mktemp("exports")
    write_images(root / "in", 10)
    (root / "in" / "0004.png").write_bytes(b"")
    return answer_all(build_job(root / "in", root / "out", shard=4))


def answer_all(job: Job) -> Job:
    worker = ShardWorker(job.setup)
    for number in range(job.plan.shards):
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


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A PNG, a JPEG, a GIF and a JPEG on its side in a parquet file, whose rows are named like no image."""
    root = tmp_path_factory.mktemp("packed")
    contents = []
    for kind, size, orientation in (
        ("PNG", SIZE[::-1], 1),
        ("JPEG", SIZE[::-1], 1),
        ("GIF", SIZE[::-1], 1),
        ("JPEG", SIZE, 6),
    ):
        file, image = io.BytesIO(), PIL.Image.new("RGB", size, (9, 9, 9))
        metadata = image.getexif()
        metadata[ExifTags.Base.Orientation] = orientation
        image.save(file, kind, **({"exif": metadata} if orientation > 1 else {}))
        contents.append(file.getvalue())
    parquet.write_table(pa.table({"image": contents}), root / "set.parquet")
    return answer_all(build_job(root / "set.parquet", root / "out", shard=4))


def test_images_without_a_name_of_their_own_are_named_as_their_readers_need_it(packed: Job) -> None:
    yolo, tars = export(packed, "yolo-seg,webdataset")
    images = sorted((yolo / "images").iterdir())
    assert [path.suffix for path in images] == [".png", ".jpg", ".png", ".jpg"]
    read = [PIL.Image.open(io.BytesIO(path.read_bytes())) for path in images]
    assert [image.format for image in read] == ["PNG", "JPEG", "PNG", "JPEG"]
    assert [path.stem for path in images] == [path.stem for path in sorted((yolo / "labels").iterdir())]
    with tarfile.open(tars / "shard-000000.tar") as archive:
        held = [name for name in archive.getnames() if not name.endswith("json")]
        sizes = {PIL.Image.open(io.BytesIO(archive.extractfile(name).read())).size for name in held}  # type: ignore[union-attr]
    assert held == ["000000000.png", "000000001.jpg", "000000002.gif", "000000003.jpg"]
    assert sizes == {SIZE[::-1]}  # whoever does not look for an orientation reads what the masks are of


@pytest.mark.parametrize(
    ("image", "stem"),
    [
        ("https://a.org/b/c.final.jpg?sig=***&v=1.2", "000000007-c.final"),
        ("s3://bucket/c.jpg#1", "000000007-c"),
        ("c?.jpg", "000000007-c_"),
        ("set.parquet#3", "000000007-set.parquet#3"),
    ],
)
def test_nothing_of_an_address_but_its_path_is_in_the_name_of_a_file(image: str, stem: str) -> None:
    assert build_stem(Row(7, image)) == stem


def test_an_image_that_is_gone_is_left_out_and_the_others_are_there(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 3)
    job = answer_all(build_job(tmp_path / "in", tmp_path / "out", shard=4))
    (tmp_path / "in" / "0001.png").unlink()
    said: list[str] = []
    yolo, tars, each = export(job, "yolo-seg,webdataset,label-studio", on_note=said.append)
    for folder in (yolo / "images", yolo / "labels", each / "000000"):
        assert [path.name[:9] for path in sorted(folder.iterdir())] == ["000000000", "000000002"]
    with tarfile.open(tars / "shard-000000.tar") as archive:
        assert len(archive.getnames()) == 4
    assert said == [
        "left out of the formats that hold images, as the files can no longer be read: 0001.png; the parquet files have"
        " their masks"
    ]
    shutil.rmtree(tmp_path / "in")
    with pytest.raises(SourceError, match=r"the images are not in .* any more"):
        export(job, "webdataset,yolo-seg")


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
