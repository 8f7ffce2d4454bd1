"""A hosted SAM 3 by the name that its server has for it: the entry point `hosted`."""

from sam3_tool.backends.hosted.backend import HostedBackend
from sam3_tool.backends.hosted.client import HostedClient
from sam3_tool.backends.hosted.endpoint import HostedEndpoint
from sam3_tool.backends.hosted.settings import HostedSettings
from sam3_tool.errors import CheckpointError


def load_hosted_backend(weights: str, *, device: str, dtype: str, compile: str | None) -> HostedBackend:
    """Connect to a hosted SAM 3. Nothing is sent before the first question.

    Args:
        weights: The server's name for it, as in "hosted:sam-3.1"; "" means sam-3.1.
        device: Has no meaning here.
        dtype: Has no meaning here.
        compile: Must be None.

    Returns:
        A backend that sends every question to the server.

    Raises:
        CheckpointError: There is no key, or the environment holds what cannot be used.

    >>> import os
    >>> os.environ["SAM_BASE_URL"] = "http://127.0.0.1:8000/v1"
    >>> load_hosted_backend("", device="auto", dtype="auto", compile=None).name
    'hosted:sam-3.1'
    >>> del os.environ["SAM_BASE_URL"]
    """
    if compile is not None:
        raise CheckpointError("a hosted SAM 3 runs elsewhere and cannot be compiled here; leave `compile` out")
    settings = HostedSettings.from_environment(weights)
    return HostedBackend(HostedClient.connect(HostedEndpoint.from_environment(), settings))
