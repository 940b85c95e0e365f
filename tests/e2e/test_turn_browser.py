"""Chromium and the server meet through coturn alone: neither shows an address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from scripts.bootstrap import find_browser
from tests.app.live import live_server
from tests.realtime.webrtc.turn import SECRET, Turn, turn_server

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.turn]

WAYS = """async () => {
  const report = [...(await pc.getStats()).values()];
  const used = report.find((one) => one.type === "candidate-pair" && one.state === "succeeded");
  const kind = (id) => report.find((one) => one.id === id).candidateType;
  return [kind(used.localCandidateId), kind(used.remoteCandidateId)];
}"""
OFFER = """async () => {
  const post = (path, body) => fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  }).then((answer) => answer.json());
  const made = await post("/api/sessions", { source: { kind: "pattern" } });
  window.made = made;
  const pc = (window.pc = new RTCPeerConnection({
    iceServers: made.ice_servers, iceTransportPolicy: made.ice_transport_policy,
  }));
  const video = document.querySelector("video");
  pc.ontrack = (event) => (video.srcObject = new MediaStream([event.track]));
  pc.addTransceiver("video", { direction: "recvonly" });
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  const { type, sdp } = pc.localDescription;
  await pc.setRemoteDescription(await post(`/api/sessions/${made.id}/offer`, { type, sdp }));
}"""


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[Turn]:
    with turn_server(tmp_path) as running:
        yield running


def test_pictures_come_through_the_relay_alone(turn: Turn) -> None:
    chromium = find_browser()
    if chromium is None:
        pytest.skip("no Chromium on this machine: make test installs one where it may")
    settings = {
        "server__turn_urls": turn.url(),
        "server__turn_secret": SECRET,
        "server__ice_relay_only": True,
    }
    with live_server(**settings) as live, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--no-proxy-server", "--allow-loopback-in-peer-connection"],
        )
        page = browser.new_page()
        page.goto(f"{live.url}/watch/nobody")  # any page of this origin that has a video in it
        page.evaluate(OFFER)
        page.wait_for_function("document.querySelector('video').videoWidth > 0", timeout=30_000)
        assert page.evaluate("made.ice_transport_policy") == "relay"
        assert page.evaluate(WAYS) == ["relay", "relay"]
        browser.close()
