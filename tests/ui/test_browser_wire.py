"""The page where WebRTC does not get through: a WebSocket carries the picture, and comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from realtime.websocket.sound import SoundDecoder, SoundEncoder
from realtime.websocket.wire import Codec, Kind, Packet, pack, unpack
from tests.app.serving import Served, served
from tests.faults.relay import Relay
from tests.ui.browsing import PATIENCE_MS, choose, go_live, reach
from ui import panels

pytestmark = pytest.mark.browser

NO_UDP = """
const strip = (sdp) => sdp.split("\\r\\n").filter((line) => !line.startsWith("a=candidate")).join("\\r\\n");
const own = RTCPeerConnection.prototype;
const local = Object.getOwnPropertyDescriptor(own, "localDescription").get;
Object.defineProperty(own, "localDescription", {
  get() {
    const found = local.call(this);
    return found && { type: found.type, sdp: strip(found.sdp) };
  },
});
const take = own.setRemoteDescription;
const held = [];
own.setRemoteDescription = function (given) {
  for (const [, candidate] of given.sdp.matchAll(/a=(candidate.*)\\r\\n/g)) held.push([this, candidate]);
  return take.call(this, { type: given.type, sdp: strip(given.sdp) });
};
window.openUdp = () => held.forEach(([pc, candidate]) => pc.addIceCandidate({ candidate, sdpMLineIndex: 0 }));
"""
"""Neither side learns an address of the other, as where a firewall holds back UDP; `openUdp` tells one."""

DELAY_S = 0.06


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    with served("Invert", stages__paint__size_px=256, server__stats_interval_s=0.5) as found:
        yield found


@contextmanager
def opened(browser: Browser, url: str, *, udp: bool = False) -> Iterator[Page]:
    """Open the page at `url`; no exception may be thrown in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    if not udp:
        page.add_init_script(NO_UDP)
    page.goto(url)
    reach(page, "idle")
    try:
        yield page
    finally:
        context.close()
    assert faults == []


def path(page: Page, words: str) -> None:
    expect(page.locator('[data-fact="path"]')).to_have_text(words)


def colour(page: Page) -> list[int]:
    """Return the mean colour of the painted picture."""
    found: list[int] = page.evaluate(
        """() => {
          const canvas = document.createElement('canvas');
          canvas.width = canvas.height = 1;
          const pen = canvas.getContext('2d');
          pen.drawImage(window.vitascope.video, 0, 0, 1, 1);
          return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }"""
    )
    return found


def counted(page: Page) -> Any:
    """Begin to count the pictures that are shown, as `window.shown`."""
    page.evaluate(
        """() => {
          window.shown = 0;
          const step = () => { window.shown += 1; vitascope.video.requestVideoFrameCallback(step); };
          vitascope.video.requestVideoFrameCallback(step);
        }"""
    )


def session_of(site: Served, page: Page) -> Any:
    return site.studio.manager.get(page.evaluate("window.vitascope.session"))


@pytest.mark.parametrize(("query", "words"), [("", "WebSocket H.264"), ("&codec=jpeg", "WebSocket JPEG")])
def test_the_camera_comes_back_over_the_socket(
    browser: Browser, site: Served, query: str, words: str
) -> None:
    with opened(browser, f"{site.url}/?path=websocket{query}") as page:
        go_live(page)
        path(page, words)
        page.wait_for_function("window.vitascope.video.currentTime > 0.5 || window.vitascope.stats.fps > 5")
        red, green, blue = colour(page)
        assert min(red, blue) > green + 60, "the fake camera is green, so its inversion is not"
        expect(page.locator('[data-fact="rtt"]')).to_have_text(re.compile(r"^\d+ ms$"))
        assert page.evaluate("window.vitascope.stats.path") == "websocket"
        page.locator("[data-do=stop]").click()
        reach(page, "idle")


def test_without_udp_there_is_a_picture_within_three_seconds_also_far_away(
    browser: Browser, site: Served
) -> None:
    with Relay(site.port, DELAY_S) as relay, opened(browser, relay.url) as page:
        took_ms = page.evaluate(
            """() => new Promise((resolve) => {
              const began = performance.now();
              const look = () => vitascope.state === "live" ? resolve(performance.now() - began)
                                                            : requestAnimationFrame(look);
              document.querySelector("[data-act=start]").click();
              look();
            })"""
        )
        path(page, "WebSocket H.264")
        assert 2000 < took_ms < 3500  # 3 s, and half of one for a machine with other things to do


def test_webrtc_takes_over_when_it_connects_later(browser: Browser, site: Served) -> None:
    with opened(browser, site.url) as page:
        go_live(page)
        path(page, "WebSocket H.264")
        session = page.evaluate("window.vitascope.session")
        page.evaluate("window.openUdp()")
        path(page, "WebRTC")
        counted(page)
        page.wait_for_function("window.shown > 5")
        assert page.evaluate("[vitascope.session, vitascope.state]") == [session, "live"]
        held = session_of(site, page).links
        page.wait_for_function("window.vitascope.stats.path === 'webrtc'")
        assert [one.path for one in held] == ["webrtc"], "the socket is let go"


