"""The error of a text that is no mask."""


class MaskTextError(ValueError):
    """A text is no mask of the size that it is said to have. The message says why, as the rest of a sentence."""
