"""Sound in headless Chromium, with the real server: the fake microphone's beeps come back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.conftest import Server
from tests.e2e.test_browser import page  # noqa: F401 - a fixture
from tests.ui.test_browser_sound import LISTEN_JS, is_on, press

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_beeps_come_back_when_sound_is_on(server: Server, page: Page) -> None:  # noqa: F811
    page.goto(server.url)
    page.wait_for_function("window.vitascope && window.vitascope.state === 'idle'", timeout=60_000)
    page.locator("[data-act=start]").click()
    page.wait_for_function("window.vitascope.state === 'live'", timeout=60_000)
    press(page, "speaker")
    is_on(page, "speaker", True)
    press(page, "microphone")
    is_on(page, "microphone", True)
    assert page.evaluate(LISTEN_JS) > 0.01
    page.wait_for_function("window.vitascope.stats.sound_ms > 0", timeout=20_000)
    stats = page.evaluate("window.vitascope.stats")
    print(stats)
    assert stats["sound_ms"] <= stats["age_p95_ms"] + 100, "sound waits for its pictures, not longer"
    session = page.evaluate("window.vitascope.session")
    told = page.request.get(f"{server.url}/api/sessions/{session}").json()  # with the browser's cookie
    assert told["settings"]["sound"] is True
    press(page, "speaker")
    is_on(page, "speaker", False)
