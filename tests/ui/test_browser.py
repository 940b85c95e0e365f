"""The page in a headless Chromium against a small real server: what is seen, and what reaches the session."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from realtime.core.errors import ConfigError
from scripts.bootstrap import find_browser
from tests.ui.studio import BADGE, Studio

pytestmark = pytest.mark.browser

FLAGS = (
    "--no-sandbox",
    "--no-proxy-server",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
    "--use-fake-device-for-media-stream",
)
PATIENCE_MS = 6_000
PHONE = {"width": 390, "height": 844}


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
        page.goto(studio.url)
        reach(page, "idle")
        page.wait_for_selector("#vs-prompt textarea")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def reach(page: Page, state: str) -> None:
    page.wait_for_function("state => window.vitascope && window.vitascope.state === state", arg=state)


def go_live(page: Page) -> None:
    page.locator("[data-act=start]").click()
    reach(page, "live")


def choose(page: Page, source: str) -> None:
    page.locator("#vs-source").get_by_text(source).click()
    expect(page.locator(f"#vs-source input[value={source.lower()}]")).to_be_checked()


def card(page: Page, text: str) -> None:
    expect(page.locator(".vs-card")).to_contain_text(text)


def button(page: Page, text: str) -> None:
    page.locator(".vs-card").get_by_role("button", name=text).click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_loads_whole_and_follows_the_scheme(opened: Callable[..., Page], scheme: str) -> None:
    page = opened(color_scheme=scheme)
    background = page.evaluate(
        "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    )
    levels = [int(level) for level in re.findall(r"\d+", background)[:3]]
    assert max(levels) < 60 if scheme == "dark" else min(levels) > 200
    card(page, "Your camera")
    expect(page.locator(".vs-engine")).to_contain_text(BADGE.name)


def test_switch_between_light_and_dark_is_remembered(opened: Callable[..., Page]) -> None:
    page = opened(color_scheme="dark")
    page.locator(".vs-theme").click()
    assert page.evaluate("document.body.classList.contains('dark')") is False
    page.reload()
    reach(page, "idle")
    assert page.evaluate("document.body.classList.contains('dark')") is False


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(opened: Callable[..., Page], width: int) -> None:
    page = opened(viewport={"width": width, "height": 844})
    page.locator("#vs-more button.label-wrap").click()
    page.locator("#vs-known button.label-wrap").click()
    expect(page.locator(".vs-words")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        """width => [...document.querySelectorAll('.gradio-container *')].filter((e) => {
          const box = e.getBoundingClientRect();
          return box.width && box.right > width + 1 && !e.closest('#vs-looks');
        }).map((e) => e.outerHTML.slice(0, 120))""",
        width,
    )
    assert wide == []


def test_phone_reaches_picture_prompt_and_looks_without_scrolling(opened: Callable[..., Page]) -> None:
    page = opened(viewport=PHONE, is_mobile=True, has_touch=True)
    for selector in (".vs-screen", "[data-act=start]", "#vs-prompt textarea", "#vs-looks button >> nth=0"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] / 2 < PHONE["height"], selector


def test_camera_comes_back_painted(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    go_live(page)
    page.wait_for_function("window.vitascope.video.currentTime > 0.5")
    expect(page.locator(".vs-input")).to_be_visible()
    red, green, blue = page.evaluate(
        """() => {
          const canvas = document.createElement('canvas');
          canvas.width = canvas.height = 1;
          const pen = canvas.getContext('2d');
          pen.drawImage(window.vitascope.video, 0, 0, 1, 1);
          return [...pen.getImageData(0, 0, 1, 1).data];
        }"""
    )[:3]
    assert min(red, blue) > green + 60, "the fake camera is green, so its inversion is not"
    expect(page.locator(".vs-age-ms")).to_have_text(re.compile(r"^\d+$"))
    expect(page.locator(".vs-legend")).to_contain_text(re.compile(r"work \d+ ms"))
    expect(page.locator('[data-fact="rtt"]')).to_have_text(re.compile(r"^\d+ ms$"))
    assert studio.bodies[0]["source"] == {"kind": "webrtc"}
    assert page.evaluate("window.vitascope.session") == studio.sessions[0].name


def test_pattern_needs_no_camera(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    card(page, "test picture")
    go_live(page)
    expect(page.locator(".vs-input")).to_be_hidden()
    assert studio.bodies[0]["source"] == {"kind": "pattern"}


def test_refused_camera_is_a_sentence_with_two_ways_on(
    chromium: str, driver: Playwright, opened: Callable[..., Page], studio: Studio
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
def test_other_camera_troubles_have_their_own_sentence(
    opened: Callable[..., Page], name: str, sentence: str
) -> None:
    page = opened()
    page.evaluate(
        "name => navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name))", name
    )
    page.locator("[data-act=start]").click()
    card(page, sentence)


def test_prompt_reaches_the_session(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    page.locator("#vs-prompt textarea").fill("neon lines, dragon")
    studio.port.wait_for(lambda made: made.get("prompt") == "neon lines, dragon")
    assert {name for name, _ in studio.port.configured} == {studio.sessions[0].name}
    expect(page.locator(".vs-word.is-unknown")).to_contain_text("dragon")
    expect(page.locator("#vs-looks button.selected")).to_contain_text("Neon")


def test_looks_and_chips_edit_the_prompt(opened: Callable[..., Page], studio: Studio) -> None:
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


def test_word_list_writes_into_the_prompt(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator("#vs-known button.label-wrap").click()
    page.locator('.vs-words [data-word="thick brush strokes"]').click()
    expect(page.locator("#vs-prompt textarea")).to_have_value("thick brush strokes")
    page.locator('.vs-words [data-word="sepia"]').click()
    expect(page.locator("#vs-prompt textarea")).to_have_value("thick brush strokes, sepia")


def test_live_knob_acts_at_once_and_a_refusal_is_told(opened: Callable[..., Page], studio: Studio) -> None:
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


def test_what_was_set_before_the_start_begins_the_session(
    opened: Callable[..., Page], studio: Studio
) -> None:
    page = opened()
    choose(page, "Pattern")
    page.locator("#vs-prompt textarea").fill("neon lines")
    page.wait_for_function("window.vitascope.settings.prompt === 'neon lines'")
    go_live(page)
    assert studio.bodies[0]["settings"]["prompt"] == "neon lines"


def test_all_live_settings_are_sent_once_the_session_is_there(
    opened: Callable[..., Page], studio: Studio
) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    made = studio.port.wait_for(lambda made: "prompt" in made)
    assert set(made) == {"prompt", "strength", "steps", "seed", "guidance"}


def test_setting_that_needs_a_restart_offers_it(opened: Callable[..., Page], studio: Studio) -> None:
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


def test_stop_ends_the_session_and_the_controls_let_go(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    go_live(page)
    page.locator("[data-do=stop]").click()
    reach(page, "idle")
    assert studio.sessions[0].told_to_close.wait(15)
    assert studio.sessions[0].closed.wait(15)
    assert page.evaluate("window.vitascope.session") == ""
    expect(page.locator(".vs-input")).to_be_hidden()
    expect(page.locator("[data-act=start]")).to_be_visible()
    studio.port.configured.clear()
    page.locator("#vs-looks button").nth(2).click()
    expect(page.locator("#vs-prompt textarea")).to_have_value("neon lines")
    assert studio.port.configured == []


def test_leaving_the_page_ends_the_session(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    page.goto("about:blank")
    assert studio.sessions[0].told_to_close.wait(15)


def test_changing_the_source_while_live_starts_the_other(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    go_live(page)
    choose(page, "Pattern")
    page.wait_for_function("window.vitascope.session === 's1'")
    reach(page, "live")
    assert studio.sessions[0].closed.wait(15)
    assert [body["source"]["kind"] for body in studio.bodies] == ["webrtc", "pattern"]


def test_busy_server_is_a_sentence_and_trying_again_helps(
    opened: Callable[..., Page], studio: Studio
) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.is_busy = True
    page.locator("[data-act=start]").click()
    card(page, "All 2 places are taken.")
    expect(page.locator(".vs-card-hint")).to_have_text("Try again in a minute.")
    studio.is_busy = False
    button(page, "Try again")
    reach(page, "live")


def test_unreachable_server_is_a_sentence(opened: Callable[..., Page]) -> None:
    page = opened()
    choose(page, "Pattern")
    page.route("**/api/sessions", lambda route: route.abort())
    page.locator("[data-act=start]").click()
    card(page, "The server cannot be reached.")
    page.unroute("**/api/sessions")
    button(page, "Try again")
    reach(page, "live")


def test_lost_connection_offers_to_reconnect(opened: Callable[..., Page], studio: Studio) -> None:
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


def test_loading_is_told_with_its_progress(opened: Callable[..., Page], studio: Studio) -> None:
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


def test_events_are_shown_as_text_and_weighed(opened: Callable[..., Page], studio: Studio) -> None:
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


def test_file_is_sent_and_played(opened: Callable[..., Page], studio: Studio, tmp_path: Path) -> None:
    page = opened()
    choose(page, "File")
    card(page, "A video file")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x" * 1000)
    with page.expect_file_chooser() as asked:
        button(page, "Choose a video")
    asked.value.set_files(clip)
    reach(page, "live")
    assert studio.bodies[0]["source"] == {"kind": "file", "file": "file-1000"}
    page.locator("[data-do=stop]").click()
    card(page, "clip.mp4")


def test_snapshot_is_the_painted_picture_as_png(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    with page.expect_download() as taken:
        page.locator("[data-do=snapshot]").click()
    assert re.fullmatch(r"vitascope-\d{4}-\d\d-\d\d-\d{6}\.png", taken.value.suggested_filename)
    taken.value.save_as(tmp_path / "shot.png")
    with Image.open(tmp_path / "shot.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (256, 256))
        assert len(picture.convert("RGB").getcolors(1 << 16) or ()) > 16, "the picture should not be blank"


def test_tools_work_by_key_but_not_while_typing(opened: Callable[..., Page]) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    mirror = page.locator("[data-do=mirror]")
    page.locator("#vs-prompt textarea").press("m")
    expect(mirror).to_have_attribute("aria-pressed", "false")
    page.locator(".vs-age").click()
    page.keyboard.press("m")
    expect(mirror).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement !== null")


def test_cancel_while_connecting_leaves_nothing_behind(opened: Callable[..., Page], studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    studio.is_ready = False
    page.locator("[data-act=start]").click()
    reach(page, "preparing")
    button(page, "Cancel")
    reach(page, "idle")
    assert studio.sessions[0].closed.wait(15)
