"""Open a media file or stream, or say in a sentence why that cannot be.

Files come from strangers (uploads), so FFmpeg is held short: only real media formats are probed (no
playlists, no scripts, and not the demuxer that renders a text file as video), and a file can name no other
file or host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import av
import av.container

from realtime.core.errors import ConnectionLost, MediaError, SourceClosed, UnsupportedMedia
from realtime.media import MAX_PICTURE_PX, rate_of

_URL = re.compile(r"^([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_URL_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "tcp")
_FILE_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,h264,hevc,m4v,mjpeg,"
    "ivf,obu,av1,yuv4mpegpipe,mxf,nut,wav,mp3,flac,aac"
)
FORMATS_HINT = "Use a video file such as MP4, MOV, WebM or MKV."


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Describe a media file, as its header and first picture tell."""

    width_px: int
    """Upright: rotation is already applied."""
    height_px: int
    rate_hz: float
    """Average pictures a second."""
    pictures: int | None
    """Number of pictures when the header says it, else an estimate from duration and rate, else None."""
    duration_s: float | None
    has_sound: bool


def is_url(where: str | Path) -> bool:
    """Tell whether `where` names a stream rather than a file."""
    return isinstance(where, str) and _URL.match(where) is not None


def shown(where: str | Path) -> str:
    """Return `where` for messages and logs: a file's name, or a URL without user and password."""
    if not is_url(where):
        return Path(where).name or str(where)
    return re.sub(r"//[^/@]*@", "//", str(where))


def open_media(
    where: str | Path,
    *,
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 10.0,
    max_px: int = MAX_PICTURE_PX,
) -> av.container.InputContainer:
    """Open a file or URL that has a picture stream.

    Raises SourceClosed (not there), UnsupportedMedia (not readable as video) or ConnectionLost (a URL that
    does not answer).
    """
    name = shown(where)
    if is_url(where):
        scheme = str(where).split(":", 1)[0].lower()
        if scheme not in _URL_SCHEMES:
            raise UnsupportedMedia(
                f"Streams by {scheme}:// are not supported.", hint=f"Use one of {', '.join(_URL_SCHEMES)}."
            )
        target = str(where)
        options = {"protocol_whitelist": f"{scheme},rtp,srtp,udp,tcp,tls,http,https,crypto,data"}
        if scheme.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
    else:
        path = Path(where)
        _check_file(path, name)
        target = f"file:{path}"
        options = {"protocol_whitelist": "file", "format_whitelist": _FILE_FORMATS}
    try:
        container = av.open(target, options=options, timeout=(open_timeout_s, read_timeout_s))
    except av.FFmpegError as error:
        raise opening_error(error, where) from error
    if not container.streams.video:
        container.close()
        raise UnsupportedMedia(f"{name} has no pictures, only other streams.", hint=FORMATS_HINT)
    picture = container.streams.video[0].codec_context
    if picture.width * picture.height > max_px:
        container.close()
        raise UnsupportedMedia(
            f"{name} has pictures of {picture.width} x {picture.height} px, which is too large.",
            hint=f"Use video of at most {max_px} pixels, such as 1920 x 1080."
            if max_px < MAX_PICTURE_PX
            else "Use video of at most 8192 x 4320 px.",
        )
    return container


def _check_file(path: Path, name: str) -> None:
    if not path.exists():
        raise SourceClosed(
            f"There is no file {path}.",
            hint="Check the path; relative ones start where you are.",
            permanent=True,
        )
    if path.is_dir():
        raise UnsupportedMedia(f"{path} is a folder, not a video.", hint="Name one video file in it.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceClosed(
            f"{name} cannot be read: {error.strerror}.", hint="Check the file's permissions.", permanent=True
        ) from error
    if empty:
        raise UnsupportedMedia(
            f"{name} is empty (0 bytes).", hint="The copy or download may have failed: repeat it."
        )


def opening_error(error: Exception, where: str | Path) -> MediaError:
    """Turn what FFmpeg raised about `where` into a sentence."""
    name = shown(where)
    reason = getattr(error, "strerror", None) or str(error)
    if is_url(where) and not isinstance(error, av.InvalidDataError):
        if isinstance(error, av.ExitError):
            reason = "it did not answer in time"
        return ConnectionLost(
            f"{name} cannot be reached: {reason}.", hint="Check the address and that it is online."
        )
    return UnsupportedMedia(
        f"{name} is not a video that can be read ({reason}).",
        hint=f"{FORMATS_HINT} If it is one, it may be cut short: copy or download it again.",
    )


def probe(where: str | Path, *, max_px: int = MAX_PICTURE_PX) -> MediaInfo:
    """Read a file's header and first picture. Raises as `open_media` does."""
    with open_media(where, max_px=max_px) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        rate_hz = float(rate_of(rate)) if rate else 25.0
        duration_s = None if container.duration is None else container.duration / 1_000_000
        pictures = stream.frames or (None if duration_s is None else round(duration_s * rate_hz))
        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise opening_error(error, where) from error
        if first is None:
            raise UnsupportedMedia(f"{shown(where)} has no picture in it.", hint=FORMATS_HINT)
        width, height = first.width, first.height
        if round(first.rotation / 90) % 2:
            width, height = height, width
        return MediaInfo(width, height, rate_hz, pictures, duration_s, bool(container.streams.audio))
