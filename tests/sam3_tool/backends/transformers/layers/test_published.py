"""Numbers of the published code, not those of the converted configuration."""

import pytest
import torch
from transformers import Sam3Model

from sam3_tool import ConceptPrompt, Image
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import read_detector, read_tracker


def test_every_norm_of_the_trunk_has_the_published_epsilon(network):
    trunk = network._model.vision_encoder.backbone
    norms = [part for part in trunk.modules() if isinstance(part, torch.nn.LayerNorm)]
    assert len(norms) == 1 + 2 * len(trunk.layers)
    assert {norm.eps for norm in norms} == {1e-5}
    assert network._tracker.model.vision_encoder.backbone is trunk


@torch.inference_mode()
def test_an_image_of_one_colour_is_seen_as_published(network):
    """Where numbers hardly differ, a norm's epsilon counts."""
    direct = Sam3Model.from_pretrained(locate_checkpoint("tiny"), dtype=torch.float32).eval()
    for part in direct.vision_encoder.backbone.modules():
        if isinstance(part, torch.nn.LayerNorm):
            part.eps = 1e-5
    square = torch.full((1, 3, 128, 128), 1e-3)
    expected = direct.vision_encoder.backbone(square).last_hidden_state
    assert torch.allclose(network.parts["vision encoder"].backbone(square).last_hidden_state, expected, atol=1e-5)


@pytest.mark.parametrize(("logit", "presence"), [(25.0, 1.0), (-25.0, 1.4e-11), (11.0, 0.99998330)])
def test_presence_has_no_bounds(picture: Image, logit, presence):
    folder = locate_checkpoint("tiny")
    model, readers = read_detector(folder, torch.float32)
    tracker = read_tracker(folder, model)
    head = model.detr_decoder.presence_head
    last = [part for part in head.modules() if isinstance(part, torch.nn.Linear)][-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, logit)
    backend = TransformersBackend(model, readers, name="certain", vocabulary=None, tracker=tracker)
    [found] = backend.decode(backend.encode([picture]), [ConceptPrompt("red circle", threshold=0.0)])
    assert found.presence == pytest.approx(presence, rel=1e-2 if logit < 0 else 1e-7)
