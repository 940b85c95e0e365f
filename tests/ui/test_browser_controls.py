"""What a person types and turns on the page, and what of it reaches the session."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from realtime.core.errors import ConfigError
from tests.ui.browsing import Open, choose, go_live, reach
from tests.ui.studio import Studio

pytestmark = pytest.mark.browser


def test_prompt_reaches_the_session(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    page.locator("#vs-prompt textarea").fill("neon lines, dragon")
    studio.port.wait_for(lambda made: made.get("prompt") == "neon lines, dragon")
    assert {name for name, _ in studio.port.configured} == {studio.sessions[0].name}
    expect(page.locator(".vs-word.is-unknown")).to_contain_text("dragon")
    expect(page.locator("#vs-looks button.selected")).to_contain_text("Neon")


def test_looks_and_chips_edit_the_prompt(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    prompt = page.locator("#vs-prompt textarea")
    page.locator("#vs-looks button").nth(1).click()
    expect(prompt).to_have_value("oil painting")
    page.locator("#vs-mood").get_by_text("cool").click()
    expect(prompt).to_have_value("oil painting, cool")
    page.locator("#vs-amount").get_by_text("slightly").click()
    expect(prompt).to_have_value("slightly oil painting, cool")
    studio.port.wait_for(lambda made: made.get("prompt") == "slightly oil painting, cool")


def test_word_list_writes_into_the_prompt(opened: Open) -> None:
    page = opened()
    page.locator("#vs-known button.label-wrap").click()
    page.locator('.vs-words [data-word="thick brush strokes"]').click()
    expect(page.locator("#vs-prompt textarea")).to_have_value("thick brush strokes")
    page.locator('.vs-words [data-word="sepia"]').click()
    expect(page.locator("#vs-prompt textarea")).to_have_value("thick brush strokes, sepia")


def test_live_knob_acts_at_once_and_a_refusal_is_told(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    steps = page.locator("#knob-steps input[type=number]")
    steps.fill("3")
    steps.press("Tab")
    studio.port.wait_for(lambda made: made.get("steps") == 3)
    page.locator("#vs-dice").click()
    studio.port.wait_for(lambda made: made.get("seed", 0) > 0)
    studio.port.refuse = ConfigError("Four steps are too many.", hint="Take three.")
    steps.fill("4")
    steps.press("Tab")
    expect(page.locator("#vs-said")).to_contain_text("Four steps are too many. Take three.")


def test_what_was_set_before_the_start_begins_the_session(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    page.locator("#vs-prompt textarea").fill("neon lines")
    page.wait_for_function("window.vitascope.settings.prompt === 'neon lines'")
    go_live(page)
    assert studio.bodies[0]["settings"]["prompt"] == "neon lines"


def test_all_live_settings_are_sent_once_the_session_is_there(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    made = studio.port.wait_for(lambda made: "prompt" in made and len(made) > 1)
    assert set(made) == {"prompt", "strength", "steps", "seed", "guidance"}


def test_setting_that_needs_a_restart_offers_it(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    size = page.locator("#knob-size-px input[type=number]")
    size.fill("384")
    size.press("Tab")
    expect(page.locator(".vs-notice")).to_contain_text("after a restart")
    page.locator(".vs-notice button").click()
    page.wait_for_function("window.vitascope.session === 's1'")
    reach(page, "live")
    assert studio.bodies[1]["settings"]["size_px"] == 384
    assert not any("size_px" in made for _, made in studio.port.configured)
