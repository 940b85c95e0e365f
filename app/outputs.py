"""The outgoing streams of one session: begun and ended while it runs, each with a subscription of its own."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from realtime.core.channel import Channel, Drop
from realtime.core.clock import Clock
from realtime.core.errors import ChannelFull, ConfigError, VitascopeError
from realtime.core.frame import AudioChunk, Result

from .incoming import rules_for
from .settings import Section, Settings
from .taps import Taps, View, Viewer
from .wiring import Wiring

if TYPE_CHECKING:
    from realtime.sinks.base import Outgoing, Target

MAX_OUTPUTS = 4
SOUND_CHUNKS_HELD = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class OutputBody(Section):
    """Body of POST /api/sessions/{id}/outputs."""

    kind: Literal["rtmp", "rtsp", "hls", "file", "camera"]
    url: str | None = Field(None, max_length=2048)
    """For rtmp and rtsp, and for hls that is sent to a web server."""
    name: str | None = Field(None, max_length=80)
    """For hls and file: what is made in the folder `output.folder`."""
    picture: View = "painted"
    rate_hz: float = Field(30.0, ge=1, le=120)
    sound: bool = True
    kbit_s: int = Field(2500, ge=100, le=50_000)


@dataclass(slots=True)
class _Running:
    out: Outgoing
    shown: Mapping[str, Any]
    leave: Callable[[], None]


class Outputs:
    """Hold them. All methods from any thread but the media loop's; `stop` and `close` wait."""

    def __init__(
        self, name: str, wiring: Wiring, taps: Taps, clock: Clock, report: Callable[[str], None]
    ) -> None:
        self._name = name
        self._wiring = wiring
        self._taps = taps
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._is_closed = False
        self._at_end: list[Callable[[], object]] = []

    def at_end(self, work: Callable[[], object]) -> None:
        """Do `work` once the session has ended and its outputs are finished."""
        self._at_end.append(work)

    def start(
        self,
        label: str,
        connect: Callable[[tuple[int, int]], Target],
        *,
        picture: View = "painted",
        sound: bool = True,
        rate_hz: float | None = None,
        retries: bool = False,
        capacity: int = 1,
        shown: Mapping[str, Any] | None = None,
        is_full: Callable[[], bool] = lambda: False,
        on_end: Callable[[VitascopeError | None], None] = lambda error: None,
    ) -> str:
        """Begin an outgoing stream and return its id; it ends by itself when the session does."""
        from realtime.sinks.base import Outgoing, Picture

        viewer = Viewer(picture)
        heard: Channel[AudioChunk] | None = None
        if sound:
            heard = Channel(f"{label}.sound", SOUND_CHUNKS_HELD, Drop.NEVER, self._clock)
        channel = self._wiring.subscribe(capacity)

        def view(result: Result[Any]) -> Picture | None:
            if is_full():
                channel.close()
                return None
            pixels = viewer.pixels(result)
            return None if pixels is None else Picture(pixels, result.stamp.captured_ns)

        def hear(chunk: AudioChunk) -> None:
            try:
                if heard is not None:
                    heard.put(chunk)
            except ChannelFull:
                pass  # nobody sends it on yet: 5 s of it are kept, the rest becomes silence
            except VitascopeError:
                pass  # it has just ended

        leave = self._taps.listen(
            frame=viewer.note if viewer.wants_originals else None, audio=hear if sound else None
        )
        output_id = secrets.token_urlsafe(6)

        def ended(error: VitascopeError | None) -> None:
            leave()
            if error is not None:
                self._report(str(error))
            on_end(error)

        out = Outgoing(
            label,
            channel,
            connect,
            view=view,
            sound=heard,
            rate_hz=rate_hz,
            retries=retries,
            on_notice=self._report,
            on_end=ended,
            clock=self._clock,
        )
        with self._lock:
            going = sum(not one.out.done.is_set() for one in self._running.values())
            if self._is_closed or going >= MAX_OUTPUTS:
                channel.close()
                leave()
                raise ConfigError(
                    "This session has ended." if self._is_closed else f"{MAX_OUTPUTS} outputs run already.",
                    hint="Start a new one." if self._is_closed else "End one of them first.",
                )
            self._running[output_id] = _Running(out, shown or {}, leave)
        out.start()
        return output_id

    @property
    def need_nobody(self) -> bool:
        """Whether pictures are sent on, so that the session has a purpose though nobody watches it."""
        with self._lock:
            running = tuple(self._running.values())
        return any(one.shown.get("kind") != "recording" and not one.out.done.is_set() for one in running)

    def listed(self) -> list[dict[str, Any]]:
        """Return what each is and how it does."""
        with self._lock:
            running = dict(self._running)
        return [
            {"id": one, **held.shown, "name": held.out.name, **asdict(held.out.stats())}
            for one, held in running.items()
        ]

    def stop(self, output_id: str) -> None:
        """End one in order. Raises ConfigError for an unknown id."""
        with self._lock:
            held = self._running.pop(output_id, None)
        if held is None:
            raise ConfigError("There is no such output.", hint="GET .../outputs lists them.")
        held.out.stop()
        held.leave()

    def close(self) -> None:
        """End all in order. Twice does no harm."""
        with self._lock:
            self._is_closed = True
            running, self._running = dict(self._running), {}
            works, self._at_end = self._at_end, []
        for held in running.values():
            held.out.stop()
            held.leave()
        for work in works:
            work()


