"""What can be wrong with a data engine's folder or with what it is given, in one line for a person."""

from sam3_tool.errors import UserError


class EngineError(UserError, RuntimeError):
    """A data engine cannot be made, opened or run. The message is one line: found, expected, what to do."""


class EngineInterruptedError(EngineError):
    """A data engine stopped half-way because it cannot write. What was done before is kept."""

    exit_code = 1
