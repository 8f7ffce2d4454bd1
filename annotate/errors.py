"""What can be wrong with a run over many images, in one line for a person."""

from sam3_tool.errors import UserError


class SourceError(UserError, ValueError):
    """There are no images where they were looked for, or they cannot be listed. The message is one line."""


class AnnotationError(UserError, RuntimeError):
    """The folder of a run cannot be used, or a run cannot go on. The message is one line."""


class WorkerError(AnnotationError):
    """What computes the masks cannot begin or go on, whichever image it gets. What is done so far is kept."""

    exit_code = 1
