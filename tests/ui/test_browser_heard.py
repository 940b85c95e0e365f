"""What is said, on the page: words appear as they are told, those that may change in grey, finals stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.ui.browsing import PATIENCE_MS, go_live
from tests.ui.studio import Studio

pytestmark = pytest.mark.browser


@pytest.fixture
def listening() -> Iterator[Studio]:
    studio = Studio()
    studio.port.listens = True
    with studio.serving():
        yield studio


def test_words_grow_in_their_line_and_final_ones_stay(browser: Browser, listening: Studio) -> None:
    page = browser.new_page(permissions=["camera", "microphone"])
    page.set_default_timeout(PATIENCE_MS)
    page.goto(listening.url)
    go_live(page)
    session = listening.sessions[0]
    heard, lines = page.locator(".vs-heard"), page.locator(".vs-heard li")

    def say(turn: str, utterance: int, text: str, tail: str = "") -> None:
        event: dict[str, Any] = {
            "type": "heard",
            "turn": turn,
            "utterance": utterance,
            "text": text,
            "tail": tail,
        }
        listening.on_loop(lambda: session.peer.send(event))

    expect(heard).to_contain_text("Turn the microphone on")
    page.locator(".vs-screen").hover()
    page.locator("[data-do=microphone]").click()
    expect(heard).to_contain_text("Listening.")
    say("start", 0, "")
    say("update", 0, "it was", "the bess <b>")
    expect(lines).to_have_text(["it was the bess <b>"])
    stands, open_ = lines.first.locator("span").all()
    colours = [one.evaluate("one => getComputedStyle(one).color") for one in (stands, open_)]
    assert colours[0] != colours[1]
    expect(heard.locator("a").first).to_be_hidden()
    say("end", 0, "It was the best.")
    say("start", 1, "")
    say("end", 1, "")  # a cough
    say("start", 2, "")
    say("update", 2, "", "of")
    expect(lines).to_have_text(["It was the best.", " of"])
    link = heard.get_by_text("SubRip")
    expect(link).to_be_visible()
    assert link.get_attribute("href").endswith(f"/api/sessions/{session.name}/captions.srt")  # type: ignore[union-attr]
    page.locator(".vs-screen").hover()
    page.locator("[data-do=stop]").click()
    expect(lines.first).to_have_text("It was the best.")  # can still be read, and fetched
    page.close()
