"""The page in a headless Chromium: how it looks, and a session from start to stop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.ui.browsing import Open, button, card, choose, go_live, reach
from tests.ui.studio import BADGE, Studio

pytestmark = pytest.mark.browser


PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_loads_whole_and_follows_the_scheme(opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    background = page.evaluate(
        "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    )
    levels = [int(level) for level in re.findall(r"\d+", background)[:3]]
    assert max(levels) < 60 if scheme == "dark" else min(levels) > 200
    card(page, "Your camera")
    expect(page.locator(".vs-engine")).to_contain_text(BADGE.name)


def test_switch_between_light_and_dark_is_remembered(opened: Open) -> None:
    page = opened(color_scheme="dark")
    page.locator(".vs-theme").click()
    assert page.evaluate("document.body.classList.contains('dark')") is False
    page.reload()
    reach(page, "idle")
    assert page.evaluate("document.body.classList.contains('dark')") is False


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(opened: Open, width: int) -> None:
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


def test_phone_reaches_picture_prompt_and_looks_without_scrolling(opened: Open) -> None:
    page = opened(viewport=PHONE, is_mobile=True, has_touch=True)
    for selector in (".vs-screen", "[data-act=start]", "#vs-prompt textarea", "#vs-looks button >> nth=0"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] / 2 < PHONE["height"], selector


def test_camera_comes_back_painted(opened: Open, studio: Studio) -> None:
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
    expect(page.locator('[data-fact="paint"]')).to_have_text("133 ms")
    expect(page.locator('[data-fact="painted"]')).to_be_visible()
    expect(page.locator(".vs-moving")).to_have_text("The camera moves.")
    assert studio.bodies[0]["source"] == {"kind": "webrtc"}
    assert page.evaluate("window.vitascope.session") == studio.sessions[0].name


def test_pattern_needs_no_camera(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    card(page, "test picture")
    go_live(page)
    expect(page.locator(".vs-input")).to_be_hidden()
    expect(page.locator(".vs-age-ms")).to_have_text(re.compile(r"^\d+$"))
    expect(page.locator('[data-fact="paint"]')).to_be_hidden()  # nobody told of it
    expect(page.locator(".vs-seen")).to_be_hidden()
    assert studio.bodies[0]["source"] == {"kind": "pattern"}


def test_the_address_of_a_stream_is_asked_for_and_sent(opened: Open, studio: Studio) -> None:
    page = opened()
    go_live(page)
    choose(page, "Stream")
    card(page, "A network stream")
    reach(page, "idle")  # there is nothing to show before an address is given
    field = page.get_by_label("Address of the stream")
    field.fill(" rtsp://camera.local:554/s ")
    field.press("Enter")
    reach(page, "live")
    assert studio.bodies[1]["source"] == {"kind": "url", "url": "rtsp://camera.local:554/s"}
    expect(field).to_be_hidden()
    page.locator("[data-do=stop]").click()
    expect(field).to_be_visible()
    choose(page, "Pattern")
    expect(field).to_be_hidden()


def test_a_recording_is_shown_while_it_runs_and_downloaded(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    tool = page.locator("[data-do=record]")
    for end in ("[data-do=record]", "[data-do=stop]"):  # stopping must not lose what was recorded
        tool.click()
        expect(tool).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".vs-live.is-recorded")).to_be_visible()
        expect(tool).to_have_attribute("title", "End the recording (R)")
        with page.expect_download() as got:
            page.locator(end).click()
        assert got.value.suggested_filename == "film.mp4"
        assert got.value.path().read_bytes() == b"film"
        expect(tool).to_have_attribute("aria-pressed", "false")
    reach(page, "idle")


def test_stop_ends_the_session_and_the_controls_let_go(opened: Open, studio: Studio) -> None:
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


def test_leaving_the_page_ends_the_session(opened: Open, studio: Studio) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    page.goto("about:blank")
    assert studio.sessions[0].told_to_close.wait(15)


def test_changing_the_source_while_live_starts_the_other(opened: Open, studio: Studio) -> None:
    page = opened()
    go_live(page)
    choose(page, "Pattern")
    page.wait_for_function("window.vitascope.session === 's1'")
    reach(page, "live")
    assert studio.sessions[0].closed.wait(15)
    assert [body["source"]["kind"] for body in studio.bodies] == ["webrtc", "pattern"]


def test_file_is_sent_and_played(opened: Open, studio: Studio, tmp_path: Path) -> None:
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


def test_snapshot_is_the_painted_picture_as_png(opened: Open, tmp_path: Path) -> None:
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


def test_tools_work_by_key_but_not_while_typing(opened: Open) -> None:
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
