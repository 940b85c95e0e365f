"""The public link: the tunnel's program is one of the test's, the rest is real."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from gradio import tunneling

from app.layers import read_settings
from app.outside import Outside
from app.serve import banner, server_config
from app.server import build_app
from app.share import ShareFailed, open_soon, open_tunnel, own_door
from tests.app import stages
from tests.app.test_server import HOME, is_told, serving

LINK = "https://abc.share.example"
CAMERA = {"source": {"kind": "camera"}}


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> Path:
    """Put a program that says `lines` in the place of frpc; return the file of its arguments."""
    said = tmp_path / "arguments"
    path = tmp_path / "frpc"
    echo = "\n".join(f"echo '{line}'" for line in lines)
    path.write_text(f'#!/bin/sh\necho "$@" > {said}\n{echo}\nexec sleep 60\n')
    path.chmod(0o755)
    monkeypatch.setattr(tunneling, "BINARY_PATH", str(path))
    return said


@pytest.fixture(autouse=True)
def _no_tunnel_stays() -> Any:
    yield
    for tunnel in tunneling.CURRENT_TUNNELS:
        tunnel.kill()
    tunneling.CURRENT_TUNNELS.clear()


def test_a_tunnel_gives_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = program(tmp_path, monkeypatch, "login ok", "start proxy success: http://abc.share.example:8080")
    assert open_tunnel("127.0.0.1", 4321, "share.example:7000") == "http://abc.share.example:8080"
    arguments = said.read_text().split()
    assert arguments[arguments.index("-l") + 1] == "4321"
    assert arguments[arguments.index("-i") + 1] == "127.0.0.1"
    assert len(arguments[arguments.index("-n") + 1]) > 30, "nobody may guess the tunnel's name"


def test_a_refused_tunnel_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "login to server failed: nobody there")
    with pytest.raises(ShareFailed) as caught:
        open_tunnel("127.0.0.1", 4321, "share.example:7000")
    assert caught.value.message.startswith("No public link could be opened: ")
    assert "goes on" in caught.value.hint


def test_the_link_is_told_when_it_is_open_and_its_name_is_known() -> None:
    outside, lines = Outside(), []
    with own_door(outside):
        asked: list[Any] = []

        def opener(*call: Any) -> str:
            asked.append(call)
            return LINK

        open_soon(outside, None, tell=lines.append, opener=opener).join(10)
        assert asked == [("127.0.0.1", outside.port, None)]
    assert LINK in lines[0]
    assert outside.knows("abc.share.example")


def test_no_link_is_told_too_and_nothing_else_happens() -> None:
    outside, lines = Outside(), []

    def opener(*call: Any) -> str:
        raise ShareFailed("No public link could be opened: no network.", hint="The page here goes on.")

    with own_door(outside):
        open_soon(outside, None, tell=lines.append, opener=opener).join(10)
    assert "no network" in lines[0]
    assert not outside.hosts


def test_the_banner_announces_the_link() -> None:
    read = read_settings(stages.registry(), flags=[("server.share", True)], environ={})
    assert "opening a public link" in banner(read)
    assert "share" not in banner(read_settings(stages.registry(), environ={})).split("settings")[0]


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-forwarded-for": "127.0.0.1"}, {"x-forwarded-for": "8.8.8.8"}, {"forwarded": "for=127.0.0.1"}],
)
async def test_who_comes_through_the_tunnel_is_never_at_this_machine(headers: dict[str, str]) -> None:
    async with serving() as http:
        outside = http.studio.outside  # type: ignore[attr-defined]
        outside.port = 9000
        outside.take(LINK)
        door = "http://127.0.0.1:9000/api/sessions"
        named = {"host": "abc.share.example", **headers}
        is_told(await http.post(door, json=CAMERA, headers=named), 403, "only for its own machine")
        pattern = {"source": {"kind": "pattern"}}
        assert (await http.post(door, json=pattern, headers=named)).status_code == 201
        if not headers:
            assert (await http.post(f"{HOME}/api/sessions", json=CAMERA)).status_code == 201


def test_the_server_tells_its_two_ports_apart() -> None:
    settings = stages.settings(server__port=7861)
    app = build_app(settings, stages.registry(), page=False)
    outside: Outside = app.state.studio.outside
    config = server_config(app, settings)
    config.port = 0
    server = uvicorn.Server(config)
    home, door = config.bind_socket(), own_door(outside)
    outside.take(LINK)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [home, door]}, daemon=True)
    up = threading.Event()
    begin = server.startup

    async def startup(sockets: Any = None) -> None:
        await begin(sockets)
        up.set()

    server.startup = startup  # type: ignore[method-assign]
    port = home.getsockname()[1]
    thread.start()
    assert up.wait(30)
    try:
        asks = {"url": f"http://127.0.0.1:{outside.port}/api/sessions", "json": CAMERA}
        assert httpx.post(**asks).status_code == 403
        assert "own machine" in httpx.post(**asks, headers={"host": "abc.share.example"}).text
        local = httpx.post(f"http://127.0.0.1:{port}/api/sessions", json=CAMERA)
        assert local.status_code == 201
    finally:
        server.should_exit = True
        thread.join(20)
