"""The examples that ask a server with requests alone, against one on loopback."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from sam3_tool import Instances, Sam3
from serve.http.app import create_app
from serve.http.middleware.auth import TokenBook
from serve.http.settings import ServeSettings
from tests.support.serving import ANNA, serve_in_thread, write_image

FOLDER = Path(__file__).parents[3] / "examples" / "over_http"


@pytest.fixture(scope="module")
def examples(sam3: Sam3) -> Iterator[Any]:
    """Imports an example, which asks a server of a tenant."""
    app = create_app(ServeSettings(tokens=TokenBook.parse(f"anna:{ANNA}"), drain_seconds=0), sam3)
    with serve_in_thread(app) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAM3_AGENT_URL", address)
        patch.setenv("SAM3_AGENT_TOKEN", ANNA)
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "map.png"
    path.write_bytes(write_image())
    return path


def test_masks_come_back_as_they_are(examples: Any, image: Path, cups: Instances) -> None:
    example = examples("find_masks")
    found = example.find_instances(image, ["cup", "hat"])
    assert [one["phrase"] for one in found] == ["cup", "cup"]
    np.testing.assert_array_equal([example.decode_mask(one) for one in found], cups.masks)


def test_a_wrong_request_is_an_error(examples: Any, image: Path) -> None:
    with pytest.raises(requests.HTTPError, match="422"):
        examples("find_masks").find_instances(image, ["cup"], masks="svg")


def test_a_label_image_has_a_number_for_each_mask(examples: Any, image: Path, cups: Instances) -> None:
    labels, names = examples("napari_labels").build_labels(str(image), ["cup"])
    assert names == {"phrase": ["background", "cup 0.90", "cup 0.75"]}
    np.testing.assert_array_equal(np.stack([labels == 1, labels == 2]), cups.masks)


@pytest.mark.parametrize("world", ["", "2\n0\n0\n-2\n1001\n4999\n"])
def test_polygons_lie_where_the_world_file_says(examples: Any, image: Path, world: str) -> None:
    if world:
        image.with_suffix(".pgw").write_text(world)
    collection = examples("qgis_geojson").build_geojson(str(image), ["cup"])
    assert [feature["properties"]["phrase"] for feature in collection["features"]] == ["cup", "cup"]
    ring = np.array(collection["features"][1]["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all()
    scale, origin = (2, (1000, 5000)) if world else (1, (0, 0))
    extents = (ring - origin) / (scale, -scale)  # in pixels from the upper left corner
    np.testing.assert_allclose([*extents.min(0), *extents.max(0)], [40, 30, 60, 40], atol=0.3)
