"""Microphone and loudspeaker in a headless Chromium, whose fake microphone beeps once a second."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browsing import Open, choose, go_live
from tests.ui.studio import Studio

pytestmark = pytest.mark.browser

LISTEN_JS = """() => new Promise((resolve, reject) => {
  const sound = new AudioContext();
  const meter = sound.createAnalyser();
  sound.createMediaStreamSource(window.vitascope.video.srcObject).connect(meter);
  const line = new Float32Array(meter.fftSize);
  const end = performance.now() + 15000;
  (function look() {
    meter.getFloatTimeDomainData(line);
    const loudest = Math.max(...line);
    if (loudest > 0.01) return resolve(loudest);
    if (performance.now() > end) return reject(new Error(`the loudest sample was ${loudest}`));
    setTimeout(look, 5);
  })();
})"""
"""Resolves when something is heard in what the page plays: the length of a beep is 200 samples of 2048."""


def press(page: Page, name: str) -> None:
    page.locator(".vs-screen").hover()
    page.locator(f"[data-do={name}]").click()


def is_on(page: Page, name: str, wanted: bool) -> None:
    expect(page.locator(f"[data-do={name}]")).to_have_attribute("aria-pressed", str(wanted).lower())


def test_sound_is_off_until_it_is_turned_on_and_then_comes_back(opened: Open, studio: Studio) -> None:
    page = opened()
    page.evaluate("window.asked = []")
    page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = (want) => (window.asked.push(!!want.audio), ask(want)); }"""
    )
    go_live(page)
    session = studio.sessions[0]
    is_on(page, "microphone", False)
    is_on(page, "speaker", False)
    assert page.evaluate("window.asked") == [False]  # the camera alone
    assert page.evaluate("window.vitascope.video.muted") is True
    assert not session.heard.is_set()

    press(page, "microphone")
    is_on(page, "microphone", True)
    assert session.heard.wait(15)
    assert page.evaluate("window.asked") == [False, True]
    press(page, "speaker")
    is_on(page, "speaker", True)
    assert session.is_loud.wait(15)
    assert page.evaluate("window.vitascope.video.muted") is False
    assert page.evaluate(LISTEN_JS) > 0.01
    assert page.evaluate("window.vitascope.video.srcObject.getTracks().length") == 2  # one stream: in step

    press(page, "speaker")
    is_on(page, "speaker", False)
    assert page.evaluate("window.vitascope.video.muted") is True
    press(page, "microphone")
    is_on(page, "microphone", False)
    page.wait_for_function("window.vitascope.state === 'live' && window.vitascope.video.currentTime > 1")


def test_the_microphone_is_let_go_when_the_person_stops(opened: Open, studio: Studio) -> None:
    page = opened()
    page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          window.given = [];
          navigator.mediaDevices.getUserMedia = async (want) => {
            const stream = await ask(want); window.given.push(...stream.getTracks()); return stream; }; }"""
    )
    go_live(page)
    press(page, "microphone")
    is_on(page, "microphone", True)
    press(page, "stop")
    is_on(page, "microphone", False)
    assert page.evaluate("window.given.map((track) => [track.kind, track.readyState])") == [
        ["video", "ended"],
        ["audio", "ended"],
    ]


def test_a_microphone_that_is_refused_is_told_and_the_picture_goes_on(opened: Open) -> None:
    page = opened()
    go_live(page)
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia =
          () => Promise.reject(new DOMException("no", "NotAllowedError")); }"""
    )
    press(page, "microphone")
    expect(page.locator(".vs-notice")).to_contain_text("The microphone was not allowed.")
    is_on(page, "microphone", False)
    assert page.evaluate("window.vitascope.state") == "live"


def test_a_pattern_offers_neither(opened: Open) -> None:
    page = opened()
    choose(page, "Pattern")
    go_live(page)
    expect(page.locator("[data-do=microphone]")).to_be_hidden()
    expect(page.locator("[data-do=speaker]")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 390])
def test_all_buttons_are_within_a_phone_s_screen(opened: Open, width: int) -> None:
    page = opened(viewport={"width": width, "height": 844}, is_mobile=True, has_touch=True)
    go_live(page)
    page.evaluate("""document.querySelector('[data-do="turn"]').hidden = false""")
    frame = page.locator(".vs-screen").bounding_box()
    assert frame is not None
    for name in ("stop", "microphone", "speaker", "turn", "mirror", "snapshot", "fullscreen"):
        box = page.locator(f"[data-do={name}]").bounding_box()
        assert box is not None
        assert box["x"] >= frame["x"], name
        assert box["x"] + box["width"] <= frame["x"] + frame["width"], name
