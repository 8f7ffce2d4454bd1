"""Native weights as those of transformers: the same numbers under other names, some of them cut, turned or joined."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import torch

from sam3_tool.backends.transformers.native.files import NativeFile
from sam3_tool.backends.transformers.native.names import translate_name

_POINT = "tracker_model.prompt_encoder.point_embed.weight"
_PLACES = "tracker_model.prompt_encoder.shared_embedding.positional_embedding"
_SHARED_PLACES = "tracker_model.shared_image_embedding.positional_embedding"


def convert_weights(
    file: NativeFile, is_wanted: Callable[[str], bool], choose_dtype: Callable[[str], torch.dtype]
) -> dict[str, torch.Tensor]:
    """Return weights as a checkpoint of `Sam3VideoModel` has them, each in memory of its own.

    Args:
        file: Whose weights.
        is_wanted: Whether a weight is wanted, by its name in `Sam3VideoModel`.
        choose_dtype: In which format.
    """
    wanted = [native for native in file.shapes if any(map(is_wanted, translate_name(native) or ()))]
    weights: dict[str, torch.Tensor] = {}
    points: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for native, stored in file.iterate_weights(wanted):
        for name, part in _split_weight(file, native, stored):
            # in the order of its shape: transposed numbers would be multiplied in another order
            own = part.to(choose_dtype(name), copy=True, memory_format=torch.contiguous_format)
            if name == _POINT:
                points[name][native] = own
            else:
                weights[name] = own
    return weights | {name: torch.cat([rows[native] for native in sorted(rows)]) for name, rows in points.items()}


def _split_weight(file: NativeFile, native: str, stored: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what becomes of one weight, as views of it."""
    names = translate_name(native) or ()
    parts = stored.chunk(len(names)) if len(names) > 1 else (stored,) * len(names)
    for name, part in zip(names, parts, strict=True):
        if name.endswith("embeddings.position_embeddings"):
            # the first place is that of a class token, which the network does without
            yield name, part[:, part.shape[1] - math.isqrt(part.shape[1]) ** 2 :]
        elif name.endswith(("text_encoder.text_projection.weight", "text_encoder.projection.weight")):
            yield name, part.T
        elif name.endswith("position_embedding.position_embedding"):
            yield name, part[:, :, : file.text_context]
        else:
            yield name, part
        if name == _PLACES:
            yield _SHARED_PLACES, part
