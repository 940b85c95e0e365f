"""WHIP and WHEP behind the front: a stream's name leads to the worker that paints it.

The worker answers as a server without workers does (app/whip.py), and its pictures go to players directly.
The front learns the names from the workers' news, so that a front that has begun anew finds the streams that
outlived the old one. A stream ends with its worker; its publisher offers anew, under the same name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from app.manager import SessionUnknown
from app.stream_http import is_open_to
from app.streams import check_name
from app.visitors import asking
from app.whip import PAGE

from .line import WorkerLost

if TYPE_CHECKING:
    from .desk import Desk

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
KEPT = frozenset(
    {"accept", "content-type", "if-match", "etag", "access-control-request-method",
     "access-control-request-headers", "access-control-request-private-network"}
)  # fmt: skip
"""Headers that a worker needs to see."""
GIVEN = frozenset({"content-length", "transfer-encoding", "connection", "date", "server", "set-cookie"})
"""Headers of an answer that the front sets itself, or keeps to itself."""


class Names:
    """Know which worker paints which stream."""

    def __init__(self) -> None:
        self._at: dict[str, str] = {}
        self._told: dict[str, frozenset[str]] = {}
        """By worker, the names that it told of last."""

    def __iter__(self) -> Any:
        return iter(tuple(self._at))

    def where(self, name: str) -> str:
        """Return a stream's worker, or ""."""
        return self._at.get(name, "")

    def count(self, worker: str) -> int:
        """Return how many streams a worker has."""
        return sum(at == worker for at in self._at.values())

    def put(self, name: str, worker: str) -> None:
        """Note a stream that is being made, before its worker tells of it."""
        self._at[name] = worker

    def drop(self, name: str, worker: str) -> None:
        """Forget a stream that was not made after all."""
        if self._at.get(name) == worker and name not in self._told.get(worker, ()):
            del self._at[name]

    def hear(self, worker: str, names: Collection[str]) -> None:
        """Take what a worker tells: all its streams. One that it never told of may be newer than that."""
        gone = self._told.get(worker, frozenset()) - set(names)
        self._told[worker] = frozenset(names)
        self._at = {name: at for name, at in self._at.items() if at != worker or name not in gone}
        for name in names:
            self._at.setdefault(name, worker)

    def lose(self, worker: str) -> None:
        """Forget a worker that was lost, and its streams."""
        self._told.pop(worker, None)
        self._at = {name: at for name, at in self._at.items() if at != worker}


def add_streams(app: FastAPI, desk: Desk) -> None:
    """Add the routes to the front's app."""
    opens_to = is_open_to(desk.settings.server)

    async def pass_on(request: Request) -> Response:
        _, kind, name, *_ = [*request.url.path.split("/"), "", ""]
        is_offer = request.method == "POST" and request.url.path.count("/") < 3
        name = name or (request.query_params.get("name", "") if is_offer else "")
        is_new = is_offer and kind == "whip" and not desk.streams.where(name) and name not in desk.records
        worker = await _place(desk, kind, name, is_offer=is_offer)
        if is_new and name:
            desk.streams.put(name, worker)
        made = False
        try:
            answer = await _sent(desk, worker, request, opens_to(request.url.path, _origin(request)))
            made = answer.status_code == 201
        finally:
            if is_new and name and not made:
                desk.streams.drop(name, worker)
        if is_new and made and not name:
            desk.streams.put(answer.headers["location"].split("/")[-2], worker)
        return answer

    for path in ("/whip", "/whep"):
        for route in (path, path + "/{name}", path + "/{name}/{resource_id}"):
            app.add_api_route(route, pass_on, methods=METHODS, include_in_schema=False)

    @app.get("/watch/{name}", response_class=HTMLResponse)
    def watch(name: str) -> HTMLResponse:
        """Give the page that plays a stream; it reads the name from its own address."""
        check_name(name)
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))


async def _place(desk: Desk, kind: str, name: str, *, is_offer: bool) -> str:
    """Return the worker to ask. Raises SessionUnknown, SessionsFull, or WorkerLost while there is none."""
    if kind == "whep" and is_offer and not name:
        names = list(desk.streams)
        if len(names) > 1:
            raise SessionUnknown(f"There are {len(names)} streams.", hint="Name the stream: /whep/NAME.")
        name = names[0] if names else ""
    if at := desk.streams.where(name):
        return at
    if name in desk.records:
        return await desk.place_of(name)
    if kind == "whip" and is_offer:
        return await desk.first_choice()
    for view in desk.keeper.views():
        if view.is_open:
            return view.name  # it has no such stream either, and says so as a server by itself would
    raise WorkerLost("No worker answers.", hint="Try again in a minute.")


async def _sent(desk: Desk, worker: str, request: Request, keeps_origin: bool) -> Response:
    """Ask a worker what the front was asked, and return its answer. Raises WorkerLost."""
    headers = {key: value for key, value in request.headers.items() if key in KEPT}
    if keeps_origin:  # the worker tells that page what it may read; of others the front has judged
        headers["origin"] = _origin(request)
    if not asking().is_local:
        headers["x-forwarded-for"] = request.client.host if request.client is not None else "unknown"
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    line = desk.keeper.line(worker)
    try:
        answer = await line.send(request.method, path, content=await request.body() or None, headers=headers)
        try:
            await answer.aread()
        finally:
            await answer.aclose()
    except WorkerLost as error:
        if error.is_unreachable:
            desk.keeper.doubt(worker, line)
        raise
    made = Response(answer.content, answer.status_code)
    for key, value in answer.headers.multi_items():
        if key not in GIVEN:
            made.headers.append(key, _rooted(key, value, request.scope))
    return made


def _rooted(key: str, value: str, scope: Mapping[str, Any]) -> str:
    """Return a header's value with the front's own root in front of a resource's path."""
    return f"{scope.get('root_path', '')}{value}" if key == "location" else value


def _origin(request: Request) -> str:
    return request.headers.get("origin", "")
