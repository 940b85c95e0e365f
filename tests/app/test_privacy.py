"""The log: no prompt, no address, no password, whatever happens to the session that they belong to."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading

import pytest

from app import logs
from app.privacy import Typed, private
from tests.app.test_server import PATTERN, made, serving, until
from tests.realtime.webrtc.client import Client

PROMPT = 'my "very" secret\nwish'
ADDRESS = "203.0.113.77"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from 203.0.113.77:5000", "from (address):5000"),
        ("('203.0.113.77', 5000)", "('(address)', 5000)"),
        ("2001:db8::1 and fe80::1%eth0", "(address) and (address)%eth0"),
        ("::ffff:203.0.113.77", "(address)"),
        ("serving at http://127.0.0.1:7860", "serving at http://127.0.0.1:7860"),
        ("0.0.0.0 ::1", "0.0.0.0 ::1"),
        ("21:04:40 info    app.session: 1.16.0", "21:04:40 info    app.session: 1.16.0"),
        ("999.1.2.3 is none", "999.1.2.3 is none"),
        ("rtsp://anna:pass@camera.example/1", "rtsp://camera.example/1"),
        ("std::move", "std::move"),
    ],
)
def test_addresses_and_passwords_are_taken_out(line: str, told: str) -> None:
    assert private(line) == told


def test_what_was_typed_is_taken_out_in_any_shape() -> None:
    typed = Typed()
    typed.note({"prompt": PROMPT, "strength": 0.5, "engine": "auto", "negative_prompt": "red"})
    for shape in (PROMPT, repr(PROMPT), json.dumps(PROMPT)):
        told = typed.without(f"bad value {shape} for auto, red")
        assert "secret" not in told
        assert "auto, red" in told  # no free text, and too short
    for number in range(600):
        typed.note({"prompt": f"prompt {number:04}"})
    assert "prompt 0001" in typed.without("prompt 0001")  # the oldest are forgotten
    assert typed.without("prompt 0599") == "(typed)"


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_whole_session_leaves_neither_prompt_nor_address_in_the_log(as_json: bool) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.level
    handler = logs.set_up("debug", as_json=as_json, stream=stream)
    try:
        async with serving("Fails", address=ADDRESS) as http:
            one = await made(http, {**PATTERN, "settings": {"prompt": PROMPT, "size_px": 64}})
            await until(http, one, "ready")
            await http.patch(f"/api/sessions/{one}/settings", json={"prompt": PROMPT + "es"})
            await http.patch(f"/api/sessions/{one}/settings", json={"prompt": 7})
            await http.post(f"/api/sessions/{one}/offer", json={"sdp": f"v=0\r\nc=IN IP4 {ADDRESS}\r\n"})
            client = Client()
            body = {"sdp": (await client.offer()).replace("127.0.0.1", ADDRESS), "type": "offer"}
            await http.post(f"/api/sessions/{one}/offer", json=body)
            logging.getLogger("aioice").warning("no answer from %s", (ADDRESS, 5000))
            try:
                raise ValueError(f"cannot paint {PROMPT!r} for {ADDRESS}")
            except ValueError:
                logging.getLogger("app.test").exception("painting %s failed", PROMPT)
            await client.close()
            await http.delete(f"/api/sessions/{one}")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    text = stream.getvalue()
    assert "cannot paint" in text
    assert "live > draining" in text
    assert one not in text
    for secret in ("secret", ADDRESS):
        assert secret not in text


async def test_a_fault_in_a_thread_goes_through_the_log() -> None:
    stream = io.StringIO()
    handler = logs.set_up("info", stream=stream)
    before = threading.excepthook
    try:
        logs.catch_threads()

        def fail() -> None:
            raise ValueError(f"no way to {ADDRESS}")

        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        await asyncio.to_thread(thread.join)
    finally:
        threading.excepthook = before
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)
    assert "thread worker ended" in stream.getvalue()
    assert "ValueError: no way to (address)" in stream.getvalue()
