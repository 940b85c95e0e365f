"""The page while its worker is emptied: it offers anew to the same id, and nobody presses anything."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.app.serving import Served, served
from tests.ui.browsing import choose, go_live, reach
from tests.ui.test_browser_wire import counted, opened, path, session_of

pytestmark = pytest.mark.browser

MOVE = {"type": "move", "message": "This server is being changed; your session goes on at another."}
REMEMBER_STATES = """() => {
  window.states = [];
  const root = document.querySelector(".vs-live");
  const watch = new MutationObserver(() => states.push(root.dataset.state));
  watch.observe(root, { attributeFilter: ["data-state"] });
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    with served("Invert", stages__paint__size_px=256, server__stats_interval_s=0.5) as found:
        yield found


@pytest.mark.parametrize(("way", "words"), [("webrtc", "WebRTC"), ("websocket", "WebSocket H.264")])
def test_a_move_is_a_new_path_to_the_same_session(
    browser: Browser, site: Served, way: str, words: str
) -> None:
    with opened(browser, f"{site.url}/?path={way}", udp=True) as page:
        go_live(page)
        path(page, words)
        held = session_of(site, page)
        (before,) = [one.name for one in held.links]
        session = page.evaluate("window.vitascope.session")
        page.evaluate(REMEMBER_STATES)
        page.evaluate("window.before = vitascope.video.srcObject")
        held.outbox.put(MOVE)
        page.wait_for_function("vitascope.video.srcObject !== window.before")
        counted(page)
        page.wait_for_function("window.shown > 10")
        path(page, words)
        expect(page.locator(".vs-card")).to_be_hidden()
        expect(page.locator(".vs-notice")).to_be_hidden()
        assert before not in [one.name for one in held.links], "the old path is let go"
        assert page.evaluate("[vitascope.session, vitascope.state]") == [session, "live"]
        assert page.evaluate("window.states") == []


def test_a_move_before_the_first_picture_does_no_harm(browser: Browser, site: Served) -> None:
    with opened(browser, site.url, udp=True) as page:
        choose(page, "Pattern")
        page.locator("[data-act=start]").click()
        page.wait_for_function("window.vitascope.session")
        session_of(site, page).outbox.put(MOVE)
        reach(page, "live")
        counted(page)
        page.wait_for_function("window.shown > 5")


def test_the_front_s_word_of_a_lost_worker_is_taken(browser: Browser, site: Served) -> None:
    with opened(browser, f"{site.url}/?path=webrtc", udp=True) as page:
        asked: list[Route] = []

        def as_a_front(route: Route) -> None:
            answer = route.fetch()
            made = answer.json()
            route.fulfill(response=answer, json={**made, "events": f"sessions/{made['id']}/events"})

        page.route("**/api/sessions", as_a_front)
        page.route("**/api/sessions/*/events", lambda route: asked.append(route))  # a bound method is refused
        go_live(page)
        page.evaluate("window.before = vitascope.video.srcObject")
        (news,) = asked
        news.fulfill(content_type="text/event-stream", body=f"retry: 60000\ndata: {json.dumps(MOVE)}\n\n")
        page.wait_for_function("vitascope.video.srcObject !== window.before", timeout=4000)
        counted(page)
        page.wait_for_function("window.shown > 10")
        assert page.evaluate("vitascope.state") == "live"
