"""What is asked of a session, by page, HTTP or voice, and what watches the stream for somebody.

Every reply is told to the session's clients, whoever asked; the newest stay for those who ask over HTTP. A
wish ("tell me when …") is looked at with each event once the memory has it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from perception.qa.base import Moment
from perception.qa.config import AnswerConfig
from perception.qa.desk import Desk, Reply
from perception.qa.events.memory import EventMemory
from perception.qa.wishes import Wish, Wishes, is_wish
from realtime.core.clock import NS_PER_S, Clock
from realtime.core.errors import ConfigError, SessionError, VitascopeError

from .events import Event
from .privacy import typed

MESSAGES = ("ask", "ask-aloud", "cancel", "unwatch")
"""Types of a client's messages that `take` knows."""
REPLIES_HELD = 200
ALOUD_S = 20.0
"""After the button was pressed, so long the next words are the question."""
NOTED = ("seen", "motion", "heard", "result", "command", "settings")
"""Types of a session's events that go into its memory."""
Hear = Callable[[Reply], object]


class Asked(Protocol):
    """Hold a graph that may answer: `app.wiring.Wiring`."""

    def desk(self) -> Desk | None: ...

    def asked_how(self) -> AnswerConfig: ...

    def detected(self) -> Collection[str]: ...


class Asking:
    """Let a session be asked. All methods from any thread.

    `tell` takes events for the session's clients.
    """

    def __init__(self, asked: Asked, tell: Callable[[Event], object], clock: Clock) -> None:
        self._asked = asked
        self._tell = tell
        self._clock = clock
        self._desk: Desk | None = None
        self._lock = threading.Lock()
        self._replies: OrderedDict[int, Reply] = OrderedDict()
        self._wishes: Wishes | None = None
        self._aloud_until_ns = 0

    def begin(self) -> None:
        """Take the desk, once the graph is open."""
        self._desk = self._asked.desk()
        if self._desk is not None and isinstance(self._desk.events, EventMemory):
            self._wishes = Wishes(self._desk.events)
            self._desk.events.can_tell(self._asked.detected())
            self._desk.on_noted = self._watch

    def note(self, kind: str, what: Mapping[str, Any]) -> None:
        """Take an event of the session's: into the memory, or as a spoken question."""
        if self._desk is None or kind not in NOTED:
            return
        if kind == "heard" and (asked := self._spoken(str(what["text"]))):
            self.take({"type": "ask", "question": asked})
            return
        if kind == "settings":
            self._desk.note({"type": kind, "changes": dict(what)})
        elif not (kind == "command" and what.get("changes")):  # those settings were told already
            self._desk.note({"type": kind, **what})

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message of a client's: "ask", "ask-aloud", "cancel" or "unwatch". Tells of what is wrong."""
        try:
            match message.get("type"):
                case "ask":
                    self.ask(str(message.get("question", "")))
                case "ask-aloud":
                    self._aloud_until_ns = self._clock.now_ns() + round(ALOUD_S * NS_PER_S)
                case "cancel":
                    self._open().cancel(int(message.get("id", 0)))
                case "unwatch":
                    self.unwatch(int(message.get("id", 0)))
        except (VitascopeError, ValueError, TypeError) as error:
            hint = error.hint if isinstance(error, VitascopeError) else ""
            says = error.message if isinstance(error, VitascopeError) else "That message cannot be read."
            asked = str(message.get("question", ""))[:80]
            self._tell({"type": "answer", "id": 0, "question": asked, "text": "", "final": True}
                       | {"error": says, "hint": hint})  # fmt: skip

    def ask(self, text: str, hear: Hear = lambda reply: None) -> dict[str, Any]:
        """Ask a question, or say a wish; return the reply, or the wish, as it stands now.

        Raises ConfigError for no text, one that is too long, or a wish that is not understood; SessionError
        where nothing answers or too many wait.
        """
        desk = self._open()
        typed.note({"question": text})
        if is_wish(text):
            return self.watch(text)
        reply = desk.ask(text, lambda reply: self._heard(reply, hear))
        return reply.told(self._clock.now_ns())

    def replies(self) -> list[dict[str, Any]]:
        """Return the newest replies, the oldest first."""
        with self._lock:
            held = list(self._replies.values())
        now_ns = self._clock.now_ns()
        return [one.told(now_ns) for one in held]

    def reply(self, reply_id: int) -> dict[str, Any] | None:
        """Return a reply as it stands; None for one that is not kept (any more)."""
        with self._lock:
            found = self._replies.get(reply_id)
        return found.told(self._clock.now_ns()) if found is not None else None

    def picture(self, number: int) -> bytes | None:
        """Return the JPEG of a kept picture."""
        return self._desk.picture(number) if self._desk is not None else None

    def figures(self) -> dict[str, int]:
        """Return how many events the memory could not take, once there are any."""
        lost = self._desk.lost if self._desk is not None else 0
        return {"events_lost": lost} if lost else {}

    def forget(self, last_s: float | None = None) -> int:
        """Delete what is remembered of the last seconds, or all of it; return how many records went."""
        desk = self._open()
        with self._lock:
            self._replies.clear()
        if last_s is None:
            return desk.forget()
        # Below 0 soon after this machine's start: a memory that was kept is not to go as a whole then.
        return desk.forget(self._clock.now_ns() - round(last_s * NS_PER_S))

    def card(self) -> dict[str, str] | None:
        """Return what answers here; None where nothing does."""
        if self._desk is None:
            return None
        card = self._desk.engine.card
        return {
            "name": card.name,
            "kind": card.kind,
            "says": card.says,
            "model": card.model,
            "licence": card.licence,
        }

    # Wishes.

    def watch(self, text: str) -> dict[str, Any]:
        """Tell the session's clients whenever something happens, until `unwatch`. Raises ConfigError."""
        if self._wishes is None:
            raise ConfigError("Nothing watches for that here.", hint="Ask instead.")
        wish = self._wishes.add(text)
        event = _told(wish, is_on=True)
        self._tell(event)
        return event

    def unwatch(self, wish_id: int) -> bool:
        """Take a wish back; tell whether there was one."""
        wish = self._wishes.drop(wish_id) if self._wishes is not None else None
        if wish is not None:
            self._tell(_told(wish, is_on=False))
        return wish is not None

    def wishes(self) -> list[dict[str, Any]]:
        """Return the wishes that are watched for."""
        return [_told(one, is_on=True) for one in self._wishes.listed()] if self._wishes is not None else []

    def _watch(self, event: Mapping[str, Any], at_ns: int) -> None:
        if self._wishes is not None:
            self._wishes.feed(event, at_ns, self._came_true)

    def _came_true(self, wish: Wish, moment: Moment) -> None:
        assert self._desk is not None
        told = self._desk.of_events(moment).told(self._clock.now_ns())
        self._tell(
            {"type": "alert", "id": wish.id, "question": wish.text, "says": moment.says, "moment": told}
        )

    # The house's own.

    def _open(self) -> Desk:
        if self._desk is None:
            raise SessionError(
                "Nothing answers in this session, or not yet.",
                hint="Start one of a preset that does: python -m app serve --preset ask.",
            )
        return self._desk

    def _spoken(self, text: str) -> str:
        """Return the question in what was said; "" when it is none."""
        if self._clock.now_ns() < self._aloud_until_ns:
            self._aloud_until_ns = 0
            return text.strip()
        how = self._asked.asked_how()
        if not how.spoken:
            return ""
        phrase = how.phrase.lower()
        words = text.strip()
        if not words.lower().startswith(phrase):
            return ""
        rest = words[len(phrase) :]
        return rest.lstrip(" ,.:;!-") if rest[:1] in " ,.:;!-" else ""

    def _heard(self, reply: Reply, hear: Hear) -> None:
        self._keep(reply)
        self._tell(reply.told(self._clock.now_ns()))
        hear(reply)

    def _keep(self, reply: Reply) -> None:
        with self._lock:
            self._replies[reply.id] = reply
            while len(self._replies) > REPLIES_HELD:
                self._replies.popitem(last=False)


def _told(wish: Wish, *, is_on: bool) -> Event:
    says = f"Watching: {wish.standing.condition.text}."
    return {"type": "wish", "id": wish.id, "question": wish.text, "says": says, "on": is_on}
