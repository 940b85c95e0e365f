"""Logging for a person or for a machine, with the session's id in each line where there is one."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from .privacy import private

Tell = Callable[[str], str]
"""What is done to a text before it is written."""

_session: ContextVar[str] = ContextVar("session", default="")

LOUD = ("aioice", "aiortc", "httpx", "httpcore", "urllib3", "asyncio", "PIL", "matplotlib", "gradio")
"""Libraries whose chatter below a warning says nothing about this program."""


@contextmanager
def session_in_log(session_id: str) -> Iterator[None]:
    """Put the first letters of `session_id` into the lines logged inside; the whole id is a secret."""
    token = _session.set(session_id[:6])
    try:
        yield
    finally:
        _session.reset(token)


class _WithSession(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.session = _session.get()
        return True


class _NoSecrets(logging.Filter):
    """Keep out uvicorn's lines about WebSockets: their path holds a whole session id."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "WebSocket" not in str(record.msg) and not str(record.msg).startswith("connection ")


class _Plain(logging.Formatter):
    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        session = getattr(record, "session", "")
        who = f" [{session}]" if session else ""
        says = record.getMessage()
        if record.exc_info:
            says = f"{says}\n{self.formatException(record.exc_info)}"
        return f"{clock} {record.levelname.lower():7} {record.name}{who}: {self._tell(says)}"


class _Json(logging.Formatter):
    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time_s": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._tell(record.getMessage()),
        }
        if getattr(record, "session", ""):
            line["session"] = getattr(record, "session", "")
        if record.exc_info:
            line["traceback"] = self._tell(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def set_up(
    level: str = "info", *, as_json: bool = False, hide: bool = True, stream: TextIO | None = None
) -> logging.Handler:
    """Log to `stream` (standard error) from now on; calling it again replaces what it set up before.

    `hide` keeps prompts and addresses out.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter((_Json if as_json else _Plain)(private if hide else str))
    handler.addFilter(_WithSession())
    root = logging.getLogger()
    for old in [one for one in root.handlers if getattr(one, "is_vitascope", False)]:
        root.removeHandler(old)
    handler.is_vitascope = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    uvicorn = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, _NoSecrets) for one in uvicorn.filters):
        uvicorn.addFilter(_NoSecrets())
    for name in LOUD:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    return handler


def catch_threads() -> None:
    """Let a fault that ends a thread go through the log, instead of past it to standard error."""

    def told(fault: threading.ExceptHookArgs) -> None:
        if fault.exc_type is SystemExit or fault.exc_value is None:
            return
        name = fault.thread.name if fault.thread is not None else "of nobody"
        logging.getLogger(__name__).error("thread %s ended with a fault", name, exc_info=fault.exc_value)

    threading.excepthook = told
