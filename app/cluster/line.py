"""The front's line to one worker: signed calls, and the news that the worker tells until it dies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ConnectionLost

from .pool import Address
from .token import HEADER, token_of

if TYPE_CHECKING:
    import httpx

SILENT_S = 10.0
"""A worker that tells nothing for this long hangs. It tells its load four times a second."""
CALL_S = 30.0
MAX_NEWS_BYTES = 1 << 20


class WorkerLost(ConnectionLost):
    """Report that a worker does not answer any more."""

    is_unreachable = False
    """Whether not even a connection came about: its process is gone."""


class Line:
    """Speak to the worker at `address`."""

    def __init__(self, address: Address) -> None:
        import httpx

        self.address = address
        self._errors = (httpx.TransportError, httpx.StreamError)
        self._client = httpx.AsyncClient(
            base_url=address.url,
            trust_env=False,
            timeout=httpx.Timeout(CALL_S, connect=3.0),
            # A kept cookie would make one visitor of all, and of their sockets, which carry none, another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=20),
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        session_id: str = "",
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = CALL_S,
    ) -> httpx.Response:
        """Send a request and return its answer as soon as it begins; whoever takes it closes it.

        Raises WorkerLost when the worker cannot be reached or breaks off.
        """
        import httpx

        signed = {**(headers or {}), HEADER: token_of(self.address.secret, session_id)}
        request = self._client.build_request(
            method,
            path,
            content=content,
            headers=signed,
            timeout=httpx.Timeout(timeout_s, connect=3.0),
        )
        try:
            return await self._client.send(request, stream=True)
        except self._errors as error:
            lost = WorkerLost(f"The worker does not answer: {type(error).__name__}.")
            lost.is_unreachable = isinstance(error, httpx.ConnectError)
            raise lost from error

    async def call(
        self, method: str, path: str, body: Any = None, *, session_id: str = "", timeout_s: float = CALL_S
    ) -> httpx.Response:
        """Send JSON and return the whole answer, whatever its status. Raises WorkerLost."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        answer = await self.send(
            method, path, session_id=session_id, content=content, headers=headers, timeout_s=timeout_s
        )
        try:
            await answer.aread()
        except self._errors as error:
            raise WorkerLost(f"The worker broke off: {type(error).__name__}.") from error
        finally:
            await answer.aclose()
        return answer

    async def news(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the worker tells; WorkerLost when it dies, breaks off or is silent too long."""
        answer = await self.send("GET", "/worker/news", timeout_s=SILENT_S)
        try:
            waiting = b""
            async for piece in answer.aiter_raw():
                *lines, waiting = (waiting + piece).split(b"\n")
                for line in lines:
                    yield json.loads(line)
                if len(waiting) > MAX_NEWS_BYTES:
                    break
        except self._errors as error:
            raise WorkerLost(f"The worker is silent: {type(error).__name__}.") from error
        finally:
            await answer.aclose()
        raise WorkerLost("The worker has ended its news.")

    async def close(self) -> None:
        await self._client.aclose()
