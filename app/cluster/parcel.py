"""An uploaded file on its way from the front to the worker whose session plays it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path

from .line import Line
from .record import Refused

UPLOAD_S = 120.0
PIECE_BYTES = 1 << 20


async def send_file(line: Line, path: Path, executor: Executor) -> str:
    """Send the video at `path` as one part of a form (RFC 7578); return its id at the worker.

    It is read piece by piece, as the worker takes it. Raises Refused or WorkerLost.
    """
    mark = secrets.token_hex(16)
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="video"\r\n\r\n'

    async def form() -> AsyncIterator[bytes]:
        yield head.encode()
        loop = asyncio.get_running_loop()
        with await loop.run_in_executor(executor, path.open, "rb") as file:
            while piece := await loop.run_in_executor(executor, file.read, PIECE_BYTES):
                yield piece
        yield f"\r\n--{mark}--\r\n".encode()

    answer = await line.send(
        "POST",
        "/api/files",
        content=form(),
        headers={"content-type": f"multipart/form-data; boundary={mark}"},
        timeout_s=UPLOAD_S,
    )
    try:
        await answer.aread()
    finally:
        await answer.aclose()
    if answer.status_code >= 400:
        raise Refused(answer)
    return str(answer.json()["id"])
