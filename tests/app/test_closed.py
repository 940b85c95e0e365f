"""What no route sees: other kinds of body, and Gradio's routes that the page does not use."""

from __future__ import annotations

import httpx
import pytest

from app.server import build_app
from tests.app import stages
from tests.app.test_server import HOME, is_told, made, serving


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", ""]
)
async def test_only_json_is_taken(kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    async with serving() as http:
        one = await made(http)
        for method, path in (("POST", ""), ("POST", f"/{one}/offer"), ("PATCH", f"/{one}/settings")):
            answer = await http.request(method, f"/api/sessions{path}", content=b"{}", headers=headers)
            is_told(answer, 415, kind or "not said", "application/json")
        typed = {"content-type": "Application/JSON; charset=utf-8"}
        assert (await http.post("/api/sessions", content=b"{}", headers=typed)).status_code == 201
        assert (await http.post(f"/api/sessions/{one}/close", headers=headers)).status_code == 204  # no body


async def test_gradio_s_other_routes_are_not_there() -> None:
    table = stages.registry()
    app = build_app(stages.settings(table), table)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOME) as http:
        for method, path in (
            ("POST", "/gradio_api/upload"),
            ("POST", "/gradio_api/upload/"),
            ("POST", "/gradio_api/%75pload"),
            ("GET", "/gradio_api/proxy=https://evil.example/"),
            ("POST", "/gradio_api/vibe-edit"),
            ("GET", "/monitoring"),
            ("GET", "/monitoring/summary"),
            ("GET", "/gradio_api/dev/reload"),
        ):
            is_told(await http.request(method, path), 404, "no such route")
        assert (await http.get("/config")).status_code == 200
