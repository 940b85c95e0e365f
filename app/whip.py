"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): publish a stream to be painted, and watch it, over HTTP.

    POST /whip/NAME    an offer to send pictures      -> 201, the answer, Location: /whip/NAME/RESOURCE
    POST /whep/NAME    an offer to receive them       -> 201, the answer, Location: /whep/NAME/RESOURCE
    PATCH, DELETE on the resource: further candidates (RFC 8840), and the end
    GET /watch/NAME    a page that plays it

/whip alone makes a name up (it stands in Location), /whip?name=NAME is the same as /whip/NAME, /whep alone
plays the only stream there is. Further candidates of the client are taken, a restart of ICE is not (422).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from realtime.core.errors import UnsupportedMedia, VitascopeError

from .logs import session_in_log
from .stream_http import (
    FRAGMENT,
    SDP,
    Refused,
    body,
    check_match,
    error_answer,
    is_open_to,
)
from .streams import Kind, Resource, Streams, check_name

if TYPE_CHECKING:
    from .server import Studio

EXPOSED = "Location, Link, ETag, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate"
BUSY_RETRY_S = 5
FULL_RETRY_S = 20
PAGE = Path(__file__).with_name("watch.html")


def add_routes(app: FastAPI, studio: Studio) -> None:
    """Add the routes to an app whose sessions are the studio's."""
    streams = app.state.streams = Streams(studio.manager)
    server, loop, ice = studio.settings.server, studio.loop, studio.manager.ice
    opens_to = is_open_to(server)

    async def told(request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
        """Return what `work` answers or why it does not, with what a page of another origin needs."""
        try:
            answer = await work()
        except Refused as refused:
            answer = error_answer(refused.status, refused.message, refused.hint, "Refused")
            answer.headers.update(refused.headers)
        except VitascopeError as error:
            answer = error_answer(_status(error), error.message, error.hint, type(error).__name__)
            if answer.status_code in (409, 503):
                answer.headers["Retry-After"] = str(
                    BUSY_RETRY_S if answer.status_code == 409 else FULL_RETRY_S
                )
        _share(request, answer)
        return answer

    def _share(request: Request, answer: Response) -> None:
        origin = request.headers.get("origin", "")
        answer.headers["Vary"] = "Origin"
        if origin and opens_to(request.url.path, origin):
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Expose-Headers"] = EXPOSED

    async def offered(request: Request, kind: Kind, name: str) -> Response:
        async def work() -> Response:
            sdp = await body(request, SDP)
            if not sdp.startswith("v=0"):
                raise Refused(400, "The body is not an SDP.", "It begins with v=0.")
            wanted = name or request.query_params.get("name", "")
            resource, answer = await loop.do(
                (streams.publish if kind == "whip" else streams.view)(wanted, sdp)
            )
            return _created(request, resource, answer, ice.links(resource.id))

        return await told(request, work)

    async def patched(request: Request, kind: Kind, name: str, resource_id: str) -> Response:
        async def work() -> Response:
            fragment = await body(request, FRAGMENT)
            resource = await loop.do(_found(streams, kind, name, resource_id))
            check_match(request, resource.etag)
            with session_in_log(resource.session.id):
                await loop.do(_trickled(resource, fragment))
            return Response(status_code=204)

        return await told(request, work)

    async def deleted(request: Request, kind: Kind, name: str, resource_id: str) -> Response:
        async def work() -> Response:
            await loop.do(_ended(streams, kind, name, resource_id))
            return Response(status_code=200)

        return await told(request, work)

    async def asked(request: Request) -> Response:
        """Answer OPTIONS: to a browser that asks before it sends (no token then), and to a client."""
        answer = Response(status_code=200)
        is_resource = request.url.path.count("/") > 2
        kinds = ("Accept-Patch", FRAGMENT) if is_resource else ("Accept-Post", SDP)
        answer.headers[kinds[0]] = kinds[1]
        answer.headers["Allow"] = _methods(is_resource)
        _share(request, answer)
        if "access-control-request-method" not in request.headers:
            for link in [] if is_resource else ice.links("options"):
                answer.headers.append("Link", link)
        elif "access-control-allow-origin" in answer.headers:
            answer.headers["Access-Control-Allow-Methods"] = _methods(is_resource)
            answer.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match, ETag"
            # ETag is what clients of older drafts send with candidates; refusing it would only confuse them.
            answer.headers["Access-Control-Max-Age"] = "600"
            if request.headers.get("access-control-request-private-network") == "true":
                answer.headers["Access-Control-Allow-Private-Network"] = "true"
        return answer

    async def empty(request: Request) -> Response:
        """Answer GET: there is nothing to see, but it is not an error (RFC 9725, 4.1)."""

        async def work() -> Response:
            return Response(status_code=204)

        return await told(request, work)

    async def not_allowed(request: Request) -> Response:
        """Answer other methods, which RFC 9110, 15.5.6 wants told which ones there are."""

        async def work() -> Response:
            is_resource = request.url.path.count("/") > 2
            hint = f"It knows {_methods(is_resource)}."
            raise Refused(405, "This route does not know that method.", hint, Allow=_methods(is_resource))

        return await told(request, work)

    def serve(kind: Kind) -> None:
        for path in (f"/{kind}", f"/{kind}/{{name}}"):

            @app.post(path, status_code=201, response_class=Response, name=f"{kind} offer")
            async def post(request: Request, name: str = "") -> Response:
                """Take an offer (application/sdp)."""
                return await offered(request, kind, name)

            app.add_api_route(path, empty, methods=["GET", "HEAD"], include_in_schema=False)
            app.add_api_route(path, asked, methods=["OPTIONS"], include_in_schema=False)
            others = ["PUT", "PATCH", "DELETE"]
            app.add_api_route(path, not_allowed, methods=others, include_in_schema=False)

        path = f"/{kind}/{{name}}/{{resource_id}}"

        @app.patch(path, status_code=204, response_class=Response, name=f"{kind} candidates")
        async def patch(request: Request, name: str, resource_id: str) -> Response:
            """Take further candidates (application/trickle-ice-sdpfrag, with If-Match)."""
            return await patched(request, kind, name, resource_id)

        @app.delete(path, status_code=200, response_class=Response, name=f"{kind} end")
        async def delete(request: Request, name: str, resource_id: str) -> Response:
            """End it."""
            return await deleted(request, kind, name, resource_id)

        app.add_api_route(path, empty, methods=["GET", "HEAD"], include_in_schema=False)
        app.add_api_route(path, asked, methods=["OPTIONS"], include_in_schema=False)
        app.add_api_route(path, not_allowed, methods=["PUT", "POST"], include_in_schema=False)

    serve("whip")
    serve("whep")

    @app.get("/watch/{name}", response_class=HTMLResponse)
    def watch(name: str) -> HTMLResponse:
        """Give the page that plays a stream; it reads the name from its own address."""
        check_name(name)
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))


