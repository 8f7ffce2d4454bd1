"""The transformers backend against direct calls of the network that it wraps."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import Sam3Model, Sam3Processor

from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3
from sam3_tool.backends.transformers.backend import TransformersBackend
from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint
from sam3_tool.backends.transformers.text import PAD_LABEL

EMBEDDED = locate_checkpoint("tiny")
RED, BLUE = (30.0, 60.0, 150.0, 180.0), (205.0, 85.0, 285.0, 165.0)
ALL = 0.0
"""A threshold that keeps every query."""


@dataclass
class Direct:
    """One request at a time, through nothing but `Sam3Processor` and `Sam3Model`."""

    model: Any
    processor: Any

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype = torch.float32) -> "Direct":
        model = Sam3Model.from_pretrained(folder, dtype=dtype).eval()
        for part in model.vision_encoder.backbone.modules():  # as in the published code, unlike in its configuration
            if isinstance(part, torch.nn.LayerNorm):
                part.eps = 1e-5
        model.detr_decoder.clamp_presence_logit_max_val = float("inf")
        return cls(model, Sam3Processor.from_pretrained(folder))

    @torch.inference_mode()
    def __call__(self, picture: Image, text: str, boxes: Any = ((0, 0, 1, 1),), labels: Any = (PAD_LABEL,)) -> Any:
        inputs = self.processor(
            images=picture.to_pil(),
            text=text,
            input_boxes=[[list(box) for box in boxes]],
            input_boxes_labels=[list(labels)],
            return_tensors="pt",
        )
        del inputs["original_sizes"]
        return self.model(**inputs.to(self.model.dtype))


@pytest.fixture(scope="module")
def direct() -> Direct:
    return Direct.load(EMBEDDED)


@pytest.fixture(scope="module")
def photo() -> Image:
    """450 x 330 pixels of noise over a gradient: resizing it badly would show."""
    noise = np.random.default_rng(3).integers(0, 120, (330, 450, 3))
    return Image((noise + np.linspace(0, 135, 450)[None, :, None]).astype(np.uint8))


def scores_of(output: Any) -> torch.Tensor:
    return output.pred_logits[0].sigmoid() * output.presence_logits[0].sigmoid()


def assert_is(found: Instances, output: Any, picture: Image) -> None:
    """`found`, taken with threshold `ALL`, holds every query of the network's output, by the published rules."""
    scores = scores_of(output)
    order = scores.argsort(descending=True, stable=True)
    size = torch.tensor([picture.width, picture.height] * 2)
    logits = functional.interpolate(output.pred_masks, size=(picture.height, picture.width), mode="bilinear")[0]
    assert np.allclose(found.scores, scores[order], atol=1e-5)
    assert np.allclose(found.boxes, output.pred_boxes[0][order] * size, atol=1e-2)
    assert found.presence == pytest.approx(output.presence_logits.sigmoid().item(), abs=1e-5)
    assert (found.masks != (logits[order] > 0).numpy()).mean() < 1e-4


def test_a_text_prompt_is_the_model_with_one_padded_box(tiny, direct, picture, photo):
    for one in (picture, photo):
        assert_is(tiny.segment(one, "red circle", threshold=ALL), direct(one, "red circle"), one)


def test_without_the_padded_box_the_model_is_another_function(direct, picture):
    inputs = direct.processor(images=picture.to_pil(), text="red circle", return_tensors="pt")
    with torch.inference_mode():
        bare = direct.model(**{name: inputs[name] for name in ("pixel_values", "input_ids", "attention_mask")})
    assert (bare.pred_logits - direct(picture, "red circle").pred_logits).abs().max() > 0.01


def test_what_the_padded_box_says_does_not_matter(picture):
    direct = Direct.load(EMBEDDED, torch.float64)  # in which no rounding hides what a box may do
    one = direct(picture, "red circle", [(0, 0, 1, 1)])
    other = direct(picture, "red circle", [RED, BLUE], [PAD_LABEL, PAD_LABEL])
    assert (one.pred_logits - other.pred_logits).abs().max() < 1e-9


def test_boxes_alone_go_with_the_text_visual(tiny, direct, picture):
    found = tiny.segment(picture, boxes=[RED], threshold=ALL)
    assert_is(found, direct(picture, "visual", [RED], [1]), picture)
    assert found.phrase == ""


