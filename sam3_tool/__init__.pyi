from .backends import Backend, CheckpointError, DeviceError
from .backends.scripted import ScriptedBackend
from .instances import Instances
from .overlap import remove_overlaps
from .picture import Picture, PictureError
from .prompt import ConceptPrompt, VisualPrompt
from .sam3 import Sam3, SamReport

__all__ = [
    "Backend",
    "CheckpointError",
    "ConceptPrompt",
    "DeviceError",
    "Instances",
    "Picture",
    "PictureError",
    "Sam3",
    "SamReport",
    "ScriptedBackend",
    "VisualPrompt",
    "remove_overlaps",
]
