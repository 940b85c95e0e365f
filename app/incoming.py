"""Streams from an address that a visitor names: who may, what they may reach, and its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.core.clock import Clock
from realtime.core.errors import ConfigError

from .bodies import FromUrl
from .settings import SourceSettings

if TYPE_CHECKING:
    from realtime.sources.address import Rules
    from realtime.sources.base import Source


def rules_for(wish: SourceSettings, *, is_local: bool) -> Rules:
    """Return what a visitor may have this machine connect to. Raises AddressRefused when that is nothing."""
    from realtime.sources.address import AddressRefused, Rules

    if wish.urls == "off":
        raise AddressRefused(
            "This server reads and sends no network streams.",
            hint='It is switched on by source.urls = "local".',
        )
    if wish.urls == "local" and not is_local:
        raise AddressRefused(
            "Network streams are only for visitors at the server's own machine.",
            hint="Use your camera or a video file instead.",
        )
    return Rules(tuple(wish.url_schemes), allow_private=is_local or wish.allow_private)


def from_url(
    spec: FromUrl,
    wish: SourceSettings,
    *,
    is_local: bool,
    report: Callable[[str], None],
    clock: Clock,
) -> Callable[[int | None], Source]:
    """Return what makes the source. Raises ConfigError or AddressRefused for an address that may not be."""
    from realtime.sources.address import Rules, read_address

    if spec.url:
        url, rules = spec.url, rules_for(wish, is_local=is_local)
    elif wish.url:  # whoever started the server chose it
        url, rules = wish.url, Rules(tuple(wish.url_schemes), allow_private=True)
    else:
        raise ConfigError("No address was given.", hint="Write one such as rtsp://camera.local:554/stream.")
    read_address(url, rules)

    def stream(size_px: int | None) -> Source:
        from realtime.sources.network import NetworkSource

        return NetworkSource(url, rules=rules, size_px=size_px, on_notice=report, clock=clock)

    return stream
