"""Who asks: what a browser makes is its own, and what a tunnel brings is not from this machine."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.signing import Signer
from app.visitors import HOUSE, Visitor, Visitors, address_of, asking, cookie_in, is_local, may, visiting
from tests.app.test_server import HOME, PATTERN, is_told, serving

HTML = {"accept": "text/html"}


def scope(address: str = "127.0.0.1", host: str = "127.0.0.1:7860", **headers: str) -> dict[str, Any]:
    pairs = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {"client": (address, 1), "headers": [(k.encode(), v.encode()) for k, v in pairs.items()]}


@pytest.mark.parametrize(
    ("found", "is_own"),
    [
        (scope(), True),
        (scope("::1", "[::1]:7860"), True),
        (scope(host="localhost:7860"), True),
        (scope(host="abc.gradio.live"), False),  # a tunnel's end is this machine
        (scope(host="studio.example"), False),
        (scope(host="[::1"), False),
        (scope(x_forwarded_for="127.0.0.1"), False),
        (scope(x_forwarded_host="abc.gradio.live"), False),
        (scope("10.0.0.7"), False),
        ({"client": None, "headers": []}, False),
    ],
)
def test_is_local(found: dict[str, Any], is_own: bool) -> None:
    assert is_local(found) is is_own


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("testclient", "unknown"),
    ],
)
def test_address_of(address: str, counted: str) -> None:
    assert address_of({"client": (address, 1)}) == counted


def test_a_signature_is_for_one_purpose_and_one_process() -> None:
    here, elsewhere = b"1" * 32, b"2" * 32
    one = Signer("login", here)
    signed = one.sign("17-abc")
    assert one.read(signed) == "17-abc"
    assert Signer("login", here).read(signed) == "17-abc"
    for other in (Signer("login", elsewhere), Signer("visitor", here), Signer("login")):
        assert other.read(signed) is None
    for wrong in ("", ".", "17-abc", "18" + signed[2:], signed + "x", signed[:-1], "ü.ü", "17-abc."):
        assert one.read(wrong) is None


def test_two_doors_of_one_process_read_each_other_s_cookies() -> None:
    assert Signer("visitor").read(Signer("visitor").sign("anna")) == "anna"
    assert Signer("login").read(Signer("visitor").sign("anna")) is None


def test_a_cookie_is_found_by_its_whole_name() -> None:
    headers = {"cookie": "xa=1; a=2;b=3"}
    assert [cookie_in(headers, name) for name in ("a", "b", "xa", "x", "c")] == ["2", "3", "1", "", ""]


def test_the_house_may_all_and_a_visitor_its_own() -> None:
    assert asking() is HOUSE
    assert may("anna")
    with visiting(Visitor("anna", "10.0.0.7", False)):
        assert [may(owner) for owner in ("anna", "bert", "")] == [True, False, True]
    with visiting(Visitor("", "127.0.0.1", True)):  # no cookie, though from this machine
        assert [may(owner) for owner in ("anna", "")] == [False, True]


async def test_what_a_tunnel_brings_is_from_elsewhere_whatever_it_says() -> None:
    seen: list[bool] = []

    async def app(*_: object) -> None:
        seen.append(asking().is_local)

    async def nothing(*_: object) -> None: ...

    for is_outside in (False, True):
        door = Visitors(app, name="v", is_outside=lambda scope, told=is_outside: told)
        await door({"type": "http", "path": "/", **scope()}, nothing, nothing)
    assert seen == [True, False]


async def test_a_session_of_a_browser_is_only_its_own() -> None:
    async with serving(address="10.0.0.7") as anna, other_at(anna) as bert, other_at(anna) as program:
        for browser in (anna, bert):
            greeting = (await browser.get("/api/nothing", headers=HTML)).headers["set-cookie"]
            assert "HttpOnly" in greeting
            assert "SameSite=Lax" in greeting
            assert "Secure" not in greeting  # this is http
        one = (await anna.post("/api/sessions", json=PATTERN)).json()["id"]
        for stranger in (bert, program):
            for method, path, body in (
                ("GET", "", None),
                ("DELETE", "", None),
                ("PATCH", "/settings", {"strength": 0.5}),
                ("POST", "/offer", {"sdp": "v=0"}),
            ):
                answer = await stranger.request(method, f"/api/sessions/{one}{path}", json=body)
                is_told(answer, 404, "There is no such session.")
            assert (await stranger.post(f"/api/sessions/{one}/close")).status_code == 204
        seen = await anna.get(f"/api/sessions/{one}")
        assert seen.json()["state"] in ("opening", "live")
        assert seen.json()["settings"]["strength"] == 1.0
        assert "set-cookie" not in seen.headers
        forged = anna.cookies["vitascope_visitor_7860"].replace(".", "0.")
        anna.cookies.clear()
        anna.cookies.set("vitascope_visitor_7860", forged)
        is_told(await anna.get(f"/api/sessions/{one}"), 404)


async def test_a_program_without_cookies_needs_the_id_only() -> None:
    async with serving(address="10.0.0.7") as first, other_at(first) as second:
        one = (await first.post("/api/sessions", json=PATTERN)).json()["id"]
        assert (await second.get(f"/api/sessions/{one}")).status_code == 200
        assert (await first.get(f"/api/sessions/{one}")).status_code == 200  # the cookie came with the answer
        assert (await first.delete(f"/api/sessions/{one}")).status_code == 204


async def test_a_secure_page_has_a_secure_cookie() -> None:
    async with serving() as http:
        http.base_url = httpx.URL(HOME.replace("http:", "https:"))
        assert "; Secure" in (await http.get("/healthz", headers=HTML)).headers["set-cookie"]
        assert "set-cookie" not in (await http.get("/metrics")).headers  # scrapers and caches keep none


async def test_one_visitor_has_so_many_sessions_and_no_more() -> None:
    async with (
        serving(address="10.0.0.7", server__max_sessions_per_visitor=2) as anna,
        other_at(anna) as bert,
    ):
        for browser in (anna, bert):
            await browser.get("/healthz", headers=HTML)
        made = [(await anna.post("/api/sessions", json=PATTERN)).json()["id"] for _ in range(2)]
        full = await anna.post("/api/sessions", json=PATTERN)
        is_told(full, 429, "You have 2 sessions already")
        assert int(full.headers["retry-after"]) > 0
        assert (await bert.post("/api/sessions", json=PATTERN)).status_code == 201
        await anna.delete(f"/api/sessions/{made[0]}")
        assert (await anna.post("/api/sessions", json=PATTERN)).status_code == 201


async def test_someone_at_the_server_has_as_many_as_there_are() -> None:
    async with serving(server__max_sessions_per_visitor=1, server__max_sessions=3) as http:
        for _ in range(3):
            assert (await http.post("/api/sessions", json=PATTERN)).status_code == 201


def other_at(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return another browser or program that speaks to the same server, without the first one's cookies."""
    return httpx.AsyncClient(transport=Borrowed(http._transport), base_url=HOME)


class Borrowed(httpx.AsyncBaseTransport):
    """Use a transport that somebody else closes."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)
