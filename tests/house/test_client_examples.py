"""The example clients, run against a real server whose stage inverts pictures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import uvicorn

from app.server import build_app
from realtime.sources.mark import read_mark
from scripts.bootstrap import find_browser
from tests.app import stages
from tests.house.paths import ROOT
from tests.ui.browsing import FLAGS, PATIENCE_MS

TOKEN = "only for this test"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Any]]:
    """A server on a thread: its address, and its studio."""
    table = stages.registry()
    flags = {"stages__paint__size_px": 128, "server__token": TOKEN, "server__max_sessions": 1}
    app = build_app(stages.settings(table, **flags), table, page=False)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=2)
    runner, up = uvicorn.Server(config), threading.Event()
    begin = runner.startup

    async def startup(sockets: Any = None) -> None:
        await begin(sockets)
        up.set()

    runner.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=runner.run, name="server", daemon=True)
    thread.start()
    assert up.wait(30)
    yield f"http://127.0.0.1:{runner.servers[0].sockets[0].getsockname()[1]}", app.state.studio
    runner.should_exit = True
    thread.join(15)
    assert not thread.is_alive()


def test_the_script_is_short() -> None:
    assert len((ROOT / "examples/client.js").read_text().splitlines()) <= 60


def test_the_program_waits_its_turn_and_keeps_a_painted_picture(
    server: tuple[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from app.bodies import FromPattern
    from examples.client import main

    url, studio = server
    monkeypatch.setenv("VITASCOPE_SERVER__TOKEN", TOKEN)
    before = studio.loop.submit(studio.manager.create(FromPattern(kind="pattern"))).result(10)
    threading.Timer(1.0, lambda: studio.loop.submit(before.close())).start()
    target = tmp_path / "painted.png"
    asyncio.run(main(url, target, "a fox"))
    picture = cv2.imread(str(target))
    assert picture.shape == (128, 128, 3)
    assert read_mark(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)) is not None
    assert '"type":"ready"' in capsys.readouterr().out
    assert len(studio.manager) == 0


@pytest.mark.browser
def test_the_script_paints_a_camera_in_a_page_of_one_s_own(server: tuple[str, Any]) -> None:
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on this machine; VITASCOPE_CHROMIUM may name one")
    url, studio = server
    script = (ROOT / "examples/client.js").read_text()
    page_html = "<!doctype html><video></video>"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*FLAGS, "--use-fake-ui-for-media-stream"]
        )
        page = browser.new_context(extra_http_headers={"Authorization": f"Bearer {TOKEN}"}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.route("**/own.html", lambda route: route.fulfill(body=page_html, content_type="text/html"))
        page.route("**/client.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        page.goto(f"{url}/own.html")
        page.evaluate(
            """async () => {
              const { paint } = await import("/client.js");
              window.heard = [];
              const video = document.querySelector("video");
              window.session = await paint(video, { prompt: "a fox" }, (event) => window.heard.push(event));
            }"""
        )
        page.wait_for_function("document.querySelector('video').videoWidth === 128")
        page.wait_for_function("window.heard.some((event) => event.type === 'stats' && event.fps > 0)")
        session = studio.manager.sessions[0]
        assert session.wiring.settings()["prompt"] == "a fox"
        page.evaluate("window.session.set({ strength: 0.25 })")
        page.evaluate("window.session.set({ strenght: 1 })")
        page.wait_for_function("window.heard.some((event) => event.type === 'error')")
        assert session.wiring.settings()["strength"] == 0.25
        page.evaluate("window.session.close()")
        studio.loop.submit(asyncio.wait_for(session.closed.wait(), 10)).result(15)
        browser.close()  # not before: a browser that is shut down takes what it has not sent with it
    assert session.why == "The page was closed."
