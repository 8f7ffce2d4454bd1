"""The errors of the agent. `sam3_tool.errors` draws the whole tree."""

from sam3_tool.errors import Sam3AgentError, UserError


class ToolError(Sam3AgentError):
    """A mistake that the planner can correct. The message is one sentence, shown to the planner as the observation."""


class PlannerError(UserError, ValueError):
    """A planner cannot be made, or cannot go on. The message is one line for the user."""


class FailedCallError(UserError, RuntimeError):
    """The first call of a tool fails, as SAM 3 or its device does. The message is one line; the cause is the error."""

    exit_code = 1


class ConversationError(UserError, ValueError):
    """A turn of a conversation cannot be made. The message is one line for the user."""


class OutputError(UserError, OSError):
    """A result cannot be written. The message is one line for the user."""


class InterruptedOutputError(OutputError):
    """Writing a result failed after it had begun, e.g. on a full disk. The message is one line for the user."""

    exit_code = 1


class UsageError(UserError, ValueError):
    """An option or a command cannot be understood. The message is one line for the user."""
