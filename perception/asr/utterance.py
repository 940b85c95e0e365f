"""One utterance after the other: what was heard of it goes to the recognisers, and texts come back."""

from __future__ import annotations

from dataclasses import replace

from .intake import Window
from .recognizers.base import LooksAhead, Recognizer
from .stable import StablePrefix
from .transcript import Hypothesis, Transcript, Turn


class Utterances:
    """Drive the recognisers of one stream: `live` for texts that grow, `final`, if any, for the last word."""

    def __init__(self, live: Recognizer, final: Recognizer | None = None) -> None:
        self._live = live
        self._final = final
        self._stable = StablePrefix()
        self._said = Transcript(Turn.END, -1, "", "", 0.0, 0.0, engine=live.info.id)
        self._is_fresh = False
        """Whether there is sound that the newest text does not know of."""

    @property
    def engine(self) -> str:
        return self._live.info.id

    @property
    def update_s(self) -> float:
        """Seconds of sound after which new text is worth its cost."""
        return self._live.info.update_s

    def look(self, lookahead: int) -> None:
        """Have those that can look so far ahead. Raises what `LooksAhead.look` does."""
        for one in (self._live, self._final):
            if isinstance(one, LooksAhead):
                one.look(lookahead)

    def begin(self, first: Window) -> Transcript:
        """Begin the next utterance with the window that it begins at, which `hear` takes then."""
        self._stable.reset()
        self._said = Transcript(
            Turn.START,
            self._said.utterance + 1,
            "",
            "",
            first.begin_s,
            first.begin_s,
            engine=self.engine,
            captured_ns=first.captured_ns,
            before=self._said.text or self._said.before,
        )
        return self._said

    def hear(self, window: Window) -> None:
        """Take the next sound of the utterance."""
        self._live.accept(window.samples)
        if self._final is not None:
            self._final.accept(window.samples)
        self._is_fresh = True
        self._said = replace(self._said, end_s=window.end_s, captured_ns=window.captured_ns)

    def update(self) -> Transcript | None:
        """Return what is new since the last time; None when nothing is."""
        before, found = self._said, self._look()
        return found if (found.text, found.tail) != (before.text, before.tail) else None

    def pause(self, turn: Turn, *, look: bool) -> Transcript:
        """Return the text at a probable end, or when that was none; `look`: of all sound so far."""
        found = self._look() if look else self._said
        return replace(found, turn=turn)

    def prepare(self) -> None:
        """Work on the final words already, since the utterance is probably over."""
        if self._final is not None:
            self._final.partial()

    def end(self) -> Transcript:
        """End the utterance and return its final words."""
        words = (self._final or self._live).finish()
        if self._final is not None:
            self._live.finish() if self._live.info.is_append_only else self._live.reset()
        self._said = self._told(words, Turn.END, words.text.strip(), "")
        if self._final is not None:
            self._said = replace(self._said, engine=self._final.info.id)
        return self._said

    def forget(self) -> None:
        """Forget the stream and the utterance in it."""
        for one in (self._live, self._final):
            if one is not None:
                one.reset()

    def close(self) -> None:
        for one in (self._live, self._final):
            if one is not None:
                one.close()

    def _look(self) -> Transcript:
        if self._is_fresh:  # the same sound twice would seem to agree with itself
            self._is_fresh = False
            found = self._live.partial()
            text = found.text.strip()
            stands, tail = (text, "") if self._live.info.is_append_only else self._stable.take(text)
            self._said = self._told(found, Turn.UPDATE, stands, tail)
        return self._said

    def _told(self, found: Hypothesis, turn: Turn, text: str, tail: str) -> Transcript:
        begin_s = self._said.begin_s
        words = tuple(
            replace(one, begin_s=one.begin_s + begin_s, end_s=one.end_s + begin_s) for one in found.words
        )
        return replace(self._said, turn=turn, text=text, tail=tail, words=words, confidence=found.confidence)
