"""A headless Chromium in a process of its own: opens the page, sends numbered pictures, notes their return.

Run as `python -m benchmarks._browser URL --seconds 10 --path webrtc`; it prints the lines that
`benchmarks/_visitor.py` does. The camera is a clip with numbers in it; a picture is sent when the page's own
view of the camera shows it, and back when the painted view does, both in requestVideoFrameCallback.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2

from benchmarks._visitor import HEIGHT_PX, RATE_HZ, SETTLE_S, WIDTH_PX
from realtime.sources.pattern import pattern_picture
from scripts.bootstrap import find_browser

CLIP_S = 40.0
"""A number comes again only after this; a visit must be shorter."""
ROOT = Path(__file__).resolve().parents[1]
MARK_READER = ROOT / "tests/mark.js"
PATIENCE_MS = 60_000

WATCH = """
(() => {
  const sent = new Map();
  const kept = (window.seen = { at: [], ages: [], sides: [], unread: 0, sent: 0, from: Infinity });
  function watch(video, take) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 240;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const step = (now) => {
      const side = Math.min(video.videoWidth, video.videoHeight);
      if (side) {
        pen.drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, 240, 240);
        take(readMark(pen.getImageData(0, 0, 240, 240).data, 240, 240), now, side);
      }
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  }
  watch(document.querySelector(".vs-input video"), (number, now) => {
    if (number === null) return;
    sent.set(number, now);
    if (now >= kept.from) kept.sent++;
  });
  let newest = null;
  watch(document.querySelector(".vs-painted"), (number, now, side) => {
    if (now < kept.from || number === newest) return;
    const age = now - (sent.get(number) ?? -Infinity);
    if (number === null || age > 20000) return void kept.unread++;
    newest = number;
    kept.at.push((now - kept.from) / 1000);
    kept.ages.push(age);
    kept.sides.push(side);
  });
})();
"""  # noqa: E501


def why_not() -> str:
    """Say why no browser can be driven here; empty where one can."""
    if importlib.util.find_spec("playwright") is None:
        return 'There is no Playwright here: pip install -e ".[dev]".'
    return "" if find_browser() else "There is no Chromium on this machine."


@contextmanager
def camera_clip() -> Iterator[Path]:
    """Write what the fake camera plays in a loop, as Motion JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "camera.mjpeg")
        with path.open("wb") as file:
            for number in range(int(CLIP_S * RATE_HZ)):
                picture = pattern_picture(number, WIDTH_PX, HEIGHT_PX)[..., ::-1]
                file.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
        yield path


def visit(url: str, path: str, seconds: float, clip: Path) -> dict[str, Any]:
    """Open the page, `clip` before its camera; return what `benchmarks._visitor.Report` holds."""
    from playwright.sync_api import sync_playwright

    chromium = find_browser()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=[
                "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={clip}", "--no-sandbox", "--no-proxy-server",
                "--allow-loopback-in-peer-connection", "--disable-background-networking",
                f"--unsafely-treat-insecure-origin-as-secure={url}",
            ],
        )  # fmt: skip
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"{url}/?path={path}")
        page.wait_for_function("window.vitascope && window.vitascope.state === 'idle'", timeout=PATIENCE_MS)
        began_s = time.monotonic()
        page.locator("[data-act=start]").click()
        page.wait_for_function("window.vitascope.state === 'live'", timeout=PATIENCE_MS)
        connected_s = time.monotonic() - began_s
        page.add_script_tag(path=str(MARK_READER))
        page.evaluate(WATCH)
        page.wait_for_timeout(1000 * SETTLE_S)
        page.evaluate("() => { seen.from = performance.now(); }")
        print('{"begin": true}', flush=True)
        page.wait_for_timeout(1000 * seconds)
        seen = page.evaluate("() => ({ ...seen, from: 0 })")
        page.evaluate("window.vitascope.stop()")
        browser.close()
    return {
        "connected_s": connected_s, "at_s": seen["at"], "ages_ms": seen["ages"], "sides_px": seen["sides"],
        "unread": seen["unread"], "repeated": 0, "sent": seen["sent"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--path", choices=("webrtc", "websocket"), default="webrtc")
    parser.add_argument("--clip", type=Path, help="what `camera_clip` wrote; else it is made")
    options = parser.parse_args()
    with nullcontext(options.clip) if options.clip else camera_clip() as clip:
        print(json.dumps(visit(options.url, options.path, options.seconds, clip)))


if __name__ == "__main__":
    main()
