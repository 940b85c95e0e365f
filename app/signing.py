"""Values that a browser keeps for us and cannot change: text with a signature (HMAC-SHA256, RFC 2104)."""

from __future__ import annotations

import base64
import hmac
import secrets

PROCESS = secrets.token_bytes(32)
"""The process's own: all its signers read each other's values, of the same purpose."""


class Signer:
    """Sign for one purpose; what was signed for another, or by another process, is not read."""

    def __init__(self, purpose: str, secret: bytes | None = None) -> None:
        self._secret = PROCESS if secret is None else secret
        self._purpose = purpose.encode()

    def sign(self, text: str) -> str:
        """Return `text` (no dot in it) with its signature."""
        return f"{text}.{self._mac(text)}"

    def read(self, value: str) -> str | None:
        """Return the text of a signed value; None for any other value."""
        text, dot, mac = value.rpartition(".")
        if not dot or not same(mac, self._mac(text)):
            return None
        return text

    def _mac(self, text: str) -> str:
        digest = hmac.digest(self._secret, self._purpose + b"\0" + text.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def same(one: str, other: str) -> bool:
    """Compare two texts in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
