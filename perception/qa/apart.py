"""An engine in a process of its own: a model that thinks takes nothing from the painter's interpreter lock.

The child's main thread reads calls in order. A snapshot is taken at once; a picture or an event goes to the
one thread that writes, a question to a thread of its own. So what holds for an engine here holds there. Those
threads have what others leave of a core, and while there is such a process who paints takes short turns; the
thread that reads calls, and loads the model, is only nicer.
"""

from __future__ import annotations

import itertools
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from realtime.core.errors import EngineError, VitascopeError
from realtime.core.frame import Frame
from realtime.core.lane import on_lanes_terms
from realtime.core.turns import hurry, relax, run_when_idle

from .base import Answer, EngineCard, QAEngine

LANE = "answer"
STOP_TIMEOUT_S = 10.0
ASKED_AT_ONCE = 4
SNAPSHOTS_HELD = 4096


@dataclass(frozen=True, slots=True)
class _Gone:
    """Say that the child is no more."""

    code: int | None


class ApartEngine:
    """Run the engine that `make` makes in a child process; `make` must be importable there.

    Raises what making the engine raises, and EngineError from any call once the child has died.
    """

    def __init__(self, make: Callable[..., QAEngine[Any]], *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, far = context.Pipe()
        self._child = context.Process(target=_serve, args=(far, make, args), daemon=True, name="answer")
        on_lanes_terms(LANE, self._child.start)  # which inherits the niceness
        far.close()
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._heard: dict[int, SimpleQueue[Any]] = {}
        self._gone: _Gone | None = None
        self._reader = threading.Thread(target=self._read, name="answer-apart", daemon=True)
        self._reader.start()
        self._is_closed = False
        hurry()
        try:
            self._card: EngineCard = self._call("card")
        except VitascopeError:
            self.close()
            raise

    @property
    def card(self) -> EngineCard:
        return self._card

    def push_frame(self, frame: Frame) -> None:
        self._call("push", frame.stamp, frame.pixels)

    def note(self, event: Mapping[str, Any], at_ns: int) -> None:
        self._call("note", dict(event), at_ns)

    def snapshot(self) -> int:
        """Return a number, at once; the child takes the snapshot as it reads this, and keeps it for `ask`."""
        number = next(self._numbers)
        self._send(number, "snapshot")
        return number

    def ask(self, text: str, memory: int) -> Iterator[Answer]:
        queue, is_over = self._begin(number := next(self._numbers), "ask", text, memory), False
        try:
            while (said := self._next(queue)) is not None:
                yield said
            is_over = True
        finally:
            self._heard.pop(number, None)
            if not is_over:
                with suppress(EngineError):
                    self._send(number, "stop")

    def picture(self, number: int) -> bytes | None:
        found: bytes | None = self._call("picture", number)
        return found

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        return int(self._call("forget", begin_ns, end_ns))

    def close(self) -> None:
        """End the child; what it does not do in time is cut short. Twice does no harm."""
        if not self._is_closed:
            self._is_closed = True
            relax()
        with suppress(EngineError):
            self._send(0, "close")
        self._child.join(STOP_TIMEOUT_S)
        if self._child.is_alive():
            self._child.kill()
            self._child.join()
        self._reader.join(STOP_TIMEOUT_S)

    def _call(self, what: str, *args: Any) -> Any:
        number = next(self._numbers)
        try:
            return self._next(self._begin(number, what, *args))
        finally:
            self._heard.pop(number, None)

    def _begin(self, number: int, what: str, *args: Any) -> SimpleQueue[Any]:
        queue: SimpleQueue[Any] = SimpleQueue()
        self._heard[number] = queue
        self._send(number, what, *args)
        return queue

    def _send(self, number: int, what: str, *args: Any) -> None:
        try:
            with self._sending:
                if self._gone is not None:
                    raise BrokenPipeError
                self._line.send((number, what, args))
        except (OSError, ValueError) as error:
            raise _dead(self._gone) from error

    def _next(self, queue: SimpleQueue[Any]) -> Any:
        said = queue.get()
        if isinstance(said, _Gone):
            raise _dead(said)
        if isinstance(said, BaseException):
            raise said
        return said

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                number, said = self._line.recv()
                if (queue := self._heard.get(number)) is not None:
                    queue.put(said)
        self._child.join(STOP_TIMEOUT_S)
        with self._sending:
            self._gone = _Gone(self._child.exitcode)
        for queue in list(self._heard.values()):
            queue.put(self._gone)


def _dead(gone: _Gone | None) -> EngineError:
    code = "" if gone is None or gone.code is None else f" (exit code {gone.code})"
    return EngineError(
        f"The process that answers has ended{code}.",
        hint="Start a new session. If it ends again, give it more memory or a smaller model.",
        permanent=True,
    )


# In the child.


def _serve(line: Connection, make: Callable[..., QAEngine[Any]], args: tuple[Any, ...]) -> None:
    sending = threading.Lock()

    def send(number: int, said: Any) -> None:
        with sending, suppress(OSError):
            line.send((number, said))

    number, _, _ = line.recv()  # the card is asked for first
    try:
        engine = make(*args)
    except Exception as error:  # whoever made this engine is told
        send(number, _portable(error))
        return
    send(number, engine.card)
    _Child(engine, send).serve(line)


class _Child:
    """Hold the engine and do what the line says."""

    def __init__(self, engine: QAEngine[Any], send: Callable[[int, Any], None]) -> None:
        self._engine = engine
        self._send = send
        self._memories: dict[int, Any] = {}
        self._stopped: set[int] = set()
        self._writer = ThreadPoolExecutor(1, "write", run_when_idle)
        self._askers = ThreadPoolExecutor(ASKED_AT_ONCE, "ask", run_when_idle)

    def serve(self, line: Connection) -> None:
        """Work until "close", or until the other side is gone."""
        with suppress(EOFError, OSError):
            while (call := line.recv())[1] != "close":
                self._take(*call)
        self._writer.shutdown(cancel_futures=True)
        self._askers.shutdown(cancel_futures=True)
        self._engine.close()

    def _take(self, number: int, what: str, args: tuple[Any, ...]) -> None:
        engine = self._engine
        if what == "snapshot":
            self._memories[number] = engine.snapshot()
            if len(self._memories) > SNAPSHOTS_HELD:  # of questions that were refused before they came here
                del self._memories[next(iter(self._memories))]
        elif what == "ask":
            self._askers.submit(self._ask, number, args[0], self._memories.pop(args[1]))
        elif what == "stop":
            self._stopped.add(number)
        elif what == "picture":
            self._answer(number, engine.picture, *args)
        else:
            writes: dict[str, Callable[..., Any]] = {
                "push": self._push,
                "note": engine.note,
                "forget": engine.forget,
            }
            self._writer.submit(self._answer, number, writes[what], *args)

    def _push(self, stamp: Any, pixels: Any) -> None:
        self._engine.push_frame(Frame(stamp, pixels))

    def _answer(self, number: int, call: Callable[..., Any], *args: Any) -> None:
        try:
            self._send(number, call(*args))
        except Exception as error:  # whoever called is told
            self._send(number, _portable(error))

    def _ask(self, number: int, text: str, memory: Any) -> None:
        try:
            for said in self._engine.ask(text, memory):
                if number in self._stopped:
                    break
                self._send(number, said)
            self._send(number, None)
        except Exception as error:  # whoever asked is told
            self._send(number, _portable(error))
        finally:
            self._stopped.discard(number)


def _portable(error: Exception) -> EngineError:
    """Return an error that can be sent: one of ours with its words, others by name and words."""
    if isinstance(error, VitascopeError):
        return _Sent(error.message, error.hint, error.permanent)
    return _Sent(f"{type(error).__name__}: {error}", "The log of the process that answers holds more.", False)


class _Sent(EngineError):
    """An error of the child's, which pickles by its three parts."""

    def __init__(self, message: str, hint: str, permanent: bool) -> None:
        super().__init__(message, hint=hint, permanent=permanent)

    def __reduce__(self) -> tuple[type[_Sent], tuple[str, str, bool]]:
        return _Sent, (self.message, self.hint, self.permanent)
