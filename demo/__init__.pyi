from .server import mount_page as mount_page
from .studio.component import MaskStudio as MaskStudio
from .studio.value import StudioBox as StudioBox
from .studio.value import StudioClick as StudioClick
from .studio.value import StudioMask as StudioMask
from .studio.value import StudioValue as StudioValue
from .studio.value import StudioView as StudioView
from .studio.value import read_studio_event as read_studio_event

__all__ = [
    "MaskStudio",
    "StudioBox",
    "StudioClick",
    "StudioMask",
    "StudioValue",
    "StudioView",
    "mount_page",
    "read_studio_event",
]
