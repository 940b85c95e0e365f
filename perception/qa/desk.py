"""Where a stream's questions are asked: pictures and events go in on one side, questions on the other.

Pictures and events are written one after another. Beside a model or a server stands a memory of events: that
one knows what happened, what to wait for, and writes while the model still thinks. Questions wait in a
channel and are answered by threads of their own, each from the memory of the moment that it was asked in; so
none waits for a picture to be encoded, and none holds one up. Nothing that was asked is lost without a word:
whoever asks when too many wait is told so at once.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from realtime.core.channel import Channel, Drop
from realtime.core.clock import Clock
from realtime.core.errors import ChannelClosed, ChannelFull, ConfigError, SessionError, VitascopeError
from realtime.core.frame import Frame
from realtime.core.lane import on_lanes_terms

from .base import Answer, Moment, QAEngine

log = logging.getLogger(__name__)

LANE = "answer"
MAX_CHARS = 500
WAITING = 1024
"""Questions that may wait for their turn."""
NOTES_HELD = 8192
"""Events that wait to be noted while the engine is busy with a picture."""
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold what became of a question so far: an answer that grows, or the reason why there is none."""

    id: int
    """A number of the desk's, 1, 2, 3 ..."""
    question: str
    asked_ns: int
    answer: Answer | None = None
    """None while it waits."""
    error: VitascopeError | None = None
    cancelled: bool = False

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more will come."""
        return self.error is not None or self.cancelled or (self.answer is not None and self.answer.is_final)

    def told(self, now_ns: int) -> dict[str, Any]:
        """Return the reply as an event for page and record."""
        said: dict[str, Any] = {
            "type": "answer",
            "id": self.id,
            "question": self.question,
            "asked_ago_s": round((now_ns - self.asked_ns) / 1e9, 1),
            "final": self.is_final,
        }
        if self.error is not None:
            return {**said, "error": self.error.message, "hint": self.error.hint, "text": ""}
        if self.answer is None:
            return {**said, "text": "", "cancelled": self.cancelled}
        answer = self.answer
        return {
            **said,
            "text": answer.text,
            "engine": answer.engine,
            "observed": answer.observed,
            "confidence": round(answer.confidence, 3),
            "known_ago_s": round((now_ns - answer.known_ns) / 1e9, 1) if answer.known_ns else None,
            "moments": [one.told(now_ns) for one in answer.moments],
        }


@dataclass(slots=True)
class _Asked:
    """Hold a question on its way."""

    reply: Reply
    memory: Any
    hear: Callable[[Reply], object]
    is_void: threading.Event = field(default_factory=threading.Event)


class Desk:
    """Let one stream be asked. All methods from any thread, but for `push`, which its lane calls.

    `events` is what remembers events, where that is not the engine itself. `at_once` questions are answered
    at the same time.
    """

    def __init__(
        self,
        engine: QAEngine[Any],
        clock: Clock,
        *,
        events: QAEngine[Any] | None = None,
        at_once: int = 2,
        waiting: int = WAITING,
    ) -> None:
        self._engine = engine
        self._events = events or engine
        self._clock = clock
        self._writing = threading.Lock()
        """Held while the engine takes a picture in."""
        self._noting = self._writing if events is None else threading.Lock()
        """Held while the memory of events takes something in."""
        self._notes: deque[tuple[Mapping[str, Any], int]] = deque()
        self._noted = threading.Condition()
        self._lost = 0
        self._ids = itertools.count(1)
        self._asked: Channel[_Asked] = Channel("questions", waiting, Drop.NEVER, clock)
        self._open: dict[int, _Asked] = {}
        self._closing = False
        self.on_noted: Callable[[Mapping[str, Any], int], object] = lambda event, at_ns: None
        """Hears each event once the engine has it, on a thread of the desk's."""
        self._threads = [
            threading.Thread(target=self._serve, name=f"answer-{k}", daemon=True) for k in range(at_once)
        ]
        self._threads.append(threading.Thread(target=self._note_all, name="answer-notes", daemon=True))
        on_lanes_terms(LANE, self._begin)

    def _begin(self) -> None:
        """Start the threads from one of the lane's niceness, which they inherit."""
        for thread in self._threads:
            thread.start()

    @property
    def engine(self) -> QAEngine[Any]:
        return self._engine

    @property
    def events(self) -> QAEngine[Any]:
        """What remembers events: the engine itself, or what stands beside it."""
        return self._events

    @property
    def waiting(self) -> int:
        """How many questions have no final answer yet."""
        return len(self._open)

    # What comes in.

    def push(self, frame: Frame) -> None:
        """Let the engine see a picture; takes as long as the engine does. Raises what the engine raises."""
        if self._events is not self._engine:
            with self._noting:
                if not self._closing:
                    self._events.push_frame(frame)
        with self._writing:
            if not self._closing:
                self._engine.push_frame(frame)

    def note(self, event: Mapping[str, Any]) -> None:
        """Let the engine know of an event that a session told. Never blocks for long.

        When thousands wait, the oldest is forgotten, and `lost` counts it.
        """
        at_ns = self._clock.now_ns()  # things are told where they are now
        with self._noted:
            if len(self._notes) >= NOTES_HELD:
                self._notes.popleft()
                self._lost += 1
            self._notes.append((dict(event), at_ns))
            self._noted.notify_all()

    @property
    def lost(self) -> int:
        """Count the events that were forgotten before the engine had time for them."""
        return self._lost

    def settle(self, timeout_s: float = 1.0) -> bool:
        """Wait until all events so far are noted; tell whether they are. For those who ask right after."""
        with self._noted:
            return self._noted.wait_for(lambda: not self._notes, timeout_s)

    # Questions.

    def ask(self, text: str, hear: Callable[[Reply], object]) -> Reply:
        """Ask, and let `hear` know of each part of the answer, on a thread of the desk's.

        It hears first, here and now, that the question waits. Returns the reply as it is then.
        Raises ConfigError for no text or one that is too long, SessionError when too many wait or the desk is
        closed.
        """
        question = " ".join(text.split())
        if not question:
            raise ConfigError("Nothing was asked.", hint='Ask, for example, "What happened a minute ago?"')
        if len(question) > MAX_CHARS:
            raise ConfigError(
                f"A question may have {MAX_CHARS} characters, this one has {len(question)}.",
                hint="Ask less at once.",
            )
        reply = Reply(next(self._ids), question, self._clock.now_ns())
        asked = _Asked(reply, self._engine.snapshot(), hear)
        self._open[reply.id] = asked
        hear(reply)
        try:
            self._asked.put(asked)
        except ChannelFull as error:
            del self._open[reply.id]
            hear(replace(reply, cancelled=True))
            raise SessionError(
                f"{self._asked.capacity} questions wait already.", hint="Ask again in a while."
            ) from error
        except ChannelClosed as error:
            del self._open[reply.id]
            hear(replace(reply, cancelled=True))
            raise SessionError("This session has ended; nothing can be asked.") from error
        return reply

    def cancel(self, reply_id: int) -> bool:
        """Want no answer any more; tell whether one was still on its way."""
        asked = self._open.get(reply_id)
        if asked is None:
            return False
        asked.is_void.set()
        return True

    def picture(self, number: int) -> bytes | None:
        """Return the JPEG of a kept picture; None when it was forgotten. See `of_events`."""
        if self._closing:
            return None
        return self._engine.picture(number) if number >= 0 else self._events.picture(-1 - number)

    def of_events(self, moment: Moment) -> Moment:
        """Return a moment that the memory of events told of, with a number that `picture` knows it by."""
        if self._events is self._engine or moment.picture is None:
            return moment
        return replace(moment, picture=-1 - moment.picture)

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        """Delete what is remembered between two moments; return how many records went."""
        with self._noted:
            self._notes = deque(
                one for one in self._notes if one[1] < begin_ns or (end_ns is not None and one[1] >= end_ns)
            )
            self._noted.notify_all()
        gone = 0
        if self._events is not self._engine:
            with self._noting:
                gone = self._events.forget(begin_ns, end_ns)
        with self._writing:
            return gone + self._engine.forget(begin_ns, end_ns)

    def close(self) -> None:
        """Tell those who wait that no answer will come, and let go of the engine. Twice does no harm."""
        with self._noted:
            was, self._closing = self._closing, True
            self._noted.notify_all()
        if was:
            return
        self._asked.close()
        for asked in list(self._open.values()):
            asked.is_void.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(STOP_TIMEOUT_S)
        with self._noting:
            self._events.close()
        if self._events is not self._engine:
            with self._writing:
                self._engine.close()

    # The desk's own threads.

    def _note_all(self) -> None:
        while True:
            with self._noted:
                self._noted.wait_for(lambda: self._notes or self._closing)
                if self._closing and not self._notes:
                    return
                event, at_ns = self._notes[0]
            try:
                with self._noting:
                    if not self._is_next(event):  # it was forgotten while it waited
                        continue
                    self._events.note(event, at_ns)
                self.on_noted(event, at_ns)
            except Exception:  # the one who notes must go on: an event is lost, which is told
                log.exception("an event could not be noted")
                self._lost += 1
            with self._noted:
                if self._is_next(event):
                    self._notes.popleft()
                if not self._notes:
                    self._noted.notify_all()

    def _is_next(self, event: Mapping[str, Any]) -> bool:
        with self._noted:
            return bool(self._notes) and self._notes[0][0] is event

    def _serve(self) -> None:
        while True:
            try:
                asked = self._asked.get()
            except ChannelClosed:
                return
            self._answer(asked)

    def _answer(self, asked: _Asked) -> None:
        reply = asked.reply
        try:
            for reply in self._parts(asked):
                if reply.is_final:
                    self._open.pop(reply.id, None)
                asked.hear(reply)
        except Exception as fault:  # a thread that answers must go on; the one who asked is told
            error = fault if isinstance(fault, VitascopeError) else None
            if error is None:
                log.exception("a question could not be answered")
                error = SessionError(
                    f"The question could not be answered: {type(fault).__name__}.",
                    hint="The log holds the details.",
                )
            self._open.pop(reply.id, None)
            asked.hear(Reply(reply.id, reply.question, reply.asked_ns, error=error))

    def _parts(self, asked: _Asked) -> Iterator[Reply]:
        reply = asked.reply
        for answer in self._engine.ask(reply.question, asked.memory):
            if asked.is_void.is_set():
                break
            yield Reply(reply.id, reply.question, reply.asked_ns, answer)
            if answer.is_final:
                return
        yield Reply(reply.id, reply.question, reply.asked_ns, cancelled=True)
