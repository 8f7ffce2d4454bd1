"""A web page to segment by talking and clicking, `sam3-agent demo`, and its component for pages of your own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
