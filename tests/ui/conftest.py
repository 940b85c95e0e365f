"""A headless Chromium and the small server that it visits.

One of each for a module: Playwright keeps an event loop running, which must not reach other modules' tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from scripts.bootstrap import find_browser
from tests.ui.browsing import FLAGS, PATIENCE_MS, reach
from tests.ui.studio import Studio


@pytest.fixture(scope="module")
def chromium() -> str:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on this machine; VITASCOPE_CHROMIUM may name one")
    return path


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(chromium: str, driver: Playwright) -> Iterator[Browser]:
    browser = driver.chromium.launch(
        executable_path=chromium, args=[*FLAGS, "--use-fake-ui-for-media-stream"]
    )
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Studio]:
    with Studio().serving() as studio:
        yield studio


@pytest.fixture
def studio(served: Studio) -> Studio:
    """The server with nothing wrong and nothing remembered."""
    served.is_busy, served.is_ready = False, True
    served.port.refuse = None
    served.places.clear()
    served.left.clear()
    served.port.configured.clear()
    served.bodies.clear()
    served.sessions.clear()
    return served


@pytest.fixture
def opened(browser: Browser, studio: Studio) -> Iterator[Callable[..., Page]]:
    """Open the page; at the end no exception may have been thrown in it and no other machine asked."""
    faults: list[str] = []
    contexts = []

    def open_page(maker: Browser = browser, **options: object) -> Page:
        context = maker.new_context(
            viewport=options.pop("viewport", {"width": 1280, "height": 860}), **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda line: (
                faults.append(line.text)
                if line.type == "error" and "Failed to load resource" not in line.text
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((studio.url, "data:", "blob:", "about:"))
                else faults.append(f"asked {request.url}")
            ),
        )
        page.on(
            "response",
            lambda answer: (
                faults.append(f"{answer.status} {answer.url}")
                if answer.status >= 400 and "/api/" not in answer.url
                else None
            ),
        )
        page.goto(studio.url)
        reach(page, "idle")
        page.wait_for_selector("#vs-prompt textarea")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
