"""A path that is slow, or gone: a relay of TCP, on a thread of its own, between a client and a server."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

PIECE_BYTES = 16_384
PIECES_HELD = 256


class Relay:
    """Listen on a free port and pass everything on to `port`, `delay_s` later each way. A context manager."""

    def __init__(self, port: int, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.port = 0
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._ready = threading.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._is_down = False
        self._flows = asyncio.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Relay:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *args: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset what is open and refuse what comes, until `mend`."""
        self._do(True, self._flows.is_set())

    def hold(self) -> None:
        """Let nothing through any more, without a word to either side, until `mend`."""
        self._do(self._is_down, False)

    def mend(self) -> None:
        """Let everything through again."""
        self._do(False, True)

    def _do(self, is_down: bool, flows: bool) -> None:
        def act() -> None:
            self._is_down = is_down
            (self._flows.set if flows else self._flows.clear)()
            if is_down:
                for writer in tuple(self._open):
                    writer.transport.abort()

        self._loop.call_soon_threadsafe(act)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flows.set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        self._loop.run_until_complete(asyncio.sleep(0))  # who just knocked is let in, and then out
        for writer in tuple(self._open):
            writer.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_down:
            writer.transport.abort()
            return
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, to_writer}
        try:
            await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer))
        finally:
            for one in (writer, to_writer):
                self._open.discard(one)
                one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_HELD)

        async def read() -> None:
            data = b"-"
            while data:
                try:
                    data = await reader.read(PIECE_BYTES)
                except ConnectionError:
                    data = b""
                await pieces.put((loop.time() + self.delay_s, data))

        reading = loop.create_task(read())
        with suppress(ConnectionError):
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                await self._flows.wait()
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        reading.cancel()
        writer.close()
