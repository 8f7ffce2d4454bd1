from .backends.base import (
    Backend,
    ConceptBackend,
    CrossImageEmbedding,
    Detections,
    Embedding,
    LowMasks,
    ObjectMemory,
    VideoBackend,
)
from .backends.scripted import ScriptedBackend, ScriptedEmbedding
from .concepts.concept import Concept
from .costs import CallCost
from .errors import (
    CheckpointError,
    ConceptError,
    DeadlineError,
    DeviceError,
    ImageError,
    ImageSizeError,
    MissingPackageError,
    OverloadedError,
    RecordError,
    RequestCancelledError,
    Sam3AgentError,
    UserError,
    VideoError,
)
from .image import Image
from .instances import Instances
from .masks.rle import RleMask
from .overlap import remove_overlaps
from .plugins import PluginError
from .probability import ProbabilityCurve, ProbabilityEstimator, PromptKind
from .prompts import Box, ConceptPrompt, FramePrompt, Point, PointsPrompt, Prompt, VisualPrompt
from .sam3 import BatchReport, Sam3, SegmentationReport
from .service import SegmentationRequest
from .tracking.frames import TrackedFrame, collect_masklets
from .tracking.rules import TrackingRules
from .tracking.session import TrackingSession
from .tracking.streaming import EmbedFn, TrackingPrompt
from .video.masklets import Masklet, Masklets
from .video.video import FrameSource, Video

__all__ = [
    "Backend",
    "BatchReport",
    "Box",
    "CallCost",
    "CheckpointError",
    "Concept",
    "ConceptBackend",
    "ConceptError",
    "ConceptPrompt",
    "CrossImageEmbedding",
    "DeadlineError",
    "Detections",
    "DeviceError",
    "EmbedFn",
    "Embedding",
    "FramePrompt",
    "FrameSource",
    "Image",
    "ImageError",
    "ImageSizeError",
    "Instances",
    "LowMasks",
    "Masklet",
    "Masklets",
    "MissingPackageError",
    "ObjectMemory",
    "OverloadedError",
    "PluginError",
    "Point",
    "PointsPrompt",
    "ProbabilityCurve",
    "ProbabilityEstimator",
    "Prompt",
    "PromptKind",
    "RecordError",
    "RequestCancelledError",
    "RleMask",
    "Sam3",
    "Sam3AgentError",
    "ScriptedBackend",
    "ScriptedEmbedding",
    "SegmentationReport",
    "SegmentationRequest",
    "TrackedFrame",
    "TrackingPrompt",
    "TrackingRules",
    "TrackingSession",
    "UserError",
    "Video",
    "VideoBackend",
    "VideoError",
    "VisualPrompt",
    "collect_masklets",
    "remove_overlaps",
]
