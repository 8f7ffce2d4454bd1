"""Masks from text: every pixel comes back, and nothing is read that the official decoder refuses."""

import random

import numpy as np
import pytest
from meta_sam_parser import InvalidSegmentationMaskError, SegmentationMask, decode_mask_to_raster

from sam3_tool.masks.range_coded.base85 import DIGITS, pack_bytes
from sam3_tool.masks.range_coded.decoding import decode_mask
from sam3_tool.masks.range_coded.encoding import MaskEncoding, encode_mask
from sam3_tool.masks.range_coded.errors import MaskTextError

CAPTURED = "~!!!!r!kCq#$.pF[_cZIw.?wO3R8-&NJofiCI$_J0aA.1VC*YyK_'z*(LEG8!+H9evY.82Z-4.@C[.9C@T86o$3E=-&8w3W=]xS."
"""Of 11 x 11 pixels with coverage between none and all, as the hosted service wrote it."""


def decode_officially(text: str, height: int, width: int) -> np.ndarray | None:
    encoding = "one_bit" if text.startswith("!") else "lossless"
    try:
        read = decode_mask_to_raster(SegmentationMask(encoding=encoding, payload=text, width=width, height=height))
    except InvalidSegmentationMaskError:
        return None
    return np.frombuffer(read, np.uint8).reshape(height, width) == 1


def decode_or_none(text: str, height: int, width: int) -> np.ndarray | None:
    try:
        return decode_mask(text, height, width)
    except MaskTextError:
        return None


@pytest.mark.parametrize("encoding", ["one_bit", "lossless"])
def test_every_pixel_comes_back(encoding: MaskEncoding) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.random(tuple(rng.integers(1, 30, 2))) < rng.random() for _ in range(20)]
    # noise of this size makes every count reach its limit
    for mask in [*masks, rng.random((90, 80)) < 0.5, np.ones((1, 1), bool), np.zeros((3, 5), bool)]:
        assert np.array_equal(decode_mask(encode_mask(mask, encoding), *mask.shape), mask)


def test_a_mask_of_the_hosted_service_is_read_as_the_official_decoder_reads_it() -> None:
    found, expected = decode_mask(CAPTURED, 11, 11), decode_officially(CAPTURED, 11, 11)
    assert expected is not None
    assert np.array_equal(found, expected)
    assert 0 < found.sum() < found.size


def test_damaged_text_is_never_read_otherwise_than_officially() -> None:
    chance, rng = random.Random(1), np.random.default_rng(1)
    read = {"!": 0, "~": 0}
    for turn in range(240):
        height, width = chance.randint(1, 10), chance.randint(1, 10)
        text = encode_mask(rng.random((height, width)) < rng.random(), chance.choice(["one_bit", "lossless"]))
        match turn % 4:
            case 0:
                place = chance.randrange(1, len(text))
                text = text[:place] + chance.choice(DIGITS) + text[place + 1 :]
            case 1:
                text = text[: chance.randrange(len(text))]
            case 2:
                height += 1
            case _:
                body = bytes([chance.randrange(6), *chance.randbytes(chance.randrange(3, 30))])
                text = text[0] + pack_bytes(body)
        found, expected = decode_or_none(text, height, width), decode_officially(text, height, width)
        if found is not None:
            assert expected is not None, text
            assert np.array_equal(found, expected), text
            read[text[0]] += 1
        elif text.startswith("!"):
            assert expected is None, text
    assert read["~"] > 20


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with ''"),
        ("\N{SNOWMAN}", "begins with"),
        ("!", "0 characters"),
        ("!!!!!{", "its own length"),
        ("!!!!!&{{{{{", "more than four bytes"),
        ("!!!!!&!!!!\N{SNOWMAN}", "is no digit"),
        ("~!!!!!", "end before its first pixel"),
        ("~" + pack_bytes(bytes([9, 0, 0, 0, 0])), "names a predictor 9"),
        ("!" + pack_bytes(bytes([0xAA] * 4)), "end before its last pixel"),
        ("!" + pack_bytes(bytes(40)), "do not end with its last pixel"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(MaskTextError, match=why):
        decode_mask(text, 12, 12)
