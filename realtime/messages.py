"""Events between a client and its session: small JSON objects, and never a crash for a bad one."""

from __future__ import annotations

import json
from typing import Any

from .core.errors import ConfigError, VitascopeError

MAX_MESSAGE_BYTES = 16_384


def parse_message(message: str | bytes) -> dict[str, Any]:
    """Return the JSON object in `message`; ConfigError says what is wrong with any other."""
    if isinstance(message, bytes):
        raise ConfigError("A binary message came over the control channel.", hint="Send JSON as text.")
    if len(message.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
        raise ConfigError(
            f"A message of {len(message)} characters is too long.", hint=f"At most {MAX_MESSAGE_BYTES} bytes."
        )
    try:
        value = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ConfigError("A message was not valid JSON.", hint=str(error)) from error
    if not isinstance(value, dict):
        raise ConfigError(
            f"A message was a JSON {type(value).__name__}.", hint='Send an object, {"type": ...}.'
        )
    return value


def error_event(error: VitascopeError) -> dict[str, Any]:
    """Return the event that tells the other side about `error`."""
    return {"type": "error", "message": error.message, "hint": error.hint, "kind": type(error).__name__}
