"""A server that speaks as much OpenAI as an engine needs, notes what it was asked and fails when told to."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

KEY = "key-that-nobody-may-see"


def event(text: str, ended: str | None = None) -> bytes:
    """Return one piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": ended}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


WHOLE = [
    b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}\n\n',
    b": alive\r\n\r\n",
    event("A blue sq"),
    event("uäre [2]."),
    event("", "stop"),
    b'data: {"choices": [], "usage": {"total_tokens": 9}}\n\n',
    b"data: [DONE]\n\n",
]


@dataclass
class Stub:
    """Say what the server answers next, and hold what it was asked."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    statuses: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """Failures that come first, one a request: status, headers, text."""
    pieces: list[bytes] = field(default_factory=lambda: list(WHOLE))
    kind: str = "text/event-stream"
    go_on: threading.Event = field(default_factory=threading.Event)
    """What is to be waited for before the last piece but two is sent."""
    models: tuple[str, ...] = ("tiny-vl", "other")

    def pictures(self, index: int = -1) -> list[int]:
        """Return the grey of each picture in a request, in order: of plain pictures, which one it is."""
        parts = self.asked[index]["messages"][1]["content"]
        return [shade(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]

    def words(self, index: int = -1) -> list[str]:
        parts = self.asked[index]["messages"][1]["content"]
        return [part["text"] for part in parts if part["type"] == "text"]


def shade(url: str) -> int:
    head, data = url.split(",")
    assert head == "data:image/jpeg;base64"
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return round(float(pixels.mean()))


@contextmanager
def serving() -> Iterator[Stub]:
    """Run a stub on a free port of this machine."""
    stub = Stub()
    stub.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            assert self.path == "/v1/models"
            self._say(
                200, "application/json", json.dumps({"data": [{"id": m} for m in stub.models]}).encode()
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.asked.append(body)
            stub.keys.append(self.headers.get("authorization", ""))
            if self.path != "/v1/chat/completions":
                self._say(404, "text/plain", b"no such path")
            elif stub.statuses:
                status, headers, text = stub.statuses.pop(0)
                self._say(status, "application/json", text.encode(), headers)
            else:
                self._stream()

        def _say(self, status: int, kind: str, data: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {
                **(headers or {}),
                "content-type": kind,
                "content-length": str(len(data)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("content-type", stub.kind)
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            for left, piece in zip(range(len(stub.pieces), 0, -1), stub.pieces, strict=True):
                if left == 3:
                    assert stub.go_on.wait(20)
                try:
                    self.wfile.write(piece)
                    self.wfile.flush()
                except OSError:
                    return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        stub.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
