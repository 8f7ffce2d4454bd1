"""transformers' own class for phrases through a video, for measuring beside `Sam3.track`.

It has the same weights and the same rules. A session of it holds one phrase or several.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer, Sam2VideoVideoProcessor, Sam3ImageProcessor

from bench.harness.timing import read_clock
from bench.suites.videos.agreement import ShownFrame
from sam3_tool import TrackingRules, Video
from sam3_tool.backends.transformers.files.checkpoint import REFINER_FILE, locate_checkpoint
from sam3_tool.backends.transformers.files.weights import silence_transformers
from sam3_tool.errors import CheckpointError
from sam3_tool.tracking.holes import PUBLISHED_AREA

with warnings.catch_warnings():  # it compiles functions in a way that PyTorch has deprecated since
    warnings.simplefilter("ignore", DeprecationWarning)
    from transformers import Sam3VideoModel
    from transformers.models.sam3_video.processing_sam3_video import Sam3VideoProcessor

RULE_NAMES = {
    "duplicate_iou": "det_nms_thresh",
    "match_iou": "assoc_iou_thresh",
    "confirm_iou": "trk_assoc_iou_thresh",
    "birth_score": "new_det_thresh",
    "hot_start": "hotstart_delay",
    "hot_start_unmatched": "hotstart_unmatch_thresh",
    "hot_start_duplicates": "hotstart_dup_thresh",
    "first_keep_alive": "init_trk_keep_alive",
    "most_keep_alive": "max_trk_keep_alive",
    "least_keep_alive": "min_trk_keep_alive",
    "occlusion_iou": "suppress_overlapping_based_on_recent_occlusion_threshold",
    "reprompt_every": "recondition_every_nth_frame",
    "reprompt_score": "high_conf_thresh",
    "reprompt_iou": "high_iou_thresh",
    "most_objects": "max_num_objects",
}
"""A field of `TrackingRules` -> the attribute of `Sam3VideoModel` that holds it."""


class PassClock:
    """How many passes a module made, and the seconds that it and its companions took."""

    def __init__(self, module: Any, *companions: Any, device: torch.device) -> None:
        self.passes = 0
        self.seconds = 0.0
        self._device, self._started = device, 0.0
        module.register_forward_hook(self._count_pass)
        for each in (module, *companions):
            each.register_forward_pre_hook(self._start_pass)
            each.register_forward_hook(self._end_pass)

    def reset(self) -> None:
        self.passes, self.seconds = 0, 0.0

    def _count_pass(self, *_: Any) -> None:
        self.passes += 1

    def _start_pass(self, *_: Any) -> None:
        self._started = read_clock(self._device)

    def _end_pass(self, *_: Any) -> None:
        self.seconds += read_clock(self._device) - self._started


class TransformersSessions:
    """`Sam3VideoModel` with its processor. Every call of `follow_phrases` is a session of its own."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor
        self.device = torch.device(model.device)
        # the encoder takes one frame at a time; the neck makes the tracker's levels of what it encoded
        self.encoding = PassClock(model.detector_model.vision_encoder, model.tracker_neck, device=self.device)
        self.searching = PassClock(model.detector_model, device=self.device)

    @classmethod
    def load(
        cls, name: str, *, device: torch.device, dtype: torch.dtype, rules: TrackingRules | None = None
    ) -> "TransformersSessions":
        """Load a checkpoint.

        Args:
            name: As for `Sam3.load`; a folder that transformers reads.
            device: Where it runs.
            dtype: The format of its weights.
            rules: Taken over where transformers has them. Default: as published.

        Returns:
            The model in evaluation mode.

        Raises:
            CheckpointError: The checkpoint is missing, or is none of `Sam3VideoModel`'s.
        """
        folder = locate_checkpoint(name)
        _check_architecture(folder, name)
        with silence_transformers():
            model, report = Sam3VideoModel.from_pretrained(
                folder, dtype=dtype, output_loading_info=True, local_files_only=True
            )
            processor = _read_processor(folder)
        if lost := sorted(report["missing_keys"]):
            raise CheckpointError(
                f"{name!r} lacks {len(lost)} weights of `Sam3VideoModel`, e.g. {lost[0]}; expected a whole checkpoint"
                " with its memory, such as 'tiny' or 'facebook/sam3'"
            )
        model = model.eval().to(device)
        apply_rules(model, rules or TrackingRules())
        return cls(model, processor)

    def reset_clocks(self) -> None:
        """Set all counts to 0."""
        self.encoding.reset()
        self.searching.reset()

    def follow_phrases(self, video: Video, phrases: Sequence[str]) -> Iterator[ShownFrame]:
        """Follow phrases in one session, with masks of the video's size on the host, as its documentation shows."""
        frames = [video.read_frame(index).pixels for index in range(len(video))]
        with silence_transformers():  # it says once that a package for GPUs is not there
            session = self._processor.init_video_session(
                video=frames, inference_device=self.device, dtype=self._model.dtype
            )
            self._processor.add_text_prompt(session, list(phrases))
            for output in self._model.propagate_in_video_iterator(session):
                yield self._read_output(session, output, phrases)

    def _read_output(self, session: Any, output: Any, phrases: Sequence[str]) -> ShownFrame:
        found = self._processor.postprocess_outputs(session, output)
        masks, places = found["masks"].cpu().numpy(), {each: at for at, each in enumerate(found["object_ids"].tolist())}
        ids = [found["prompt_to_obj_ids"].get(phrase, []) for phrase in phrases]
        return ShownFrame(output.frame_idx, ids, [masks[[places[each] for each in row]] for row in ids])


