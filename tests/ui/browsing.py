"""What a person does with the page, as words for the browser's tests."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

FLAGS = (
    "--no-sandbox",
    "--no-proxy-server",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
    "--use-fake-device-for-media-stream",
)
PATIENCE_MS = 30_000

Open = Callable[..., Page]


def reach(page: Page, state: str) -> None:
    page.wait_for_function("state => window.vitascope && window.vitascope.state === state", arg=state)


def go_live(page: Page) -> None:
    page.locator("[data-act=start]").click()
    reach(page, "live")


def choose(page: Page, source: str) -> None:
    page.locator("#vs-source").get_by_text(source).click()
    expect(page.locator("#vs-source label").filter(has_text=source).locator("input")).to_be_checked()


def card(page: Page, text: str) -> None:
    expect(page.locator(".vs-card")).to_contain_text(text)


def button(page: Page, text: str) -> None:
    page.locator(".vs-card").get_by_role("button", name=text).click()
