"""One real server for all end-to-end tests: `python -m app serve` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 180.0
"""The engines are built in this time on the first start of a machine."""
RESUME_TIMEOUT_S = 5.0
"""A session is given up so long after its client has gone; a test waits for that."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is, and what it has logged so far."""

    url: str
    log: Path

    def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_warm(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Return when the painter is ready; another process can only be asked, so this asks twice a second."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}:\n{server.log.read_text()[-3000:]}")
        try:
            if server.get("/healthz")["painter"]["phase"] == "ready":
                return
        except (urllib.error.URLError, ConnectionError):
            pass  # it does not listen yet
        time.sleep(0.5)
    pytest.fail(f"no painter after {START_TIMEOUT_S:g} s:\n{server.log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    found = Server(f"http://127.0.0.1:{port}", folder / "log.txt")
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--no-open"]
    command += ["--set", f"server.resume_timeout_s={RESUME_TIMEOUT_S}"]
    with found.log.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env={**os.environ}
        )
        try:
            wait_until_warm(found, process)
            yield found
        finally:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail("the server did not end within 20 s of Ctrl-C")
    assert code in (0, 130), found.log.read_text()[-3000:]