def start_output(outputs: Outputs, body: OutputBody, settings: Settings, *, is_local: bool) -> str:
    """Begin what a visitor asks for. Raises AddressRefused for what they may not, or ConfigError."""
    from realtime.sinks import targets
    from realtime.sources.address import AddressRefused, Rules, read_address

    label: str = body.kind
    retries, rate_hz = True, body.rate_hz
    if body.kind in ("rtmp", "rtsp") or (body.kind == "hls" and body.url):
        rules = rules_for(settings.source, is_local=is_local)
        fitting = {"rtmp": ("rtmp", "rtmps"), "rtsp": ("rtsp", "rtsps"), "hls": ("http", "https")}[body.kind]
        rules = Rules(tuple(one for one in rules.schemes if one in fitting), rules.allow_private)
        address = read_address(body.url or "", rules)
        make = targets.to_web_server if body.kind == "hls" else targets.to_server
        connect = make(address, rules, rate_hz=rate_hz, sound=body.sound, kbit_s=body.kbit_s)
        label = str(address)
    elif not is_local:
        raise AddressRefused(
            f"Output to a {body.kind} is only for visitors at the server's own machine.",
            hint="Record the session instead.",
        )
    elif body.kind == "camera":
        connect, retries = targets.to_camera(rate_hz=rate_hz), False
    else:
        path = _place(body, settings)
        label, retries = path.name, False
        if body.kind == "hls":
            connect = targets.to_hls_folder(path, rate_hz=rate_hz, sound=body.sound)
        else:
            connect = targets.to_file(path, rate_hz=rate_hz, sound=body.sound)
    return outputs.start(
        label,
        connect,
        picture=body.picture,
        sound=body.sound and body.kind != "camera",
        rate_hz=None if body.kind == "file" else rate_hz,
        retries=retries,
        capacity=8 if body.kind == "file" else 1,
        shown={"kind": body.kind, "picture": body.picture},
    )


def _place(body: OutputBody, settings: Settings) -> Path:
    """Return the path of what is made in the folder of outputs: never one outside it."""
    folder = settings.output.folder
    if folder is None:
        raise ConfigError("This server has no folder for outputs.", hint="Name one: --output.folder FOLDER")
    name = body.name or ("live" if body.kind == "hls" else "painted.mp4")
    stem, dot, suffix = name.partition(".")
    if not _NAME.fullmatch(stem) or (dot + suffix) not in (("",) if body.kind == "hls" else (".mp4", ".mkv")):
        raise ConfigError(
            f'"{name}" cannot be the name of an output.', hint="Use letters, digits, - and _; .mp4 or .mkv."
        )
    path = folder / name
    if path.exists() and body.kind == "file":
        raise ConfigError(f"{name} is there already.", hint="Give another name.")
    return path
