"""What the log does not tell: what people typed, where they are, and the passwords in addresses.

Nothing here logs a prompt, but an error may quote one, and a library an address. So each finished line is
read once more before it is written: prompts in use are known and taken out, addresses are recognised.
"""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

KEPT = 512
LEAST_CHARS = 4
"""Shorter texts would be found inside ordinary words."""
FREE_TEXT = ("prompt", "question", "text")
"""A setting whose name holds one of these is what somebody typed."""

_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3})"
)
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")


class Typed:
    """Remember what was typed lately, to find it in a line. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: OrderedDict[str, None] = OrderedDict()

    def note(self, changes: Mapping[str, Any]) -> None:
        """Remember the free texts among settings."""
        found = [
            value.strip()
            for name, value in changes.items()
            if isinstance(value, str) and any(word in name for word in FREE_TEXT)
        ]
        with self._lock:
            for text in found:
                if len(text) >= LEAST_CHARS:
                    self._texts[text] = None
                    self._texts.move_to_end(text)
            while len(self._texts) > KEPT:
                self._texts.popitem(last=False)

    def without(self, line: str) -> str:
        """Return `line` without what was typed, also where it stands as a Python or JSON literal."""
        with self._lock:
            texts = sorted(self._texts, key=len, reverse=True)
        for text in texts:
            for shape in (text, repr(text)[1:-1], json.dumps(text)[1:-1]):
                if shape in line:
                    line = line.replace(shape, "(typed)")
        return line


typed = Typed()


def private(line: str) -> str:
    """Return `line` without prompts, passwords in URLs and addresses that are not this machine's own."""
    return _ADDRESS.sub(_hidden, _CREDENTIALS.sub("", typed.without(line)))


def _hidden(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]  # a time of day, a version
    return found[0] if address.is_loopback or address.is_unspecified else "(address)"
