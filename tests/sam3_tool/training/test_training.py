"""The trainer that makes the embedded checkpoint from the generated world."""

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer, Sam3Model

from sam3_tool import Sam3
from sam3_tool.image import Image
from sam3_tool.synthetic.nouns import NOUNS
from sam3_tool.synthetic.scenes import draw_scene
from sam3_tool.training import train
from sam3_tool.training.batch import PAD_LABEL, draw_batch
from sam3_tool.training.export import export_checkpoint
from sam3_tool.training.networks.architecture import create_model, normalize_neck
from sam3_tool.training.networks.detector import LearningSam3, draw_noisy_boxes
from sam3_tool.training.optimization.log import log_steps
from sam3_tool.training.optimization.losses import match_queries
from sam3_tool.training.optimization.optimizer import Muon
from sam3_tool.training.train import DETECTOR_KINDS, DetectorRun, Recipe, prepare_folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The folder of a run from scratch, with the tokenizer that it learnt."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare_folder(Recipe(folder))
    return folder


@pytest.fixture(scope="module")
def tokenizer(prepared):
    return CLIPTokenizer.from_pretrained(prepared / "tokenizer")


def test_known_words_are_one_token_and_any_text_has_tokens(tokenizer):
    assert len(tokenizer("the small red striped watermelons").input_ids) == 5 + 2
    assert tokenizer("Zürich 42!").input_ids[1:-1]
    assert all(len(tokenizer(noun).input_ids) == 3 for noun in NOUNS)


def test_a_text_question_carries_one_padded_box(tokenizer):
    _, questions = draw_batch((1, 2, 3), 2, ("positive", "negative"), tokenizer)
    assert questions.box_labels.tolist() == [[PAD_LABEL]] * 4


def test_the_learning_network_is_the_published_one(tokenizer):
    """Without hints, the trainer's own decoding gives what `Sam3Model` gives."""
    torch.manual_seed(0)
    model = create_model(len(tokenizer)).eval()
    pictures, questions = draw_batch((1, 2, 3), 2, ("positive", "visual"), tokenizer)
    network = LearningSam3(model)
    with torch.inference_mode():
        seen = network.encode_images(pictures.pixels, fine=2)
        found = network.detect(seen, questions, draw_noisy_boxes(pictures, questions, 0.7, 0.9))
        rows, queries = torch.arange(4), torch.arange(30).expand(4, -1)
        masks, _ = network.draw_masks(seen, questions.image_index, found, rows, queries)
        expected = model(
            pixel_values=pictures.pixels[questions.image_index],
            input_ids=questions.tokens,
            attention_mask=questions.token_mask.long(),
            input_boxes=questions.boxes,
            input_boxes_labels=questions.box_labels,
        )
    assert torch.allclose(found.logits[-1], expected.pred_logits, atol=1e-4)
    assert torch.allclose(found.presence[-1], expected.presence_logits[:, 0], atol=1e-4)
    assert torch.allclose(masks, expected.pred_masks, atol=1e-3)


def test_every_meant_object_is_matched_once(tokenizer):
    torch.manual_seed(0)
    network = LearningSam3(create_model(len(tokenizer)))
    pictures, questions = draw_batch((5, 0, 0), 3, DETECTOR_KINDS[0], tokenizer)
    with torch.no_grad():
        found = network.detect(
            network.encode_images(pictures.pixels, fine=0), questions, draw_noisy_boxes(pictures, questions, 0, 0)
        )
    layer, question, query, thing = match_queries(found, pictures.boxes[questions.image_index], questions.targets)
    for k in range(3):
        pairs = torch.stack([question, thing])[:, layer == k].T.tolist()
        assert sorted(pairs) == questions.targets.nonzero().tolist()
        used = torch.stack([question, query])[:, layer == k].T.tolist()
        assert len({tuple(pair) for pair in used}) == len(used)


def test_the_neck_comes_out_at_unit_scale(tokenizer):
    model = create_model(len(tokenizer))
    pictures, _ = draw_batch((0, 0, 0), 6, ("positive",), tokenizer)
    normalize_neck(model, pictures.pixels)
    with torch.no_grad():
        for level in LearningSam3(model).encode_images(pictures.pixels, fine=6).levels:
            assert level.std().item() == pytest.approx(1, abs=0.01)


