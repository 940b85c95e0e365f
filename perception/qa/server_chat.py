"""Speak to an OpenAI-compatible server: one chat completion, streamed as server-sent events.

Nothing of a key is in what this raises or logs: what a server says is cleaned of it before it is quoted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime.core.errors import EngineError

from .server_config import KEY_VARIABLE
from .server_events import Delta, deltas, said_wrong

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which another try may work."""
QUOTED = 300
MOST_ERROR_BYTES = 64 << 10

Sleep = Callable[[float], object]


class Refused(EngineError):
    """Report a try that failed; `wait_s` is what the server asked to wait, or None."""

    wait_s: float | None = None
    is_unknown = False
    """Whether the server knows no such model."""


@dataclass(slots=True)
class Chat:
    """Hold the line to one server. Any thread may ask, several at once."""

    base_url: str
    key: str = field(repr=False)
    silent_s: float
    answer_s: float
    tries: int
    sleep: Sleep = time.sleep
    clock_s: Callable[[], float] = time.monotonic
    _client: Any = field(default=None, repr=False)
    _closed: bool = False

    def ask(self, body: Mapping[str, Any]) -> Iterator[Delta]:
        """Send a chat completion and yield what comes. Tries again only while nothing has come.

        Raises EngineError for a server that is away, refuses, breaks off or says what cannot be read.
        """
        deadline_s = self.clock_s() + self.answer_s
        wait_s = FIRST_WAIT_S
        for left in range(self.tries - 1, -1, -1):
            begun = False
            try:
                for delta in self._once(body, deadline_s):
                    begun = True
                    yield delta
                return
            except Refused as error:
                asked_s = wait_s if error.wait_s is None else error.wait_s
                late = self.clock_s() + asked_s >= deadline_s
                if error.is_unknown:
                    error.hint += self._serves()
                if begun or error.permanent or not left or late or asked_s > LONGEST_WAIT_S:
                    raise
                self.sleep(asked_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def models(self) -> list[str]:
        """Return the names of what the server serves; raises EngineError."""
        import httpx

        try:
            answer = self._open().get(f"{self.base_url}/models")
        except (httpx.HTTPError, RuntimeError) as error:
            raise self._away(error) from error
        if answer.status_code != 200:
            raise self._status(answer.status_code, answer.text[:MOST_ERROR_BYTES], {})
        with suppress(ValueError, KeyError, TypeError):
            return [str(one["id"]) for one in answer.json()["data"]]
        raise EngineError(f"The server at {self.base_url} told no models.", hint="Check its address.")

    def _serves(self) -> str:
        with suppress(EngineError):
            return f" It serves: {', '.join(self.models()[:8])}."
        return ""

    def close(self) -> None:
        """Let go of connections. Twice does no harm."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    def _open(self) -> httpx.Client:
        import httpx

        if self._closed:
            raise EngineError("The line to the server is closed.", hint="Begin a new session.")
        if self._client is None:
            self._client = httpx.Client(
                timeout=httpx.Timeout(self.silent_s, connect=CONNECT_S),
                headers={"authorization": f"Bearer {self.key}"} if self.key else {},
                trust_env=False,
            )
        client: httpx.Client = self._client
        return client

    def _once(self, body: Mapping[str, Any], deadline_s: float) -> Iterator[Delta]:
        import httpx

        begun = False
        try:
            with self._open().stream("POST", f"{self.base_url}/chat/completions", json=body) as answer:
                if answer.status_code != 200:
                    raise self._status(answer.status_code, _some(answer), answer.headers)
                kind = answer.headers.get("content-type", "")
                for delta in deltas(answer.iter_bytes(), streamed="json" not in kind):
                    begun = True
                    yield delta
                    if self.clock_s() > deadline_s:
                        raise EngineError(
                            f"The answer took longer than {self.answer_s:g} s.",
                            hint="Ask for less, or give it longer: answer_s.",
                        )
        except (httpx.HTTPError, RuntimeError) as error:
            raise (self._broke_off(error) if begun else self._away(error)) from error
        except EngineError as error:
            error.message = self._clean(error.message)
            error.args = (error.message,)
            raise

    def _away(self, error: Exception) -> Refused:
        import httpx

        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            what = "cannot be reached: nothing answers there"
        elif isinstance(error, httpx.TimeoutException):
            what = f"said nothing for {self.silent_s:g} s"
        elif self._closed:
            what = "was let go of"
        else:
            what = f"broke off before it answered ({type(error).__name__})"
        return Refused(
            f"The server at {self.base_url} {what}.",
            hint="Start it, e.g. `vllm serve MODEL`, or correct its address.",
        )

    def _broke_off(self, error: Exception) -> EngineError:
        return EngineError(
            f"The server at {self.base_url} broke off in its answer ({type(error).__name__}).",
            hint="Ask again; if it stays so, its log says why.",
        )

    def _status(self, status: int, text: str, headers: Mapping[str, str]) -> Refused:
        said = self._clean(said_wrong(text)[:QUOTED])
        told = f"{status}{': ' + said if said else ''}"
        hint = "Its log says more."
        if status in (401, 403):
            what, hint = "refused the key", f"Set {KEY_VARIABLE} to a key that it knows."
        elif status == 404:
            what, hint = "knows no such model or address", "Compare model and address with what it serves."
        elif status == 429:
            what, hint = "is too busy", "Ask again in a while."
        elif 300 <= status < 400:
            what, hint = "sends on elsewhere", "Give the address that it moved to."
        elif status in PASSING:
            what, hint = "failed", "Ask again in a while; its log says more."
        else:
            what = "refused the question"
        refused = Refused(
            f"The server at {self.base_url} {what} ({told}).", hint=hint, permanent=status not in PASSING
        )
        refused.is_unknown = status == 404
        with suppress(ValueError):
            refused.wait_s = max(0.0, float(headers.get("retry-after", "")))
        return refused

    def _clean(self, text: str) -> str:
        return text.replace(self.key, "…") if self.key else text


def _some(answer: httpx.Response) -> str:
    """Read the beginning of what a server says about an error."""
    import httpx

    data = b""
    with suppress(httpx.HTTPError):
        for part in answer.iter_bytes():
            data += part
            if len(data) > MOST_ERROR_BYTES:
                break
    return data[:MOST_ERROR_BYTES].decode(errors="replace")
