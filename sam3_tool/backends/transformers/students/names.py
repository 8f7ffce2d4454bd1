"""The names of a student's weights in files of EfficientSAM3 -> in timm's network of the same family."""

import re
from collections.abc import Mapping
from typing import TypeAlias

from sam3_tool.backends.transformers.students.layout import Family, Shapes, list_repvit_blocks

Rules: TypeAlias = tuple[tuple[str, str], ...]

_UNREAD = re.compile(
    r"backbone\.model\.(classifier|norm_head|head|distill_head)\.|.*\.(num_batches_tracked|attention_bias_idxs)$"
)
"""Classes of ImageNet, counters of a training, and what follows from a window's size."""
_TINYVIT: Rules = (
    (r"^patch_embed\.seq\.0\.", "patch_embed.conv1."),
    (r"^patch_embed\.seq\.2\.", "patch_embed.conv2."),
    (r"^layers\.(\d+)\.blocks\.", r"stages.\1.blocks."),
    (r"\.c\.weight$", ".conv.weight"),
)
_EFFICIENTVIT: Rules = (
    (r"^input_stem\.op_list\.0\.", "stem.in_conv."),
    (r"^stages\.(\d+)\.op_list\.", r"stages.\1.blocks."),
)
_REPVIT_STEM: Rules = ((r"^features\.0\.0\.", "stem.conv1."), (r"^features\.0\.2\.", "stem.conv2."))
_REPVIT_PARTS: Rules = (
    (r"^token_mixer\.1\.", "se."),
    (r"^token_mixer\.0\.", "token_mixer."),
    (r"^channel_mixer\.m\.0\.", "channel_mixer.conv1."),
    (r"^channel_mixer\.m\.2\.", "channel_mixer.conv2."),
)
_REPVIT_HALVING_PARTS: Rules = (
    (r"^token_mixer\.0\.", "spatial_downsample."),
    (r"^token_mixer\.2\.", "channel_downsample."),
    (r"^channel_mixer\.m\.0\.", "ffn.conv1."),
    (r"^channel_mixer\.m\.2\.", "ffn.conv2."),
)


def is_unread(name: str) -> bool:
    """Return whether the features need nothing of a weight, by its name below `trunk.model.`.

    >>> is_unread("backbone.model.classifier.bn.weight"), is_unread("head.0.weight")
    (True, False)
    """
    return _UNREAD.match(name) is not None


def map_student_names(family: Family, shapes: Shapes) -> dict[str, str]:
    """Return the name of each weight in `StudentTrunk` by its name below `trunk.model.` in a file.

    Weights that are not read have none. A name that no rule fits keeps its own, and is none of the network's.

    >>> names = ("backbone.model.patch_embed.seq.2.c.weight", "head.0.weight", "backbone.model.norm_head.bias")
    >>> map_student_names("tinyvit", dict.fromkeys(names, (1,)))
    {'backbone.model.patch_embed.seq.2.c.weight': 'backbone.patch_embed.conv2.conv.weight', 'head.0.weight': \
'head.0.weight'}
    """
    blocks = _place_repvit_blocks(shapes) if family == "repvit" else {}
    return {name: _name_weight(name, family, blocks) for name in shapes if not is_unread(name)}


def _name_weight(name: str, family: Family, blocks: Mapping[int, str]) -> str:
    own = name.removeprefix("backbone.model.")
    if own == name:
        return name
    named = {"repvit": _name_repvit, "tinyvit": _name_tinyvit, "efficientvit": _name_efficientvit}[family](own, blocks)
    return f"backbone.{named}"


def _name_tinyvit(name: str, _: Mapping[int, str]) -> str:
    # what halves the grid ends a layer in the files, and begins the next one in timm
    moved = re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"stages.{int(found[1]) + 1}.downsample.", name)
    return _apply_rules(moved, _TINYVIT)


def _name_efficientvit(name: str, _: Mapping[int, str]) -> str:
    moved = _apply_rules(name, _EFFICIENTVIT)
    return re.sub(r"^input_stem\.op_list\.(\d{1,4})\.", lambda found: f"stem.res{int(found[1]) - 1}.", moved)


def _name_repvit(name: str, blocks: Mapping[int, str]) -> str:
    if name.startswith("features.0."):
        return _apply_rules(name, _REPVIT_STEM)
    found = re.match(r"features\.(\d{1,4})\.(.*)", name)
    if found is None:
        return name
    place, part = blocks[int(found[1])], found[2]
    return f"{place}.{_apply_rules(part, _REPVIT_HALVING_PARTS if place.endswith('.downsample') else _REPVIT_PARTS)}"


def _place_repvit_blocks(shapes: Shapes) -> dict[int, str]:
    """Return where each numbered block is in timm's stages: the one before a halving is a part of that."""
    blocks = list_repvit_blocks(shapes)
    places, stage, row = {}, 0, 0
    for (number, is_halving), (_, is_next_halving) in zip(blocks, [*blocks[1:], (0, False)], strict=True):
        if is_halving:
            stage, row = stage + 1, 0
            places[number] = f"stages.{stage}.downsample"
        elif is_next_halving:
            places[number] = f"stages.{stage + 1}.downsample.pre_block"
        else:
            places[number] = f"stages.{stage}.blocks.{row}"
            row += 1
    return places


def _apply_rules(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
