"""Real streams on loopback for tests, by HTTP and RTSP, and what this machine lacks for them."""

from __future__ import annotations

import functools
import http.server
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vocabulary import PATIENCE_S

SYSTEM_PYTHON = "/usr/bin/python3"

_GST = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 "
    "audiotestsrc is-live=true ! audioconvert ! opusenc ! rtpopuspay name=pay1 pt=97 )")
if len(sys.argv) > 2:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken(); token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("user", "pa@ss"), token)
    server.set_auth(auth)
    rights = "user, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    rights = Gst.Structure.new_from_string(rights)
    factory.add_role_from_structure(rights[0] if isinstance(rights, tuple) else rights)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None); print("ready", flush=True)
GLib.MainLoop().run()
"""


def free_port() -> int:
    """Return a port of loopback that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until `holds()`; fail after the tests' patience."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"it did not come about: {what}"
        time.sleep(0.01)


def listening(port: int) -> bool:
    """Tell whether somebody listens at a port of loopback, without connecting to it."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def need_ffmpeg() -> str:
    """Return the path of the system's ffmpeg; skip the test without one."""
    found = shutil.which("ffmpeg")
    if found is None:
        pytest.skip("needs ffmpeg (apt-get install ffmpeg)")
    return found


@functools.cache
def _has_gst() -> bool:
    look = "import gi; gi.require_version('GstRtspServer', '1.0'); "
    look += "from gi.repository import GstRtspServer, Gst; "
    look += "Gst.init(None); assert Gst.ElementFactory.find('x264enc')"
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", look], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for a while."""
    null = subprocess.DEVNULL
    with subprocess.Popen(words, stdin=null, stdout=subprocess.PIPE, stderr=null) as one:
        try:
            yield one
        finally:
            one.kill()


@contextmanager
def rtsp_server(port: int, *, password: bool = False) -> Iterator[str]:
    """Serve a moving picture with sound at rtsp://127.0.0.1:port/cam by GStreamer, until the end."""
    if sys.platform != "linux" or not _has_gst():
        packages = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}"
        pytest.skip(f"needs apt-get install {packages}")
    words = [SYSTEM_PYTHON, "-c", _GST, str(port), *(["auth"] if password else [])]
    with process(*words) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield f"rtsp://127.0.0.1:{port}/cam"


@contextmanager
def web_server(
    folder: Path, handler: type[http.server.SimpleHTTPRequestHandler] | None = None
) -> Iterator[str]:
    """Serve a folder; gives the address without a slash at the end."""

    class Quiet(handler or http.server.SimpleHTTPRequestHandler):  # type: ignore[misc]
        def log_message(self, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Unsteady:
    """An HTTP server whose stream breaks off: each connection gets `pieces` of it, then `after` happens."""

    def __init__(self, stream: bytes, *, share: float = 0.5, silent: bool = False) -> None:
        self._stream = stream[: int(len(stream) * share)]
        self._silent = silent
        self.served = 0
        self.open = threading.Event()
        """While it is not set, connections are refused."""
        self.open.set()
        self._done = threading.Event()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/live.ts"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._door:
            while not self._done.is_set():
                connection, _ = self._door.accept()
                if self.open.is_set() and not self._done.is_set():
                    threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
                else:
                    connection.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            self.served += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + self._stream)
            if self._silent:
                self._done.wait(PATIENCE_S)

    def close(self) -> None:
        self._done.set()
        with socket.create_connection(self._door.getsockname()):
            pass
        self._thread.join(PATIENCE_S)
