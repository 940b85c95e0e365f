"""Publishers that are neither browsers nor aiortc: GStreamer's webrtcbin and FFmpeg's WHIP muxer."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.app.live import Live, live_server
from tests.app.test_whip import Player, posted

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
SYSTEM_PYTHON = "/usr/bin/python3"
PUBLISHES_S = 60
"""Longer than a test takes; it is ended with the test."""


@pytest.fixture
def live() -> Iterator[Live]:
    with live_server() as running:
        yield running


@lru_cache(maxsize=1)
def why_no_gstreamer() -> str:
    """Say what of GStreamer is missing, or ""."""
    if not Path(SYSTEM_PYTHON).exists():
        return "no system Python"
    code = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstWebRTC', '1.0')\n"
        "from gi.repository import Gst, GstWebRTC\n"
        "Gst.init(None)\n"
        "names = ('webrtcbin', 'nicesrc', 'dtlsdec', 'srtpenc', 'vp8enc', 'x264enc')\n"
        "missing = [name for name in names if Gst.ElementFactory.find(name) is None]\n"
        "raise SystemExit(str(missing) if missing else 0)\n"
    )
    asked = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, text=True, check=False)
    return asked.stderr.strip().splitlines()[-1] if asked.returncode else ""


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answered(process: subprocess.Popen[str]) -> None:
    """Wait until a publisher says that its offer was answered."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("answered 201"):
            return
    pytest.fail("".join(lines)[-2000:])


async def shows_cyan(url: str, name: str) -> None:
    """Watch a stream by WHEP until red comes out inverted."""
    player = Player()
    async with httpx.AsyncClient(base_url=url) as http:
        assert (await posted(http, player, f"/whep/{name}")).status_code == 201

        def is_cyan() -> bool:
            if not player.received:
                return False
            red, green, blue = np.median(player.newest, axis=(0, 1))
            return bool(red < 90 and green > 160 and blue > 160)

        await player.until(is_cyan, 30)
        await player.close()


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_gstreamer_publishes(live: Live, codec: str) -> None:
    why = why_no_gstreamer()
    if why:
        pytest.skip(f"no GStreamer with webrtcbin and its Python bindings: {why}")
    script = str(HERE / "gst_publisher.py")
    with running(SYSTEM_PYTHON, script, f"{live.url}/whip/gst", codec, str(PUBLISHES_S)) as process:
        answered(process)
        await shows_cyan(live.url, "gst")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate and its key, P-256, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return files


@pytest.mark.parametrize("role", ["passive", "active"])
async def test_ffmpeg_publishes_with_a_certificate_of_its_own(live: Live, tmp_path: Path, role: str) -> None:
    """FFmpeg's own key does not pass (GnuTLS against OpenSSL, alert 47); one that it is given does."""
    if "whip" not in av.formats_available:
        pytest.skip("this FFmpeg has no WHIP muxer")
    cert, key = certificate(tmp_path)
    options = [f"cert_file={cert}", f"key_file={key}"]
    if role == "active":
        options.append("whip_flags=dtls_active")
    script, url = str(HERE / "ffmpeg_publisher.py"), f"{live.url}/whip/ff"
    with running(sys.executable, script, url, str(PUBLISHES_S), *options) as process:
        await until_published(live, "ff", process)
        await shows_cyan(live.url, "ff")


async def until_published(live: Live, name: str, process: subprocess.Popen[str]) -> None:
    """Return once a stream is there; the publisher says nothing itself, so the server is asked."""
    async with asyncio.timeout(30):
        while name not in live.names():
            if process.poll() is not None:
                pytest.fail(str(process.stdout.read())[-2000:] if process.stdout else "it ended")
            await asyncio.sleep(0.1)
