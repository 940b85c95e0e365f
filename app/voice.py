"""What a session does with commands that were heard: the same changes that a page could make, and a way back.

A wish becomes settings of this moment ("more" of what there is now) and goes the way that a client's settings
go. Names of models and files are refused even if a preset holds them. Each command that changed something is
remembered with what was there before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from perception.voice.book import Book, Field
from perception.voice.wishes import Act, Deafen, Paint, Preset, Put, Shift, Step, Undo, wish_of
from realtime.core.errors import ConfigError, VitascopeError
from ui.port import Vocabulary
from ui.words import with_look, with_mood, with_strength

from .events import Event

UNDOABLE = 32
"""Commands that can be undone, the newest first."""
Changes = dict[str, Any]


class Steered(Protocol):
    """Hold what a voice may steer: `app.wiring.Wiring`."""

    def book(self) -> Book: ...

    def vocabulary(self) -> Vocabulary: ...

    def guards(self) -> Collection[str]: ...


class VoiceSteering:
    """Apply the commands of one session. For one thread.

    `configure` takes settings or raises ConfigError, `current` gives their values, `tell` takes events.
    """

    def __init__(
        self,
        steered: Steered,
        *,
        configure: Callable[[Mapping[str, Any]], object],
        current: Callable[[], Mapping[str, Any]],
        tell: Callable[[Event], object],
    ) -> None:
        self._steered = steered
        self._configure = configure
        self._current = current
        self._tell = tell
        self._done: deque[tuple[str, Changes]] = deque(maxlen=UNDOABLE)
        """What was said, and the values before."""

    def take(self, event: Event) -> None:
        """Pass an event on, and do first what a command asks for."""
        wish = wish_of(event["wish"]) if event["type"] == "command" and event["wish"] else None
        if wish is None:
            self._tell(event)
        elif isinstance(wish, Undo):
            self.undo(event)
        elif isinstance(wish, Act):
            self._tell({**event, "does": wish.what})
        else:
            self._change(event, wish)

    def undo(self, event: Event | None = None) -> None:
        """Put back what the newest command changed, as if nobody had said it."""
        said = event or {"type": "command", "outcome": "understood", "text": "undo"}
        if not self._done:
            self._tell({**said, "refused": "There is nothing to undo."})
            return
        text, before = self._done[-1]
        try:
            self._configure(before)
        except VitascopeError as error:
            self._tell({**said, "refused": f"{error.message} {error.hint}".strip()})
            return
        self._done.pop()
        self._tell({**said, "undoes": text, "changes": before, "can_undo": bool(self._done)})

    def _change(self, event: Event, wish: Any) -> None:
        try:
            current = self._current()
            steered = self._steered
            changes = resolved(wish, current, steered.book(), steered.vocabulary(), event.get("node", ""))
            if held := sorted(changes.keys() & set(steered.guards())):
                raise ConfigError(f"{', '.join(held)} cannot be set by voice.", hint="Use the page.")
            before = {name: current[name] for name in changes if name in current}
            self._configure(changes)
        except VitascopeError as error:
            self._tell({**event, "refused": f"{error.message} {error.hint}".strip()})
            return
        self._done.append((event["text"], before))
        self._tell({**event, "changes": changes, "before": before, "can_undo": True})


def resolved(wish: Any, current: Mapping[str, Any], book: Book, vocabulary: Vocabulary, node: str) -> Changes:
    """Return the settings that `wish` comes to now. Raises ConfigError for a name that is gone."""
    match wish:
        case Put(name, value):
            return {name: value}
        case Shift(name, share):
            return {name: shifted(_field(book, name), current[name], share)}
        case Step(name, by):
            field = _field(book, name)
            return {name: int(min(field.high, max(field.low, current[name] + by)))}
        case Paint(look, mood, strength):
            return {"prompt": painted(str(current["prompt"]), look, mood, strength, vocabulary)}
        case Preset(name):
            return dict(book.presets[name])
        case Deafen():
            return {f"{node}.mode": "off"}
    raise ConfigError(f"Nothing is known to do for {wish}.")


def shifted(field: Field, value: float, share: float) -> float:
    """Return a number moved by a share of its range, a whole one by at least one step, within its bounds."""
    span = field.high - field.low
    if not field.is_whole:
        return round(min(field.high, max(field.low, value + share * span)), 4)
    step = int(field.multiple_of or 1)
    count = max(1, round(abs(share) * span / step))
    return int(min(field.high, max(field.low, value + (count if share > 0 else -count) * step)))


def painted(
    prompt: str, look: str | None, mood: str | None, strength: str | None, vocabulary: Vocabulary
) -> str:
    """Return `prompt` in another look, mood or strength, as a click on the page would write it."""
    if look is not None:
        prompt = with_look(prompt, look, vocabulary)
    if mood is not None:
        prompt = with_mood(prompt, mood, vocabulary)
    if strength is not None:
        prompt = with_strength(prompt, strength, vocabulary)
    return prompt


def _field(book: Book, name: str) -> Field:
    found = next((one for one in book.fields if one.name == name), None)
    if found is None:
        raise ConfigError(f'"{name}" is no setting of this graph.')
    return found
