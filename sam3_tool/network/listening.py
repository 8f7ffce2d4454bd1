"""A socket to listen at, or one sentence that says why there is none."""

from contextlib import suppress
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket


def open_listener(host: str, port: int) -> socket:
    """Bind a socket, which does not listen yet.

    Args:
        host: An address or a name of this machine.
        port: 0 for any free port.

    Returns:
        The socket; `getsockname` tells its port.

    Raises:
        OSError: There is no such address here, or the port is taken. The message is one sentence.

    >>> with open_listener("127.0.0.1", 0) as bound:
    ...     bound.getsockname()[1] > 0
    True
    """
    # asyncio sends without delay only if the protocol is named; else an answer waits 40 ms for the client's kernel
    bound = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM, IPPROTO_TCP)
    bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        why = error.strerror or error
        raise OSError(f"cannot listen at {host}, port {port}: {why}; choose another --port") from error
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
