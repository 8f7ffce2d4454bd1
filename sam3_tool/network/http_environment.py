"""What environment variables do to every HTTP client, said before one is made.

The clients of the Hugging Face hub, of chat models and of the demo read the same variables, and each breaks in a way of
its own where one of them cannot be used: with an ImportError, with a FileNotFoundError, at the first request, or never.
"""

import os
import ssl
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
"""Read in lower case first, and then in capitals."""
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def describe_http_fault(environment: Mapping[str, str] = os.environ, *, encrypted: bool = True) -> str:
    """Say which environment variable keeps HTTP clients from working, and what to do about it.

    Args:
        environment: The variables of a process by name.
        encrypted: Whether the server's address begins with https, so that its certificate will be checked.

    Returns:
        One sentence without a full stop and without a password; "" where nothing is wrong.

    Example:
        >>> describe_http_fault({"SSLKEYLOGFILE": "/nowhere/log"}).partition(" (")[0]
        "the environment variable SSLKEYLOGFILE names '/nowhere/log', which cannot be written"
        >>> describe_http_fault({"https_proxy": "http://proxy.local:3128"})
        ''
    """
    return (
        _describe_proxy_fault(environment)
        or _describe_certificate_fault(environment, encrypted)
        or _describe_key_log_fault(environment.get("SSLKEYLOGFILE", ""))
    )


def list_http_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """List the variables in an environment that HTTP clients read, by name.

    Example:
        >>> list_http_variables({"HTTPS_PROXY": "http://proxy.local:3128", "LANG": "C"})
        ['HTTPS_PROXY']
    """
    known = (*PROXY_VARIABLES, "no_proxy", "ssl_cert_file", "ssl_cert_dir", "sslkeylogfile")
    return sorted(name for name, value in environment.items() if name.lower() in known and value)


def _describe_proxy_fault(environment: Mapping[str, str]) -> str:
    for lower in PROXY_VARIABLES:
        name = lower if lower in environment else lower.upper()
        value = environment.get(name, "")
        fault = _find_proxy_fault(value) if value else ""
        if fault == "socks":
            return (
                f"the environment variable {name} asks for a SOCKS proxy, which needs the package socksio;"
                " install it with: uv pip install socksio; or unset the variable"
            )
        if fault:
            return (
                f"the environment variable {name} holds no address of a proxy ({fault});"
                " expected one such as http://proxy.local:3128; set it or unset it"
            )
    return ""


def _find_proxy_fault(value: str) -> str:
    """Say what is wrong with the address of a proxy, without repeating it: it may hold a password."""
    if not value.isprintable() or any(map(str.isspace, value)):
        return "it has spaces or control characters"
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        if parts.port == 0:
            return "its port is 0"
    except ValueError as error:
        return "its port is no number" if "ort" in str(error) else "its brackets do not match"
    if parts.scheme not in PROXY_SCHEMES:
        return f"its scheme is none of {', '.join(PROXY_SCHEMES)}"
    if not parts.hostname:
        return "it names no host"
    return "socks" if parts.scheme.startswith("socks") and find_spec("socksio") is None else ""


def _describe_certificate_fault(environment: Mapping[str, str], encrypted: bool) -> str:
    bundle, folder = environment.get("SSL_CERT_FILE", ""), environment.get("SSL_CERT_DIR", "")
    if bundle:  # it is read when a client is made, whether or not anything will be encrypted
        try:
            _read_bundle(bundle, Path(bundle).stat().st_mtime_ns)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
            return _format_certificate_fault("SSL_CERT_FILE", bundle, why or "no certificate is in it", "a file")
    # several folders may stand there, as in PATH
    if encrypted and folder and not any(Path(part).is_dir() for part in folder.split(os.pathsep) if part):
        return _format_certificate_fault("SSL_CERT_DIR", folder, "no such folder", "a folder")
    return ""


@cache
def _read_bundle(bundle: str, changed: int) -> None:
    """Raise an OSError where it holds no certificates. Read once a change: it takes as long as a few requests."""
    ssl.create_default_context(cafile=bundle)


def _format_certificate_fault(name: str, value: str, why: str, expected: str) -> str:
    return (
        f"the environment variable {name} names {value!r}, where no certificates can be read ({why});"
        f" expected {expected} with certificates; set it or unset it"
    )


def _describe_key_log_fault(path: str) -> str:
    """Python's ssl opens this file whenever a client is made."""
    if not path:
        return ""
    try:
        with Path(path).open("ab"):
            return ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return f"the environment variable SSLKEYLOGFILE names {path!r}, which cannot be written ({why}); unset it"
