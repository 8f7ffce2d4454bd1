import pytest
import torch
from transformers import Sam3MaskDecoderConfig
from transformers.models.sam3.modeling_sam3 import Sam3PixelDecoder

from sam3_tool.backends.pixels import SplitPixelDecoder


@pytest.mark.parametrize("stages", [2, 3], ids=["a stage for each level", "one more, as published"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_split_in_two_the_pixel_decoder_is_the_same_function(layout, stages):
    torch.manual_seed(0)
    whole = Sam3PixelDecoder(Sam3MaskDecoderConfig(hidden_size=32, num_upsampling_stages=stages)).to(
        memory_format=layout
    )
    for norm in whole.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    levels = [torch.randn(3, 32, 4 * side, 5 * side) for side in (4, 2, 1)]
    expected = whole(levels)
    split = SplitPixelDecoder(whole)
    torch.testing.assert_close(split([*split.shared(levels[:-1]), levels[-1]]), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_levels_that_are_not_halves_of_each_other_are_refused():
    split = SplitPixelDecoder(Sam3PixelDecoder(Sam3MaskDecoderConfig(hidden_size=16, num_upsampling_stages=1)))
    with pytest.raises(RuntimeError, match="size"):
        split([*split.shared([torch.randn(1, 16, 9, 8)]), torch.randn(1, 16, 4, 4)])
