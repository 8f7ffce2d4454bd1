"""The images of Label Studio's tasks: from the one server that the operator names, with its key, and nowhere else."""

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urljoin, urlsplit

import httpx2

from agent.core.errors import UsageError
from sam3_tool.network.servers import is_server_address, mask_address

DEADLINE = 20.0
"""Seconds for an image, whatever keeps the connection alive."""
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
"""A personal access token of Label Studio; a legacy one has no dots."""
_CLOUD_STORAGE = re.compile(r"(s3|gs|azure-blob)://")
"""What Label Studio itself fetches for its users, from the cloud storages of a project."""


@dataclass(frozen=True)
class LabelStudioImages:
    """Fetches what tasks name: a path of Label Studio, what lies in a cloud storage of its, or a data URL.

    A key goes to the server of `url` alone. Other hosts, and redirects to them, are left to `fetch_elsewhere`.

    Raises:
        UsageError: `url` is no address, or `api_key` has letters that no key has. The message does not show it.

    >>> LabelStudioImages("https://labels.example.org/studio").find_url("/data/upload/1/cat.png")
    'https://labels.example.org/studio/data/upload/1/cat.png'
    """

    url: str = ""
    """Of Label Studio; empty: only data URLs have an image."""
    api_key: str = field(default="", repr=False)
    """A legacy token, or a personal access token."""
    max_bytes: int = 40 * 2**20
    seconds: float = DEADLINE
    fetch_elsewhere: Callable[[str], bytes] | None = None
    """Fetches what other hosts hold, without a key; left out, nothing else is fetched."""

    def __post_init__(self) -> None:
        if self.url and not is_server_address(self.url):
            raise UsageError(
                f"LABEL_STUDIO_URL must begin with https:// or http:// and a host, got {mask_address(self.url)!r}"
            )
        if not re.fullmatch(r"[!-~]*", self.api_key):
            raise UsageError("LABEL_STUDIO_API_KEY has spaces or letters that no key has")

    def read(self, value: str, *, task: int | str | None = None) -> bytes:
        """Return the content of the image that a task names.

        Args:
            value: A path, a URL, a data URL, or the address of an object in a cloud storage, e.g. s3://BUCKET/KEY.
            task: The number of the task, without which Label Studio gives out nothing of a cloud storage.

        Raises:
            UsageError: It is none of Label Studio's images, or it cannot be fetched.
        """
        if value.startswith("data:"):
            return self._decode_data_url(value)
        url = self.find_url(value, task=task)
        if url is not None:
            return self._fetch(url)
        if self.fetch_elsewhere is not None and re.match("https?://", value):
            return self.fetch_elsewhere(value)
        if not self.url:
            raise UsageError("LABEL_STUDIO_URL is not set where the server was started, so no image can be fetched")
        raise UsageError(f"only images that lie in Label Studio itself are fetched, under {self.url}/data/")

    def find_url(self, value: str, *, task: int | str | None = None) -> str | None:
        """Return the address of an image in Label Studio; None for whatever lies elsewhere. Arguments: as of `read`."""
        home = self.url.rstrip("/")
        own = urlsplit(home)
        files = f"{own.path}/data/"
        if home and _CLOUD_STORAGE.match(value) and re.fullmatch("[0-9]{1,18}", str(task)):
            return f"{home}/tasks/{task}/resolve/?fileuri={base64.urlsafe_b64encode(value.encode()).decode()}"
        if not home or not value.startswith(("/", "http://", "https://")):
            return None
        try:
            url = home + value if value.startswith("/") and not value.startswith(files) else urljoin(home, value)
            asked = urlsplit(url)
        except ValueError:
            return None
        is_inside = asked.path.startswith(files) and ".." not in re.split(r"[/\\]", unquote(asked.path))
        return url if is_inside and (own.scheme, own.netloc) == (asked.scheme, asked.netloc) else None

    def _decode_data_url(self, value: str) -> bytes:
        head, comma, content = value.partition(",")
        if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
            raise UsageError("a data URL must begin with data:image/ and hold base64")
        try:
            return base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise UsageError("a data URL holds no base64") from error

    def _fetch(self, url: str) -> bytes:
        until = time.monotonic() + self.seconds
        try:
            with (
                httpx2.Client(follow_redirects=False, trust_env=False, timeout=self.seconds) as client,
                client.stream("GET", url, headers=self._build_headers(client)) as answer,
            ):
                if self.fetch_elsewhere is None or not answer.has_redirect_location:
                    self._check_answer(answer)
                    return self._read_body(answer, until)
                target = urljoin(url, answer.headers["location"])
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UsageError(f"Label Studio cannot be asked for the image ({type(error).__name__})") from error
        return self.fetch_elsewhere(target)  # which gets no key

    def _build_headers(self, client: httpx2.Client) -> dict[str, str]:
        if not self.api_key:
            return {}
        if not _JWT.fullmatch(self.api_key):
            return {"authorization": f"Token {self.api_key}"}
        answer = client.post(f"{self.url.rstrip('/')}/api/token/refresh/", json={"refresh": self.api_key})
        access = _read_access(answer)
        if not access:
            raise UsageError(f"Label Studio refuses LABEL_STUDIO_API_KEY (it answered {answer.status_code})")
        return {"authorization": f"Bearer {access}"}

    def _check_answer(self, answer: httpx2.Response) -> None:
        if answer.is_redirect:
            raise UsageError(
                "Label Studio says that the image lies elsewhere, and no redirect is followed to a host that"
                " --allow-url does not name"
            )
        if answer.status_code in (401, 403):
            raise UsageError(f"Label Studio refuses the image ({answer.status_code}); see LABEL_STUDIO_API_KEY")
        if answer.status_code != 200:
            raise UsageError(f"Label Studio has no such image (it answered {answer.status_code})")

    def _read_body(self, answer: httpx2.Response, until: float) -> bytes:
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > self.max_bytes:
                raise UsageError(f"the image is over the limit of {self.max_bytes:,} bytes")
            if time.monotonic() > until:
                raise UsageError(f"Label Studio did not send the image within {self.seconds:g} seconds")
        return bytes(body)


def _read_access(answer: httpx2.Response) -> str:
    """The short-lived token that Label Studio gave; "" for none."""
    try:
        return str(answer.json()["access"]) if answer.status_code == 200 else ""
    except (ValueError, KeyError, TypeError):
        return ""
