"""Signing in: the page, the cookie, the token, and what happens to those who guess."""

from __future__ import annotations

import pytest

from app.layers import as_toml, read_settings
from app.login import KEEP_S, Login, _own_path, warning
from app.rates import Rate
from app.serve import banner
from realtime.core.clock import ManualClock
from tests.app import stages
from tests.app.test_server import is_told, serving
from tests.app.test_visitors import HTML, other_at

WORD = {"server__password": "open sesame", "server__token": "t0ken"}
COOKIE = "vitascope_login_7860"


async def test_nothing_is_answered_until_one_has_signed_in() -> None:
    async with serving(address="10.0.0.7", **WORD) as http, other_at(http) as stranger:
        page = await http.get("/healthz?a=1", headers=HTML)
        assert page.status_code == 401
        assert 'name="next" value="/healthz?a=1"' in page.text
        assert page.headers["www-authenticate"].startswith("Bearer")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        is_told(await http.get("/healthz"), 401, "Sign in first")
        wrong = await http.post("/login", data={"password": "open"})
        assert wrong.status_code == 401
        assert "That is not the password." in wrong.text
        signed = await http.post("/login", data={"password": "open sesame", "next": "/healthz"})
        assert signed.status_code == 303
        assert signed.headers["location"] == "/healthz"
        assert "HttpOnly; SameSite=Lax; Max-Age=604800" in signed.headers["set-cookie"]
        assert (await http.get("/healthz")).json()["status"] == "ok"
        stranger.cookies.set(COOKIE, http.cookies[COOKIE].replace(".", "0."))
        is_told(await stranger.get("/healthz"), 401)
        await http.post("/logout")
        is_told(await http.get("/healthz"), 401)


async def test_a_program_sends_the_token() -> None:
    async with serving(address="10.0.0.7", **WORD) as http:
        assert (await http.get("/metrics", headers={"authorization": "Bearer t0ken"})).status_code == 200
        assert (await http.get("/metrics", headers={"authorization": "bearer  t0ken "})).status_code == 200
        for wrong in ("Bearer open sesame", "Basic t0ken", "Bearer", "Bearer t0ken2"):
            is_told(await http.get("/metrics", headers={"authorization": wrong}), 401, "not known")


async def test_a_token_alone_opens_the_page_too() -> None:
    async with serving(server__token="t0ken") as http:  # also to this machine itself
        is_told(await http.get("/healthz"), 401)
        assert (await http.post("/login", data={"password": "t0ken"})).status_code == 303
        assert (await http.get("/healthz")).status_code == 200


async def test_only_a_preflight_of_whip_and_whep_needs_no_word() -> None:
    site = "https://studio.example"
    asks = {"access-control-request-method": "POST", "origin": site}
    async with serving(server__stream_origins=(site,), **WORD) as http:
        assert (await http.options("/whip/x", headers=asks)).status_code == 200
        for path in ("/api/sessions", "/whipper"):
            is_told(await http.options(path, headers=asks), 401)
        for headers in ({}, asks | {"origin": "https://other.example"}):
            is_told(await http.options("/whip/x", headers=headers), 401)
        is_told(await http.post("/whip/x", headers=asks), 401)


@pytest.mark.parametrize("how", ["page", "token"])
async def test_who_guesses_is_slowed_and_nobody_else(how: str) -> None:
    async with serving(address="10.0.0.7", **WORD) as http:

        async def attempt(word: str) -> int:
            if how == "page":
                answer = await http.post("/login", data={"password": word})
            else:
                answer = await http.get("/healthz", headers={"authorization": f"Bearer {word}"})
            if answer.status_code == 429:
                assert 0 < int(answer.headers["retry-after"]) <= 10
            return answer.status_code

        assert [await attempt(f"guess {n}") for n in range(7)] == [401] * 5 + [429] * 2
        assert await attempt("open sesame" if how == "page" else "t0ken") == 429  # it cannot be told either
        http._transport.client = ("10.0.0.8", 1)  # type: ignore[attr-defined]
        assert await attempt("open sesame" if how == "page" else "t0ken") in (303, 200)


