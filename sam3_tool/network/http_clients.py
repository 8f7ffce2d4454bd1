"""What every HTTP client of a process trusts, read once."""

import os
import ssl
from functools import cache

import httpx2

CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Say where trusted certificates are."""


def make_tls_context() -> ssl.SSLContext:
    """Return the certificates that are trusted, read once for all clients: it takes as long as a few requests.

    Raises:
        OSError: An environment variable names what cannot be read; `describe_http_fault` says it before.
    """
    return _read_certificates(*map(os.environ.get, CERTIFICATE_VARIABLES))


@cache
def _read_certificates(*places: str | None) -> ssl.SSLContext:
    """`places`: the values of `CERTIFICATE_VARIABLES`, so that a change of them is seen."""
    return httpx2.create_ssl_context()
