"""The first layer of the fusion encoder does for all phrases of an image what none of them changes."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.sam3.configuration_sam3 import Sam3DETREncoderConfig
from transformers.models.sam3.modeling_sam3 import Sam3DetrEncoder

from sam3_tool.backends.transformers.layers.shared_fusion import SharedFusionLayer

CONFIG = Sam3DETREncoderConfig(hidden_size=32, num_attention_heads=4, intermediate_size=64, num_layers=2)
IMAGES = [0, 0, 1, 0, 1]


@pytest.fixture(scope="module")
def encoders():
    torch.manual_seed(0)
    published = Sam3DetrEncoder(CONFIG).eval()
    ours = copy.deepcopy(published)
    ours.layers[0] = SharedFusionLayer(ours.layers[0])
    return published, ours


def fuse(encoder, rows):
    """What the encoder makes of two images and these rows' own phrases, and how many operations that takes."""
    torch.manual_seed(1)
    images, phrases, places = torch.randn(2, 32, 6, 6), torch.randn(len(rows), 3, 32), torch.randn(1, 32, 6, 6)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        fused = encoder(
            vision_features=[images[rows]],
            text_features=phrases,
            vision_pos_embeds=[places.expand(len(rows), -1, -1, -1)],
            text_mask=torch.ones(len(rows), 3, dtype=torch.bool),
        ).last_hidden_state
    return fused, counter.get_total_flops()


def test_rows_of_one_image_get_what_the_published_layers_give_each(encoders):
    published, ours = encoders
    ours.layers[0].share_images(IMAGES)
    (expected, whole), (found, shared) = fuse(published, IMAGES), fuse(ours, IMAGES)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert shared < whole


@pytest.mark.parametrize("images", [None, [0, 1]])
def test_rows_of_different_images_are_the_same_bits(encoders, images):
    published, ours = encoders
    ours.layers[0].share_images(images)
    (expected, whole), (found, shared) = fuse(published, [0, 1]), fuse(ours, [0, 1])
    assert torch.equal(found, expected)
    assert shared == whole
