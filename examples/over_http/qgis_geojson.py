"""Masks of a map as GeoJSON for QGIS: `python qgis_geojson.py MAP.png PHRASE… > found.geojson`.

The image's world file (MAP.pgw, .jgw, .tfw or .wld) says where its pixels lie; without one, they are the coordinates.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from find_masks import find_instances


def read_world_file(path: str) -> np.ndarray:
    """Return the six numbers A D B E C F: x = A column + B row + C, y = D column + E row + F, at pixels' centres."""
    for suffix in (".pgw", ".jgw", ".tfw", ".wld"):
        if (found := Path(path).with_suffix(suffix)).is_file():
            return np.array(found.read_text().split(), float)
    return np.array([1, 0, 0, -1, 0.5, -0.5])  # QGIS counts rows of such an image downwards from 0


def build_geojson(path: str, phrases: list[str]) -> dict[str, Any]:
    """Return a collection with a polygon for each part of each mask, in the map's coordinates."""
    a, d, b, e, c, f = read_world_file(path)
    features = []
    for instance in find_instances(path, phrases, masks="polygons"):
        for flat in instance["polygons"]:
            column, row = (np.array(flat).reshape(-1, 2) - 0.5).T
            ring = np.column_stack([a * column + b * row + c, d * column + e * row + f]).tolist()
            shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
            facts = {name: instance[name] for name in ("phrase", "score", "id")}
            features.append({"type": "Feature", "properties": facts, "geometry": shape})
    return {"type": "FeatureCollection", "features": features}


if __name__ == "__main__":
    print(json.dumps(build_geojson(sys.argv[1], sys.argv[2:])))
