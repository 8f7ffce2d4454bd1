"""Checkpoints as they are published: the same network under native names answers the same, bit for bit."""

import gzip
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.convert_slow_tokenizer import bytes_to_unicode

from sam3_tool import CheckpointError, Sam3
from sam3_tool.backends.transformers.files.checkpoint import hash_checkpoint, locate_checkpoint
from sam3_tool.backends.transformers.files.weights import read_detector, read_memory, read_tracker
from sam3_tool.backends.transformers.native.tokenizer import read_merges
from tests.support.native_files import Weights, add_rotary_tables, copy_companions, to_31


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype, name
        assert torch.equal(value, second[name]), name
        assert value.stride() == second[name].stride(), name


@pytest.fixture(scope="module")
def embedded() -> Any:
    """The embedded detector, whose weights all of these files have."""
    return read_detector(locate_checkpoint("tiny"), torch.float32)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_native_file_gives_the_weights_of_its_converted_folder(native_folder, dtype):
    tiny, file = locate_checkpoint("tiny"), locate_checkpoint(native_folder)
    assert file == native_folder / "sam3.pt"
    detectors = [read_detector(path, dtype)[0] for path in (tiny, file)]
    assert_same_weights(*detectors)
    assert_same_weights(*(read_tracker(path, detector) for path, detector in zip((tiny, file), detectors, strict=True)))
    assert_same_weights(*(read_memory(path, dtype) for path in (tiny, file)))


def test_it_answers_phrases_clicks_and_videos_as_the_folder_does(native_folder, tiny, picture):
    native = Sam3.load(native_folder / "sam3.pt", device="cpu")
    for name in ("red circle", "blue square"):
        found, expected = native.segment(picture, name), tiny.segment(picture, name)
        assert len(expected) == 1
        assert found.rles == expected.rles
        np.testing.assert_array_equal(found.scores, expected.scores)
    clicked = native.refine(picture, points=[(90, 120)])
    assert clicked.rles == tiny.refine(picture, points=[(90, 120)]).rles
    assert native.fingerprint == hash_checkpoint(native_folder / "sam3.pt") != tiny.fingerprint


