"""Why a request got no answer, whether asking again can help, and what the user is told."""

import json
import re
from typing import Any, Literal

import httpx2

from sam3_tool.backends.catalog import WORKS_NOW
from sam3_tool.backends.hosted.endpoint import ADDRESS_VARIABLE, KEY_VARIABLE
from sam3_tool.network.retries import RETRYABLE_STATUSES, parse_retry_after
from sam3_tool.network.servers import hide_password

READ_LETTERS, SHOWN_LETTERS = 4000, 300
"""Letters of a server's words that are read, and that a person is shown."""
_ADDRESS_ADVICE = f"is {ADDRESS_VARIABLE} the address of a Responses API? Most end in /v1"


class RequestError(Exception):
    """A request got no answer. It never leaves this package."""

    def __init__(
        self, description: str, retry: Literal["now", "never"], *, advice: str = "", wait: float = 0.0
    ) -> None:
        """Describe it.

        Args:
            description: What the server did; it follows the server's address in the sentence.
            retry: Whether to ask again.
            advice: What the user can do about it.
            wait: Seconds that the server asks to wait.
        """
        super().__init__(description)
        self.description, self.retry, self.advice, self.wait = description, retry, advice, wait


def classify_error(error: Exception) -> RequestError:
    """Return the fault behind what the HTTP library raised."""
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol):
        why = str(error)
        if "SSL" in why or "certificate" in why.lower():
            advice = "SSL_CERT_FILE names a file with certificates that are trusted"
            return RequestError(f"cannot be trusted ({_shorten(why)})", "never", advice=advice)
        return RequestError(
            "cannot be reached", "now", advice=f"is it running, and is {ADDRESS_VARIABLE} its address? {WORKS_NOW}"
        )
    return RequestError("closed the connection without a whole answer", "now")


def classify_status(response: httpx2.Response, text: str, model: str) -> RequestError:
    """Return the fault behind an answer with a status other than 200."""
    status, words = response.status_code, _shorten(read_words(text))
    about = f" ({words})" if words else ""
    if response.is_redirect:
        place = hide_password(str(httpx2.URL(str(response.url)).join(response.headers["location"])))
        address = place.removesuffix("/responses")
        return RequestError(f"has moved to {address}", "never", advice=f"set {ADDRESS_VARIABLE} to it")
    if status in RETRYABLE_STATUSES or status >= 500:
        return _classify_temporary(response, text, f"answered {status}{about}")
    key_advice = f"expected is a key of this server in the environment variable {KEY_VARIABLE}. {WORKS_NOW}"
    lasting = {
        401: (f"refused the key{about}", key_advice),
        402: (f"wants to be paid{about}", f"the account behind the key has no credit left. {WORKS_NOW}"),
        403: (f"does not allow the use of {model!r}{about}", key_advice),
        404: (f"does not know {model!r}{about}", _ADDRESS_ADVICE),
        405: (f"takes no questions{about}", _ADDRESS_ADVICE),
        413: (f"does not take so large a request{about}", "SAM_IMAGE_SIDE=1024 sends smaller images"),
    }
    description, advice = lasting.get(status, (f"refused the request with {status}{about}", ""))
    return RequestError(description, "never", advice=advice)


def _classify_temporary(response: httpx2.Response, text: str, description: str) -> RequestError:
    if "insufficient_quota" in text[:READ_LETTERS]:
        return RequestError(description, "never", advice=f"the account behind the key has no credit left. {WORKS_NOW}")
    wait = parse_retry_after(response.status_code, response.headers, text[:READ_LETTERS])
    return RequestError(description, "now", wait=wait)


def decode_json(text: str) -> Any:
    """Return the JSON of an answer.

    Raises:
        RequestError: There is none.
    """
    if not text.strip():
        raise RequestError("answered with nothing at all", "now")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        raise RequestError("answered with damaged JSON", "now")
    raise RequestError(
        f"answered with text that is no JSON ({_shorten(read_words(text))})", "never", advice=_ADDRESS_ADVICE
    )


def read_words(text: str) -> str:
    """Return a server's own words, on one line, from JSON or from a page.

    >>> read_words('{"error": {"message": "no such key"}}'), read_words("<html><h1>Bad gateway</h1></html>")
    ('no such key', 'Bad gateway')
    """
    head = text[:READ_LETTERS]
    try:
        held = json.loads(text) if len(text) <= READ_LETTERS else None
    except (ValueError, RecursionError):
        held = None
    error = held.get("error", held) if isinstance(held, dict) else None
    said = (
        next((error[key] for key in ("message", "detail", "code") if error.get(key)), None)
        if isinstance(error, dict)
        else error
    )
    if said is None:
        said = re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]*>", " ", head, flags=re.DOTALL)
    return " ".join(str(said).encode("utf-8", "replace").decode().split()).rstrip(".")


def _shorten(words: str) -> str:
    return words if len(words) <= SHOWN_LETTERS else f"{words[:SHOWN_LETTERS]}…"
