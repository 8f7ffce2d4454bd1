"""The small vision networks of EfficientSAM3 against numbers of the published code, and their sizes against its own."""

import numpy as np
import pytest
import torch

from bench.suites.weights.files import list_student_shapes
from sam3_tool.backends.transformers.students.layout import describe_student
from sam3_tool.backends.transformers.students.names import is_unread, map_student_names
from sam3_tool.backends.transformers.students.trunk import StudentTrunk
from tests.support.published_students import GRID, draw_image, draw_weights, pick_values, read_published
from tests.support.students import FAMILIES

NECK = 7.9
"""Million parameters of SAM 3's feature pyramid, which the authors count to the vision encoder."""
VISION_MILLIONS = {"efficientvit_b1": 22.2, "repvit_m1.1": 25.6, "tinyvit_11m": 28.3}
"""What the authors' table of models says of EV-M, RV-M and TV-M."""
TRACKED_RUNS = {"repvit_m1.1": 653}
"""Weights with the counters of norms, as the authors' conversion of a checkpoint prints their number."""


def build_trunk(family: str) -> StudentTrunk:
    """Return a family's small network with the weights that the published code was given."""
    shapes = {name: tuple(shape) for name, shape in read_published()[family]["shapes"].items()}
    layout = describe_student(shapes)
    assert layout.family == family
    names = map_student_names(layout.family, shapes)
    trunk = StudentTrunk(layout, grid=GRID)
    drawn = draw_weights({name: shapes[name] for name in names})
    faults = trunk.load_weights({names[name]: torch.from_numpy(value) for name, value in drawn.items()})
    assert not any(faults)
    return trunk.eval()


def compute_features(trunk: StudentTrunk, dtype: torch.dtype = torch.float32) -> np.ndarray:
    """Return what a trunk makes of the image, (C, GRID, GRID)."""
    with torch.inference_mode():
        tokens = trunk(torch.from_numpy(draw_image()).to(dtype)).last_hidden_state
    return tokens[0].float().T.reshape(-1, GRID, GRID).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_features_are_those_of_the_published_code(family):
    expected = np.array(read_published()[family]["features"])
    trunk = build_trunk(family)
    plain = compute_features(trunk)
    assert np.allclose(pick_values(plain), expected, rtol=1e-4, atol=1e-4 * expected.std())
    folded = compute_features(trunk.fold_norms())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in trunk.modules())
    assert np.allclose(folded, plain, rtol=1e-4, atol=1e-4 * plain.std())
    narrow = compute_features(trunk.to(torch.bfloat16), torch.bfloat16)
    assert np.sqrt(np.mean((narrow - plain) ** 2)) < 0.05 * plain.std()


@pytest.mark.parametrize("size", sorted(list_student_shapes()))
def test_every_published_name_is_one_of_the_network_and_the_network_has_no_other(size):
    shapes = list_student_shapes()[size]
    layout = describe_student(shapes)
    names = map_student_names(layout.family, shapes)
    with torch.device("meta"):
        trunk = StudentTrunk(layout, grid=72)
    state = trunk.state_dict()
    own = {name: tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert {names[name]: shape for name, shape in shapes.items() if name in names} == own
    assert all(is_unread(name) for name in shapes.keys() - names.keys())
    assert layout.features == 1024
    millions = sum(weight.numel() for weight in trunk.parameters()) / 1e6
    assert millions + NECK == pytest.approx(VISION_MILLIONS.get(size, millions + NECK), abs=0.06)
    assert len(state) == TRACKED_RUNS.get(size, len(state))
