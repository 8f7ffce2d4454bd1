"""The errors of evaluation. `sam3_tool.errors` draws the whole tree."""

from sam3_tool.errors import UserError


class DatasetError(UserError, ValueError):
    """A benchmark's files are missing or not as published. The message is one sentence: found, expected, what to do."""


class NoTruthError(DatasetError):
    """A data set gives nothing that answers could be compared with. Its samples can be asked, but not scored."""


class ScoringError(UserError, ValueError):
    """An input has no official score. The message is one sentence that names the entry."""


class RunError(UserError, ValueError):
    """A run cannot be started, resumed or read. The message is one sentence for the user."""


class TooManyFailuresError(RunError):
    """A run was stopped, because too many of its samples failed."""

    exit_code = 1
