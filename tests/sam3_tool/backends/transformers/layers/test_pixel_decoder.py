import pytest
import torch
from transformers import Sam3MaskDecoderConfig
from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig
from transformers.models.sam3.modeling_sam3 import Sam3MaskDecoder, Sam3PixelDecoder, Sam3VisionNeck

from sam3_tool.backends.transformers.layers.mask_decoder import MaskHead
from sam3_tool.backends.transformers.layers.pixel_decoder import SplitPixelDecoder
from sam3_tool.backends.transformers.layers.pyramid import FoldedTail, SharedPyramid

CHANNELS = 32


def neck_and_decoder(trunk: int, stages: int = 2):
    torch.manual_seed(0)
    neck = Sam3VisionNeck(Sam3VisionConfig(fpn_hidden_size=CHANNELS, backbone_config={"hidden_size": trunk}))
    decoder = Sam3PixelDecoder(Sam3MaskDecoderConfig(hidden_size=CHANNELS, num_upsampling_stages=stages))
    for norm in decoder.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    return neck, decoder


def folded(pyramid) -> list[bool]:
    return [any(isinstance(part, FoldedTail) for part in level.modules()) for level in pyramid.levels]


@pytest.mark.parametrize("stages", [2, 3], ids=["a stage for each level", "one more, as published"])
@pytest.mark.parametrize(
    ("trunk", "expected"),
    [(48, [True, True, False]), (64, [True, False, False]), (128, [False, False, False])],
    ids=["as the embedded one", "wider", "as published"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_split_among_picture_and_phrases_neck_and_pixel_decoder_are_the_same_function(layout, trunk, expected, stages):
    neck, whole = (part.to(memory_format=layout) for part in neck_and_decoder(trunk, stages))
    seen = torch.randn(3, trunk, 4, 5)
    published, _ = neck(seen)
    pyramid, split = SharedPyramid(neck, whole.conv_layers), SplitPixelDecoder(whole)
    assert folded(pyramid) == expected
    levels, positions = pyramid(seen)
    assert [level.shape for level in positions] == [level.shape for level in levels]
    torch.testing.assert_close(split(levels), whole(published[:-1]), atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_a_folded_level_is_the_same_at_every_edge_and_in_every_size():
    torch.manual_seed(0)
    steps = [
        torch.nn.ConvTranspose2d(6, 4, kernel_size=2, stride=2),
        torch.nn.Conv2d(4, 8, kernel_size=1),
        *(torch.nn.Conv2d(8, 8, kernel_size=3, padding=1) for _ in range(2)),
    ]
    folded = FoldedTail(*steps)
    for height, width in ((1, 1), (1, 7), (2, 3), (9, 4)):
        pixels = torch.randn(2, 6, height, width)
        torch.testing.assert_close(folded(pixels), torch.nn.Sequential(*steps)(pixels), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_levels_that_are_not_halves_of_each_other_are_refused():
    split = SplitPixelDecoder(Sam3PixelDecoder(Sam3MaskDecoderConfig(hidden_size=16, num_upsampling_stages=1)))
    with pytest.raises(RuntimeError, match="size"):
        split([torch.randn(1, 16, 9, 8), torch.randn(1, 16, 4, 4)])


@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_the_mask_head_is_the_mask_decoder(batch):
    torch.manual_seed(0)
    config = Sam3MaskDecoderConfig(hidden_size=CHANNELS, num_attention_heads=4, num_upsampling_stages=2)
    whole = Sam3MaskDecoder(config).eval()
    torch.nn.init.normal_(whole.instance_projection.bias)
    neck, _ = neck_and_decoder(48)
    trunk = torch.randn(batch, 48, 4, 5)
    queries, seen, prompt = (torch.randn(batch, length, CHANNELS) for length in (7, 20, 6))
    there = torch.arange(6) < torch.tensor([[6], [2], [4]])[:batch]
    levels, _ = neck(trunk)
    expected = whole(queries, list(levels[:-1]), seen, prompt, there).pred_masks
    shared, _ = SharedPyramid(neck, whole.pixel_decoder.conv_layers)(trunk)
    found = MaskHead(whole)(queries, shared, seen, prompt, there)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
