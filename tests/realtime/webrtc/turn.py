"""A TURN server of our own for tests: coturn on a loopback port, ended with the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SECRET = "the-sea-is-salt"
LISTENS_WITHIN_S = 10.0


@dataclass(frozen=True)
class Turn:
    """A running coturn: where it listens, and what it has logged."""

    port: int
    log: Path
    secret: str = SECRET

    def url(self, transport: str = "udp") -> str:
        return f"turn:127.0.0.1:{self.port}?transport={transport}"


def coturn() -> str | None:
    """Return the program, which Debian has as `coturn`."""
    return shutil.which("turnserver")


@contextmanager
def turn_server(folder: Path, *arguments: str) -> Iterator[Turn]:
    """Run coturn on a free loopback port with a shared secret; skip where there is none."""
    program = coturn()
    if program is None:
        pytest.skip("no turnserver on this machine: apt-get install coturn")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = folder / "turn.log"
    command = [
        program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--realm=test",
        "--listening-ip=127.0.0.1", f"--listening-port={port}", "--relay-ip=127.0.0.1",
        "--min-port=40000", "--max-port=41999", "--allow-loopback-peers",
        "--use-auth-secret", f"--static-auth-secret={SECRET}", "--log-file=stdout", "--verbose",
        f"--pidfile={folder / 'turn.pid'}", f"--userdb={folder / 'turn.db'}", *arguments,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait_for(process, port, log)
        yield Turn(port, log)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once it listens; another process can only be asked."""
    end_s = time.monotonic() + LISTENS_WITHIN_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            pytest.fail(f"coturn ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"coturn does not listen:\n{log.read_text()[-2000:]}")
