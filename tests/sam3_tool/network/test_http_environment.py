"""What environment variables do to HTTP clients is one sentence that names the variable and shows no password."""

import shutil
from pathlib import Path

import certifi
import pytest

from sam3_tool.network.http_environment import describe_http_fault, list_http_variables

BROKEN = {
    "foo:bar": "its port is no number",
    "http://": "it names no host",
    "http://:3128": "it names no host",
    "socks4://proxy:1": "its scheme is none of http, https, socks5, socks5h",
    "ftp://proxy": "its scheme is none of",
    "http://[::1": "its brackets do not match",
    "http://proxy:99999": "its port is no number",
    "http://proxy:0": "its port is 0",
    "http://a b:1": "it has spaces or control characters",
    " ": "it has spaces or control characters",
    "http://proxy:3128\n": "it has spaces or control characters",
    "socks5://proxy:1": "asks for a SOCKS proxy, which needs the package socksio; install it with: uv pip install",
    "socks5h://me:secret@proxy:1": "asks for a SOCKS proxy",
}


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_no_client_can_use_is_one_sentence_with_the_name_of_its_variable(value: str, name: str) -> None:
    said = describe_http_fault({name: value})
    assert said.startswith(f"the environment variable {name} ")
    assert BROKEN[value] in said
    assert "secret" not in said
    assert said.isprintable()


@pytest.mark.parametrize("value", ["", "http://proxy:3128", "proxy.local:3128", "proxy", "https://me:pw@[::1]:8"])
def test_a_proxy_that_can_be_used_is_no_fault(value: str) -> None:
    assert describe_http_fault({"https_proxy": value}) == ""


def test_a_variable_in_lower_case_comes_before_the_same_in_capitals() -> None:
    assert describe_http_fault({"http_proxy": "http://proxy:1", "HTTP_PROXY": "foo:bar"}) == ""
    assert "variable http_proxy" in describe_http_fault({"http_proxy": "foo:bar", "HTTP_PROXY": "http://proxy:1"})


def test_certificates_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for value, why in {
        str(tmp_path / "none.pem"): "No such file or directory",
        str(tmp_path): "Is a directory",
        str(tmp_path / "empty.pem"): "no certificate is in it",
        __file__: "no certificate is in it",
        "a\0b": "no certificate is in it",
    }.items():
        said = describe_http_fault({"SSL_CERT_FILE": value}, encrypted=False)
        assert said.startswith("the environment variable SSL_CERT_FILE names ")
        assert f"({why}); expected a file with certificates" in said
    assert describe_http_fault({"SSL_CERT_FILE": certifi.where()}) == ""


def test_certificates_that_are_lost_are_missed(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    shutil.copy(certifi.where(), bundle)
    assert describe_http_fault({"SSL_CERT_FILE": str(bundle)}) == ""
    bundle.write_bytes(b"")
    assert "no certificate is in it" in describe_http_fault({"SSL_CERT_FILE": str(bundle)})


def test_a_folder_of_certificates_matters_only_where_they_are_checked(tmp_path: Path) -> None:
    missing = {"SSL_CERT_DIR": str(tmp_path / "none")}
    assert "SSL_CERT_DIR" in describe_http_fault(missing)
    assert describe_http_fault(missing, encrypted=False) == ""
    assert describe_http_fault({"SSL_CERT_DIR": f"{tmp_path / 'none'}:{tmp_path}"}) == ""


def test_a_log_of_keys_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    assert "SSLKEYLOGFILE" in describe_http_fault({"SSLKEYLOGFILE": str(tmp_path / "none" / "keys")})
    assert describe_http_fault({"SSLKEYLOGFILE": str(tmp_path / "keys")}) == ""


def test_the_variables_that_clients_read_can_be_listed() -> None:
    given = {"no_proxy": "x", "HTTP_PROXY": "y", "HTTPS_PROXY": "", "HOME": "/", "SSL_CERT_FILE": "z"}
    assert list_http_variables(given) == ["HTTP_PROXY", "SSL_CERT_FILE", "no_proxy"]
