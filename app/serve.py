"""Run the server: page, signalling and media, until Ctrl-C; then end every session before going."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ConfigError

from .layers import PRESETS, Read
from .login import warning
from .logs import catch_threads
from .settings import Settings
from .share import open_soon, own_door

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from .outside import Outside

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""A thread that computes in Python gives way ten times as often as by default: the media loop lags less."""
GRACE_S = 2
"""The page's event streams stay open for ever; they are cut after this time."""


def check_port(host: str, port: int) -> None:
    """Raise ConfigError when the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            hint = f"Choose another: --port {port + 1 if port < 65535 else 7860}"
            raise ConfigError(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint=hint
            ) from error


def page_url(host: str, port: int) -> str:
    """Return the address at which this machine's browser finds the page."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def banner(read: Read) -> str:
    """Return the lines that are printed at the start."""
    settings = read.settings
    graph = settings.graph
    config = settings.stage(graph.nodes[graph.main].stage)
    engine = getattr(config, "engine", None) or "the stage's own"
    why = "the best that this machine has; the page names it once it runs" if engine == "auto" else "as asked"
    places = ["defaults"] + [
        f"{layer.name}{f' {name}' if layer.name == 'file' else ''}"
        for layer in read.layers
        if layer.values
        for name in (read.files[0] if read.files else "",)
    ]
    share = ["  share     opening a public link; it is printed here"] if settings.server.share else []
    known = (PRESETS / f"{settings.preset}.toml").is_file()
    nodes = " > ".join(graph.nodes)
    server = settings.server
    workers = server.workers
    has_word = bool(server.password.get_secret_value() or server.token.get_secret_value())
    says = warning(server.host, has_word=has_word, is_shared=server.share)
    return "\n".join(
        [
            f"  page      {page_url(settings.server.host, settings.server.port)}   (Ctrl-C ends it)",
            f"  preset    {settings.preset}{'' if known else ' (a file)'}: {nodes}",
            f"  engine    {engine}: {why}",
            *([f"  workers   {workers}, {settings.cluster.backend}"] if workers else []),
            f"  settings  {' < '.join(places)}; python -m app config shows each",
            *share,
            *([f"  WARNING   {says}"] if says else []),
        ]
    )


def is_desktop(environ: dict[str, str] | None = None, platform: str = sys.platform) -> bool:
    """Tell whether somebody sits in front of this machine."""
    env = dict(os.environ) if environ is None else environ
    if "SSH_CONNECTION" in env:
        return False
    return platform in ("darwin", "win32") or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def open_in_browser(url: str, opener: Callable[[str], object] = webbrowser.open) -> threading.Thread:
    """Open `url` on a thread of its own: some systems wait for the browser to end."""

    def work() -> None:
        try:
            opener(url)
        except (webbrowser.Error, OSError) as error:
            log.info("no browser could be opened (%s); open %s yourself", error, url)

    thread = threading.Thread(target=work, name="browser", daemon=True)
    thread.start()
    return thread


def serve(read: Read) -> int:
    """Serve until stopped; return the exit status."""
    settings = read.settings
    check_port(settings.server.host, settings.server.port)
    print(banner(read), flush=True)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    catch_threads()
    if settings.server.workers:
        from .cluster.serve import serve_front

        return serve_front(settings)
    from .server import build_app

    app = build_app(settings)
    return run(app, settings, outside=app.state.studio.outside if settings.server.share else None)


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves the app."""
    import uvicorn

    from realtime.websocket.wire import MAX_MESSAGE_BYTES

    return uvicorn.Config(
        app,
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,
        loop="asyncio",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # pictures are compressed as they are, and this would delay them
    )


def run(
    app: FastAPI,
    settings: Settings,
    on_started: Callable[[], None] | None = None,
    *,
    outside: Outside | None = None,
    ws: Any = None,
) -> int:
    """Run `app` under uvicorn on this thread; sessions end with the app's lifespan.

    With `outside` a public link is opened too, once the page is served. `ws` makes what speaks for a
    connection that becomes a WebSocket, in place of uvicorn's own.
    """
    import uvicorn

    server = settings.server

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                begun()

    def begun() -> None:
        log.info("serving at %s", page_url(server.host, server.port))
        if server.open_browser and is_desktop():
            open_in_browser(page_url(server.host, server.port))
        if outside is not None:
            open_soon(outside, server.share_server, tell=lambda line: print(line, flush=True))
        if on_started is not None:
            on_started()

    config = server_config(app, settings)
    if ws is not None:
        config.ws = ws
    runner = Server(config)
    runner.run([config.bind_socket(), own_door(outside)] if outside is not None else None)
    return 0 if runner.started else 1
