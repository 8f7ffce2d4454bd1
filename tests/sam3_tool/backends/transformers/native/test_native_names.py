"""Official names and shapes, all 1465 of `sam3.pt`, against transformers' network of the published size."""

import math

import pytest
import torch
from transformers import Sam3Config, Sam3Model, Sam3TrackerConfig, Sam3TrackerVideoConfig, Sam3TrackerVideoModel

from bench.suites.weights.files import list_published_shapes, list_published_shapes_31
from sam3_tool.backends.transformers.files.weights import MEMORY_PARTS
from sam3_tool.backends.transformers.native.configuration import describe_detector, describe_memory, describe_tracker
from sam3_tool.backends.transformers.native.names import is_multiplex, normalize_names, translate_name

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def published() -> Shapes:
    """Shape of each weight of `sam3.pt`."""
    return {name: shape for name, (shape, _) in list_published_shapes().items()}


def test_every_published_name_is_one_of_the_network_and_the_network_has_no_other(published):
    assert len(published) == 1465
    with torch.device("meta"):
        detector, tracker = Sam3Model(Sam3Config()), Sam3TrackerVideoModel(Sam3TrackerVideoConfig())
        tracker.vision_encoder.backbone = torch.nn.Identity()  # in a checkpoint they share the detector's
    network = {f"detector_model.{name}": tuple(value.shape) for name, value in detector.state_dict().items()}
    for name, value in tracker.state_dict().items():
        network[f"tracker_model.{name}".replace("tracker_model.vision_encoder.", "tracker_")] = tuple(value.shape)
    network.pop("tracker_model.shared_image_embedding.positional_embedding")  # the prompt encoder's, once more
    read = {name: translate_name(name) for name in published}
    assert {ours for names in read.values() for ours in names} == set(network)
    for name, names in read.items():
        if len(names) == 3:
            assert {(3 * network[ours][0], *network[ours][1:]) for ours in names} == {published[name]}
        elif names and network[names[0]] != published[name]:  # what is cut, turned or joined
            assert "pos_embed" in name or "text_projection" in name or "point_embeddings" in name
    left_out = [name for name, names in read.items() if not names]
    assert len(left_out) == 38
    assert all("freqs_cis" in name or "geometry_encoder.points_" in name for name in left_out)


def test_every_name_of_sam_31_is_read_as_one_of_the_network_or_left_out_on_purpose(published):
    shapes = {name: shape for name, (shape, _) in list_published_shapes_31().items()}
    assert (len(shapes), sum(name.startswith("detector.") for name in shapes)) == (1623, 1166)
    normal = normalize_names(shapes)
    assert is_multiplex(normal.values())
    read = {name: translate_name(native) for name, native in normal.items()}
    assert None not in read.values()
    left_out = {name for name, names in read.items() if not names}
    parts = ("freqs_cis", "geometry_encoder.points_", "propagation_convs.", "tracker.model.")
    assert len(left_out) == 356
    assert all(any(part in name for part in parts) and "tracker.model.interactive_" not in name for name in left_out)
    of_sam_3 = {ours for native in published for ours in translate_name(native)}
    found = {ours for names in read.values() for ours in names}
    assert found <= of_sam_3
    memory = tuple(f"tracker_model.{part}" for part in MEMORY_PARTS)
    unread = {name for name in of_sam_3 - found if not name.startswith(memory)}
    assert {name.rpartition("fpn_layers.3.")[0] for name in unread} <= {
        "detector_model.vision_encoder.neck.",
        "tracker_neck.",
        "",
    }
    assert {name for name in unread if "fpn_layers" not in name} == {"tracker_model.no_memory_positional_encoding"}
    for name, native in normal.items():  # where SAM 3 has the same weight, it is of the same size
        assert native not in published or not read[name] or shapes[name] == published[native]


def test_the_configuration_that_follows_from_the_shapes_is_the_published_one(published):
    def without_tables(shapes: Shapes) -> Shapes:
        return {name: shape for name, shape in shapes.items() if "freqs_cis" not in name}

    for shapes in (published, without_tables(published)):
        assert Sam3Config(**describe_detector(shapes, {})).to_dict() == Sam3Config().to_dict()
        assert Sam3TrackerVideoConfig(**describe_memory(shapes, {})).to_dict() == Sam3TrackerVideoConfig().to_dict()
        tracker = Sam3TrackerConfig(**describe_tracker(shapes, {})).to_dict()
        assert tracker == Sam3TrackerConfig().to_dict()


def test_a_network_that_rotates_in_windows_of_another_size_is_described_by_its_tables(published):
    table = "detector.backbone.vision_backbone.trunk.blocks.{}.attn.freqs_cis"
    shapes = published | {table.format(n): (24**2 if n in (3, 9) else 8**2, 16) for n in range(32)}
    trunk = describe_detector(shapes, {})["vision_config"]["backbone_config"]
    assert (trunk["window_size"], trunk["image_size"], trunk["global_attn_indexes"]) == (8, 24 * 14, [3, 9])
    assert trunk["num_attention_heads"] == 1024 // 32
    assert math.isclose(trunk["pretrain_image_size"], 336)


@pytest.mark.parametrize(
    ("stored", "normal"),
    [
        ("sam3_model.dot_prod_scoring.hs_proj.bias", "detector.dot_prod_scoring.hs_proj.bias"),
        ("sam2_predictor.model.no_mem_embed", "tracker.no_mem_embed"),
        ("module.detector.dot_prod_scoring.hs_proj.bias", "detector.dot_prod_scoring.hs_proj.bias"),
        ("dot_prod_scoring.hs_proj.bias", "detector.dot_prod_scoring.hs_proj.bias"),
        ("transformer.decoder.norm.bias", "detector.transformer.decoder.norm.bias"),
        ("inst_interactive_predictor.model.no_mem_embed", "tracker.no_mem_embed"),
        ("tracker.maskmem_tpos_enc", "tracker.maskmem_tpos_enc"),
    ],
)
def test_names_of_training_runs_and_of_the_image_model_are_the_same_weights(stored, normal):
    assert normalize_names([stored]) == {stored: normal}
    assert translate_name(normal)


def test_of_the_two_heads_of_sam_31_the_one_for_clicks_is_read():
    names = normalize_names(
        [
            "tracker.model.interactive_sam_mask_decoder.iou_token.weight",
            "tracker.model.sam_mask_decoder.iou_token.weight",
            "tracker.model.interactivity_no_mem_embed",
            "tracker.model.maskmem_tpos_enc",
            "detector.backbone.vision_backbone.interactive_convs.0.conv_1x1.bias",
            "detector.backbone.vision_backbone.propagation_convs.0.conv_1x1.bias",
        ]
    )
    assert [translate_name(name) for name in names.values()] == [
        ("tracker_model.mask_decoder.iou_token.weight",),
        (),
        ("tracker_model.no_memory_embedding",),
        (),
        ("tracker_neck.fpn_layers.0.proj1.bias",),
        (),
    ]


@pytest.mark.parametrize(
    "name", ["image_encoder.trunk.pos_embed", "detector.backbone.body.conv.weight", "tracker.x", ""]
)
def test_a_name_of_another_model_has_no_translation(name):
    assert translate_name(name) is None
