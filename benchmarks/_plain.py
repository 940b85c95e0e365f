"""The application in one process of its own, as `python -m app` runs it, with a stage of the benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping

import httpx

START_S = 60.0
ASK_S = 0.2


@contextlib.asynccontextmanager
async def plain(table: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Run it for as long as the block, and yield a client for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks._plain", str(port), json.dumps(dict(table))
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
            for _ in range(round(START_S / ASK_S)):  # another process can only be asked
                if await _answers(http):
                    break
                await asyncio.sleep(ASK_S)
            else:
                raise RuntimeError(f"the plain process did not serve within {START_S:g} s")
            yield http
    finally:
        process.terminate()
        await process.wait()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


def main(port: int, table: Mapping[str, str]) -> int:
    from app import logs
    from app.layers import read_settings
    from app.registry import Registry
    from app.serve import SWITCH_INTERVAL_S, run
    from app.server import build_app

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    registry = Registry(table)
    flags = [("server.port", port), ("server.open_browser", False), ("log.level", "error")]
    settings = read_settings(registry, flags=flags, environ={}).settings
    logs.set_up(settings.log.level)
    return run(build_app(settings, registry, page=False), settings)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), json.loads(sys.argv[2])))
