"""A folder that is converted to another number format while it is read: the same numbers, joined without a copy."""

from pathlib import Path

import torch
from safetensors.torch import load_file

import sam3_tool
from sam3_tool.backends.transformers.files.weights import read_detector, read_tracker
from sam3_tool.backends.transformers.layers.rotary import join_tensors
from sam3_tool.backends.transformers.tracker import EXACT_PARTS

FOLDER = Path(sam3_tool.__file__).parent / "tiny"


def test_queries_keys_and_values_are_joined_where_they_lie_and_hold_the_converted_numbers():
    stored = load_file(FOLDER / "model.safetensors")
    dtype = torch.bfloat16 if next(iter(stored.values())).dtype != torch.bfloat16 else torch.float32
    detector, _ = read_detector(FOLDER, dtype)
    for layer in detector.vision_encoder.backbone.layers:
        attention = layer.attention
        for name in ("weight", "bias"):
            parts = [getattr(part, name).detach() for part in (attention.q_proj, attention.k_proj, attention.v_proj)]
            joined = join_tensors(parts)
            assert joined.data_ptr() == parts[0].data_ptr()
            assert torch.equal(joined, torch.cat(parts))
    tracker = read_tracker(FOLDER, detector)
    for network, prefix, exact in ((detector, "detector_model.", ()), (tracker, "tracker_model.", EXACT_PARTS)):
        names = [name for name in network.state_dict() if f"{prefix}{name}" in stored]
        assert len(names) > 50
        for name in names:
            wanted = torch.float32 if exact and name.startswith(exact) else dtype
            assert torch.equal(network.state_dict()[name], stored[f"{prefix}{name}"].to(wanted)), name
