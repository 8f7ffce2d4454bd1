"""Float32 in a 16-bit network: coordinates, and the trunk's sums.

The published code runs float32 weights under autocast (`examples/sam3_agent.ipynb`), which leaves the
trunk's sums in float32.
"""

from functools import partial
from typing import Any

import torch

from sam3_tool.backends.transformers.students.trunk import is_student


def keep_residuals_float32(model: Any) -> Any:
    """Change a 16-bit `Sam3Model` so that coordinates and the trunk's sums stay in float32, and return it.

    - Coordinates: bfloat16 has steps of 7 pixels in a width of 1920. In facebook/sam3 these parts are 6 % of the
      arithmetic of a prompt, and none of that of an image.
    - What the trunk's layers add to, and its norms: rounded after each of 32 layers, it would err twice as much.
    """
    narrow = model.dtype
    for part in (model.geometry_encoder, model.detr_decoder, model.dot_product_scoring):
        part.float().register_forward_pre_hook(_widen_inputs, with_kwargs=True)
    if not is_student(model.vision_encoder.backbone):
        keep_trunk_float32(model.vision_encoder.backbone, narrow)
    model.geometry_encoder.register_forward_hook(partial(_narrow_output, narrow))
    return model


def keep_trunk_float32(trunk: Any, narrow: torch.dtype) -> None:
    """Change a 16-bit vision trunk so that its sums stay in float32; what it gives is in 16 bits."""
    trunk.layer_norm.float().register_forward_pre_hook(_widen_inputs, with_kwargs=True)
    norms = (norm.float() for layer in trunk.layers for norm in (layer.layer_norm1, layer.layer_norm2))
    for part in (trunk.layers[-1], *norms):
        part.register_forward_hook(partial(_narrow_output, narrow))


def _narrow_output(narrow: torch.dtype, part: torch.nn.Module, inputs: Any, output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.to(narrow)
    output.last_hidden_state = output.last_hidden_state.to(narrow)
    return output


def _widen_inputs(part: torch.nn.Module, positional: Any, named: Any) -> Any:
    return _cast_floats(positional, torch.float32), _cast_floats(named, torch.float32)


def _cast_floats(value: Any, dtype: torch.dtype) -> Any:
    """Convert every floating-point tensor in `value`, at any depth, to `dtype`."""
    match value:
        case torch.Tensor() if value.is_floating_point():
            return value.to(dtype)
        case dict():
            return {key: _cast_floats(item, dtype) for key, item in value.items()}
        case tuple() | list():
            return type(value)(_cast_floats(item, dtype) for item in value)
        case _:
            return value
