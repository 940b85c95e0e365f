"""One open connection to a stream, whatever it speaks: a container to demux, and how to end it at once."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import av
import av.container

from realtime.core.errors import ConnectionLost, UnsupportedMedia, VitascopeError
from realtime.media import MAX_PICTURE_PX

from .address import Address, Rules, resolve
from .fetch import Body, Fetcher
from .relay import Relay

_FORMATS = "hls,mpegts,flv,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpjpeg,mjpeg,ogg,aac,mp3,rtsp"
_PROBE = {"probesize": "500000", "analyzeduration": "1000000", "fpsprobesize": "0"}
"""Enough to find the pictures' size; what was probed is decoded too, so no key picture is lost by looking."""


@dataclass(frozen=True, slots=True)
class Line:
    """Hold what is open; `close` from any thread, also while a read waits."""

    container: av.container.InputContainer
    close: Callable[[], None]
    error: Callable[[], VitascopeError | None]
    """Why the connection ended, as far as the door knows."""
    is_recording: bool
    """Whether it has an end and pieces that come early: it is played at its own pace."""


def open_line(
    address: Address,
    rules: Rules,
    *,
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 10.0,
    on_open: Callable[[Callable[[], None]], None] = lambda close: None,
    trust: ssl.SSLContext | None = None,
) -> Line:
    """Connect and read so much that pictures can be decoded.

    `on_open` gets what ends the connection as soon as there is one. Raises AddressRefused, ConnectionLost,
    SourceClosed or UnsupportedMedia.
    """
    if address.scheme in ("http", "https"):
        return _by_http(address, rules, open_timeout_s, read_timeout_s, on_open, trust)
    if address.scheme == "srt":
        target = f"srt://{_bracketed(str(resolve(address, rules)[0]))}:{address.port}{_query(address)}"
        options = {**_PROBE, "protocol_whitelist": "srt,udp"}
        container = _opened(address, target, options, (open_timeout_s, read_timeout_s), lambda: None)
        return _checked(address, Line(container, container.close, lambda: None, False))
    relay = Relay(address, rules, connect_s=open_timeout_s, silence_s=read_timeout_s, trust=trust)
    on_open(relay.close)
    try:
        # The relay's time-outs are tighter; FFmpeg's own are for what happens inside it.
        patience = (2 * open_timeout_s + read_timeout_s, read_timeout_s + 1)
        container = _opened(address, relay.url, {**_PROBE, **_spoken(address)}, patience, lambda: relay.error)
    except BaseException:
        relay.close()
        raise

    def close() -> None:
        relay.close()
        container.close()

    return _checked(address, Line(container, close, lambda: relay.error, False))


def rtmp_app(path: str) -> str:
    """Return the application's part of an RTMP path, as FFmpeg divides it: a/b of /a/b/c, a of /a/b."""
    parts = path.lstrip("/").split("/", 2)
    return "/".join(parts[:2]) if len(parts) == 3 and ":" not in parts[1] else parts[0]


def _spoken(address: Address) -> dict[str, str]:
    if address.scheme.startswith("rtsp"):
        return {"rtsp_transport": "tcp", "protocol_whitelist": "rtsp,rtp,tcp", "format_whitelist": "rtsp,sdp"}
    scheme = address.scheme
    return {
        "protocol_whitelist": "rtmp,tcp",
        "format_whitelist": "flv,live_flv",
        "rtmp_live": "live",
        "rtmp_tcurl": f"{scheme}://{address.netloc}/{rtmp_app(address.path)}",
    }


def _by_http(
    address: Address,
    rules: Rules,
    open_timeout_s: float,
    read_timeout_s: float,
    on_open: Callable[[Callable[[], None]], None],
    trust: ssl.SSLContext | None,
) -> Line:
    fetcher = Fetcher(rules, timeout_s=read_timeout_s, trust=trust)
    on_open(fetcher.close)
    bodies: list[Body] = []

    def opened(url: str, flags: int = 0, options: dict[str, str] | None = None) -> Body:
        if url.startswith("crypto"):
            raise UnsupportedMedia(
                f"{address} is encrypted HLS, which is not read.", hint="Use a stream without encryption."
            )
        bodies.append(fetcher.open(url))
        return bodies[-1]

    secret = f"{address.user}:{address.password}@" if address.user else ""
    options = {
        **_PROBE,
        "protocol_whitelist": "http,https,data",
        "format_whitelist": _FORMATS,
        "http_persistent": "0",  # each segment is opened by us
        "live_start_index": "-1",
    }
    try:
        first = opened(f"{address.scheme}://{secret}{address.netloc}{address.path}")
        container = _opened(
            address, first, options, (open_timeout_s + read_timeout_s, read_timeout_s), lambda: None, opened
        )
    except BaseException:
        fetcher.close()
        raise

    def close() -> None:
        fetcher.close()
        container.close()

    is_recording = container.format.name == "hls" or container.duration is not None
    return _checked(address, Line(container, close, lambda: None, is_recording))


def _opened(
    address: Address,
    target: str | Body,
    options: dict[str, str],
    timeout: tuple[float, float],
    door_error: Callable[[], VitascopeError | None],
    io_open: Callable[..., Body] | None = None,
) -> av.container.InputContainer:
    given = {} if io_open is None else {"io_open": io_open}
    try:
        return av.open(target, options=options, timeout=timeout, **given)  # type: ignore[call-overload,no-any-return]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise door_error() or _sentence(error, address) from error


def _sentence(error: Exception, address: Address) -> VitascopeError:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, av.ProtocolNotFoundError):
        return UnsupportedMedia(
            f"This machine's FFmpeg does not speak {address.scheme}.", hint="Use RTSP, RTMP or HTTP instead."
        )
    if isinstance(error, av.InvalidDataError):
        return UnsupportedMedia(
            f"{address} is no stream that can be read ({reason}).",
            hint="Give the address of the stream itself (RTSP, RTMP, HLS, MPEG-TS), not of a web page.",
        )
    if isinstance(error, av.ExitError | TimeoutError):
        reason = "it did not answer in time"
    return ConnectionLost(
        f"{address} cannot be read: {reason}.", hint="Check the address and that it is online."
    )


def _checked(address: Address, line: Line) -> Line:
    fault = None
    if not line.container.streams.video:
        fault = f"{address} has no pictures, only other streams."
    else:
        picture = line.container.streams.video[0].codec_context
        if picture.width * picture.height > MAX_PICTURE_PX:
            fault = f"{address} has pictures of {picture.width} x {picture.height} px, which is too large."
    if fault:
        line.close()
        raise UnsupportedMedia(fault, hint="Use a stream with video of at most 8192 x 4320 px.")
    return line


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _query(address: Address) -> str:
    return address.path[address.path.find("?") :] if "?" in address.path else ""
