"""The server process: port, banner, logs, media loop, and an end that leaves nothing running."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import logs
from app.layers import read_settings
from app.loop import MediaLoop, outcome
from app.serve import banner, check_port, is_desktop, open_in_browser, page_url
from realtime.core.errors import ConfigError, ModelMissing, SessionError
from tests.app import stages

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_taken_port_is_told_with_the_next_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            check_port("127.0.0.1", port)
    assert str(port) in caught.value.message
    assert f"--port {port + 1}" in caught.value.hint
    check_port("127.0.0.1", port)  # free again


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
        ("studio.example", "http://studio.example:80"),
    ],
)
def test_page_url(host: str, url: str) -> None:
    assert page_url(host, 80) == url


def test_the_banner_says_where_what_and_why() -> None:
    read = read_settings(stages.registry(), flags=[("server.port", 8123)], environ={})
    said = banner(read)
    assert "http://127.0.0.1:8123" in said
    assert "paint: paint" in said
    assert "auto: the best that this machine has" in said
    assert "defaults < preset < flags" in said
    assert "WARNING" not in said


def test_the_banner_warns_who_opens_a_public_link_without_a_word() -> None:
    def said(*flags: tuple[str, object]) -> str:
        return banner(read_settings(stages.registry(), flags=list(flags), environ={}))

    assert "WARNING   Anybody who has the link can use this server" in said(("server.share", True))
    assert "WARNING" not in said(("server.share", True), ("server.password", "open sesame"))


@pytest.mark.parametrize(
    ("environ", "platform", "answer"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4"}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_is_desktop(environ: dict[str, str], platform: str, answer: bool) -> None:
    assert is_desktop(environ, platform) is answer


def test_a_browser_that_does_not_open_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fail(url: str) -> None:
        raise OSError("no browser")

    with caplog.at_level(logging.INFO):
        open_in_browser("http://127.0.0.1:1", fail).join(5)
    assert "open http://127.0.0.1:1 yourself" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_ends_sessions_threads_and_process() -> None:
    code = """
import asyncio, os, signal, socket, sys, threading
from app.bodies import FromPattern
from app.serve import run
from app.server import build_app
from tests.app import stages

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
table = stages.registry()
settings = stages.settings(table, server__port=port, server__open_browser=False)
app = build_app(settings, table, page=False)
studio = app.state.studio
made = []

def started():
    made.append(studio.loop.submit(studio.manager.create(FromPattern(kind="pattern"))).result(10))
    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()

try:
    run(app, settings, on_started=started)
except KeyboardInterrupt:
    print("interrupted")
print(made[0].state.value, made[0].why)
names = sorted(t.name for t in threading.enumerate() if t is not threading.main_thread())
print([name for name in names if name.startswith(("lane", "loop", "source"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode in (0, -signal.SIGINT), done.stderr
    assert done.stdout.splitlines()[-2:] == ["closed The server stops.", "[]"], done.stdout + done.stderr


# Logs -----------------------------------------------------------------------------------------------------


def test_log_lines_carry_the_session_s_start_but_not_its_id() -> None:
    plain, machine = io.StringIO(), io.StringIO()
    log = logging.getLogger("app.test")
    try:
        for stream, as_json in ((plain, False), (machine, True)):
            logs.set_up("info", as_json=as_json, stream=stream)
            with logs.session_in_log("abcdefSECRET"):
                log.info("hello %s", "there")
            log.debug("unheard")
            log.warning("outside")
    finally:
        logging.getLogger().removeHandler(logs.set_up("warning"))
    assert plain.getvalue().splitlines()[0].endswith("info    app.test [abcdef]: hello there")
    lines = [json.loads(line) for line in machine.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["hello there", "outside"]
    assert lines[0]["session"] == "abcdef"
    assert "session" not in lines[1]
    assert "SECRET" not in plain.getvalue() + machine.getvalue()


# The media loop -------------------------------------------------------------------------------------------


async def test_work_runs_on_the_media_loop_s_own_thread() -> None:
    loop = MediaLoop("test")

    async def where() -> str:
        return threading.current_thread().name

    with pytest.raises(RuntimeError):
        loop.submit(where())
    loop.start()
    loop.start()  # twice does no harm
    try:
        assert await loop.do(where()) == "loop-test"
    finally:
        loop.stop()
        loop.stop()
    assert "loop-test" not in [thread.name for thread in threading.enumerate()]


def test_stopping_cancels_what_still_runs() -> None:
    loop, begun, ended = MediaLoop("test"), threading.Event(), threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop.start()
    loop.submit(forever())
    assert begun.wait(5)
    loop.stop()
    assert ended.is_set()


async def test_outcome_turns_what_ends_a_work_into_an_error_of_the_tree() -> None:
    async def end(error: Exception | None) -> None:
        if error is not None:
            raise error

    missing = ModelMissing("not here")
    assert await outcome(end(None)) is None
    assert await outcome(end(missing)) is missing
    assert isinstance(await outcome(end(KeyError("a fault"))), SessionError)
