"""Read what a server streams: server-sent events (WHATWG HTML, section 9.2) of an OpenAI chat completion."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from realtime.core.errors import EngineError

MOST_LINE_BYTES = 1 << 20
HINT = "Check that the address is that of an OpenAI-compatible server."


@dataclass(frozen=True, slots=True)
class Delta:
    """Hold what came: a piece of the answer."""

    text: str = ""
    log_probabilities: tuple[float, ...] = ()
    """One for each token of it, where the server tells them."""
    ended: str = ""
    """Why the answer ended: "stop", "length"; empty while it goes on."""


def deltas(pieces: Iterable[bytes], *, streamed: bool = True) -> Iterator[Delta]:
    """Yield what the bytes of an answer say, until it ends; a server that does not stream says all at once.

    Raises EngineError for what cannot be read, for an error that the server tells, and for an answer without
    an end.
    """
    if not streamed:
        yield _delta(_json(b"".join(pieces)), "message")
        return
    ended, characters = False, 0
    for data in _events(pieces):
        if data.strip() == b"[DONE]":
            return
        delta = _delta(_json(data), "delta")
        ended, characters = ended or bool(delta.ended), characters + len(delta.text)
        yield delta
    if not ended:
        raise EngineError(
            f"The server broke off after {characters} characters of its answer.",
            hint="Ask again; if it stays so, its log says why.",
        )


def _events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of each event; lines end as they like and are cut anywhere."""
    data: list[bytes] = []
    for line in _lines(pieces):
        if not line:
            if data:
                yield b"\n".join(data)
            data = []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            if sum(map(len, data)) > MOST_LINE_BYTES:
                raise _unreadable("an event without end")
    if data:  # the last one's empty line may be missing
        yield b"\n".join(data)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = b""
    for piece in pieces:
        *lines, waiting = (waiting + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(waiting) > MOST_LINE_BYTES:
            raise _unreadable("a line without end")
    if waiting:
        yield waiting.removesuffix(b"\r")


def _json(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except ValueError:
        raise _unreadable(f"{data[:80]!r}") from None
    if not isinstance(told, dict):
        raise _unreadable(f"{data[:80]!r}")
    if told.get("error"):
        raise EngineError(f"The server failed: {said_wrong(data.decode(errors='replace'))[:300]}.")
    return told


def _delta(told: dict[str, Any], where: str) -> Delta:
    try:
        choices = told["choices"]
        if not choices:  # the count of tokens comes in an event of its own
            return Delta()
        choice = choices[0]
        text = (choice.get(where) or {}).get("content") or ""
        tokens = (choice.get("logprobs") or {}).get("content") or ()
        logs = tuple(float(token["logprob"]) for token in tokens)
        return Delta(str(text), logs, str(choice.get("finish_reason") or ""))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise _unreadable(f"{json.dumps(told)[:80]}") from None


def said_wrong(text: str) -> str:
    """Return the sentence in a server's report of an error, in whichever usual shape; else its text."""
    try:
        told = json.loads(text)
    except ValueError:
        return " ".join(text.split())
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and name in told:
            told = told[name]
    return " ".join(str(told).split())


def _unreadable(what: str) -> EngineError:
    return EngineError(f"What the server said cannot be read: {what}.", hint=HINT)