async def test_a_cookie_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()

    async def nothing(*_: object) -> None: ...

    login = Login(nothing, password="open sesame", token="", name="c", clock=clock)
    until_s = clock.now_ns() // 10**9 + KEEP_S
    headers = {"cookie": f"c={login._signer.sign(f'{until_s}-x')}"}
    assert login._is_signed_in(headers)
    clock.advance(ms=(KEEP_S + 1) * 1000)
    assert not login._is_signed_in(headers)
    for wrong in ("", "x", "-", "99999999999-x.y", "1e99-x"):
        assert not login._is_signed_in({"cookie": f"c={wrong}"})
        assert not login._is_signed_in({"cookie": f"c={login._signer.sign('x' + wrong)}"})


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/api/docs?a=b&c=%20d", "/api/docs?a=b&c=%20d"),
        ("/ä b", "/%C3%A4%20b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("", "/"),
    ],
)
def test_one_goes_on_to_a_page_of_ours(target: str, path: str) -> None:
    assert _own_path(target) == path


@pytest.mark.parametrize(
    ("host", "has_word", "is_shared", "part"),
    [
        ("127.0.0.1", False, False, ""),
        ("0.0.0.0", True, False, ""),
        ("0.0.0.0", False, False, "reaches this machine"),
        ("::", False, False, "reaches this machine"),
        ("127.0.0.1", False, True, "has the link"),
        ("127.0.0.1", True, True, ""),
    ],
)
def test_an_open_server_is_warned_of(host: str, has_word: bool, is_shared: bool, part: str) -> None:
    said = warning(host, has_word=has_word, is_shared=is_shared)
    assert part in said
    assert bool(part) == bool(said)


def test_a_rate_lets_a_burst_pass_and_then_one_a_while() -> None:
    clock = ManualClock()
    rate = Rate(per_minute=6, burst=3, clock=clock)
    assert [rate.take("a") for _ in range(5)] == [0, 0, 0, 10, 10]
    assert rate.take("b") == 0
    clock.advance(ms=9_999)
    assert rate.take("a") == 1
    clock.advance(ms=1)
    assert [rate.take("a"), rate.take("a")] == [0, 10]
    clock.advance(ms=60_000)
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 10]


def test_a_rate_forgets_whom_it_has_not_seen_for_long() -> None:
    rate = Rate(per_minute=1, burst=1, clock=ManualClock())
    for number in range(10_000):
        rate.take(str(number))
    assert len(rate._due_ns) == 4096


async def test_sessions_and_offers_are_not_made_too_often() -> None:
    async with serving(address="10.0.0.7", server__starts_per_minute=6) as http:
        made = [await http.post("/api/sessions/none/offer", json={"sdp": "v=0"}) for _ in range(3)]
        assert [answer.status_code for answer in made] == [404, 404, 429]
        is_told(made[-1], 429, "too often")
        assert (await http.post("/api/sessions", json={})).status_code == 201  # counted apart
        http._transport.client = ("127.0.0.1", 1)  # type: ignore[attr-defined]
        for _ in range(4):  # this machine is not slowed
            assert (await http.post("/api/sessions/none/offer", json={"sdp": "v=0"})).status_code == 404


def test_the_words_are_read_from_the_environment_and_shown_to_nobody() -> None:
    environ = {"VITASCOPE_SERVER__PASSWORD": "open sesame", "VITASCOPE_SERVER__TOKEN": "12345"}
    read = read_settings(stages.registry(), environ=environ)
    assert read.settings.server.password.get_secret_value() == "open sesame"
    assert read.settings.server.token.get_secret_value() == "12345"
    for told in (as_toml(read), repr(read.settings), banner(read)):
        assert "sesame" not in told
        assert "12345" not in told