def test_a_cut_path_comes_back_to_the_same_session(browser: Browser, site: Served) -> None:
    with Relay(site.port) as relay, opened(browser, f"{relay.url}/?path=websocket") as page:
        go_live(page)
        session = page.evaluate("window.vitascope.session")
        relay.cut()
        expect(page.locator(".vs-notice")).to_contain_text("trying again")
        relay.mend()
        expect(page.locator(".vs-notice")).to_be_hidden()
        counted(page)
        page.wait_for_function("window.shown > 5")
        assert page.evaluate("[vitascope.session, vitascope.state]") == [session, "live"]


def test_a_path_that_is_silent_is_noticed(browser: Browser, site: Served) -> None:
    with Relay(site.port) as relay, opened(browser, f"{relay.url}/?path=websocket") as page:
        go_live(page)
        counted(page)
        relay.hold()
        expect(page.locator(".vs-notice")).to_contain_text("trying again", timeout=8000)
        relay.mend()
        expect(page.locator(".vs-notice")).to_be_hidden()
        assert page.evaluate("window.vitascope.state") == "live"


def test_a_session_that_the_server_ends_is_not_tried_again(browser: Browser, site: Served) -> None:
    with opened(browser, f"{site.url}/?path=websocket") as page:
        go_live(page)
        session = session_of(site, page)
        site.studio.loop.submit(session.close("The server stops.")).result(10)
        reach(page, "trouble")
        expect(page.locator(".vs-card")).to_contain_text("The connection was lost.")


def test_a_pattern_needs_no_camera_over_the_socket(browser: Browser, site: Served) -> None:
    with opened(browser, f"{site.url}/?path=websocket") as page:
        choose(page, "Pattern")
        go_live(page)
        path(page, "WebSocket H.264")
        page.wait_for_function("window.vitascope.stats.fps > 5")
        assert page.evaluate("window.vitascope.video.videoWidth") == 256


def test_a_lossy_picture_asks_for_a_key_and_goes_on(browser: Browser, site: Served) -> None:
    with opened(browser, f"{site.url}/?path=websocket") as page:
        page.evaluate(
            """() => {
              const decode = VideoDecoder.prototype.decode;
              let count = 0;
              VideoDecoder.prototype.decode = function (chunk) {
                count += 1;
                if (count !== 10) return decode.call(this, chunk);
                throw new DOMException("made up", "EncodingError");
              };
            }"""
        )
        go_live(page)
        counted(page)
        page.wait_for_function("window.shown > 20")
        assert page.evaluate("window.vitascope.state") == "live"


def test_sound_is_made_and_heard_as_opus(browser: Browser, site: Served) -> None:
    tone = np.sin(np.arange(96_000) * 2 * np.pi * 500 / 48_000).astype(np.float32) / 2
    packets = [
        list(pack(Packet(Kind.SOUND, Codec.OPUS, seq, at * 1_000_000 // 48_000, data, True)))
        for seq, (data, at) in enumerate(SoundEncoder().encode(tone))
    ]
    with opened(browser, site.url) as page:
        scripts = ("api.js", "pace.js", "picture_in.js", "picture_out.js", "sound.js", "wire.js")
        page.add_script_tag(content="\n".join(panels.asset(name) for name in scripts))
        sent = page.evaluate(
            """async () => {
              const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
              const sent = [];
              const out = new SoundOut(track, (message) => sent.push([...new Uint8Array(message)]));
              while (sent.length < 100) await new Promise((done) => setTimeout(done, 50));
              out.close();
              return sent;
            }"""
        )
        heard_hz = page.evaluate(
            """async (packets) => {
              const stream = new MediaStream();
              const ear = new SoundIn(stream);
              const meter = ear.context.createAnalyser();
              ear.context.createMediaStreamSource(stream).connect(meter);
              await ear.context.resume();
              for (const packet of packets.slice(0, 10)) ear.take(unpacked(new Uint8Array(packet).buffer));
              const levels = new Uint8Array(meter.frequencyBinCount);
              let loudest = 0;
              for (let next = 10; next < packets.length && levels[loudest] < 150; next++) {
                await new Promise((done) => setTimeout(done, 20));
                ear.take(unpacked(new Uint8Array(packets[next]).buffer));
                meter.getByteFrequencyData(levels);
                loudest = levels.indexOf(Math.max(...levels));
              }
              ear.close();
              return levels[loudest] < 150 ? null : (loudest * 48000) / meter.fftSize;
            }""",
            packets,
        )
    decoder = SoundDecoder()
    made = [unpack(bytes(message)) for message in sent]
    assert {(packet.kind, packet.codec) for packet in made} == {(Kind.SOUND, Codec.OPUS)}
    sound = np.concatenate([decoder.decode(bytes(packet.payload)) for packet in made])
    assert np.abs(sound).max() > 0.05, "the fake microphone beeps"
    assert heard_hz == pytest.approx(500, abs=30)