def test_text_and_boxes_go_together(tiny, direct, picture):
    found = tiny.segment(picture, "shape", boxes=[RED, BLUE], box_labels=[1, 0], threshold=ALL)
    assert_is(found, direct(picture, "shape", [RED, BLUE], [1, 0]), picture)
    assert found.phrase == "shape"


def test_a_mixed_batch_answers_as_each_request_alone_does(tiny, direct, picture, photo):
    requests = [
        (picture, ConceptPrompt("red circle", threshold=ALL)),
        (photo, ConceptPrompt(boxes=(RED,), threshold=ALL)),
        (picture, ConceptPrompt("a large blue square beside it", boxes=(BLUE, RED), box_labels=(1, 0), threshold=ALL)),
        (picture, ConceptPrompt(boxes=(BLUE,), box_labels=(0,), threshold=ALL)),
    ]
    for (one, prompt), found in zip(requests, tiny.segment_batch(requests), strict=True):
        boxes = {"boxes": prompt.boxes, "labels": prompt.box_labels} if prompt.boxes else {}
        assert_is(found, direct(one, prompt.phrase or "visual", **boxes), one)


def test_a_phrase_longer_than_the_context_is_cut(tiny, direct, picture):
    words = ["red", "circle"] * 40
    tokens = direct.processor.tokenizer(" ".join(words), truncation=True, max_length=32)["input_ids"]
    assert len(tokens) == 32
    long, cut = (
        tiny.segment(picture, " ".join(some), threshold=ALL) for some in (words, words[:30])
    )  # of 32 tokens, two are start and end; each of these words is one token
    assert np.allclose(long.scores, cut.scores, atol=1e-5)


def test_only_scores_strictly_above_the_threshold_are_kept(tiny, picture):
    scores = tiny.segment(picture, "red circle", threshold=ALL).scores
    at = float(scores[3])
    assert (tiny.segment(picture, "red circle", threshold=at).scores > at).all()
    assert len(tiny.segment(picture, "red circle", threshold=at)) == (scores > at).sum()


def test_mask_logits_are_upsampled_before_they_are_cut(tiny, direct, picture):
    output = direct(picture, "red circle")
    best = scores_of(output).argmax()
    logits = output.pred_masks[:, best : best + 1]
    size = (picture.height, picture.width)
    by_logits = functional.interpolate(logits, size=size, mode="bilinear")[0, 0] > 0
    by_probabilities = functional.interpolate(logits.sigmoid(), size=size, mode="bilinear")[0, 0] > 0.5
    mask = tiny.segment(picture, "red circle", threshold=ALL).masks[0]
    assert (mask != by_logits.numpy()).sum() < (mask != by_probabilities.numpy()).sum()


def test_the_embedded_checkpoint_finds_a_big_red_circle(tiny, picture):
    found = tiny.segment(picture, "red circle")
    y, x = np.mgrid[: picture.height, : picture.width]
    circle = (x - 90) ** 2 + (y - 120) ** 2 < 60**2
    assert (found.masks[0] & circle).sum() / (found.masks[0] | circle).sum() > 0.7
    assert np.abs(found.boxes[0] - RED).max() < 25
    assert found.phrase == "red circle"
    assert found.presence >= found.scores[0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3)])
def test_a_picture_of_any_size_gets_masks_of_its_size(tiny, shape):
    found = tiny.segment(Image(np.full((*shape, 3), 90, np.uint8)), "red circle", threshold=ALL)
    assert found.masks.shape == (len(found), *shape)


def test_many_masks_of_a_large_picture_are_drawn_in_parts(tiny, direct):
    large = Image(np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), np.uint8))
    assert_is(tiny.segment(large, "red circle", threshold=ALL), direct(large, "red circle"), large)


def test_an_embedding_owns_exactly_the_bytes_it_reports(network, picture, photo):
    for embedding in network.encode([picture, photo]):
        assert len(embedding.levels) == 3
        parts = (*embedding.levels, embedding.trunk, embedding.cls_token, embedding.square)
        assert embedding.nbytes == sum(part.untyped_storage().nbytes() for part in parts)


class AllRowsAtOnce(TransformersBackend):
    """As on a GPU."""

    is_on_gpu = True


