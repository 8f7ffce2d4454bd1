"""A listener on loopback that speaks TLS, gives one scripted answer, and counts who connects."""

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "images.test"
"""The host that the certificate names."""


def write_certificate(path: Path) -> None:
    """Write a certificate of `NAME` that nobody has signed, and its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(own + certificate.public_bytes(serialization.Encoding.PEM))


def _read_request(spoken: ssl.SSLSocket) -> bytes:
    """The head of a request, once the body has come too: who closes before that resets the connection."""
    read = b""
    while True:
        head, blank, body = read.partition(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        if blank and len(body) >= int(length):
            return head
        part = spoken.recv(2**16)
        if not part:
            return read
        read += part


class TlsListener:
    """Answers every connection with `parts`, `pause` seconds between two of them, and closes it."""

    def __init__(self, certificate: Path, parts: Sequence[bytes] = (), *, pause: float = 0.0) -> None:
        self.parts, self.pause = list(parts), pause
        self.heads: list[bytes] = []
        """What was asked, of every connection that came to that."""
        self.connections = 0
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # it was closed
                return
            self.connections += 1
            with suppress(OSError), self._context.wrap_socket(connection, server_side=True) as spoken:
                self.heads.append(_read_request(spoken))
                for part in self.parts:
                    spoken.sendall(part)
                    time.sleep(self.pause)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
