"""Which session is at which worker, and how it comes to another one.

The desk keeps a record of each session: its source, its newest settings, and where it is. When a worker is
lost, or is to be emptied, its sessions are made again elsewhere under the same id, and whoever asks for one
meanwhile waits until it has a place again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from app.files import Uploads
from app.manager import ENDED_REMEMBERED, SessionsFull, SessionUnknown, TooManySessions
from app.visitors import asking, may
from realtime.core.clock import Clock, MonotonicClock

from .keeper import Keeper
from .line import WorkerLost
from .parcel import send_file
from .pool import Backend, choose
from .record import Record, Refused
from .scale import Bounds
from .streams import Names

if TYPE_CHECKING:
    import httpx

    from app.registry import Registry
    from app.settings import Settings

log = logging.getLogger(__name__)

FIRST_WORKER_S = 60.0
"""While no worker answers yet, a new session waits so long for one."""
TRIES = 3


class Desk:
    """Make, find and move sessions over the workers of `backend`. Lives on the front's loop."""

    def __init__(self, settings: Settings, registry: Registry, backend: Backend) -> None:
        cluster, server = settings.cluster, settings.server
        self.settings = settings
        self.registry = registry
        self.clock: Clock = MonotonicClock()
        self.records: dict[str, Record] = {}
        self.streams = Names()
        self.moved = 0
        """Sessions that were made again elsewhere."""
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="front-files")
        self.uploads = Uploads(
            max_bytes=server.max_upload_mb << 20, keep_s=server.upload_keep_s, executor=self._executor
        )
        self.keeper = Keeper(
            backend,
            Bounds(
                server.workers,
                max(server.workers, cluster.max_workers),
                cluster.spare_sessions,
                cluster.idle_timeout_s,
            ),
            placed=lambda name: (
                sum(one.is_at(name) for one in self.records.values()) + self.streams.count(name)
            ),
            on_news=self._hear,
            on_lost=self._lose,
            on_idle=lambda name: self.start(self.drain(name)),
        )

    async def stop(self) -> None:
        """End every worker, and with them the sessions."""
        for record in list(self.records.values()):
            self.forget(record, "The server stops.")
        for task in self._tasks:
            task.cancel()
        await self.keeper.stop()
        self.uploads.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    # What clients ask.

    async def create(
        self,
        source: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        is_local: bool,
        journal: bool = False,
    ) -> dict[str, Any]:
        """Make a session at the least loaded worker and return what its client is told.

        Raises SessionsFull, TooManySessions, or Refused with the worker's own answer.
        """
        who = asking()
        most = self.settings.server.max_sessions_per_visitor
        if not is_local and sum(one.visitor == who.name for one in self.records.values()) >= most:
            raise TooManySessions(
                f"You have {most} sessions already.",
                hint="Close another page, or wait a minute until it has ended.",
            )
        record = Record(secrets.token_urlsafe(18), dict(source), dict(settings), is_local, who.key)
        record.visitor, record.journal = who.name, journal
        if record.file_id:
            self.uploads.play(record.file_id)  # kept for as long as the session may have to be made again
        self.records[record.id] = record
        try:
            for _ in range(TRIES):
                name = await self.first_choice()
                try:
                    return await self._put(record, name)
                except WorkerLost as error:
                    log.warning("%s was lost while a session was made there: %s", name, error)
            raise WorkerLost("The workers do not answer.", hint="Try again in a minute.")
        except BaseException:
            self.forget(record, "It could not be made.")
            raise

    def record(self, session_id: str) -> Record:
        """Return the record of a session of the one who asks. Raises SessionUnknown, with an end's reason."""
        record = self.records.get(session_id)
        if record is None or not may(record.owner):
            why = self._ended.get(session_id)
            said = "There is no such session." if why is None else f"That session has ended. {why}".strip()
            raise SessionUnknown(said, hint="Start a new one.", permanent=True)
        return record

    async def send(
        self,
        method: str,
        path: str,
        *,
        session_id: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Pass a request on to the worker that has the session; when that is lost, to the next one.

        The answer is not read yet. Raises SessionUnknown, or WorkerLost when there is no place for it again.
        """
        for _ in range(TRIES):
            name = await self.place_of(session_id)
            line = self.keeper.line(name)
            try:
                return await line.send(method, path, session_id=session_id, content=content, headers=headers)
            except WorkerLost as error:
                if error.is_unreachable:
                    self.keeper.doubt(name, line)
        raise WorkerLost("The session's worker does not answer.", hint="Try again.")

    async def place_of(self, session_id: str) -> str:
        """Return the worker that has the session, as soon as one has. Raises as `send` does."""
        record = self.record(session_id)
        try:
            async with asyncio.timeout(self.settings.cluster.drain_timeout_s):
                await record.placed.wait()
        except TimeoutError as error:
            raise WorkerLost("The session's worker was lost.", hint="Start a new session.") from error
        return self.record(session_id).worker

    async def configure(self, session_id: str, changes: Mapping[str, Any]) -> None:
        """Apply live settings to a session. Raises Refused with what the worker says against it."""
        content = json.dumps(dict(changes)).encode()
        path, headers = f"/api/sessions/{session_id}/settings", {"content-type": "application/json"}
        answer = await self.send("PATCH", path, session_id=session_id, content=content, headers=headers)
        await answer.aread()
        await answer.aclose()
        if answer.status_code >= 400:
            raise Refused(answer)
        self.record(session_id).settings.update(changes)

    def came_over(self, record: Record) -> None:
        """Close what is left of a session where it was before: its client is served by the new worker now."""
        before, record.before = record.before, ""
        if before:
            self.start(self._close_at(before, record.id))

    # What the keeper tells.

    def _hear(self, name: str, event: dict[str, Any]) -> None:
        if event["type"] == "streams":
            self.streams.hear(name, event["names"])
            return
        record = self.records.get(event["id"])
        if event["type"] == "ended":
            if record is not None and record.worker == name:
                self.forget(record, event["why"])
            return
        if record is None and "source" in event and event["id"] not in self._ended:
            # A front that has begun anew finds workers that have outlived the old one.
            record = Record(event["id"], event["source"], {}, event["is_local"], worker=name)
            record.placed.set()
            self.records[record.id] = record
        if record is not None and record.worker == name:
            record.settings = event["settings"]

    def _lose(self, name: str) -> None:
        self.streams.lose(name)
        for record in list(self.records.values()):
            if record.before == name:
                record.before = ""
            if record.worker == name:
                record.worker = ""
                record.placed.clear()
                self.start(self._place_again(record))

    # Moving.

    async def drain(self, name: str) -> None:
        """Empty worker `name` and end it by the deadline: its clients are asked to offer anew.

        When it would be missed, another one is started first.
        """
        seat = self.keeper.seats.get(name)
        if seat is None or seat.is_draining:
            return
        seat.is_draining = True
        log.info("%s is emptied: %d sessions", name, seat.load.sessions)
        await self.keeper.replace_missing(self.settings.cluster.drain_timeout_s)
        mine = [one for one in self.records.values() if one.worker == name]
        await asyncio.gather(*(self._shift(one, name) for one in mine), return_exceptions=True)
        if not await self.keeper.until(
            lambda: seat.line is None or seat.load.sessions == 0, self.settings.cluster.drain_timeout_s
        ):
            log.warning("%s still has %d sessions at the deadline", name, seat.load.sessions)
        await self.keeper.remove(name)
        self._lose(name)

    async def _place_again(self, record: Record) -> None:
        """Make a session that has lost its worker at another one, as soon as one has a place."""
        try:
            async with record.moving, asyncio.timeout(self.settings.cluster.drain_timeout_s):
                while record.id in self.records and not record.worker:
                    await self.keeper.until(lambda: choose(self.keeper.views()) is not None, float("inf"))
                    name = choose(self.keeper.views())
                    if name is not None:
                        await self._put_moved(record, name)
        except TimeoutError:
            self.forget(record, "Its worker was lost, and no other had a place.")
        except Refused as error:
            self.forget(record, f"It could not be made again: {error.as_error().message}")

    async def _put_moved(self, record: Record, name: str) -> None:
        try:
            await self._put(record, name)
        except WorkerLost as error:
            log.warning("session %s could not go to %s: %s", record.id[:6], name, error)
            return
        record.moves += 1
        self.moved += 1
        log.info("session %s goes on at %s", record.id[:6], name)
        record.tell({"type": "move", "message": "Your session goes on at another worker."})

    async def _shift(self, record: Record, old: str) -> None:
        """Make a session at another worker while the old one still serves it, and ask its client over."""
        async with record.moving:
            name = choose(self.keeper.views(), but=old)
            if name is None or record.worker != old:
                return
            await self._put_moved(record, name)
            if record.worker != name:
                return
            record.before = old
        await self.keeper.line(old).call("POST", f"/worker/sessions/{record.id}/move", session_id=record.id)

    async def _put(self, record: Record, name: str) -> dict[str, Any]:
        """Make the session of `record` at worker `name`. Raises Refused or WorkerLost."""
        line = self.keeper.line(name)
        record.going = name
        try:
            source = dict(record.source)
            if record.file_id:
                source["file"] = await send_file(line, self.uploads.path(record.file_id), self._executor)
            body = {"id": record.id, "source": source, "settings": record.settings}
            answer = await line.call(
                "POST", "/worker/sessions", {**body, "is_local": record.is_local, "journal": record.journal}
            )
            if answer.status_code >= 400:
                raise Refused(answer)
            if self.keeper.seats.get(name) is None or self.keeper.seats[name].line is not line:
                raise WorkerLost("The worker was lost in that moment.")
            record.worker = name
            record.placed.set()
        except WorkerLost as error:
            if error.is_unreachable:
                self.keeper.doubt(name, line)
            raise
        finally:
            record.going = ""
        told: dict[str, Any] = answer.json()
        return told

    async def first_choice(self) -> str:
        """Return the worker for a new session; while none answers yet, wait for the first one."""
        views = self.keeper.views
        if not any(one.is_open for one in views()):
            await self.keeper.until(lambda: any(one.is_open for one in views()), FIRST_WORKER_S)
        name = choose(views())
        if name is None:
            raise SessionsFull(
                "All places at all workers are taken.", hint="Close another page, or try again in a minute."
            )
        return name

    async def close(self, session_id: str, why: str) -> None:
        """End a session of the one who asks, wherever it is; any other id is no error."""
        record = self.records.get(session_id)
        if record is not None and may(record.owner):
            places = {record.worker, record.before} - {""}
            self.forget(record, why)
            for name in places:
                await self._close_at(name, session_id)

    async def _close_at(self, name: str, session_id: str) -> None:
        try:
            line = self.keeper.line(name)
            await line.call("POST", f"/api/sessions/{session_id}/close", session_id=session_id)
        except WorkerLost:
            return  # it went with the worker

    def forget(self, record: Record, why: str) -> None:
        """Strike a session off, and tell those who listen why. Twice does no harm."""
        if self.records.pop(record.id, None) is None:
            return
        self._ended[record.id] = why
        while len(self._ended) > ENDED_REMEMBERED:
            self._ended.popitem(last=False)
        record.placed.set()
        record.tell({"type": "ended", "why": why})
        for one in record.listeners:
            one.close()
        if record.file_id:
            self.uploads.release(record.file_id)

    def start(self, work: Any) -> None:
        """Do `work` in the background; it ends with the desk."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
