"""The constants of phrase tracking, with their sources."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackingRules:
    """When a masklet begins, is confirmed, is removed and is hidden.

    The defaults are those of the published model: `build_sam3_video_model` in `sam3/model_builder.py` of
    github.com/facebookresearch/sam3, and where that passes nothing, `Sam3VideoBase` in `sam3/model/sam3_video_base.py`.
    Detections themselves are cut by `ConceptPrompt.threshold`, whose default is the published one too.

    Raises:
        ValueError: A share lies outside [0, 1], a count is negative, or a count of the hot start exceeds its length.

    >>> TrackingRules(birth_score=0.5).hot_start
    15
    """

    duplicate_iou: float = 0.1
    """Of two detections whose IoU exceeds this, the better one stays (`det_nms_thresh`)."""
    match_iou: float = 0.1
    """A detection belongs to each masklet that it overlaps by at least this IoU, and begins none
    (`assoc_iou_thresh`)."""
    confirm_iou: float = 0.5
    """A masklet that no detection overlaps by at least this IoU is unmatched on that frame
    (`trk_assoc_iou_thresh`)."""
    birth_score: float = 0.7
    """A detection that belongs to no masklet begins one from this score on (`new_det_thresh`). While the phrase has no
    masklet at all, every detection begins one, as in the published code."""
    hot_start: int = 15
    """Frames for which output is held back; only masklets this young are removed (`hotstart_delay`). 0 holds nothing
    back and removes nothing."""
    hot_start_unmatched: int = 8
    """A young masklet is removed once it was unmatched on this many frames (`hotstart_unmatch_thresh`)."""
    hot_start_duplicates: int = 8
    """A young masklet is removed once it shared its detection with an older one on this many frames
    (`hotstart_dup_thresh`)."""
    hide_unmatched: bool = False
    """Whether a masklet of any age is hidden while its keep-alive count is 0 or less
    (`not suppress_unmatched_only_within_hotstart`)."""
    first_keep_alive: int = 30
    """The count of a new masklet (`init_trk_keep_alive`); a matched frame adds 1, an unmatched one takes 1."""
    most_keep_alive: int = 30
    """`max_trk_keep_alive`."""
    least_keep_alive: int = -1
    """`min_trk_keep_alive`."""
    occlusion_iou: float = 0.7
    """Of two masklets of a phrase that overlap by at least this IoU, the one that was away more recently is emptied on
    that frame (`suppress_overlapping_based_on_recent_occlusion_threshold`)."""
    hole_area: int = 16
    """Holes and specks of at most this many cells of a 288 x 288 mask are filled and removed (`fill_hole_area`). Of a
    coarser mask they have the same share."""
    reprompt_every: int = 16
    """On each frame whose number this divides, sure detections prompt their masklets anew
    (`recondition_every_nth_frame`). 0 = never."""
    reprompt_score: float = 0.8
    """From this detection score on (`HIGH_CONF_THRESH` in `_associate_det_trk`)."""
    reprompt_iou: float = 0.8
    """From this IoU with the masklet on (`HIGH_IOU_THRESH`)."""
    reprompt_presence: float = 0.8
    """And only above this logit of the masklet's presence (`HIGH_CONF_THRESH` in `_recondition_masklets`, which
    compares it with a logit)."""
    most_objects: int = 10_000
    """Objects that are followed at the same time, of all prompts together; of more, the best detections begin
    (`max_num_objects`, which the published model sets to no limit, that is to this)."""

    def __post_init__(self) -> None:
        shares = ("duplicate_iou", "match_iou", "confirm_iou", "birth_score", "occlusion_iou")
        for name in (*shares, "reprompt_score", "reprompt_iou"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"`{name}` must lie in [0, 1], got {getattr(self, name)}")
        for name in ("hot_start", "hole_area", "reprompt_every", "most_objects"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more, got {getattr(self, name)}")
        for name in ("hot_start_unmatched", "hot_start_duplicates"):
            if self.hot_start and not 1 <= getattr(self, name) <= self.hot_start:
                raise ValueError(f"`{name}` must lie in 1 to `hot_start` ({self.hot_start}), got {getattr(self, name)}")
