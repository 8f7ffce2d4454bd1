"""SAM 3 as a tool: pictures and prompts in, numbered instances out."""

from sam3_tool.backends import Backend, CheckpointError, DeviceError
from sam3_tool.backends.scripted import ScriptedBackend
from sam3_tool.instances import Instances
from sam3_tool.overlap import remove_overlaps
from sam3_tool.picture import Picture, PictureError
from sam3_tool.prompt import ConceptPrompt
from sam3_tool.sam3 import Sam3, SamReport

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
    "remove_overlaps",
]
