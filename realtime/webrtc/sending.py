"""Hooks in aiortc's sender that keep a `Line`'s books: see `tuning.py` for where they are put in.

They act for tracks that have a `line`, and leave all others as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiortc import clock
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)
from aiortc.utils import uint32_gt

from .encoding import encoder_threads
from .line import Line
from .nacks import HISTORY_PACKETS

PACKET_OVERHEAD_BYTES = 60
"""IP, UDP, SRTP and RTP with its extensions."""
KEY_PICTURES_APART_S = 0.5
"""Receivers ask for a key picture again and again until one is there; each costs as much as many others."""


class EncoderLoop:
    """Stand in for the event loop where the sender asks for its default executor: encode, and book it."""

    def __init__(self, loop: Any, sender: Any) -> None:
        self._loop = loop
        self._sender = sender

    async def run_in_executor(self, executor: None, function: Callable[..., Any], *args: Any) -> Any:
        line = line_of(self._sender)
        encoder = getattr(function, "__self__", None)
        if line is not None and hasattr(encoder, "target_bitrate"):
            encoder.target_bitrate = line.bits_s(time.monotonic())  # type: ignore[union-attr]
        if line is not None and args[-1] is True:
            self._sender.before_key = self._sender._RTCRtpSender__rtp_timestamp
        payloads, timestamp = await self._loop.run_in_executor(encoder_threads(), function, *args)
        if line is not None:
            size = sum(len(payload) + PACKET_OVERHEAD_BYTES for payload in payloads)
            line.sent(8 * size, time.monotonic())
        return payloads, timestamp


def line_of(sender: Any) -> Line | None:
    """Return the books of a sender's track, if it has any."""
    return getattr(sender.track, "line", None)


async def hear(sender: Any, packet: Any) -> None:
    """Tell the line what a receiver reported."""
    line = line_of(sender)
    if line is None:
        return
    now_s = time.monotonic()
    if isinstance(packet, (RtcpRrPacket, RtcpSrPacket)):
        for report in packet.reports:
            if report.ssrc == sender._ssrc:
                line.reported(report.fraction_lost / 256, _round_trip_s(sender, report), now_s)
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
        try:
            bits_s, ssrcs = unpack_remb_fci(packet.fci)
        except ValueError:
            return
        if sender._ssrc in ssrcs:
            line.estimated(bits_s, now_s)


def _round_trip_s(sender: Any, report: Any) -> float | None:
    """Return the round trip of the newest sender report (RFC 3550, 6.4.1), not smoothed."""
    if not report.dlsr or report.lsr != sender._RTCRtpSender__lsr:
        return None
    return float(time.time() - sender._RTCRtpSender__lsr_time - report.dlsr / 65_536)


def may_repeat(sender: Any, number: int) -> bool:
    """Tell whether a packet that a receiver misses may be sent again now."""
    line = line_of(sender)
    if line is None:
        return True
    packet = _kept(sender, number)
    if packet is None:
        return False
    before_key = getattr(sender, "before_key", None)
    if before_key is not None and not uint32_gt(packet.timestamp, before_key):
        return False  # a key picture has gone out since: nothing needs the ones before
    bits = 8 * (len(packet.payload) + PACKET_OVERHEAD_BYTES)
    return line.may_repeat(number, bits, time.monotonic())


def restamp(sender: Any, number: int) -> None:
    """Give a packet that is sent again the time of now as its sending time (abs-send-time).

    With the old time the receiver's estimate takes each copy for one that a queue held up, and lowers the
    rate of a line that merely loses.
    """
    packet = _kept(sender, number)
    if packet is not None and packet.extensions.abs_send_time is not None:
        packet.extensions.abs_send_time = (clock.current_ntp_time() >> 14) & 0x00FFFFFF


def _kept(sender: Any, number: int) -> Any:
    packet = sender._RTCRtpSender__rtp_history.get(number % HISTORY_PACKETS)
    return packet if packet is not None and packet.sequence_number == number else None


def may_send_key(sender: Any) -> bool:
    """Tell whether it is long enough ago that a key picture was asked for."""
    if line_of(sender) is None:
        return True
    now_s = time.monotonic()
    if now_s - getattr(sender, "key_asked_s", float("-inf")) < KEY_PICTURES_APART_S:
        return False
    sender.key_asked_s = now_s
    return True
