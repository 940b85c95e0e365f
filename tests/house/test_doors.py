"""No route is reached without a word where one is set, and no session by a stranger: asked of every route."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from app.login import LOGIN_PATH, LOGOUT_PATH
from app.server import build_app
from tests.app import stages
from tests.app.test_server import HOME, PATTERN

OPEN = (LOGIN_PATH, LOGOUT_PATH)
"""What answers without a word; /login itself says nothing but whether a word is right."""


def routes(found: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """List (path, methods) of every route below `found`, mounted apps and included routers too.

    A WebSocket's methods are empty. Fails on a kind of route that it does not know.
    """
    for route in found:
        kind = type(route).__name__
        if kind == "_IncludedRouter":
            yield from routes(route.original_router.routes, prefix + (route.include_context.prefix or ""))
        elif kind in ("Mount", "Host"):
            yield prefix + route.path + "/", frozenset({"GET"})
            yield from routes(getattr(route, "routes", None) or (), prefix + route.path)
        elif "WebSocket" in kind:
            yield prefix + route.path, frozenset()
        else:
            assert hasattr(route, "methods"), f"a new kind of route: {kind}; teach this test to read it"
            yield prefix + route.path, frozenset(route.methods or {"GET"})


def built(**flags: Any) -> Any:
    table = stages.registry()
    app = build_app(stages.settings(table, **flags), table)

    @app.websocket("/test/socket")
    async def socket(websocket: Any) -> None:  # so that there is one, whatever the transports are
        await websocket.accept()

    return app


def filled(path: str, value: str = "x") -> str:
    return re.sub(r"\{[^}]*\}", value, path)


@pytest.fixture
async def app() -> AsyncIterator[Any]:
    one = built(server__password="open sesame")
    async with one.router.lifespan_context(one):
        yield one


def client(app: Any, address: str = "127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 5000)), base_url=HOME)


async def test_every_route_asks_for_the_word(app: Any) -> None:
    every = list(routes(app.routes))
    paths = {path for path, _ in every}
    assert {"/", "/config", "/metrics", "/api/docs", "/api/sessions", "/gradio_api/queue/join"} <= paths
    assert len(paths) > 60
    async with client(app) as http:
        for path, methods in every:
            for method in (methods | {"HEAD", "OPTIONS"}) if methods else ():
                if path.rstrip("/") in OPEN:
                    continue
                answer = await http.request(method, filled(path))
                assert answer.status_code == 401, (method, path)
                assert "set-cookie" not in answer.headers or "vitascope_login" not in str(answer.headers)
        for path in (
            "/gradio_api/file=/etc/passwd",
            "/static/x",
            "//",
            "/no/such/route",
            "/login/x",
            "/loginx",
        ):
            assert (await http.get(path)).status_code == 401, path


def test_every_websocket_asks_for_the_word() -> None:
    app = built(server__password="open sesame")
    sockets = [path for path, methods in routes(app.routes) if not methods]
    assert "/test/socket" in sockets
    for path in sockets:
        with (
            TestClient(app, base_url=HOME) as http,
            pytest.raises(WebSocketDenialResponse) as refused,
            http.websocket_connect(filled(path), headers={"host": "127.0.0.1:7860"}),
        ):
            pass
        assert refused.value.status_code == 401, path


async def test_after_signing_in_the_page_and_its_routes_answer(app: Any) -> None:
    async with client(app) as http:
        assert (await http.post("/login", data={"password": "open sesame"})).status_code == 303
        assert "gradio" in (await http.get("/")).text
        for path in ("/config", "/metrics", "/healthz", "/api/openapi.json", "/gradio_api/info"):
            assert (await http.get(path)).status_code == 200, path


async def test_no_route_gives_a_session_to_a_stranger() -> None:
    app = built()
    async with app.router.lifespan_context(app), client(app) as anna, client(app) as bert:
        for browser in (anna, bert):
            await browser.get("/", headers={"accept": "text/html"})
        one = (await anna.post("/api/sessions", json=PATTERN)).json()["id"]
        asked = 0
        for path, methods in routes(app.routes):
            if "{session_id}" not in path:
                continue
            for method in sorted(methods):
                body = {"sdp": "v=0"} if method in ("POST", "PATCH") else None
                answer = await bert.request(method, path.replace("{session_id}", one), json=body)
                assert answer.status_code == 404 or path.endswith("/close"), (method, path)
                asked += 1
        assert asked >= 5
        assert (await anna.get(f"/api/sessions/{one}")).status_code == 200


async def test_the_page_s_events_reach_the_visitor_s_own_session_only() -> None:
    app = built()
    async with app.router.lifespan_context(app), client(app) as anna, client(app) as bert:
        for browser in (anna, bert):
            await browser.get("/", headers={"accept": "text/html"})
        one = (await anna.post("/api/sessions", json=PATTERN)).json()["id"]
        number, name = turning(app, "strength")

        async def turn(browser: httpx.AsyncClient, value: float) -> str:
            body = {"data": [one, value], "fn_index": number, "session_hash": "abc"}
            answer = await browser.post(f"/gradio_api/run/{name}", json=body)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["data"][0])

        assert await turn(anna, 0.5) == ""
        assert "There is no such session." in await turn(bert, 0.25)
        seen = (await anna.get(f"/api/sessions/{one}")).json()
        assert seen["settings"]["strength"] == 0.5


def turning(app: Any, name: str) -> tuple[int, str]:
    """Return number and name of the event that a knob fires."""
    page = next(route.app for route in app.routes if type(route).__name__ == "Mount").get_blocks()
    for number, function in page.fns.items():
        if getattr(function.fn, "__name__", "") == "turned" and name in [
            cell.cell_contents for cell in function.fn.__closure__
        ]:
            return number, str(function.api_name or "predict")
    raise AssertionError(f"no event of {name}")
