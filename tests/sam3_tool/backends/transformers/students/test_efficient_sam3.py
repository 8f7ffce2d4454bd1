"""Files of EfficientSAM3 as its authors save them: the same network as its parts, and one sentence where one lacks."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from sam3_tool import CheckpointError, ConceptPrompt, Image, Sam3
from sam3_tool.backends.transformers.files.weights import read_detector, read_memory, read_tracker
from sam3_tool.errors import MissingPackageError
from sam3_tool.prompts import VisualPrompt
from tests.support.lite_text import CONTEXT, build_lite_text, name_as_authors
from tests.support.native_files import Weights, build_native_weights, to_31
from tests.support.students import EMBEDDED, FAMILIES, TRUNK, build_student_weights, save_student

ALL = 0.0
"""A threshold that keeps every query."""
RED, BLUE = (30.0, 60.0, 150.0, 180.0), (205.0, 85.0, 285.0, 165.0)


@pytest.fixture(scope="module")
def native() -> Weights:
    return build_native_weights(EMBEDDED)


@pytest.fixture(scope="module", params=FAMILIES)
def student(request, native, tmp_path_factory) -> Sam3:
    if request.param == "repvit":
        return request.getfixturevalue("plain")
    folder = tmp_path_factory.mktemp(request.param)
    return Sam3.load(save_student(folder, build_student_weights(native, request.param)), device="cpu")


@pytest.fixture(scope="module")
def weights(native) -> Weights:
    return build_student_weights(native, "repvit")


@pytest.fixture(scope="module")
def plain(weights, tmp_path_factory) -> Sam3:
    return Sam3.load(save_student(tmp_path_factory.mktemp("plain"), weights), device="cpu")


def test_phrases_boxes_and_clicks_share_one_encoding(student, picture):
    prompts = [
        ConceptPrompt("red circle", threshold=ALL),
        ConceptPrompt("blue square", threshold=ALL),
        ConceptPrompt("shape", boxes=(RED, BLUE), box_labels=(1, 0), threshold=ALL),
    ]
    report = student.run_requests([(picture, prompt) for prompt in prompts])
    assert (report.encodes, report.decodes) == (1, 3)
    first, second, third = report.instances
    assert np.abs(first.scores - second.scores).max() > 1e-5
    assert np.abs(second.scores - third.scores).max() > 1e-5
    clicked = student.refine(picture, points=[(90, 120)])
    assert len(clicked) == 3
    assert student._backend.open_memory(picture.height, picture.width, 2).ids == ()


def test_the_answer_is_that_of_transformers_with_this_trunk(plain, picture):
    detector, processors = read_detector(plain._backend._folder, torch.float32)
    detector.detr_decoder.clamp_presence_logit_max_val = float("inf")
    tokens = processors.tokenizer("red circle", return_tensors="pt", padding="max_length", max_length=32)
    image = processors.image_processor(picture.to_pil(), return_tensors="pt")["pixel_values"]
    # a box that is not there: the CLS token that the published code has without boxes, too
    nothing = {"input_boxes": torch.full((1, 1, 4), 0.5), "input_boxes_labels": torch.full((1, 1), -10)}
    with torch.inference_mode():
        output = detector(pixel_values=image, **tokens, **nothing)
    scores = output.pred_logits[0].sigmoid() * output.presence_logits[0].sigmoid()
    found = plain.segment(picture, "red circle", threshold=ALL)
    assert np.allclose(found.scores, scores.sort(descending=True, stable=True).values, rtol=1e-4, atol=1e-6)
    assert found.presence == pytest.approx(output.presence_logits.sigmoid().item(), abs=1e-5)


def test_the_other_parts_are_those_of_the_file(plain, native):
    file = plain._backend._folder
    detector, _ = read_detector(file, torch.float32)
    tracker = read_tracker(file, detector)
    assert tracker.vision_encoder.backbone is detector.vision_encoder.backbone
    convolution = native["detector.backbone.vision_backbone.sam2_convs.2.conv_1x1.weight"]
    assert torch.equal(tracker.vision_encoder.neck.fpn_layers[2].proj1.weight, convolution)
    assert read_memory(file, torch.float32).memory_temporal_positional_encoding.shape[0] == 7


def test_in_16_bits_the_answer_is_nearly_the_same(plain, picture):
    narrow = Sam3.load(plain._backend._folder, device="cpu", dtype="bfloat16")
    assert {weight.dtype for weight in narrow._backend._model.vision_encoder.parameters()} == {torch.bfloat16}
    one, other = (sam3.segment(picture, "red circle", threshold=ALL) for sam3 in (narrow, plain))
    assert np.allclose(one.scores, other.scores, atol=0.03)


def test_the_trackers_memory_follows_a_mask_into_the_next_frame(plain, picture):
    backend = plain._backend
    mask = np.zeros((picture.height, picture.width), bool)
    mask[60:180, 30:150] = True
    first, other = backend.encode([picture, Image(255 - picture.pixels)])
    answers = []
    for second in (first, other):
        memory = backend.open_memory(picture.height, picture.width, 2)
        memory.prompt(first, 0, 7, VisualPrompt((), (), None, mask))
        answers.append(memory.propagate(second, 1))
    assert [answer.ids for answer in answers] == [(7,), (7,)]
    assert np.isfinite(answers[0].logits).all()
    assert np.abs(answers[0].logits - answers[1].logits).max() > 1e-3  # it looks at the frame


def save_half(weights: Weights) -> Weights:
    return {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}


def wrap_trunk(weights: Weights) -> Weights:
    """Name weights as a training run does, in a module of a module, with what ImageNet's classes need."""
    named = {name.replace(f"{TRUNK}model.", f"{TRUNK}model.student_trunk."): value for name, value in weights.items()}
    classes = {"bn.weight": torch.ones(24), "bn.num_batches_tracked": torch.tensor(3), "l.weight": torch.zeros(9, 24)}
    return named | {f"{TRUNK}model.backbone.model.classifier.classifier.{name}": classes[name] for name in classes}


