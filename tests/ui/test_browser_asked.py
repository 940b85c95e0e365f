"""Asking in a headless Chromium: a question goes out, its answer grows, its moments are pictures to click."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.ui.browsing import Open, go_live
from tests.ui.studio import Studio

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served() -> Iterator[Studio]:
    studio = Studio()
    studio.port.is_asked = studio.port.listens = True
    with studio.serving() as one:
        yield one


def test_a_question_is_asked_and_answered_and_all_of_it_is_forgotten(opened: Open, studio: Studio) -> None:
    page = opened()
    asked = page.locator(".vs-asked")
    expect(asked).to_be_hidden()
    go_live(page)
    session = studio.sessions[0]
    field = page.get_by_label("Your question")
    field.fill("  where is <b>the</b> cup? ")
    field.press("Enter")
    assert session.messages.get(timeout=15) == {"type": "ask", "question": "where is <b>the</b> cup?"}
    expect(field).to_have_value("")

    def say(**event: object) -> None:
        studio.on_loop(lambda: session.peer.send({"type": "answer", **event}))

    turns = asked.locator("ol > li")
    say(id=1, question="where is <b>the</b> cup?", text="I last saw", final=False)
    expect(turns).to_have_text(["where is <b>the</b> cup?I last saw"])
    moments = [
        {"ago_s": 130.4, "lasted_s": 0, "says": "a cup", "picture": 7},
        {"ago_s": 4000, "lasted_s": 0, "says": "without a picture", "picture": None},
        {"ago_s": 90_000, "lasted_s": 0, "says": "forgotten", "picture": 8},
    ]
    told = {
        "text": "I last saw a cup.",
        "final": True,
        "observed": True,
        "engine": "events",
        "confidence": 0.9,
    }
    say(id=1, question="where is <b>the</b> cup?", moments=moments, **told)
    expect(turns.first.locator(".vs-said")).to_have_text("I last saw a cup.")
    expect(turns.first.locator(".vs-said")).to_have_attribute("title", "Answered by events, 90 % sure")
    picture = turns.first.get_by_role("button")
    expect(picture).to_have_text(["2 min 10 s ago"])  # a picture that is gone has no button
    picture.click()
    expect(page.get_by_role("dialog")).to_have_text("a cup, 2 min 10 s ago")
    page.get_by_role("dialog").click()
    expect(page.get_by_role("dialog")).to_be_hidden()

    say(id=0, question="?", text="", final=True, error="Nothing was asked.", hint="Ask something.")
    expect(turns.nth(1).locator(".vs-said")).to_have_text("Nothing was asked. Ask something.")

    wish = {"type": "wish", "id": 3, "says": "Tell when a dog appears.", "on": True}
    studio.on_loop(lambda: session.peer.send(wish))
    alert = {"type": "alert", "id": 3, "says": "A dog appeared.", "moment": {**moments[0], "ago_s": 0.4}}
    studio.on_loop(lambda: session.peer.send(alert))
    expect(turns.nth(2)).to_have_text("A dog appeared.now")
    asked.get_by_role("button", name="Stop").click()
    assert session.messages.get(timeout=15) == {"type": "unwatch", "id": 3}
    studio.on_loop(lambda: session.peer.send({**wish, "on": False}))
    expect(asked.locator(".vs-wishes li")).to_have_count(0)

    asked.get_by_role("button", name="Say it").click()
    assert session.messages.get(timeout=15) == {"type": "ask-aloud"}
    asked.get_by_role("button", name="Forget all of it").click()
    expect(page.locator(".vs-notice")).to_contain_text("forgotten")
    expect(turns).to_have_count(0)
    assert studio.forgotten == [session.name]


def test_a_page_on_which_nothing_answers_asks_nothing(opened: Open, studio: Studio) -> None:
    page = opened()
    expect(page.locator(".vs-asked")).to_be_hidden()
    field = page.locator(".vs-asked input")
    page.evaluate("() => { document.querySelector('.vs-asked').hidden = false; }")
    field.fill("what?")
    field.press("Enter")
    expect(page.locator(".vs-notice")).to_contain_text("Start first")
    expect(field).to_have_value("what?")
