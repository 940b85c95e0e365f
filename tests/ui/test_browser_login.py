"""Signing in with a real browser, which says of a form where it comes from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.app.serving import Served, served
from tests.ui.browsing import PATIENCE_MS, choose, go_live, reach

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    with served("Invert", server__password="open sesame") as found:
        yield found


def test_who_knows_the_word_comes_to_the_page_and_paints(browser: Browser, site: Served) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(site.url)
        word = page.get_by_label("Password of this server")
        word.fill("open")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        word.fill("open sesame")
        word.press("Enter")
        reach(page, "idle")
        assert page.url == f"{site.url}/"
        choose(page, "Pattern")
        go_live(page)


def test_another_sites_form_signs_nobody_in(browser: Browser, site: Served) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        form = f'<form method="post" action="{site.url}/login"><input name="password" value="open sesame">'
        page.set_content(form)
        with page.expect_navigation():
            page.evaluate("document.forms[0].submit()")
        expect(page.locator("body")).to_contain_text("The request comes from another site.")
        assert context.cookies() == []
