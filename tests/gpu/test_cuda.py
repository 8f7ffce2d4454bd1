"""On a GPU the answers are a CPU's, and only runs and numbers leave it. Skipped where there is none."""

import numpy as np
import pytest
import torch

from sam3_tool import ConceptPrompt, Image, Instances, Sam3, VisualPrompt
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.layers.mask_runs import encode_on_device
from sam3_tool.backends.transformers.layers.upsampling import threshold_to_runs, threshold_upsampled
from sam3_tool.masks import rle
from sam3_tool.synthetic.scenes import HELD_OUT, draw_scene

GPU = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

PICTURES = [Image(draw_scene(HELD_OUT + number, size=(640, 480)).pixels) for number in range(4)]
NOISE = np.random.default_rng(0)


def loaded(device: str, dtype: str) -> TransformersBackend:
    return TransformersBackend.load(locate_checkpoint("tiny"), name="tiny", device=device, dtype=dtype)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def there(request) -> TransformersBackend:
    return loaded(GPU, request.param)


@pytest.fixture(scope="module")
def here() -> TransformersBackend:
    return loaded("cpu", "float32")


def assert_alike(one: Instances, other: Instances) -> None:
    """In 16 bits a mask near the threshold may come or go."""
    overlaps = rle.compute_ious(one.rles, other.rles)
    assert abs(len(one) - len(other)) <= 1
    assert (overlaps.max(axis=1, initial=0.0) > 0.95).sum() >= min(len(one), len(other)) - 1
    assert one.masks.shape[1:] == other.masks.shape[1:]


@pytest.mark.parametrize("phrase", ["object", "circle"])
def test_masks_are_those_of_the_cpu(there, here, phrase):
    prompts = [ConceptPrompt(phrase)] * len(PICTURES)
    answers = (backend.decode(backend.encode(PICTURES), prompts) for backend in (there, here))
    for one, other in zip(*answers, strict=True):
        assert_alike(one, other)


def test_a_click_gives_the_mask_of_the_cpu(there, here):
    [found] = here.decode(here.encode(PICTURES[:1]), [ConceptPrompt("object")])
    rows, columns = np.nonzero(found.masks[0])
    click = VisualPrompt(((float(np.median(columns)), float(np.median(rows))),), (1,))
    one, other = (backend.refine(backend.encode(PICTURES[:1]), [click])[0] for backend in (there, here))
    assert rle.compute_ious(one.rles[:1], other.rles[:1])[0, 0] > 0.9


def test_corrections_work_there(there, here):
    """By mask alone, by a click on a mask, and by a mask from elsewhere, several at once."""
    [found] = here.decode(here.encode(PICTURES[:1]), [ConceptPrompt("object")])
    rows, columns = np.nonzero(found.masks[0])
    click = (float(np.median(columns)), float(np.median(rows)))
    answers = []
    for backend in (there, here):
        [embedding] = backend.encode(PICTURES[:1])
        [first] = backend.refine([embedding], [VisualPrompt((click,))])
        masks = (first.masks[0], found.masks[0])
        prompts = [
            VisualPrompt(points, mask=mask, multimask=False, fill_holes=True)
            for mask in masks
            for points in ((), (click,))
        ]
        answers.append(backend.refine([embedding] * len(prompts), prompts))
    for one, other in zip(*answers, strict=True):
        assert rle.compute_ious(one.rles[:1], other.rles[:1])[0, 0] > 0.9


def test_a_picture_is_squeezed_there_as_here_but_for_rounding(there, here):
    apart = (there._to_square(PICTURES[0]).cpu() - here._to_square(PICTURES[0])) * here._std * 255
    assert apart.abs().max() < 1.01


def test_runs_made_there_are_cocos():
    for share in (0, 0.01, 0.5, 1):
        masks = NOISE.random((20, 123, 257)) < share
        assert encode_on_device(torch.tensor(masks, device=GPU)) == rle.encode_masks(masks)


def test_masks_cut_there_are_those_cut_here_but_for_rounding():
    logits = torch.from_numpy(NOISE.normal(size=(40, 36, 36))).float()
    one = rle.decode_masks(threshold_to_runs(logits.to(GPU), 1080, 1920), 1080, 1920)
    assert (one != threshold_upsampled(logits, 1080, 1920)).mean() < 1e-5


def test_embeddings_that_wait_on_the_host_come_back_bit_for_bit(there):
    [embedding] = there.encode(PICTURES[:1])
    away = embedding.copy_to_host()
    torch.cuda.synchronize()
    assert away.trunk.device.type == "cpu"
    assert away.trunk.is_pinned()
    back = away.copy_to_device()
    tensors = zip(*((*one.levels, one.trunk, one.cls_token) for one in (embedding, back)), strict=True)
    assert all(torch.equal(one, other) and one.stride() == other.stride() for one, other in tensors)


def test_what_the_gpu_has_no_room_for_is_not_encoded_again(there):
    room = there.encode(PICTURES[:1])[0].nbytes
    sam3 = Sam3(there, cache_bytes=room, host_bytes=4 * room)
    reports = [[sam3.run_requests([(picture, ConceptPrompt("object"))]) for picture in PICTURES] for _ in range(2)]
    assert [[report.encodes for report in some] for some in reports] == [[1] * 4, [0] * 4]
    for first, again in zip(*reports, strict=True):
        assert first.instances[0].rles == again.instances[0].rles
