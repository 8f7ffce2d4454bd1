"""What is saved: episodes, what made them, and the replies of language models."""

# The names, and where each is defined, are in __init__.pyi; a module is imported when its first name is used.
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
