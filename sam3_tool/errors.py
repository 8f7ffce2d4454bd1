"""The errors of the whole project.

    Sam3AgentError
    ├── UserError               one line for a person: what was found, what was expected, what to do; exit code 2
    │   ├── ImageError          a file or an array is no image
    │   │   └── ImageSizeError  an image has more pixels than it may have
    │   ├── VideoError          a file, a folder or a list of images is no video
    │   ├── CheckpointError     the weights of SAM 3 are missing or cannot be read
    │   ├── ConceptError        a saved concept cannot be used
    │   ├── DeviceError         a model cannot run, or go on, on its device
    │   ├── FetchError          a URL is refused, or nothing comes from it        (sam3_tool.network.fetching)
    │   ├── PathError           a path cannot name any file
    │   ├── RecordError         a saved episode, conversation or recording cannot be read or written
    │   ├── OverloadedError     too much waits already
    │   ├── DeadlineError       the work had not begun when it was too late
    │   ├── RequestCancelledError  whoever asked no longer wants an answer
    │   ├── MissingPackageError an optional package is not installed
    │   ├── PluginError         no installed package has such a part              (sam3_tool.plugins)
    │   ├── PlannerError        a planner cannot be made, or cannot go on         (agent.core.errors)
    │   │   └── ModelError      a chat model cannot be made                       (agent.models.base)
    │   ├── FailedCallError     SAM 3, or what it runs on, fails at the first call (agent.core.errors)
    │   ├── ConversationError   a turn cannot be made                             (agent.core.errors)
    │   ├── OutputError         a result cannot be written                        (agent.core.errors)
    │   │   └── InterruptedOutputError  writing it failed after it had begun; exit code 1
    │   ├── UsageError          an option or a command cannot be understood       (agent.core.errors)
    │   ├── DatasetError        a benchmark's files are missing or not as published  (evals.errors)
    │   ├── RunError            a run's folder cannot be used                     (evals.errors)
    │   ├── ScoringError        predictions cannot be scored                      (evals.errors)
    │   ├── SourceError         there are no images where they were looked for       (annotate.errors)
    │   ├── AnnotationError     the folder of a run over many images cannot be used  (annotate.errors)
    │   │   └── WorkerError     its workers cannot go on; exit code 1
    │   ├── EngineError         a data engine cannot be made, opened or run           (engine.errors)
    │   │   └── EngineInterruptedError  it cannot write any more; exit code 1
    │   ├── ApiError            a request over HTTP is refused                (serve.http.errors)
    │   ├── SessionExpiredError a visitor's session is gone                       (demo.sessions)
    │   └── InvalidEventError   the page sent what is no event                    (demo.requests)
    └── ToolError               a mistake that the planner can mend, written to it   (agent.core.errors)

Whoever talks to a person catches `UserError` and nothing else. Every other exception is a defect and keeps its
traceback. No message shows a password, a signature or a token that stood in an address.
"""

import re

_USER_INFO = re.compile(
    r"""([A-Za-z][A-Za-z0-9+.-]+:/{1,2})  # a path that was made of an address has one slash
    (?:[^\s/?#"<>]{1,4096}               # a name and a password, as they should be written
    |[^\s/?#:@\["<>]{0,256}:(?!\d*(?:[/?#\s]|$))[^\s"<>]{1,4096})  # with a slash, so that the host seems to end there
    @""",
    re.VERBOSE,
)
_SECRET_PARAMETER = re.compile(
    r"""([?&;\#](?:
    [\w.~$%-]{0,64}(?:signature|token|secret|password|passwd|credential|api[_-]?key|access[_-]?key(?:[_-]?id)?)
    |sig|sas|jwt|auth|authorization|hmac|pwd|subscription-key)=)
    [^&;\#\s"'<>]*[^&;\#\s"'<>:,.)]  # and what a sentence goes on with""",
    re.VERBOSE | re.IGNORECASE,
)
"""A parameter of an address that lets its bearer in, as clouds sign addresses (AWS, Azure, Google) and others do."""


def mask_passwords(text: str) -> str:
    """Return a text as it may be shown or written: addresses in it have *** in place of what lets their bearer in.

    That is a name and a password before the host, and signatures and tokens among the parameters.

    >>> mask_passwords("https://me:secret@example.org/a.png: allow its host with --allow-url HOST")
    'https://***@example.org/a.png: allow its host with --allow-url HOST'
    >>> mask_passwords("https://example.org:8000/@me/a.png")
    'https://example.org:8000/@me/a.png'
    >>> mask_passwords("https://example.org/a.png?size=2&X-Amz-Signature=5d672d&token=9f")
    'https://example.org/a.png?size=2&X-Amz-Signature=***&token=***'
    """
    shown = _USER_INFO.sub(r"\1***@", text) if "@" in text else text
    return _SECRET_PARAMETER.sub(r"\1***", shown) if "=" in shown and ":/" in shown else shown


class Sam3AgentError(Exception):
    """Base of every error that this project raises on purpose.

    >>> issubclass(CheckpointError, UserError) and issubclass(UserError, Sam3AgentError)
    True
    >>> str(UserError("http://me:secret@localhost:8000/v1 answers nothing"))
    'http://***@localhost:8000/v1 answers nothing'
    """

    def __init__(self, *told: object) -> None:
        """Say what is wrong, in one sentence."""
        super().__init__(*(mask_passwords(part) if isinstance(part, str) else part for part in told))


class UserError(Sam3AgentError):
    """A mistake that the user can mend. The message is one line for a person."""

    exit_code = 2
    """Exit code of a command that ends with this error."""


class ImageError(UserError, ValueError):
    """Signal that a file or an array is no image that can be used."""


class ImageSizeError(ImageError):
    """Signal that an image has more pixels than it may have."""


class VideoError(UserError, ValueError):
    """Signal that a file, a folder or a list of images is no video that can be used."""


class CheckpointError(UserError, RuntimeError):
    """Signal that the weights of SAM 3 are missing or cannot be read."""


class ConceptError(UserError, ValueError):
    """Signal that a concept cannot be read or written, or that it is of other weights."""


class DeviceError(UserError, ValueError):
    """Signal that a model cannot run, or go on, on its device: there is none, it failed, or its memory is full."""


class PathError(UserError, ValueError):
    """Signal that a text cannot be the path of any file, e.g. because it is empty."""


class RecordError(UserError, ValueError):
    """Signal that a saved episode, conversation or recording cannot be read or written."""


class OverloadedError(UserError, RuntimeError):
    """Signal that so much waits already that more is not taken. It may be taken in a moment."""


class DeadlineError(UserError, TimeoutError):
    """Signal that a request had not begun by its deadline. It was not computed."""


class RequestCancelledError(UserError, RuntimeError):
    """Signal that a request was cancelled before it had begun. It was not computed."""


class MissingPackageError(UserError, ImportError):
    """Signal that an optional package, which this call needs, is not installed."""
