"""TLS by our own doors: a certificate is checked against the name that was asked for."""

from __future__ import annotations

import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from realtime.core.errors import ConnectionLost
from realtime.sources.address import Rules, read_address
from realtime.sources.fetch import Fetcher
from realtime.sources.relay import Relay
from tests.streams import until
from tests.vocabulary import PATIENCE_S

HERE = Rules(allow_private=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with key and certificate of "localhost", signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@contextmanager
def secure_server(certificate: Path, folder: Path) -> Iterator[int]:
    (folder / "a").write_bytes(b"inside")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None: ...

    server = Server(("127.0.0.1", 0), Quiet)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def test_https_is_read_under_the_name_of_the_certificate_only(certificate: Path, tmp_path: Path) -> None:
    with secure_server(certificate, tmp_path) as port:
        fetcher = Fetcher(HERE, trust=trusting(certificate))
        assert fetcher.open(f"https://localhost:{port}/a").read(100) == b"inside"
        for url, trust in (
            (f"https://127.0.0.1:{port}/a", trusting(certificate)),  # another name
            (f"https://localhost:{port}/a", None),  # nobody vouches for it
        ):
            with pytest.raises(ConnectionLost, match="certificate"):
                Fetcher(HERE, trust=trust).open(url)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_relay_speaks_tls_onwards(certificate: Path, is_trusted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    door = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        plain, _ = door.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.sendall(connection.recv(100).upper())
                connection.recv(100)
        except OSError:
            plain.close()

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    address = read_address(f"rtmps://localhost:{door.getsockname()[1]}/live/key", HERE)
    relay = Relay(address, HERE, trust=trusting(certificate) if is_trusted else None)
    assert relay.url == f"rtmp://127.0.0.1:{relay.port}/live/key"
    with socket.create_connection(("127.0.0.1", relay.port), PATIENCE_S) as near:
        near.sendall(b"hello")
        if is_trusted:
            assert near.recv(100) == b"HELLO"
            assert relay.error is None
        else:
            until(lambda: relay.error is not None, "a refusal")
            assert "cannot be reached safely" in str(relay.error)
    relay.close()
    thread.join(PATIENCE_S)
    door.close()


def test_a_relay_lets_only_a_few_in_and_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as far:
        relay = Relay(read_address(f"rtmp://127.0.0.1:{far.getsockname()[1]}/a/b", HERE), HERE, silence_s=60)
        with socket.create_connection(("127.0.0.1", relay.port), PATIENCE_S) as near:
            far.accept()
            relay.close()
            relay.close()
            assert near.recv(10) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", relay.port), 1.0)
