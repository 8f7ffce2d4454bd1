"""Which small vision network a file of EfficientSAM3 holds, and of which size: told by the names and shapes alone.

The names and the networks are those of `sam3/backbones` and `sam3/model_builder.py` of EfficientSAM3.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

Family: TypeAlias = Literal["efficientvit", "repvit", "tinyvit"]
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

_BACKBONE = "backbone.model."
_MARKS: dict[Family, str] = {
    "efficientvit": f"{_BACKBONE}input_stem.",
    "repvit": f"{_BACKBONE}features.",
    "tinyvit": f"{_BACKBONE}patch_embed.",
}
"""How a name begins that only one of the families has."""
_MOST_WINDOW = 32
"""Side of TinyViT's windows in tokens; the published ones have 7 and 14."""
_ATTENTION_STAGES = 2
"""EfficientViT's last stages, whose first block halves the grid and whose others attend."""


class StudentLayout(NamedTuple):
    """A small vision network, as timm's class of its family takes it."""

    family: Family
    arguments: Mapping[str, Any]
    width: int
    """Channels of what the family's network gives, which the head projects."""
    features: int
    """Channels of what the head gives: those of SAM 3's own trunk."""


def describe_student(shapes: Shapes) -> StudentLayout:
    """Return the layout of a student.

    Args:
        shapes: Of each weight, by its name below `trunk.model.`.

    Raises:
        KeyError, ValueError or IndexError: A weight is missing, has no shape that it could have, or is of no family.

    >>> describe_student({"backbone.model.resnet.conv1.weight": (64, 3, 7, 7)})
    Traceback (most recent call last):
    ...
    ValueError: its vision encoder is none of EfficientViT, RepViT and TinyViT
    """
    family = find_family(shapes)
    if family is None:
        raise ValueError("its vision encoder is none of EfficientViT, RepViT and TinyViT")
    describe = {"efficientvit": _describe_efficientvit, "repvit": _describe_repvit, "tinyvit": _describe_tinyvit}
    features, width = shapes["head.0.weight"][:2]
    return StudentLayout(family, describe[family](shapes), width, features)


def find_family(names: Iterable[str]) -> Family | None:
    """Return the family of a student by the names of its weights; None if it is of none that is read.

    >>> find_family(["head.0.weight", "backbone.model.patch_embed.seq.0.c.weight"])
    'tinyvit'
    """
    known = list(names)
    return next((family for family, mark in _MARKS.items() if any(name.startswith(mark) for name in known)), None)


def list_repvit_blocks(shapes: Shapes) -> list[tuple[int, bool]]:
    """Return the number of each block of a RepViT, and whether it halves the grid. Number 0 is the stem."""
    first = f"{_BACKBONE}features."
    numbers = _list_numbers(shapes, first) - {0}
    return [(number, f"{first}{number}.token_mixer.0.c.weight" in shapes) for number in sorted(numbers)]


def _describe_repvit(shapes: Shapes) -> dict[str, Any]:
    blocks = list_repvit_blocks(shapes)
    starts = [place for place, (_, is_halving) in enumerate(blocks) if is_halving]
    ends = [*starts, len(blocks) + 1]
    # timm counts neither the block that halves the grid nor the one before it to a stage's own
    depths = [ends[0] - 1, *(end - start - 2 for start, end in zip(starts, ends[1:], strict=True))]
    stem = shapes[f"{_BACKBONE}features.0.2.c.weight"][0]
    widths = [stem, *(shapes[f"{_BACKBONE}features.{blocks[start][0]}.token_mixer.2.c.weight"][0] for start in starts)]
    return {"embed_dim": tuple(widths), "depth": tuple(depths)}


def _describe_tinyvit(shapes: Shapes) -> dict[str, Any]:
    layers = _count(shapes, f"{_BACKBONE}layers.")
    tables = [shapes.get(f"{_BACKBONE}layers.{layer}.blocks.0.attn.attention_biases") for layer in range(layers)]
    widths = [shapes[f"{_BACKBONE}patch_embed.seq.2.c.weight"][0]]
    widths += [shapes[f"{_BACKBONE}layers.{layer}.downsample.conv3.c.weight"][0] for layer in range(layers - 1)]
    return {
        "embed_dims": tuple(widths),
        "depths": tuple(_count(shapes, f"{_BACKBONE}layers.{layer}.blocks.") for layer in range(layers)),
        # the first layer has convolutions, and no table; a table has a row per head and a column per distance
        "num_heads": tuple(table[0] if table else 1 for table in tables),
        "window_sizes": tuple(_measure_window(table[1]) if table else 1 for table in tables),
    }


def _measure_window(distances: int) -> int:
    """Return the side of a window in which tokens have so many distances to each other."""
    side = math.isqrt(distances)
    if side**2 != distances or side > _MOST_WINDOW:  # what follows grows with the fourth power
        raise ValueError(f"windows of {distances} tokens; expected a square of at most {_MOST_WINDOW} x {_MOST_WINDOW}")
    return side


def _describe_efficientvit(shapes: Shapes) -> dict[str, Any]:
    stages = _count(shapes, f"{_BACKBONE}stages.")
    counts = [_count(shapes, f"{_BACKBONE}stages.{stage}.op_list.") for stage in range(stages)]
    convolutional = stages - _ATTENTION_STAGES
    stem = shapes[f"{_BACKBONE}input_stem.op_list.0.conv.weight"][0]
    last = f"{_BACKBONE}stages.{stages - 1}.op_list.1.context_module.main.aggreg.0.1.weight"
    halving = (f"{_BACKBONE}stages.{stage}.op_list.0.main.point_conv.conv.weight" for stage in range(stages))
    return {
        "widths": (stem, *(shapes[name][0] for name in halving)),
        "depths": (
            _count(shapes, f"{_BACKBONE}input_stem.op_list.") - 1,
            *(count - (stage >= convolutional) for stage, count in enumerate(counts)),
        ),
        "head_dim": shapes[last][1],
    }


def _count(shapes: Shapes, beginning: str) -> int:
    return len(_list_numbers(shapes, beginning))


def _list_numbers(shapes: Shapes, beginning: str) -> set[int]:
    """Return the numbers that follow this beginning in names."""
    pattern = re.compile(rf"{re.escape(beginning)}(\d{{1,4}})\.")
    return {int(found[1]) for name in shapes if (found := pattern.match(name))}
