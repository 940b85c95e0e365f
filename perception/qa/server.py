"""The engine "server": a model on a server that speaks OpenAI's chat completions, sent a few pictures.

Keys and values of the past cannot be sent to such a server, pictures can: we choose them (`server_pick.py`),
it looks at them. A picture has the same number, words and bytes each time, and pictures come before the
question in order of time, so that the server's caches of prefixes and of encoded pictures serve again.
"""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perception.qa.base import Answer, EngineCard, Moment
from realtime.core.clock import NS_PER_S
from realtime.core.errors import EngineError
from realtime.core.frame import Frame

from .server_chat import Chat
from .server_config import ServerConfig, base_url
from .server_frames import FrameBank, Kept
from .server_pick import pick

NAME = "server"
UNSEEN = "I did not see that"
UNSURE = 0.5
"""The confidence of an answer whose tokens' probabilities the server does not tell."""
TASK = (
    "You see pictures of one video stream, in order of time. Each has a number and a time, counted from the "
    "beginning. Answer the question from the pictures alone, in one or two sentences. Name the pictures that "
    f'show it by number in brackets, like [7]. If no picture shows it, say "{UNSEEN}".'
)
NAMED = re.compile(r"\[(\d{1,9})\]")


@dataclass(frozen=True, slots=True, eq=False)
class ServerMemory:
    """Hold the pictures of a moment."""

    kept: tuple[Kept, ...] = ()
    known_ns: int = 0
    begun_ns: int | None = None
    """When the first picture came; None before it."""


class ServerEngine:
    """Remember pictures and let a server look at some. A `QAEngine[ServerMemory]`.

    `embedder` (see `Embedder` in perception/qa/kv/strategies) finds pictures by the words of a question;
    `moments` tells the moments that another memory knows for a question.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        embedder: Any = None,
        moments: Callable[[str], Sequence[Moment]] | None = None,
        environ: Mapping[str, str] = os.environ,
        chat: Chat | None = None,
    ) -> None:
        """Make the engine; nothing is sent before the first question. Raises ConfigError for an address."""
        self.config = config
        self._embedder, self._moments = embedder, moments
        url = base_url(config.url)
        key = config.secret(environ)
        self._chat = chat or Chat(url, key, config.silent_s, config.answer_s, config.tries)
        embed = embedder.picture if embedder is not None else None
        self._bank = FrameBank(config.keep_mib, config.every_s, config.size_px, config.quality, embed)
        self._model = config.model
        self._now = ServerMemory()

    @property
    def card(self) -> EngineCard:
        says = f"A model on {self._chat.base_url}; with a question go {self.config.images} pictures at most."
        return EngineCard(NAME, "server", says, self._model)

    def push_frame(self, frame: Frame) -> None:
        """Take in a picture; most are not kept."""
        self._bank.push(frame)
        at_ns, begun_ns = frame.stamp.captured_ns, self._now.begun_ns
        self._now = ServerMemory(self._bank.kept, at_ns, at_ns if begun_ns is None else begun_ns)

    def note(self, event: Mapping[str, Any], at_ns: int) -> None:
        """Take in nothing: events are the event memory's, see `moments`."""

    def snapshot(self) -> ServerMemory:
        return self._now

    def ask(self, text: str, memory: ServerMemory) -> Iterator[Answer]:
        """Answer as the server's words come. Raises EngineError when it fails.

        The moments are those of the pictures that the answer names, or of all that were sent.
        """
        kept = [one for one in memory.kept if one.jpeg]
        if not kept:
            yield Answer(f"{UNSEEN}: nothing is remembered.", NAME, memory.known_ns, observed=False)
            return
        words = self._embedder.words(text) if self._embedder is not None else None
        moments = self._moments(text) if self._moments is not None else ()
        moments = [one for one in moments if one.at_ns <= memory.known_ns]
        chosen = pick(kept, self.config.images, self.config.recent, words, moments)
        said, ended = "", ""
        logs: list[float] = []
        for delta in self._chat.ask(self._body(text, chosen, memory)):
            logs += delta.log_probabilities
            ended = delta.ended or ended
            if delta.text:
                said += delta.text
                yield Answer(said, NAME, memory.known_ns, is_final=False)
        said = said.strip()
        if not said:
            hint = "Ask for a longer answer: answer_tokens." if ended == "length" else "Its log may say why."
            raise EngineError("The server answered nothing.", hint=hint)
        if ended == "length":
            said += " …"
        observed = UNSEEN.casefold() not in said.casefold()
        named = {int(number) for number in NAMED.findall(said)}
        shown = [one for one in chosen if one.number in named] or chosen
        sure = math.exp(sum(logs) / len(logs)) if logs else UNSURE
        yield Answer(
            said, NAME, memory.known_ns, tuple(_moment(one, memory) for one in shown) if observed else (),
            observed, sure,
        )  # fmt: skip

    def _body(self, text: str, chosen: Sequence[Kept], memory: ServerMemory) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for one in chosen:
            jpeg = one.jpeg
            if not jpeg:  # forgotten meanwhile
                continue
            parts.append({"type": "text", "text": f"Picture {one.number}, at {_clock(one.at_ns, memory)}:"})
            url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            picture: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
            if self.config.frame_ids:
                picture["uuid"] = f"vitascope-{one.number}"
            parts.append(picture)
        asked = text.encode(errors="replace").decode()
        parts.append({"type": "text", "text": f"It is now {_clock(memory.known_ns, memory)}. {asked}"})
        if not self._model:
            self._model = _first(self._chat.models())
        return {
            "model": self._model,
            "messages": [{"role": "system", "content": TASK}, {"role": "user", "content": parts}],
            "max_tokens": self.config.answer_tokens,
            "temperature": 0,
            "stream": True,
        }

    def picture(self, number: int) -> bytes | None:
        return self._bank.picture(number)

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        """Delete pictures of the time between two moments, here; what a server keeps is its own business."""
        gone = self._bank.forget(begin_ns, end_ns)
        self._now = ServerMemory(self._bank.kept, self._now.known_ns, self._now.begun_ns)
        return gone

    def close(self) -> None:
        self._chat.close()
        self._bank.forget(-(1 << 62), None)
        self._now = ServerMemory()


def _first(models: Sequence[str]) -> str:
    if not models:
        raise EngineError("The server serves no model.", hint="Load one there, or name one: model.")
    return models[0]


def _clock(at_ns: int, memory: ServerMemory) -> str:
    """Return the time since the stream began, so that a picture's words are the same each time."""
    seconds = max(0, at_ns - (memory.begun_ns or 0)) // NS_PER_S
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _moment(one: Kept, memory: ServerMemory) -> Moment:
    return Moment(one.at_ns, until_ns=min(one.until_ns, memory.known_ns), picture=one.number)
