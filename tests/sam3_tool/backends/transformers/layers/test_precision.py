import torch

from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.files.weights import read_detector


@torch.inference_mode()
def test_the_trunk_in_bfloat16_errs_less_than_one_whose_sums_are_rounded(network, rounded):
    torch.manual_seed(0)
    pictures, folder = torch.randn(2, 3, 128, 128), locate_checkpoint("tiny")
    exact, ours = (backend.parts["vision encoder"].backbone for backend in (network, rounded._backend))
    all_rounded = read_detector(folder, torch.bfloat16)[0].vision_encoder.backbone
    expected = exact(pictures).last_hidden_state
    found, worse = (trunk(pictures.bfloat16()).last_hidden_state for trunk in (ours, all_rounded))
    assert found.dtype == torch.bfloat16
    assert (found - expected).norm() < 0.9 * (worse - expected).norm() < 0.1 * expected.norm()
