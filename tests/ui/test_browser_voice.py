"""Steering by voice in a headless Chromium: the button and its key, what was understood, and the way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from perception.voice.config import SteerConfig
from tests.ui.browsing import Open, go_live
from tests.ui.studio import Studio
from ui.port import Fold

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served() -> Iterator[Studio]:
    studio = Studio()
    studio.port.listens = True
    studio.port.beside = [Fold("steer", "Steer", SteerConfig, SteerConfig().model_dump())]
    with studio.serving() as one:
        yield one


def test_a_command_is_said_shown_followed_by_the_controls_and_taken_back(
    opened: Open, studio: Studio
) -> None:
    page = opened()
    go_live(page)
    session = studio.sessions[0]
    talk = page.get_by_role("button", name="Hold to talk")
    line = page.locator(".vs-spoken p span")
    expect(line).to_have_text("")

    talk.hover()
    page.mouse.down()
    expect(talk).to_have_attribute("aria-pressed", "true")
    assert session.messages.get(timeout=15) == {"type": "settings", "settings": {"steer.talk": True}}
    expect(page.locator("[data-do=microphone]")).to_have_attribute(
        "aria-pressed", "true"
    )  # it hears nobody else
    page.mouse.up()
    assert session.messages.get(timeout=15) == {"type": "settings", "settings": {"steer.talk": False}}
    page.locator("body").press("v")
    assert [session.messages.get(timeout=15)["settings"]["steer.talk"] for _ in range(2)] == [True, False]

    understood = {
        "type": "command",
        "outcome": "understood",
        "text": "make it neon at night",
        "changes": {"prompt": "neon lines, dark", "strength": 0.25},
        "can_undo": True,
    }
    studio.on_loop(lambda: session.peer.send(understood))
    expect(line).to_have_text("\u201cmake it neon at night\u201d: prompt neon lines, dark, strength 0.25")
    expect(page.locator("#vs-prompt textarea")).to_have_value("neon lines, dark")
    expect(page.locator("#knob-strength input[type=number]")).to_have_value("0.25")
    page.get_by_role("button", name="Undo").click()
    assert session.messages.get(timeout=15) == {"type": "undo"}

    refused = {"type": "command", "outcome": "understood", "text": "<b>set</b>", "refused": "It cannot be."}
    studio.on_loop(lambda: session.peer.send(refused))
    expect(line).to_have_text("\u201c<b>set</b>\u201d: It cannot be.")
    expect(page.locator(".vs-undo")).to_be_hidden()
