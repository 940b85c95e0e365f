"""Workers as processes of this machine, one a GPU where there are several."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from realtime.core.errors import SessionError

from .pool import Address
from .worker import Setup

log = logging.getLogger(__name__)

START_S = 120.0
"""A worker answers before its models are loaded, so this is for imports on a slow disk."""
ROOT = Path(__file__).resolve().parents[2]
GPUS = Path("/proc/driver/nvidia/gpus")


def gpus(environ: Mapping[str, str], folder: Path = GPUS) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [one.strip() for one in chosen.split(",") if one.strip()]
    return [str(i) for i in range(len(list(folder.iterdir())))] if folder.is_dir() else []


def least_used(all_gpus: Sequence[str], used: Sequence[str]) -> str:
    """Return the GPU that fewest workers use, the first of equals; "" without GPUs."""
    return min(all_gpus, key=lambda one: (list(used).count(one), all_gpus.index(one)), default="")


class LocalBackend:
    """Start `python -m app.cluster.worker` for each worker; they end with this process, however it ends."""

    def __init__(self, setup: Setup, environ: Mapping[str, str] | None = None) -> None:
        self._setup = setup
        self._environ = dict(os.environ if environ is None else environ)
        self._gpus = gpus(self._environ)
        self._processes: dict[str, Process] = {}
        self._on: dict[str, str] = {}

    async def begin(self, name: str, lost: Address | None) -> Address:
        await self.end(name, 0)
        environ = dict(self._environ)
        gpu = self._on[name] = least_used(self._gpus, list(self._on.values()))
        if gpu:
            environ["CUDA_VISIBLE_DEVICES"] = gpu
        try:
            process = self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.cluster.worker",
                stdin=PIPE,
                stdout=PIPE,
                cwd=ROOT,
                env=environ,
                start_new_session=True,  # Ctrl-C is for the front, which then ends its workers in order
            )
        except OSError as error:
            raise SessionError(f"No process could be started: {error.strerror or error}.") from error
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(self._setup.as_line())
            async with asyncio.timeout(START_S):
                answer = await process.stdout.readline()
        except (TimeoutError, OSError) as error:
            await self.end(name, 0)
            raise SessionError(f"{name} did not serve within {START_S:g} s.", hint="See its log.") from error
        except asyncio.CancelledError:
            await self.end(name, 0)
            raise
        if not answer:
            code = await process.wait()
            raise SessionError(f"{name} ended at once, with status {code}.", hint="See its log above.")
        return Address(**json.loads(answer))

    async def end(self, name: str, grace_s: float) -> None:
        process = self._processes.pop(name, None)
        self._on.pop(name, None)
        if process is None:
            return
        if grace_s > 0 and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(grace_s):
                    await process.wait()
            except TimeoutError:
                log.warning("%s did not end within %g s: killed", name, grace_s)
        _kill(process)
        await process.wait()

    async def close(self) -> None:
        for name in list(self._processes):
            await self.end(name, 0)


def _kill(process: Process) -> None:
    """Kill what is left of a worker: the process, and what it has started (libraries fork helpers)."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
