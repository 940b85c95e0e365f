"""Chromium as a WHIP publisher and a WHEP player, from a page of another origin, and our own player page."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from scripts.bootstrap import find_browser
from tests.app.live import Live, live_server

pytestmark = [pytest.mark.slow, pytest.mark.browser]

HERE = Path(__file__).resolve().parent
IS_CYAN = "() => { const c = colour(); return c && c[0] < 90 && c[1] > 160 && c[2] > 160; }"
BUNDLE = "VITASCOPE_WHIP_CLIENT"
"""Path of a script that puts a WHIPClient of others into the page; docs/obs.md says how it is made."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """Serve the test page from an origin of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HERE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def live(stranger: str) -> Iterator[Live]:
    with live_server(server__stream_origins=stranger) as running:
        yield running


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = find_browser()
    if chromium is None:
        pytest.skip("no Chromium on this machine: make test installs one where it may")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox", "--no-proxy-server", "--allow-loopback-in-peer-connection",
                "--disable-background-networking", "--autoplay-policy=no-user-gesture-required",
            ],
        )  # fmt: skip
        yield browser.new_context().new_page()
        browser.close()


def shows_cyan(page: Page) -> None:
    """Wait until the inverted red is on the screen."""
    page.wait_for_function(IS_CYAN, timeout=30_000)


def test_a_page_of_another_origin_publishes_and_plays(page: Page, stranger: str, live: Live) -> None:
    page.goto(f"{stranger}/whip_page.html")
    made = page.evaluate("url => publish(url)", f"{live.url}/whip/stage1")
    assert made["resource"].startswith(f"{live.url}/whip/stage1/")
    assert made["etag"].startswith('"')
    assert "/watch/stage1" in made["link"]
    seen = page.evaluate("url => play(url)", f"{live.url}/whep/stage1")
    shows_cyan(page)
    page.wait_for_function("publisher.connectionState === 'connected'", timeout=10_000)
    page.wait_for_function("window.trickled", timeout=10_000)
    assert set(page.evaluate("trickled")) == {204}
    for resource in (seen["resource"], made["resource"]):
        status = page.evaluate("url => fetch(url, { method: 'DELETE' }).then((a) => a.status)", resource)
        assert status == 200
    page.wait_for_function("['closed', 'failed', 'disconnected'].includes(publisher.connectionState)",
                           timeout=20_000)  # fmt: skip
    assert len(live.studio.manager) == 0


def test_our_page_plays_it_and_leaves(page: Page, stranger: str, live: Live) -> None:
    page.goto(f"{stranger}/whip_page.html")
    page.evaluate("url => publish(url)", f"{live.url}/whip/stage1")
    wall = page.context.new_page()
    faults: list[object] = []
    wall.on("pageerror", lambda fault: faults.append(fault))
    wall.goto(f"{live.url}/watch/stage1")
    wall.wait_for_function("document.querySelector('video').videoWidth > 0", timeout=30_000)
    wall.wait_for_function("document.querySelector('p').textContent === ''", timeout=10_000)
    (session,) = live.studio.manager.sessions
    assert sorted(held.path for held in session.links) == ["whep", "whip"]
    assert faults == []
    wall.close(run_before_unload=True)
    end_s = time.monotonic() + 3.0  # sooner than silence would tell
    while any(held.path == "whep" for held in session.links):
        assert time.monotonic() < end_s, "the page did not say that it leaves"
        page.wait_for_timeout(50)


def test_our_page_waits_for_a_stream_that_is_not_there_yet(page: Page, stranger: str, live: Live) -> None:
    page.goto(f"{live.url}/watch/later")
    page.wait_for_function("document.querySelector('p').textContent.includes('no stream')", timeout=10_000)
    other = page.context.new_page()
    other.goto(f"{stranger}/whip_page.html")
    other.evaluate("url => publish(url)", f"{live.url}/whip/later")
    page.wait_for_function("document.querySelector('video').videoWidth > 0", timeout=30_000)


def test_a_client_library_of_others_publishes(page: Page, stranger: str, live: Live) -> None:
    bundle = os.environ.get(BUNDLE, "")
    if not Path(bundle).is_file():
        pytest.skip(f"no WHIP client of others: name its bundle in {BUNDLE}")
    page.goto(f"{stranger}/whip_page.html")
    page.add_script_tag(path=bundle)
    page.evaluate(
        """async (endpoint) => {
          const client = new WHIPClient({ endpoint, opts: { iceServers: [] } });
          await client.setIceServersFromEndpoint();
          window.client = client;
          await client.ingest(canvas.captureStream(30));
        }""",
        f"{live.url}/whip/theirs",
    )
    page.wait_for_function("client.resource", timeout=10_000)
    page.evaluate("url => play(url)", f"{live.url}/whep/theirs")
    shows_cyan(page)
    page.evaluate("client.destroy()")
