"""Quality of labels from end to end: drawn scenes, the embedded SAM 3, its verifier, two reviewers, `engine status`."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from engine.pairs import Correction, Entry, Judgement, Proposal
from engine.simulation import SimulatedPair
from engine.states import StatePolicy
from engine.store.store import EngineStore
from evals.metrics.cgf1 import score_pairs
from sam3_tool import Image
from sam3_tool.masks.rle import RleMask, encode_masks
from sam3_tool.synthetic.scenes import HELD_OUT, Scene, draw_scene

PHRASES = "triangle, crescent, cake, watermelon"


def draw_scenes() -> list[Scene]:
    """Triangles and crescents, then cakes and watermelons."""
    return [draw_scene(HELD_OUT + number, size=(320, 240)) for number in (1, 4)]


def invoke(*words: object) -> str:
    done = CliRunner().invoke(app, ["engine", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def review_pair(one: SimulatedPair, by: str) -> list[Entry]:
    """Answer as somebody who makes no slip: every mask, then coverage, and a correction where something is wrong."""
    said = {"pair": one.pair.key, "by": by, "at": 0.0}
    judged = {**said, "drawn": "random"}
    entries: list[Entry] = [
        Judgement.model_validate(
            {**judged, "stage": "mv", "mask": mask, "choice": "accept" if is_right else "reject", "kind": "judgement"}
        )
        for mask, is_right in enumerate(one.right_masks)
    ]
    if one.is_right:
        shown = tuple(range(len(one.right_masks)))
        return [*entries, Judgement.model_validate({**judged, "stage": "ev", "shown": shown, "choice": "accept"})]
    groups = (False,) * len(one.truth)
    return [*entries, Correction.model_validate({**said, "masks": one.truth, "groups": groups, "exhaustive": True})]


def find_truth(scene: Scene, phrase: str) -> tuple[RleMask, ...]:
    wanted = [mask for mask, thing in zip(scene.masks, scene.objects, strict=True) if thing.noun == phrase]
    return tuple(encode_masks(np.array(wanted))) if wanted else ()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine of two scenes whose masks are proposed and judged by the verifier `signals`."""
    root = tmp_path_factory.mktemp("quality")
    (root / "photos").mkdir()
    for number, scene in enumerate(draw_scenes()):
        PIL.Image.fromarray(scene.pixels).save(root / "photos" / f"{number}.png")
    invoke("init", root / "engine", "--images", root / "photos", "--phrases", PHRASES)
    invoke("run", root / "engine", "--sam3", "tiny")
    return root / "engine"


def test_status_tells_what_the_metric_says_of_what_two_people_answered(folder: Path) -> None:
    before = json.loads(invoke("status", folder, "--json"))["quality"]
    assert before["labels"]["proposals"]["cgF1"] is None
    assert "random pairs are finished by people; review" in before["labels"]["proposals"]["missing"]
    scenes = {Image(scene.pixels).key: scene for scene in draw_scenes()}
    scored: list[tuple[tuple[RleMask, ...], tuple[RleMask, ...]]] = []
    masks = 0
    with EngineStore.open(folder) as store:
        for pair in [*store.pairs()]:
            proposal = store.read_proposal(pair.key)
            assert isinstance(proposal, Proposal)
            one = SimulatedPair(0, pair, proposal, find_truth(scenes[pair.image], pair.phrase))
            masks += len(one.right_masks)
            store.append([*review_pair(one, "human:anna"), *review_pair(one, "human:ben")])
            state = store.read_state(pair.key, StatePolicy())
            assert state is not None
            assert state.decision.is_human_end
            scored.append((proposal.masks, state.masks))
    quality = json.loads(invoke("status", folder, "--json"))["quality"]
    truth = score_pairs(scored)
    found = quality["labels"]["proposals"]
    assert (found["pairs"], found["images"]) == (len(scored), 2)
    assert {name: found[name]["value"] for name in ("cgF1", "pmF1", "IL_MCC")} == {
        name: truth[name] for name in ("cgF1", "pmF1", "IL_MCC")
    }
    assert quality["labels_by"] == {"people": len(scored), "models": 0}
    [verifier] = [one for one in quality["verifiers"] if one["stage"] == "mv"]
    assert verifier["by"].startswith("model:signals@")
    assert sum(verifier["random"].values()) == masks > 0
    assert verifier["against_majority_of_others"] == {
        "answers": 2 * masks,
        "people": 1.0,
        "verifier": (verifier["random"]["right, people right"] + verifier["random"]["wrong, people wrong"]) / masks,
    }
    assert quality["people"]["ev"]["observed"] == 1.0
    told = invoke("status", folder)
    assert f"on {len(scored)} random pairs of 2 images" in " ".join(told.split())
    assert f"{truth['cgF1']:.1f}" in told