def test_muon_makes_updates_orthogonal():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(32, 64))
    weight.grad = torch.randn(32, 64)
    Muon([weight], lr=1.0).step()
    singular = torch.linalg.svdvals(weight.detach()) / (0.2 * 64**0.5)
    assert 0.6 < singular.min() < singular.max() < 1.4


def test_a_run_goes_through_both_stages_resumes_and_exports_a_loadable_checkpoint(prepared):
    recipe = Recipe(
        prepared, workers=1, trunk_steps=1, detector_steps=2, cooldown_steps=1, trunk_images=2, detector_images=2
    )
    prepare_folder(recipe)  # finds the tokenizer there
    run = DetectorRun(recipe, worker=0)
    assert all(np.isfinite(value) for value in run.advance().values())
    run.advance()
    run.save()
    again = DetectorRun(recipe, worker=0)
    again.resume()
    losses = again.advance()
    assert losses == pytest.approx(run.advance())
    assert {"presence", "mask", "giou", "hint boxes"} <= losses.keys()
    export_checkpoint(again.build_averaged_network().sam3, again.tokenizer, prepared / "checkpoint")
    assert (prepared / "checkpoint" / "model.safetensors").stat().st_size < 12e6
    sam3 = Sam3.load(prepared / "checkpoint")
    assert sam3.segment(Image(draw_scene(1).pixels), "red circle").phrase == "red circle"


@pytest.fixture
def restored_settings() -> Iterator[None]:
    """A training sets threads and denormal numbers for its whole process; the next test finds them as they were."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@pytest.mark.usefixtures("restored_settings")
def test_a_run_that_was_killed_before_its_last_export_makes_up_for_it(tmp_path, tokenizer, monkeypatch):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    recipe = Recipe(tmp_path, workers=1, trunk_steps=1, detector_steps=0, trunk_images=2)
    run = DetectorRun(recipe, worker=0)
    run.advance()
    run.save()
    options = ["--out", str(tmp_path), "--workers", "1", "--trunk-steps", "1", "--detector-steps", "0"]
    monkeypatch.setattr(sys, "argv", ["train", *options])
    train.main()
    written = load_file(tmp_path / "checkpoint" / "model.safetensors")
    expected = {
        f"detector_model.{name}": value.half() for name, value in run.build_averaged_network().sam3.state_dict().items()
    }
    assert written.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in written.items())


def test_an_export_never_touches_the_file_that_was_there_before(tmp_path, tokenizer):
    """Whoever reads it meanwhile has it whole; so has whoever looks after a kill."""
    model = create_model(len(tokenizer))
    export_checkpoint(model, tokenizer, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "the same file").hardlink_to(tmp_path / "model.safetensors")
    torch.nn.init.zeros_(next(model.parameters()))
    export_checkpoint(model, tokenizer, tmp_path)
    assert (tmp_path / "the same file").read_bytes() == before
    assert (tmp_path / "model.safetensors").read_bytes() != before


def test_the_log_has_the_mean_of_each_loss_over_the_steps_that_had_it(tmp_path):
    log_steps(tmp_path, [{"patch": 1.0}, {"patch": 3.0, "mask": 0.5}], step=20, seconds=1.5, rate=0.25)
    logged = json.loads((tmp_path / "log.jsonl").read_text())
    assert logged == {"step": 20, "seconds_per_step": 1.5, "rate": 0.25, "patch": 2.0, "mask": 0.5}


def test_a_run_can_go_on_from_a_checkpoint(tmp_path):
    embedded = Path(str(files("sam3_tool") / "tiny"))
    prepare_folder(recipe := Recipe(tmp_path / "run", start=embedded, workers=1, detector_images=2))
    run = DetectorRun(recipe, worker=0)
    expected = Sam3Model.from_pretrained(embedded, dtype=torch.float32).state_dict()
    assert run.step == recipe.trunk_steps
    assert all(torch.equal(value, expected[name]) for name, value in run.network.sam3.state_dict().items())
    assert run.advance()["presence"] < 2  # untrained, it is above 3
