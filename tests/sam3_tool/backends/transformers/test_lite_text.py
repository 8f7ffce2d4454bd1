"""SAM3-LiteText against transformers' own forward of the same weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import Sam3LiteTextConfig, Sam3LiteTextModel, Sam3Processor

from sam3_tool import CheckpointError, ConceptPrompt, Image, Instances, Sam3
from sam3_tool.backends.transformers.files.weights import read_detector
from sam3_tool.backends.transformers.native.files import NativeFile
from sam3_tool.backends.transformers.native.names import TRUNK
from sam3_tool.backends.transformers.text import PAD_LABEL
from tests.support.lite_text import CONTEXT, POSITIONS, build_lite_text, name_as_authors, save_lite_text
from tests.support.native_files import copy_companions

RED, BLUE = (30.0, 60.0, 150.0, 180.0), (205.0, 85.0, 285.0, 165.0)
ALL = 0.0
"""A threshold that keeps every query."""
ENCODER = "detector.backbone.language_backbone.encoder."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_lite_text(tmp_path_factory.mktemp("lite") / "s0", build_lite_text())


@pytest.fixture(scope="module")
def lite(folder) -> Sam3:
    return Sam3.load(folder, device="cpu")


class Direct:
    """One request at a time, through transformers' own classes, with the tokens of the published text encoder."""

    def __init__(self, folder: Path) -> None:
        self.model = Sam3LiteTextModel.from_pretrained(folder, dtype=torch.float32).eval()
        for part in self.model.vision_encoder.backbone.modules():  # as in the published code of SAM 3
            if isinstance(part, torch.nn.LayerNorm):
                part.eps = 1e-5
        self.model.detr_decoder.clamp_presence_logit_max_val = float("inf")
        self.processor = Sam3Processor.from_pretrained(folder)

    def tokenize(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens, (1, context), and which of them are of the phrase: published code pads with zeros."""
        tokens = self.processor.tokenizer(text, truncation=True, max_length=CONTEXT)["input_ids"]
        padding = [0] * (CONTEXT - len(tokens))
        return torch.tensor([tokens + padding]), torch.tensor([[1] * len(tokens) + padding])

    @torch.inference_mode()
    def __call__(self, picture: Image, text: str, boxes: Any = ((0, 0, 1, 1),), labels: Any = (PAD_LABEL,)) -> Any:
        inputs = self.processor(
            images=picture.to_pil(),
            input_boxes=[[list(box) for box in boxes]],
            input_boxes_labels=[list(labels)],
            return_tensors="pt",
        )
        tokens, mask = self.tokenize(text)
        return self.model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"],
            input_boxes_labels=inputs["input_boxes_labels"],
            text_embeds=self.model.get_text_features(input_ids=tokens),
            attention_mask=mask,
        )


@pytest.fixture(scope="module")
def direct(folder) -> Direct:
    return Direct(folder)


def assert_is(found: Instances, output: Any, picture: Image) -> None:
    scores = output.pred_logits[0].sigmoid() * output.presence_logits[0].sigmoid()
    order = scores.argsort(descending=True, stable=True)
    logits = functional.interpolate(output.pred_masks, size=(picture.height, picture.width), mode="bilinear")[0]
    size = torch.tensor([picture.width, picture.height] * 2)
    assert np.allclose(found.scores, scores[order], rtol=1e-4, atol=1e-6)
    assert np.allclose(found.boxes, output.pred_boxes[0][order] * size, atol=1e-2)
    assert found.presence == pytest.approx(output.presence_logits.sigmoid().item(), abs=1e-5)
    assert (found.masks != (logits[order] > 0).numpy()).mean() < 1e-4


def test_phrases_and_exemplars_of_a_batch_are_the_networks_own(lite, direct, picture):
    prompts = [
        ConceptPrompt("red circle", threshold=ALL),
        ConceptPrompt("a large blue square beside the small red circle", threshold=ALL),
        ConceptPrompt("shape", boxes=(RED, BLUE), box_labels=(1, 0), threshold=ALL),
        ConceptPrompt(boxes=(BLUE,), threshold=ALL),
    ]
    report = lite.run_requests([(picture, prompt) for prompt in prompts])
    assert (report.encodes, report.decodes) == (1, 4)
    for prompt, found in zip(prompts, report.instances, strict=True):
        boxes = {"boxes": prompt.boxes, "labels": prompt.box_labels} if prompt.boxes else {}
        assert_is(found, direct(picture, prompt.phrase or "visual", **boxes), picture)


def test_phrases_are_told_apart(lite, picture):
    one, other = (lite.segment(picture, phrase, threshold=ALL) for phrase in ("red circle", "blue square"))
    assert np.abs(one.scores - other.scores).max() > 0.01, (one.scores, other.scores)


def test_a_phrase_longer_than_the_context_is_cut_where_the_encoder_ends(lite, direct, picture):
    long, cut = (
        lite.segment(picture, " ".join(["red", "circle"] * count), threshold=ALL) for count in (40, (CONTEXT - 2) // 2)
    )
    assert np.allclose(long.scores, cut.scores, atol=1e-6)
    assert_is(long, direct(picture, "red circle " * 40), picture)


def test_the_processors_padding_would_be_another_function(direct):
    """`Sam3Processor` stretches 16 positions over 32 tokens and hides the padding that the encoder was trained with."""
    inputs = direct.processor(text="red circle", return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 32)
    with torch.inference_mode():
        stretched = direct.model.get_text_features(**inputs).pooler_output[:, :4]
        own = direct.model.get_text_features(input_ids=direct.tokenize("red circle")[0]).pooler_output[:, :4]
    assert (stretched - own).norm() / own.norm() > 0.05


def test_without_a_tracker_clicks_are_refused_in_one_sentence(lite, picture):
    with pytest.raises(CheckpointError, match="has no tracker weights, so it cannot follow clicks"):
        lite.refine(picture, points=[(90, 120)])


def test_clicks_work_where_a_tracker_is_beside_it(tmp_path, lite, tiny, picture):
    both = Sam3.load(save_lite_text(tmp_path / "both", build_lite_text(), with_tracker=True), device="cpu")
    clicked, expected = (sam3.refine(picture, points=[(90, 120)]) for sam3 in (both, tiny))
    assert clicked.rles == expected.rles
    found, alone = (sam3.segment(picture, "red circle", threshold=ALL) for sam3 in (both, lite))
    assert np.array_equal(found.scores, alone.scores)
    assert both._backend.open_memory(picture.height, picture.width, 2).ids == ()


def test_in_16_bits_the_answer_is_nearly_the_same(folder, lite, picture):
    narrow = Sam3.load(folder, device="cpu", dtype="bfloat16")
    one, other = (sam3.segment(picture, "red circle", threshold=ALL) for sam3 in (narrow, lite))
    assert narrow.runs_on == "cpu bfloat16"
    assert np.allclose(one.scores, other.scores, atol=0.02)


@pytest.mark.parametrize("has_mixers", [True, False], ids=["as S0", "as S1 and L"])
def test_the_authors_file_is_the_same_network_as_the_folder(tmp_path, has_mixers):
    model = build_lite_text(has_mixers=has_mixers)
    copy_companions(tmp_path)
    torch.save({"model": name_as_authors(model)}, tmp_path / "sam3_litetext_mobileclip_s0_ctx16.pt")
    read, _ = read_detector(tmp_path / "sam3_litetext_mobileclip_s0_ctx16.pt", torch.float32)
    found, expected = read.state_dict(), model.state_dict()
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []
    assert read.config.text_config.to_dict() | {"dtype": None} == model.config.text_config.to_dict()


def test_the_authors_file_answers_phrases_as_the_folder_and_follows_clicks_besides(tmp_path, lite, tiny, picture):
    copy_companions(tmp_path)
    content = {"model": name_as_authors(build_lite_text()), "meta": {"text_context_length": CONTEXT}}
    torch.save(content, tmp_path / "any name.pt")
    authors = Sam3.load(tmp_path / "any name.pt", device="cpu")
    found, expected = (sam3.segment(picture, "red circle", threshold=ALL) for sam3 in (authors, lite))
    assert found.rles == expected.rles
    assert np.array_equal(found.scores, expected.scores)
    assert authors.refine(picture, points=[(90, 120)]).rles == tiny.refine(picture, points=[(90, 120)]).rles


@pytest.mark.parametrize(
    ("name", "noted", "context"),
    [("a_ctx32.pt", None, 32), ("a_ctx32.pt", 16, 16), ("a.pt", None, 77), ("a_ctx99.pt", 0, 77)],
)
def test_the_file_or_its_name_says_how_many_tokens_the_encoder_reads(tmp_path, name, noted, context):
    weights = {
        place: torch.zeros(1, 1, POSITIONS, 4) for place in (f"{ENCODER}positional_embedding.pos_embed.pos_embed",)
    }
    weights |= {
        f"{ENCODER}embedding_layer.weight": torch.zeros(2, 4),
        f"{TRUNK}patch_embed.proj.weight": torch.zeros(1),
    }
    torch.save({"model": weights, "meta": {"text_context_length": noted}}, tmp_path / name)
    assert NativeFile(tmp_path / name).text_context == context


@pytest.mark.parametrize("part", ["projection_layer", "embedding_layer.weight", "transformer.1.pre_norm_ffn.1.weight"])
def test_half_a_text_encoder_is_one_sentence(tmp_path, part):
    copy_companions(tmp_path)
    weights = name_as_authors(build_lite_text())
    del weights[f"{ENCODER}{part}"]
    torch.save({"model": weights}, tmp_path / "sam3_litetext_ctx16.pt")
    with pytest.raises(CheckpointError, match=r"(is|are) missing|is not SAM 3") as caught:
        Sam3.load(tmp_path / "sam3_litetext_ctx16.pt", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "width", "has_mixers", "millions"),
    [(6, 512, True, 42.5), (12, 512, False, 63.5), (12, 768, False, 123.8)],
    ids=["S0", "S1", "L"],
)
def test_the_published_sizes_are_those_of_these_classes(layers, width, has_mixers, millions):
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width, "projection_dim": width}
    config = Sam3LiteTextConfig(
        text_config=sizes
        | {"num_attention_heads": width // 64, "use_repmixer_blocks": has_mixers, "max_position_embeddings": CONTEXT}
    )
    with torch.device("meta"):
        model = Sam3LiteTextModel(config)
    parts = (model.text_encoder, model.text_projection)
    assert sum(weight.numel() for part in parts for weight in part.parameters()) / 1e6 == pytest.approx(
        millions, abs=0.1
    )


@pytest.mark.parametrize("kind", ["sam2_video", "clip", "sam"])
def test_the_folder_of_another_model_is_one_sentence(tmp_path, folder, kind):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "config.json").unlink()
    config = json.loads((folder / "config.json").read_text()) | {"model_type": kind}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        CheckpointError, match=f"holds a model of the type '{kind}'.*(expected one of sam3, |open:)"
    ) as caught:
        Sam3.load(tmp_path, device="cpu")
    assert "\n" not in str(caught.value)
    assert "--sam3 tiny" in str(caught.value)


def test_a_concept_is_what_its_box_is_in_another_image(lite, picture):
    other = picture.crop(20, 40, 300, 200)
    concept = lite.describe(picture, "circle", boxes=[RED, BLUE], box_labels=[1, 0])
    found = lite.segment(other, concept.with_phrase("shape"), threshold=ALL)
    like = lite.segment(other, "shape", boxes=[RED, BLUE], box_labels=[1, 0], exemplar_image=picture, threshold=ALL)
    assert concept.fingerprint == lite.fingerprint
    assert len(found) > 0
    assert found.scores.tolist() == like.scores.tolist()


def test_weights_without_a_gate_are_not_asked_for():
    with pytest.raises(CheckpointError) as caught:
        Sam3.load("vil-uob/sam3-litetext-s0", device="cpu")
    assert "Anybody may download it" in str(caught.value)
    assert "ask for access" not in str(caught.value)
