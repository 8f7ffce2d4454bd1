"""Ask a running `sam3-agent serve` for masks, with requests alone."""

import base64
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import requests

SERVER = os.environ.get("SAM3_AGENT_URL", "http://127.0.0.1:8000")
TOKEN = os.environ.get("SAM3_AGENT_TOKEN", "")


def find_instances(path: str | Path, phrases: list[str], masks: str = "png") -> list[dict[str, Any]]:
    """Return the instances of all phrases, best first for each; `masks` says how their masks are written."""
    headers = {"authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    uploaded = requests.post(f"{SERVER}/v1/images", data=Path(path).read_bytes(), headers=headers, timeout=60)
    uploaded.raise_for_status()
    question = {"image": uploaded.json()["image"], "phrases": phrases, "masks": masks}
    answer = requests.post(f"{SERVER}/v1/segment", json=question, headers=headers, timeout=60)
    answer.raise_for_status()
    return [instance for result in answer.json()["results"] for instance in result["instances"]]


def decode_mask(instance: dict[str, Any]) -> np.ndarray:
    """Return bool, (height, width)."""
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(instance["png"]))), bool)