def test_the_masks_of_all_phrases_together_are_those_of_each_alone(picture):
    prompts = [ConceptPrompt("red circle", threshold=ALL), ConceptPrompt("sock"), ConceptPrompt("shape", threshold=0.3)]
    alone, together = (
        backend.decode(backend.encode([picture]) * 3, prompts)
        for backend in (kind.load(EMBEDDED, name="tiny") for kind in (TransformersBackend, AllRowsAtOnce))
    )
    assert len(alone[0]) > len(alone[2]) > len(alone[1]) == 0  # of different lengths
    for one, other in zip(together, alone, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
        assert (one.masks != other.masks).sum() <= 1e-5 * other.masks.size


def test_in_bfloat16_masks_stay_and_boxes_stay_exact(tiny, rounded, picture):
    exact = tiny.segment(picture, "red circle", threshold=ALL)
    found = rounded.segment(picture, "red circle", threshold=ALL)
    assert (found.masks[0] != exact.masks[0]).mean() < 0.01
    assert np.abs(found.boxes[0] - exact.boxes[0]).max() < 3
    assert (found.boxes.view(np.uint32) & 0xFFF).any()  # digits that a product of bfloat16 and 320 cannot have


def test_boxes_work_in_bfloat16(rounded, picture):
    found = rounded.segment(picture, "shape", boxes=[RED, BLUE], box_labels=[1, 0], threshold=ALL)
    assert np.isfinite(found.boxes).all()


def test_in_bfloat16_examples_half_a_pixel_apart_are_still_two(rounded, picture):
    """As numbers of bfloat16, places in the right half of 320 pixels would be the same for 1.25 of them."""
    x0, y0, x1, y1 = 200.0, 80.0, 290.0, 170.0
    one, other = (rounded.segment(picture, boxes=[(x0 + by, y0, x1 + by, y1)], threshold=ALL) for by in (0, 0.5))
    assert one.scores.tolist() != other.scores.tolist()


# Checkpoints


@pytest.fixture
def changed(tmp_path) -> Callable[..., Path]:
    """A copy of the embedded checkpoint, with its weights changed by a function."""

    def change(edit: Callable[[dict[str, torch.Tensor]], None] = lambda weights: None) -> Path:
        for file in EMBEDDED.iterdir():
            if file.is_file() and file.name != "model.safetensors":
                (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = load_file(EMBEDDED / "model.safetensors")
        edit(weights)
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path

    return change


def test_ties_keep_the_order_of_the_queries(changed, picture):
    def level(weights: dict[str, torch.Tensor]) -> None:
        for name in weights:
            if "dot_product_scoring.query_proj" in name:
                weights[name].zero_()

    folder = changed(level)
    found = Sam3.load(folder).segment(picture, "red circle", threshold=ALL)
    assert len(set(found.scores.tolist())) == 1
    in_order = Direct.load(folder)(picture, "red circle").pred_boxes[0].numpy()
    assert np.allclose(found.boxes, in_order * ([picture.width, picture.height] * 2), atol=1e-2)


def test_loading_prints_nothing(changed, capfd):
    folder = changed()
    assert Sam3.load(folder).name == str(folder)
    assert capfd.readouterr() == ("", "")


def test_a_small_checkpoint_says_what_it_does_not_know(changed, picture):
    folder = changed()
    (folder / "vocabulary.json").write_text(json.dumps({"words": ["red", "circle", "dog", "grapes", "coffee cup"]}))
    sam3 = Sam3.load(folder)
    assert "'giraffe', 'tall'" in sam3.vocabulary_warning("the giraffe with a tall tall dog")
    for known in ("red circles", "a grape", "Dogs", "the cup"):
        assert "does not know" not in sam3.vocabulary_warning(known)
    for phrase in ("giraffe", "red circle"):
        assert "`--sam3 facebook/sam3`" in sam3.vocabulary_warning(phrase)
    (folder / "vocabulary.json").unlink()
    assert Sam3.load(folder).vocabulary_warning("giraffe") == ""


def test_the_detector_of_a_checkpoint_with_a_tracker_is_loaded(changed, tiny, picture):
    """As facebook/sam3 is published: the detector's weights under a prefix, beside those of the tracker."""

    def with_tracker(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if not name.startswith(("detector_model.", "tracker_"))]:
            weights[f"detector_model.{name}"] = weights.pop(name)
        weights["tracker_neck.fpn_layers.0.proj1.bias"] = torch.zeros(3)

    folder = changed(with_tracker)
    config = json.loads((folder / "config.json").read_text())
    whole = {"model_type": "sam3_video", "detector_config": config.get("detector_config", config)}
    (folder / "config.json").write_text(json.dumps(whole))
    found = Sam3.load(folder).segment(picture, "red circle", threshold=ALL)
    assert np.allclose(found.scores, tiny.segment(picture, "red circle", threshold=ALL).scores, atol=1e-6)


def refused(name_or_path: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        Sam3.load(name_or_path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, changed):
    (tmp_path / "sam3.pt").touch()
    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "is empty; download it again" in refused(tmp_path / "sam3.pt")
    assert "no such folder" in refused("sam4")
    assert "--sam3 tiny" in refused(tmp_path)


def test_a_damaged_checkpoint_is_refused_in_one_line(changed):
    folder = changed()
    weights = (folder / "model.safetensors").read_bytes()
    for size in (0, 100, len(weights) // 2):
        (folder / "model.safetensors").write_bytes(weights[:size])
        assert "--sam3 tiny" in refused(folder)
    (folder / "model.safetensors").write_bytes(weights)
    for name in ("vocabulary.json", "tokenizer.json", "config.json"):
        (folder / name).write_text("{")
        assert "--sam3 tiny" in refused(folder)


def test_a_checkpoint_with_weights_missing_is_refused_and_not_filled_with_random_numbers(changed):
    message = refused(changed(lambda weights: weights.pop(next(name for name in weights if "presence_head" in name))))
    assert "1 weights are missing" in message
    assert "presence_head" in message


def test_a_type_that_is_not_a_float_is_refused():
    with pytest.raises(ValueError, match="`dtype` must be one of"):
        Sam3.load("tiny", dtype="int8")


def test_a_checkpoint_that_cannot_be_fetched_says_how_to_get_it_and_what_works_now(tmp_path):
    code = (
        "import sam3_tool\ntry: sam3_tool.Sam3.load('facebook/sam3')\nexcept sam3_tool.CheckpointError as e: print(e)"
    )
    settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(EMBEDDED.parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    for part in ("https://huggingface.co/facebook/sam3", "hf auth login", "HF_TOKEN", "--sam3 tiny"):
        assert part in done.stdout
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


# What an earlier download has left

REPOSITORY = "facebook/sam3"


@pytest.fixture
def download_offline(tmp_path) -> Callable[..., str]:
    """Load facebook/sam3 from a hub's cache that holds these files, with no hub to reach; return what is printed."""

    def download(*names: str, **contents: str) -> str:
        snapshot = tmp_path / "hub" / "models--facebook--sam3" / "snapshots" / ("0" * 40)
        (tmp_path / "hub" / "models--facebook--sam3" / "refs").mkdir(parents=True)
        (tmp_path / "hub" / "models--facebook--sam3" / "refs" / "main").write_text("0" * 40)
        snapshot.mkdir(parents=True)
        for name in names:
            (snapshot / name).write_text(contents.get(name.split(".")[0], "{}"))
        (snapshot / "tokenizer_config.json").symlink_to(tmp_path / "gone")
        code = (
            "from sam3_tool import CheckpointError\n"
            "from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint\n"
            f"try: print('found', locate_checkpoint({REPOSITORY!r}).name)\nexcept CheckpointError as e: print(e)"
        )
        settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(EMBEDDED.parent.parent)}
        done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
        assert (done.stdout.count("\n"), done.stderr) == (1, "")
        return done.stdout

    return download


WHOLE = ("config.json", "tokenizer.json", "processor_config.json")


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (WHOLE, "without model.safetensors."),
        ((*WHOLE[1:], "model.safetensors"), "without config.json."),
        ((*WHOLE, "model.safetensors.index.json"), "without model-1.safetensors, model-2.safetensors."),
    ],
)
def test_half_a_download_says_what_is_missing_and_how_to_get_it(download_offline, names, missing):
    index = json.dumps({"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors"}})
    said = download_offline(*names, model=index)
    assert f"facebook/sam3 is on this machine only in part, {missing}" in said
    for part in ("https://huggingface.co/facebook/sam3", "hf auth login", "--sam3 tiny"):
        assert part in said


def test_a_whole_download_is_taken_without_the_hub(download_offline):
    assert download_offline(*WHOLE, "model.safetensors", model="weights").startswith("found 000")