def drop_detector_names(weights: Weights) -> Weights:
    """Name weights as the image model's own code saves them."""
    return {name.removeprefix("detector."): value for name, value in weights.items()}


@pytest.mark.parametrize(
    "change", [lambda weights: drop_detector_names(wrap_trunk(weights)), to_31], ids=["a training run", "from SAM 3.1"]
)
def test_other_ways_to_save_the_same_weights_are_the_same_network(plain, weights, change, picture, tmp_path):
    changed = Sam3.load(save_student(tmp_path, change(weights), "efficient_sam3p1_repvit_m.pt"), device="cpu")
    found, expected = (sam3.segment(picture, "red circle", threshold=ALL) for sam3 in (changed, plain))
    assert np.allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-7)
    assert np.ptp(expected.scores) > 1e-3


def test_a_file_in_float16_is_read(plain, weights, picture, tmp_path):
    half = Sam3.load(save_student(tmp_path, save_half(weights)), device="cpu")
    found, expected = (sam3.segment(picture, "red circle", threshold=ALL) for sam3 in (half, plain))
    assert np.allclose(found.scores, expected.scores, atol=1e-2)


def test_its_small_text_encoder_is_read_as_that_of_lite_text(tmp_path, picture):
    weights = build_student_weights(name_as_authors(build_lite_text()), "tinyvit")
    file = save_student(tmp_path, weights, "efficientsam3_tinyvit_11m_mobileclip_s0_ctx16_5p_full.pt")
    sam3 = Sam3.load(file, device="cpu")
    assert sam3._backend._model.config.text_config.max_position_embeddings == CONTEXT
    one, other = (sam3.segment(picture, phrase, threshold=ALL) for phrase in ("red circle", "blue square"))
    assert np.abs(one.scores - other.scores).max() > 1e-5


def keep_trunk(weights: Weights) -> Weights:
    """Return what stage 1 of the training saves: the student alone."""
    begin = f"{TRUNK}model."
    return {name.removeprefix(begin): value for name, value in weights.items() if name.startswith(begin)}


def keep_text(weights: Weights) -> Weights:
    return {"module.encoder.embedding_layer.weight": torch.zeros(4, 4), "module.projector.bias": torch.zeros(4)}


def keep_encoders(weights: Weights) -> Weights:
    """Return what stage 3 saves: both encoders, without what is frozen."""
    return {name: value for name, value in weights.items() if ".trunk." in name or ".language_backbone." in name}


def drop_tracker(weights: Weights) -> Weights:
    return {name: value for name, value in weights.items() if not name.startswith("tracker.") and "sam2" not in name}


def drop_block(weights: Weights) -> Weights:
    return {name: value for name, value in weights.items() if "features.5.channel_mixer.m.2.c" not in name}


def add_block(weights: Weights) -> Weights:
    return {**weights, f"{TRUNK}model.backbone.model.features.5.adapter.weight": torch.zeros(3)}


def change_shape(weights: Weights) -> Weights:
    name = f"{TRUNK}model.backbone.model.features.5.channel_mixer.m.2.c.weight"
    return {**weights, name: weights[name][:, :-1]}


def change_family(weights: Weights) -> Weights:
    return {name.replace("backbone.model.features.", "backbone.model.mobileone."): weights[name] for name in weights}


