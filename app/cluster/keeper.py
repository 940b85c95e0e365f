"""Keep workers alive: start them, listen to each, notice a death at once, start again with a growing pause.

A worker's news is one long answer. When its process dies the connection breaks in the same moment; when it
hangs, nothing comes for some seconds and it is killed. Whose sessions were there is told to `on_lost`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from realtime.core.clock import NS_PER_S, Clock, MonotonicClock
from realtime.core.errors import VitascopeError

from .line import Line, WorkerLost
from .pool import Address, Backend, Load, View, pause_s
from .scale import Bounds, Scaler

log = logging.getLogger(__name__)

SCALE_EVERY_S = 1.0
YOUNG_S = 20.0
"""A worker that dies before this age dies early: the next start waits longer."""
END_GRACE_S = 10.0


@dataclass(slots=True, eq=False)
class Seat:
    """Hold one worker's name for as long as it should be there, whichever process fills it."""

    name: str
    line: Line | None = None
    """Open while the worker answers."""
    address: Address | None = None
    """Of the newest process, alive or not."""
    load: Load = field(default_factory=Load)
    is_draining: bool = False
    deaths: int = 0
    """Early ones in a row."""
    restarts: int = 0
    trouble: str = ""
    """Why it could not be started."""
    keeping: asyncio.Task[None] | None = None
    listening: asyncio.Task[None] | None = None


class Keeper:
    """Keep between `bounds.least` and `bounds.most` workers of `backend`. Lives on one loop.

    `placed` tells how many sessions the front has given to a worker; `on_news` gets what a worker tells apart
    from its load; `on_lost` is called in the moment in which a worker is known to be gone.
    """

    def __init__(
        self,
        backend: Backend,
        bounds: Bounds,
        *,
        placed: Callable[[str], int],
        on_news: Callable[[str, dict[str, Any]], None],
        on_lost: Callable[[str], None],
        on_idle: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self.seats: dict[str, Seat] = {}
        self.lost = 0
        """Workers that were lost since the start."""
        self._backend = backend
        self._bounds = bounds
        self._scaler = Scaler(bounds)
        self._placed = placed
        self._on_news = on_news
        self._on_lost = on_lost
        self._on_idle = on_idle
        self._clock: Clock = clock or MonotonicClock()
        self._changed = asyncio.Condition()
        self._scaling: asyncio.Task[None] | None = None
        self._named = 0

    async def start(self) -> None:
        """Begin to start the least number of workers; `until` waits for them."""
        for _ in range(self._bounds.least):
            self._add()
        if self._bounds.most > self._bounds.least:
            self._scaling = asyncio.create_task(self._scale(), name="scale-workers")

    async def stop(self) -> None:
        """End all workers."""
        if self._scaling is not None:
            self._scaling.cancel()
        await asyncio.gather(*(self.remove(name) for name in list(self.seats)), return_exceptions=True)
        await self._backend.close()

    def views(self) -> list[View]:
        """Return the workers as the rules see them."""
        return [
            View(one.name, one.load, self._placed(one.name), one.line is not None and not one.is_draining)
            for one in self.seats.values()
        ]

    def line(self, name: str) -> Line:
        """Return the line to worker `name`. Raises WorkerLost when there is none now."""
        seat = self.seats.get(name)
        if seat is None or seat.line is None:
            raise WorkerLost("That worker is gone.")
        return seat.line

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `condition` holds, asking again whenever a worker tells something. False: too late."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            return condition()
        return True

    def doubt(self, name: str, line: Line) -> None:
        """Take worker `name` for dead: a call on `line` could not even connect."""
        seat = self.seats.get(name)
        if seat is not None and seat.line is line and seat.listening is not None:
            self._take_down(seat)
            seat.listening.cancel()

    async def replace_missing(self, timeout_s: float) -> None:
        """Start as many workers as are missing without those that are emptied, and wait for them."""
        for _ in range(self._bounds.least - sum(not one.is_draining for one in self.seats.values())):
            seat = self._add()
            await self.until(lambda seat=seat: seat.line is not None, timeout_s)  # type: ignore[misc]

    async def remove(self, name: str) -> None:
        """End worker `name` for good."""
        seat = self.seats.pop(name, None)
        if seat is None:
            return
        if seat.keeping is not None:
            seat.keeping.cancel()
            await asyncio.gather(seat.keeping, return_exceptions=True)
        await self._backend.end(name, END_GRACE_S)
        await self._tell()

    def _add(self) -> Seat:
        name = f"worker-{self._named}"
        self._named += 1
        seat = self.seats[name] = Seat(name)
        seat.keeping = asyncio.create_task(self._keep(seat), name=f"keep-{name}")
        return seat

    async def _keep(self, seat: Seat) -> None:
        """Start the worker, listen till it is lost, and again."""
        while True:
            begun_ns = self._clock.now_ns()
            try:
                seat.address = await self._backend.begin(seat.name, seat.address)
            except VitascopeError as error:
                seat.trouble = str(error)
                log.warning("%s could not be started: %s", seat.name, error)
            else:
                seat.trouble = ""
                await self._attend(seat, Line(seat.address))
            ran_s = (self._clock.now_ns() - begun_ns) / NS_PER_S
            seat.deaths = seat.deaths + 1 if ran_s < YOUNG_S else 1
            seat.restarts += 1
            await asyncio.sleep(pause_s(seat.deaths))

    async def _attend(self, seat: Seat, line: Line) -> None:
        """Listen to the worker until it is lost; then say so and close the line."""
        seat.listening = asyncio.create_task(self._listen(seat, line), name=f"listen-{seat.name}")
        try:
            # A doubt cancels `listening`; the end of the whole seat cancels this task.
            (end,) = await asyncio.gather(seat.listening, return_exceptions=True)
            if end is not None and not isinstance(end, (WorkerLost, asyncio.CancelledError)):
                log.error("%s: its news could not be read", seat.name, exc_info=end)
            log.warning("%s (process %d) is lost: %s", seat.name, line.address.pid, end)
            self.lost += 1
        finally:
            seat.listening.cancel()
            self._take_down(seat)
            await line.close()
            await self._tell()

    async def _listen(self, seat: Seat, line: Line) -> None:
        async for event in line.news():
            if event["type"] != "load":
                self._on_news(seat.name, event)
                await self._tell()
                continue
            engine = event["engine"]
            before, seat.load = (
                seat.load,
                Load(
                    event["sessions"],
                    event["max_sessions"],
                    event["stage_ms_p95"],
                    event["phase"],
                    (engine[0], engine[1]) if engine else None,
                ),
            )
            if seat.line is None:
                log.info("%s serves at %s (process %d)", seat.name, line.address.url, line.address.pid)
                seat.line = line
                await self._tell()
            elif before != seat.load:
                await self._tell()

    def _take_down(self, seat: Seat) -> None:
        was_open, seat.line, seat.load = seat.line is not None, None, Load()
        if was_open and seat.name in self.seats:
            self._on_lost(seat.name)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _scale(self) -> None:
        while True:
            await asyncio.sleep(SCALE_EVERY_S)
            staying = [one for one in self.views() if not self.seats[one.name].is_draining]
            starting = sum(self.seats[one.name].line is None for one in staying)
            step = self._scaler.step(staying, starting, self._clock.now_ns() / NS_PER_S)
            if step.add:
                log.info("places are scarce: one more worker")
                self._add()
            elif step.remove:
                log.info("%s has stood idle: it is ended", step.remove)
                self._on_idle(step.remove)