async def _found(streams: Streams, kind: Kind, name: str, resource_id: str) -> Resource:
    return streams.resource(kind, name, resource_id)


async def _trickled(resource: Resource, fragment: str) -> None:
    from realtime.webrtc.trickle import RestartRefused

    try:
        await resource.link.trickle(fragment)
    except RestartRefused:
        raise
    except UnsupportedMedia as error:
        raise Refused(400, error.message, error.hint) from error


async def _ended(streams: Streams, kind: Kind, name: str, resource_id: str) -> None:
    await streams.end(streams.resource(kind, name, resource_id))


def _methods(is_resource: bool) -> str:
    return "GET, HEAD, OPTIONS, PATCH, DELETE" if is_resource else "GET, HEAD, OPTIONS, POST"


def _created(request: Request, resource: Resource, answer: str, ice_links: list[str]) -> Response:
    root = request.scope.get("root_path", "")
    made = Response(answer, 201, media_type=SDP)
    made.headers["Location"] = f"{root}/{resource.kind}/{resource.name}/{resource.id}"
    made.headers["ETag"] = resource.etag
    made.headers["Accept-Patch"] = FRAGMENT
    made.headers.append("Link", f'<{root}/watch/{resource.name}>; rel="alternate"; type="text/html"')
    for link in ice_links:
        made.headers.append("Link", link)
    return made


def _status(error: VitascopeError) -> int:
    from .server import status_of

    return status_of(error)
