"""Messages to a client's own server: signed with a time stamp, as standardwebhooks.com describes, and sent again."""

import asyncio
import hmac
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from time import time
from typing import Any

from sam3_tool.network.fetching import FetchError, UrlFetcher

log = logging.getLogger(__name__)

SECRET_PREFIX = "whsec_"
SECRET_BYTES = (16, 64)
"""How many a secret has at least, and at most."""
RETRY_SECONDS = (1.0, 5.0, 30.0, 120.0)
"""Before each further try. Every try has a new time stamp, so that a receiver may refuse old ones."""


def parse_secret(text: str) -> bytes:
    """Read a secret as it is written.

    Args:
        text: 'whsec_' and Base64 of 16 to 64 bytes.

    Raises:
        ValueError: It is something else. The message does not show it.
    """
    least, most = SECRET_BYTES
    try:
        secret = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not (text.startswith(SECRET_PREFIX) and least <= len(secret) <= most):
        raise ValueError(f"expected {SECRET_PREFIX} and Base64 of {least} to {most} bytes")
    return secret


def sign_message(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver knows who sent a message, and when.

    Args:
        secret: What both sides know.
        message_id: The same for every try.
        timestamp: In seconds since 1970.
        body: The message.

    Example:
        >>> sign_message(b"0123456789abcdef", "j1", 1700000000, b"{}")["webhook-signature"]
        'v1,D7AsxYbt4ZYOsh1li9JJxqSXBv4YdvlLfKjYQFeWats='
    """
    signed = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{b64encode(signed).decode()}",
    }


async def deliver_message(
    fetcher: UrlFetcher,
    url: str,
    secret: bytes,
    message_id: str,
    message: Mapping[str, Any],
    *,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> str:
    """Post a message until the receiver takes it, five times at most.

    Args:
        fetcher: It refuses URLs that are not allowed, each time anew.
        url: Of the receiver.
        secret: What both sides know.
        message_id: By which a receiver that gets it twice can tell.
        message: What is sent as JSON.
        wait: Waits so many seconds.

    Returns:
        '' once the receiver has answered with a status from 200 to 299; else why it was given up.
    """
    body = json.dumps(message).encode()
    failure = ""
    for seconds in (0.0, *RETRY_SECONDS):
        await wait(seconds)
        try:
            status = await fetcher.post(url, body, sign_message(secret, message_id, int(time()), body))
        except FetchError as error:
            failure = str(error)
            if error.code != "url_failed":  # it is refused by us, and would be again
                break
            continue
        if 200 <= status < 300:
            return ""
        failure = f"the receiver answered {status}"
    log.warning("the webhook of %s was not delivered: %s", message_id, failure)
    return failure