def test_the_tables_of_rotary_frequencies_tell_windows_and_image(native_weights, embedded, tmp_path):
    config = json.loads((locate_checkpoint("tiny") / "config.json").read_text())
    trunk = config["detector_config"]["vision_config"]["backbone_config"]
    for key in ("window_size", "image_size", "global_attn_indexes", "num_attention_heads"):
        trunk.pop(key)
    weights = dict(native_weights)
    add_rotary_tables(weights, window=8, grid=16, width=32, whole={1, 3, 5}, layers=6)
    copy_companions(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save({"model": weights}, tmp_path / "checkpoint.pt")
    detector, _ = read_detector(tmp_path / "checkpoint.pt", torch.float32)
    assert_same_weights(detector, embedded)
    found = detector.config.vision_config.backbone_config
    assert (found.window_size, found.image_size, found.global_attn_indexes) == (8, 128, [1, 3, 5])
    assert found.num_attention_heads == 6


@pytest.fixture(scope="module")
def file_31(tmp_path_factory: pytest.TempPathFactory, native_weights: Weights) -> Path:
    folder = tmp_path_factory.mktemp("native31")
    copy_companions(folder)
    torch.save(to_31(native_weights), folder / "sam3.1_multiplex.pt")
    return folder / "sam3.1_multiplex.pt"


def test_sam_31_answers_phrases_and_clicks_and_says_that_it_does_not_follow(file_31, tiny, picture):
    sam3 = Sam3.load(file_31.parent, device="cpu")
    found, expected = sam3.segment(picture, "red circle"), tiny.segment(picture, "red circle")
    assert found.rles == expected.rles
    np.testing.assert_array_equal(found.scores, expected.scores)
    # how good its masks are it says otherwise (see below), so that they may come in another order
    clicked, others = (network.refine(picture, points=[(90, 120)]).rles for network in (sam3, tiny))
    assert len(clicked) == 3
    assert all(mask in others for mask in clicked)
    with pytest.raises(CheckpointError, match=r"is SAM 3\.1, whose memory for videos .* not read"):
        read_memory(file_31, torch.float32)


def test_the_quality_of_a_mask_of_sam_31_has_no_sigmoid(file_31, native_folder):
    for path, has_sigmoid in ((file_31, False), (native_folder / "sam3.pt", True)):
        tracker = read_tracker(path, read_detector(path, torch.float32)[0])
        assert tracker.mask_decoder.iou_prediction_head.sigmoid_output is has_sigmoid


def test_native_names_in_safetensors_are_read_whatever_the_file_is_called(native_weights, native_folder, tmp_path):
    copy_companions(tmp_path)
    weights = {name: value.contiguous().half() for name, value in native_weights.items()}
    save_file(weights, tmp_path / "model.safetensors")
    save_file(weights, tmp_path / "renamed.pt")
    assert locate_checkpoint(tmp_path) == tmp_path / "model.safetensors"
    first, second = (read_detector(tmp_path / name, torch.float32)[0] for name in ("model.safetensors", "renamed.pt"))
    assert_same_weights(first, second)
    whole = read_detector(native_folder / "sam3.pt", torch.float16)[0].float()
    assert_same_weights(first, whole)


def test_a_training_run_of_the_image_model_is_read_and_cannot_follow_clicks(native_weights, embedded, tmp_path):
    copy_companions(tmp_path)
    weights = {
        name.removeprefix("detector."): value
        for name, value in native_weights.items()
        if name.startswith("detector.") and "sam2_convs" not in name
    }
    state = {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    torch.save({"model": weights, "optimizer": state, "epoch": 3}, tmp_path / "checkpoint.pt")
    detector, _ = read_detector(tmp_path / "checkpoint.pt", torch.float32)
    assert_same_weights(detector, embedded)
    with pytest.raises(CheckpointError, match="no tracker weights, so it cannot follow clicks"):
        read_tracker(tmp_path / "checkpoint.pt", detector)


def test_the_safetensors_of_a_published_folder_win_over_the_native_file_beside_them(tmp_path, picture, tiny):
    shutil.copytree(locate_checkpoint("tiny"), tmp_path / "sam3")
    (tmp_path / "sam3" / "sam3.pt").write_bytes(b"this is not read")
    processor = json.loads((tmp_path / "sam3" / "processor_config.json").read_text())
    processor["processor_class"] = "Sam3VideoProcessor"
    processor["image_processor"]["image_processor_type"] = "Sam3ImageProcessorFast"  # as facebook/sam3 has it
    (tmp_path / "sam3" / "processor_config.json").write_text(json.dumps(processor))
    found = Sam3.load(tmp_path / "sam3", device="cpu").segment(picture, "red circle")
    assert found.rles == tiny.segment(picture, "red circle").rles


def save_shards(folder: Path) -> None:
    """Save the embedded checkpoint in two files with an index, as large ones are saved."""
    tiny = locate_checkpoint("tiny")
    copy_companions(folder)
    shutil.copy(tiny / "processor_config.json", folder)
    weights = load_file(tiny / "model.safetensors")
    shards = {name: f"model-0000{1 + row % 2}-of-00002.safetensors" for row, name in enumerate(sorted(weights))}
    for shard in set(shards.values()):
        save_file({n: w for n, w in weights.items() if shards[n] == shard}, folder / shard, {"format": "pt"})
    index = {"metadata": {}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards_are_one_checkpoint_and_other_safetensors_beside_them_are_not_read(embedded, tmp_path):
    save_shards(tmp_path)
    save_file({"tracker_model.no_memory_embedding": torch.zeros(1, 1, 3)}, tmp_path / "adapter.safetensors")
    tiny = locate_checkpoint("tiny")
    assert locate_checkpoint(tmp_path) == tmp_path
    detector = read_detector(tmp_path, torch.float32)[0]
    assert_same_weights(detector, embedded)
    assert_same_weights(read_tracker(tmp_path, detector), read_tracker(tiny, embedded))
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"names model-00002-of-00002\.safetensors, which is not there"):
        Sam3.load(tmp_path)


def test_the_text_encoder_is_read_under_either_of_its_names(embedded, tmp_path):
    tiny = locate_checkpoint("tiny")
    shutil.copytree(tiny, tmp_path / "flat")
    weights = load_file(tiny / "model.safetensors")
    flat = {name.replace("text_encoder.text_model.", "text_encoder."): value for name, value in weights.items()}
    assert flat.keys() != weights.keys()
    save_file(flat, tmp_path / "flat" / "model.safetensors", {"format": "pt"})
    assert_same_weights(read_detector(tmp_path / "flat", torch.float32)[0], embedded)


class Trap:
    """What a malicious file holds: an order to write a file."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> Any:
        return Path.touch, (self._sprung,)


def write_half(path: Path, weights: Weights) -> None:
    torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_half_safetensors(path: Path, weights: Weights) -> None:
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_other_archive(path: Path, weights: Weights) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def change_shape(path: Path, weights: Weights) -> None:
    name = "detector.dot_prod_scoring.hs_proj.weight"
    torch.save(weights | {name: weights[name][:, :-1]}, path)


def write_int8(path: Path, weights: Weights) -> None:
    name = "detector.dot_prod_scoring.hs_proj.weight"
    torch.save(weights | {name: weights[name].to(torch.int8)}, path)


def drop_weight(path: Path, weights: Weights) -> None:
    torch.save({n: w for n, w in weights.items() if n != "detector.dot_prod_scoring.hs_proj.weight"}, path)


def drop_part(path: Path, weights: Weights) -> None:
    torch.save({n: w for n, w in weights.items() if "geometry_encoder" not in n}, path)


def add_adapter(path: Path, weights: Weights) -> None:
    torch.save(weights | {"detector.dot_prod_scoring.hs_proj.lora_A": torch.zeros(2, 2)}, path)


SAM2 = {
    "model": {"image_encoder.trunk.pos_embed": torch.zeros(1, 3, 7, 7), "memory_attention.norm.bias": torch.zeros(4)}
}


def write_two_text_encoders(path: Path, weights: Weights) -> None:
    name = "detector.backbone.language_backbone.encoder.embedding_layer.weight"
    torch.save({**weights, name: torch.zeros(4, 4)}, path)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (write_half, "is damaged, or only a part of it is there"),
        (write_half_safetensors, "is only a part of a file: "),
        (write_other_archive, "is damaged, or only a part of it is there"),
        (lambda path, _: path.write_bytes(b""), "is empty; download it again"),
        (lambda path, _: path.write_bytes(b"GGUF" + bytes(60)), "its first bytes are those of another kind of file"),
        (lambda path, _: torch.save(SAM2, path), "is not SAM 3: its weight image_encoder.trunk.pos_embed is of SAM 2"),
        (write_two_text_encoders, "encoder.positional_embedding.pos_embed.pos_embed is missing"),
        (lambda path, _: torch.save({"optimizer": {"state": {}}, "epoch": 3}, path), "no weights: it has epoch, optim"),
        (lambda path, _: torch.save([1, 2], path), "holds no weights: it is one list"),
        (lambda path, _: torch.save({"conv.weight": torch.zeros(3)}, path), "names such as 'conv.weight'"),
        (change_shape, r"query_proj.weight has the shape \(128, 127\), and \(128, 128\) is expected"),
        (write_int8, "hs_proj.weight as int8"),
        (drop_weight, "1 weights are missing, e.g. dot_product_scoring.query_proj.weight"),
        (drop_part, "detector.geometry_encoder.boxes_pool_project.weight is missing"),
        (add_adapter, "it has 1 more weights, e.g. detector.dot_prod_scoring.hs_proj.lora_A"),
    ],
)
def test_a_file_that_is_no_whole_sam3_is_refused_in_one_sentence(
    write: Callable[[Path, Weights], Any], sentence, native_weights, tmp_path
):
    copy_companions(tmp_path)
    write(tmp_path / "sam3.pt", native_weights)
    with pytest.raises(CheckpointError, match=sentence) as refusal:
        Sam3.load(tmp_path / "sam3.pt", device="cpu")
    assert "\n" not in str(refusal.value)
    assert "--sam3 tiny" in str(refusal.value)


@pytest.mark.parametrize("is_archive", [True, False])
def test_code_in_a_file_is_never_run(is_archive, tmp_path):
    content = {"model": Trap(tmp_path / "sprung")}
    if is_archive:
        torch.save(content, tmp_path / "sam3.pt")
    else:
        (tmp_path / "sam3.pt").write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="which could run code"):
        Sam3.load(tmp_path / "sam3.pt", device="cpu")
    assert not (tmp_path / "sprung").exists()


def test_a_folder_without_one_choice_says_what_it_holds(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no weights; expected config\.json and model\.safetensors, or"):
        Sam3.load(tmp_path)
    for name in ("sam3.pt", "sam3.1_multiplex.pt"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"several files of weights \(sam3.1_multiplex.pt, sam3.pt\)"):
        Sam3.load(tmp_path)


def write_merges(path: Path) -> None:
    lines = ["#version: 0.2", "c a", "ca t</w>", "d o", "do g</w>", "more than, needed"]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def test_the_table_of_merges_makes_the_tokenizer(tmp_path):
    write_merges(tmp_path / "merges.gz")
    tokenizer = read_merges(tmp_path / "merges.gz", 512 + 4 + 2)
    letters = list(bytes_to_unicode().values())
    [cat, dog, apart] = (tokenizer(text)["input_ids"] for text in ("cat", "Dog", "do"))
    assert cat == [516, 513, 517]
    assert dog == [516, 515, 517]
    assert apart == [516, letters.index("d"), 256 + letters.index("o"), 517]
    for content, words in ((b"no archive", 518), (gzip.compress(b"#\nc a"), 518)):
        (tmp_path / "merges.gz").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cannot be read|has \d+ tokens, and the weights have 518"):
            read_merges(tmp_path / "merges.gz", words)


def test_without_a_tokenizer_the_sentence_says_which_file_to_put_where(native_folder, tmp_path):
    (tmp_path / "sam3.pt").symlink_to(native_folder / "sam3.pt")
    with pytest.raises(CheckpointError, match=r"put bpe_simple_vocab_16e6.txt.gz .* beside it"):
        Sam3.load(tmp_path / "sam3.pt", device="cpu")
    write_merges(tmp_path / "bpe_simple_vocab_16e6.txt.gz")
    with pytest.raises(CheckpointError, match=r"has 519 tokens, and the weights have 1484|cannot be read"):
        Sam3.load(tmp_path / "sam3.pt", device="cpu")
