"""What the page says when something does not work: a sentence, and a button that helps."""

from __future__ import annotations

import asyncio

import pytest
from playwright.sync_api import Playwright, expect

from tests.ui.browsing import FLAGS, Open, button, card, choose, go_live, reach
from tests.ui.studio import Studio

pytestmark = pytest.mark.browser


def test_refused_camera_is_a_sentence_with_two_ways_on(
    chromium: str, driver: Playwright, opened: Open, studio: Studio
) -> None:
    strict = driver.chromium.launch(executable_path=chromium, args=[*FLAGS, "--deny-permission-prompts"])
    try:
        page = opened(strict)
        page.locator("[data-act=start]").click()
        reach(page, "trouble")
        card(page, "The camera was not allowed.")
        expect(page.locator(".vs-card")).to_have_attribute("role", "alert")
        button(page, "Try again")
        card(page, "The camera was not allowed.")
        assert studio.bodies == []
        button(page, "Use the test pattern")
        reach(page, "live")
        expect(page.locator("#vs-source input[value=pattern]")).to_be_checked()
    finally:
        strict.close()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("NotFoundError", "No camera was found."), ("NotReadableError", "could not be started")],
)
def test_other_camera_troubles_have_their_own_sentence(opened: Open, name: str, sentence: str) -> None:
    page = opened()
    page.evaluate(
        "name => navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name))", name
    )
    page.locator("[data-act=start]").click()
    card(page, sentence)


def test_busy_server_is_a_sentence_and_trying_again_helps(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.is_busy = True
    page.locator("[data-act=start]").click()
    card(page, "All 2 places are taken.")
    expect(page.locator(".vs-card-hint")).to_have_text("Try again in a minute.")
    studio.is_busy = False
    button(page, "Try again")
    reach(page, "live")


REMEMBER_CARDS = """() => {
  const line = document.querySelector(".vs-card-message");
  window.cards = [];
  new MutationObserver(() => {
    const said = line.firstChild.textContent;
    if (said !== window.cards.at(-1)) window.cards.push(said);
  }).observe(line, { childList: true });
}"""


def test_one_waits_in_the_queue_and_the_page_goes_on_by_itself(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.places.extend([12, 3, 1, 0])
    page.evaluate(REMEMBER_CARDS)
    page.locator("[data-act=start]").click()
    reach(page, "live")
    seen = page.evaluate("window.cards")
    told = [sentence for sentence in seen if sentence.startswith(("You are", "It is"))]
    numbers = [f"You are number {place} in the queue." for place in (12, 3, 1)]
    assert told == [*numbers, "It is your turn."]
    assert [body.get("ticket", "") for body in studio.bodies] == ["", "t1"]
    assert studio.left == []


def test_a_place_that_became_void_is_asked_for_anew(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.places.append(4)
    page.locator("[data-act=start]").click()
    reach(page, "live")
    assert [body.get("ticket", "") for body in studio.bodies] == ["", ""]


def test_who_stops_waiting_gives_the_place_back(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.places.extend([7] * 100)
    page.locator("[data-act=start]").click()
    card(page, "You are number 7 in the queue.")
    with page.expect_request("**/api/tickets/t1/close"):
        button(page, "Cancel")
    reach(page, "idle")
    assert studio.sessions == []


def test_unreachable_server_is_a_sentence(opened: Open) -> None:
    page = opened()
    choose(page, "Pattern")
    page.route("**/api/sessions", lambda route: route.abort())
    page.locator("[data-act=start]").click()
    card(page, "The server cannot be reached.")
    page.unroute("**/api/sessions")
    button(page, "Try again")
    reach(page, "live")


def test_lost_connection_offers_to_reconnect(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    session = studio.sessions[0]
    closing: list[asyncio.Task[None]] = []
    studio.on_loop(lambda: closing.append(asyncio.get_running_loop().create_task(session.peer.close())))
    reach(page, "trouble")
    card(page, "The connection was lost.")
    button(page, "Reconnect")
    reach(page, "live")
    assert page.evaluate("window.vitascope.session") == "s1"


def test_loading_is_told_with_its_progress(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.is_ready = False
    page.locator("[data-act=start]").click()
    reach(page, "preparing")
    card(page, "Building the engine.")
    assert page.evaluate("document.querySelector('.vs-card-progress').value") == pytest.approx(0.4)
    studio.on_loop(studio.sessions[0].ready)
    reach(page, "live")
    expect(page.locator(".vs-card")).to_be_hidden()


def test_events_are_shown_as_text_and_weighed(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)

    def tell(**event: object) -> None:
        studio.on_loop(lambda: studio.sessions[0].peer.send({"kind": "StageError", **event}))

    tell(type="error", message="One picture <b>failed</b>.", hint="It goes on.")
    expect(page.locator(".vs-notice")).to_contain_text("One picture <b>failed</b>. It goes on.")
    reach(page, "live")
    tell(type="error", message="The model is gone.", hint="Fetch it.", permanent=True)
    reach(page, "trouble")
    card(page, "The model is gone.")
    expect(page.locator(".vs-card-hint")).to_have_text("Fetch it.")


def test_cancel_while_connecting_leaves_nothing_behind(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.is_ready = False
    page.locator("[data-act=start]").click()
    reach(page, "preparing")
    button(page, "Cancel")
    reach(page, "idle")
    assert studio.sessions[0].closed.wait(15)