def number_badly(weights: Weights) -> Weights:
    return {name.replace(".features.5.", ".features.five."): weights[name] for name in weights}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (keep_trunk, "is of EfficientSAM3's image encoder alone, without the rest of SAM 3"),
        (lambda weights: {f"student_trunk.{n}": w for n, w in keep_trunk(weights).items()}, "image encoder alone"),
        (keep_text, "is of EfficientSAM3's text encoder alone, without the rest of SAM 3"),
        (keep_encoders, "is not a whole SAM 3 checkpoint: .* is missing"),
        (drop_block, r"1 weights are missing, e\.g\. backbone\.stages\.1\.blocks\.0\.channel_mixer\.conv2\.c\.weight"),
        (add_block, r"its vision encoder has 1 more weights, e\.g\. .*features\.5\.adapter\.weight"),
        (change_shape, r"has the shape \(16, 31, 1, 1\), and \(16, 32, 1, 1\) is expected"),
        (change_family, "its vision encoder is none of EfficientViT, RepViT and TinyViT"),
        (number_badly, r"more weights, e\.g\. .*features\.five|weights are missing"),
    ],
)
def test_what_is_no_whole_efficient_sam3_is_one_sentence(weights, change, sentence, tmp_path):
    file = save_student(tmp_path, change(weights))
    with pytest.raises(CheckpointError, match=sentence) as refusal:
        Sam3.load(file, device="cpu")
    assert "\n" not in str(refusal.value)
    assert "--sam3 tiny" in str(refusal.value)


def test_windows_of_a_hostile_size_are_refused_before_anything_is_made(native, tmp_path):
    weights = build_student_weights(native, "tinyvit")
    weights[f"{TRUNK}model.backbone.model.layers.1.blocks.0.attn.attention_biases"] = torch.zeros(2, 10_000)
    with pytest.raises(CheckpointError, match="windows of 10000 tokens; expected a square of at most 32 x 32"):
        Sam3.load(save_student(tmp_path, weights), device="cpu")


def test_without_a_tracker_phrases_work_and_clicks_are_refused(weights, tmp_path, picture):
    sam3 = Sam3.load(save_student(tmp_path, drop_tracker(weights)), device="cpu")
    assert sam3.segment(picture, "red circle", threshold=ALL).scores.size > 0
    with pytest.raises(CheckpointError, match="no tracker weights, so it cannot follow clicks"):
        sam3.refine(picture, points=[(90, 120)])


@pytest.mark.parametrize("name", ["Simon7108528/EfficientSAM3", "simon7108528/efficientsam3"])
def test_the_whole_repository_is_not_downloaded(name):
    with pytest.raises(CheckpointError, match="holds many networks; name a file of it") as caught:
        Sam3.load(name, device="cpu")
    assert "efficientsam3_ft/efficientsam3_tinyvit.pt`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_repository_is_taken_from_an_earlier_download_by_its_name(weights, tmp_path):
    """The hub's client reads where its cache is when it is imported, and so this runs in a process of its own."""
    revision = "0" * 40
    place = tmp_path / "hub" / "models--Simon7108528--EfficientSAM3"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(revision)
    folder = place / "snapshots" / revision / "efficientsam3_ft"
    folder.mkdir(parents=True)
    file = save_student(folder, weights, "efficientsam3_repvit.pt")
    program = (
        "from sam3_tool.backends.transformers.files.checkpoint import locate_checkpoint;"
        "print(locate_checkpoint('Simon7108528/EfficientSAM3/efficientsam3_ft/efficientsam3_repvit.pt'))"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    said = subprocess.run((sys.executable, "-c", program), env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(file)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "Simon7108528/EfficientSAM3/efficientsam3_ft/efficientsam3_tinyvi.pt",
            "did you mean 'Simon7.*tinyvit.pt'",
        ),
        ("https://huggingface.co/Simon7108528/EfficientSAM3/resolve/main/a_b/c-d.pt", "write 'Simon.*SAM3/a_b/c-d.pt'"),
        ("Simon7108528/EfficientSAM3/stage1_all_converted/x.pt", "is not on this machine"),
        ("facebook/sam3/nothing.pt", "is not on this machine"),
    ],
)
def test_a_file_that_is_not_here_is_one_sentence(name, sentence):
    with pytest.raises(CheckpointError, match=sentence) as caught:
        Sam3.load(name, device="cpu")
    assert "\n" not in str(caught.value)


def test_without_timm_one_sentence_says_what_to_install(weights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.models.efficientvit_mit", None)  # as where it is not installed
    with pytest.raises(MissingPackageError, match=r"the package timm is needed.* run `pip install") as refusal:
        Sam3.load(save_student(tmp_path, weights), device="cpu")
    assert "sam3-agent[efficient]" in str(refusal.value)
    assert "\n" not in str(refusal.value)
