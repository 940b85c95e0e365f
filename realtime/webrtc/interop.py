"""Which DTLS cipher suites are offered: aiortc's own four, or also those that RSA certificates need.

aiortc takes suites with ECDSA signatures only, which every browser has. A peer that shows an RSA certificate
(GStreamer and some media servers by default) cannot be a DTLS server under those.
"""

from __future__ import annotations

ECDSA = ":".join(
    f"ECDHE-ECDSA-{rest}" for rest in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
)
RSA = ECDSA.replace("-ECDSA-", "-RSA-")


class _Wish:
    """What is allowed in this process."""

    with_rsa = False


def allow_rsa(yes: bool) -> None:
    """Offer the suites for RSA certificates too, to all connections that begin from now on."""
    _Wish.with_rsa = yes


def suites() -> bytes:
    """Return the list for OpenSSL, best first."""
    return f"{ECDSA}:{RSA}".encode() if _Wish.with_rsa else ECDSA.encode()