def link_plain_checkpoint(name: str, into: Path) -> Path:
    """Link the files of a checkpoint but for its mask refiner, which transformers' class does not have.

    Args:
        name: As for `Sam3.load`.
        into: A folder for the links, if they are needed.

    Returns:
        The folder to load.

    Raises:
        CheckpointError: The checkpoint is missing.
    """
    source = locate_checkpoint(name)
    if not (source / REFINER_FILE).exists():
        return source
    for path in source.iterdir():
        if path.name != REFINER_FILE:
            (into / path.name).symlink_to(path)
    return into


def apply_rules(model: Any, rules: TrackingRules) -> None:
    """Set the rules of a `Sam3VideoModel`. Holes have the same share of a mask, rounded down, as in `Sam3.track`."""
    for ours, theirs in RULE_NAMES.items():
        if not hasattr(model, theirs):
            raise AttributeError(f"`Sam3VideoModel` has no {theirs!r}; name in RULE_NAMES what holds {ours!r} now")
        setattr(model, theirs, getattr(rules, ours))
    model.suppress_unmatched_only_within_hotstart = not rules.hide_unmatched
    model.fill_hole_area = min(rules.hole_area, rules.hole_area * model.low_res_mask_size**2 // PUBLISHED_AREA)


def _check_architecture(path: Path, name: str) -> None:
    """Refuse what transformers would read into random weights, or not at all."""
    kind = ""
    if path.is_dir():
        kind = Sam3VideoModel.config_class.get_config_dict(path, local_files_only=True)[0].get("model_type", "")
    if kind != "sam3_video":
        found = f"of type {kind!r}" if kind else "a single file"
        raise CheckpointError(
            f"{name!r} is {found}; expected a folder of type 'sam3_video' in transformers' layout, such as 'tiny' or "
            "'facebook/sam3', or --no-transformers to leave its class out"
        )


def _read_processor(folder: Path) -> Any:
    """Build the video processor from the image processor that each checkpoint has."""
    images = Sam3ImageProcessor.from_pretrained(folder, local_files_only=True)
    frames = Sam2VideoVideoProcessor(size=dict(images.size), image_mean=images.image_mean, image_std=images.image_std)
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return Sam3VideoProcessor(image_processor=images, video_processor=frames, tokenizer=tokenizer)
