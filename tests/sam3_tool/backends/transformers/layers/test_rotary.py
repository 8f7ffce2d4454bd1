import copy

import pytest
import torch
from transformers.models.sam3.configuration_sam3 import Sam3ViTConfig
from transformers.models.sam3.modeling_sam3 import Sam3ViTModel

from sam3_tool.backends.transformers.layers.rotary import replace_rotary_attention

CONFIG = Sam3ViTConfig(
    hidden_size=48,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    image_size=48,
    pretrain_image_size=48,
    patch_size=8,
    window_size=4,
    global_attn_indexes=[1],
)
"""Of 6 x 6 tokens, so that windows of 4 x 4 are padded, and a global layer among them."""


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@torch.no_grad()
def test_a_trunk_is_the_published_function(dtype, apart):
    torch.manual_seed(0)
    published = Sam3ViTModel(CONFIG).eval().to(dtype)
    for layer in published.layers:  # as made, they turn nothing by enough to matter
        for projection in (layer.attention.q_proj, layer.attention.k_proj):
            projection.weight.mul_(20)
    ours = copy.deepcopy(published)
    replace_rotary_attention(ours)
    pictures = torch.randn(2, 3, 48, 48).to(dtype)
    expected, found = (trunk(pictures).last_hidden_state for trunk in (published, ours))
    torch.testing.assert_close(found, expected, atol=apart, rtol=apart)


def test_places_are_exact_whatever_the_weights_are():
    exact, narrow = (Sam3ViTModel(CONFIG).to(dtype) for dtype in (torch.float32, torch.bfloat16))
    for trunk in (exact, narrow):
        replace_rotary_attention(trunk)
    for layer, other in zip(exact.layers, narrow.layers, strict=True):
        torch.testing.assert_close(other.rotary_emb(), layer.rotary_emb(), atol=0, rtol=0)
