"""Take docs/page.png, the README's picture of the page: python -m scripts.page_picture [KIND] [FILE]

A real server, a headless Chromium whose camera plays a moving photograph, and the page as a user sees it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from scripts.bootstrap import find_browser
from tests.e2e.photo import moving_photo

ROOT = Path(__file__).resolve().parent.parent
PORT = 7893
SIZES = {"dark": (1440, 900), "light": (1440, 900), "phone": (390, 844)}


def write_clip(path: Path) -> None:
    """Write a camera's view of a photograph, 640x480, as Motion JPEG."""
    with path.open("wb") as file:
        for number in range(120):
            wide = cv2.resize(moving_photo(number, 640), (640, 640))[40:520]
            file.write(cv2.imencode(".jpg", wide[..., ::-1])[1].tobytes())


def wait_for(url: str, timeout_s: float = 120.0) -> None:
    end = time.monotonic() + timeout_s
    while b'"ready"' not in _answer(url):
        if time.monotonic() > end:
            raise TimeoutError(f"{url} was not ready within {timeout_s:g} s")
        time.sleep(0.5)


def _answer(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, ConnectionError):
        return b""


def take(kind: str, target: Path, prompt: str) -> None:
    """Start everything, wait until pictures come, save the page."""
    width, height = SIZES[kind]
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "camera.mjpeg"
        write_clip(clip)
        command = [sys.executable, "-m", "app", "serve", "--port", str(PORT), "--no-open"]
        server = subprocess.Popen(command, cwd=ROOT)
        try:
            wait_for(f"http://127.0.0.1:{PORT}/healthz")
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=find_browser(),
                    args=[
                        "--use-fake-ui-for-media-stream",
                        "--use-fake-device-for-media-stream",
                        f"--use-file-for-fake-video-capture={clip}",
                        "--no-sandbox",
                        "--no-proxy-server",
                        "--allow-loopback-in-peer-connection",
                    ],
                )
                scheme = "light" if kind == "light" else "dark"
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(f"http://127.0.0.1:{PORT}")
                page.wait_for_function(
                    "window.vitascope && window.vitascope.state === 'idle'", timeout=60_000
                )
                box = page.locator("#vs-prompt textarea")
                box.fill(prompt)
                box.press("Enter")
                page.locator("[data-act=start]").click()
                page.wait_for_function("window.vitascope.state === 'live'", timeout=60_000)
                page.wait_for_timeout(12_000)  # figures settle over ten seconds
                page.screenshot(path=target)
                browser.close()
        finally:
            server.terminate()
            server.wait(20)
    shot = cv2.imread(str(target))
    assert shot is not None
    assert np.asarray(shot).std() > 10


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else "dark"
    where = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "page.png"
    take(wanted, where, sys.argv[3] if len(sys.argv) > 3 else "pop art")
    print(f"wrote {where.name}")
