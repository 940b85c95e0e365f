"""Where outgoing pictures can go: RTMP and RTSP servers, HLS, a file, a virtual camera."""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.core.errors import ConfigError, ConnectionLost, MediaError, SourceClosed, VitascopeError
from realtime.media import fit
from realtime.sources.address import Address, Rules
from realtime.sources.line import rtmp_app
from realtime.sources.relay import Relay

from .base import Pixels, Target
from .mux import Muxed
from .push import PIPE_FORMAT, Pushing
from .upload import Uploader

FILE_FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
"""Each second is whole in itself: what was written before the process was killed can be played."""
HLS_SEGMENT_S = 2


class Through:
    """Send through the relay of one connection, which says why it was lost."""

    def __init__(self, relay: Relay, pushing: Pushing, muxed: Muxed) -> None:
        self._relay = relay
        self._pushing = pushing
        self._muxed = muxed

    def picture(self, pixels: Pixels, time_s: float) -> None:
        self._said(lambda: self._muxed.picture(pixels, time_s))

    def sound(self, samples: npt.NDArray[np.float32], rate_hz: int, time_s: float) -> None:
        self._said(lambda: self._muxed.sound(samples, rate_hz, time_s))

    def close(self) -> None:
        try:
            self._said(self._muxed.close)
            self._said(self._pushing.close)
        finally:
            self._pushing.kill()
            self._relay.close()

    def give_up(self) -> None:
        self._relay.close()
        self._pushing.kill()  # first, so that nothing waits for the other side
        self._muxed.give_up()

    def _said(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            if self._relay.error is not None:
                raise self._relay.error from error
            raise


def to_server(
    address: Address,
    rules: Rules,
    *,
    rate_hz: float,
    sound: bool = True,
    kbit_s: int = 2500,
    silence_s: float = 10.0,
    on_open: Callable[[Callable[[], None]], None] = lambda close: None,
    trust: ssl.SSLContext | None = None,
) -> Callable[[tuple[int, int]], Target]:
    """Return what connects to an RTMP or RTSP server and publishes there."""
    is_rtsp = address.scheme.startswith("rtsp")
    options = (
        {"rtsp_transport": "tcp"}
        if is_rtsp
        else {
            "rtmp_live": "live",
            "flvflags": "no_duration_filesize",
            "rtmp_tcurl": f"{address.scheme}://{address.netloc}/{rtmp_app(address.path)}",
        }
    )

    def connect(size: tuple[int, int]) -> Target:
        relay = Relay(address, rules, connect_s=silence_s, silence_s=silence_s, trust=trust)
        on_open(relay.close)
        pushing = None
        try:
            pushing = Pushing(relay.url, "rtsp" if is_rtsp else "flv", options)
            muxed = Muxed(
                pushing,
                PIPE_FORMAT,
                size=size,
                rate_hz=rate_hz,
                sound=sound,
                kbit_s=kbit_s,
                options={"flush_packets": "1"},
            )
        except (OSError, ValueError) as error:
            relay.close()
            if pushing is not None:
                pushing.kill()
            raise relay.error or unreachable(address, error) from error
        return Through(relay, pushing, muxed)

    return connect


def unreachable(address: Address, error: Exception) -> VitascopeError:
    """Say that nothing can be sent to an address."""
    reason = getattr(error, "strerror", None) or str(error)
    return ConnectionLost(f"{address} takes no stream: {reason}.", hint="Check the address and its key.")


def to_hls_folder(folder: Path, *, rate_hz: float, sound: bool = True) -> Callable[[tuple[int, int]], Target]:
    """Return what writes a live list, `live.m3u8`, and its newest pieces into a folder."""

    def connect(size: tuple[int, int]) -> Target:
        options = {**_hls(), "hls_flags": "delete_segments+independent_segments+temp_file"}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return Muxed(
                f"{folder / 'live.m3u8'}", "hls", size=size, rate_hz=rate_hz, sound=sound, options=options
            )
        except OSError as error:
            raise unwritable(folder.name, error) from error

    return connect


def to_web_server(
    address: Address,
    rules: Rules,
    *,
    rate_hz: float,
    sound: bool = True,
    kbit_s: int = 2500,
    trust: ssl.SSLContext | None = None,
) -> Callable[[tuple[int, int]], Target]:
    """Return what PUTs an HLS list and its pieces to a web server."""
    if not address.path.partition("?")[0].endswith(".m3u8"):
        raise ConfigError(
            "HLS is sent to the address of a list.", hint="End it with a name such as live.m3u8."
        )

    def connect(size: tuple[int, int]) -> Target:
        uploader = Uploader(address, rules, trust=trust)
        options = {**_hls(), "hls_flags": "independent_segments"}
        try:
            return Muxed(
                address.url,
                "hls",
                size=size,
                rate_hz=rate_hz,
                sound=sound,
                kbit_s=kbit_s,
                options=options,
                io_open=uploader.open,
            )
        except (OSError, ValueError) as error:
            raise unreachable(address, error) from error

    return connect


def _hls() -> dict[str, str]:
    return {"hls_time": str(HLS_SEGMENT_S), "hls_list_size": "6"}


def to_file(path: Path, *, rate_hz: float = 30.0, sound: bool = True) -> Callable[[tuple[int, int]], Target]:
    """Return what writes an MP4 or MKV file that can be played at any moment, also while it grows."""
    form = FILE_FORMATS.get(path.suffix.lower())
    if form is None:
        raise ConfigError(f"{path.name} cannot be written.", hint=f"Use {' or '.join(FILE_FORMATS)}.")

    def connect(size: tuple[int, int]) -> Target:
        options = _FRAGMENTS if form == "mp4" else {"flush_packets": "1", "cluster_time_limit": "1000"}
        try:
            return Muxed(f"file:{path}", form, size=size, rate_hz=rate_hz, sound=sound, options=options)
        except OSError as error:
            raise unwritable(path.name, error) from error

    return connect


def unwritable(name: str, error: OSError) -> MediaError:
    """Say that a file or folder cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return MediaError(
        f"{name} could not be written: {reason}.",
        hint="Check that the folder may be written to and that the disk has room.",
        permanent=True,
    )


class _Camera:
    """Show pictures as a camera of this machine."""

    def __init__(self, device: Any, size: tuple[int, int]) -> None:
        self._device = device
        self._size = size

    def picture(self, pixels: Pixels, time_s: float) -> None:
        self._device.send(np.ascontiguousarray(fit(pixels, *self._size, how="contain")))

    def sound(self, samples: npt.NDArray[np.float32], rate_hz: int, time_s: float) -> None:
        pass  # a camera has no sound

    def close(self) -> None:
        self._device.close()

    give_up = close


def _open_camera(width: int, height: int, rate_hz: float) -> Any:
    return importlib.import_module("pyvirtualcam").Camera(width=width, height=height, fps=rate_hz)


def to_camera(
    *, rate_hz: float, opener: Callable[[int, int, float], Any] = _open_camera
) -> Callable[[tuple[int, int]], Target]:
    """Return what opens a virtual camera of this machine, for other programs to choose."""

    def connect(size: tuple[int, int]) -> Target:
        width, height = size[0] + size[0] % 2, size[1] + size[1] % 2
        try:
            return _Camera(opener(width, height, rate_hz), (width, height))
        except ImportError as error:
            raise SourceClosed(
                "A virtual camera needs the package pyvirtualcam.",
                hint="Install it: .venv/bin/pip install pyvirtualcam",
                permanent=True,
            ) from error
        except RuntimeError as error:
            raise SourceClosed(
                f"No virtual camera can be opened: {str(error).strip().splitlines()[0]}.",
                hint="On Linux: sudo modprobe v4l2loopback; elsewhere install OBS, which brings one.",
                permanent=True,
            ) from error

    return connect
