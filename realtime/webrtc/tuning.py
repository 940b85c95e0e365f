"""What aiortc needs to be a live transport, each change small, named and checked against what it changes.

aiortc 1.16 waits for the next picture before it gives out this one, asks for a lost packet once, encodes
H.264 with x264's "medium" preset, starts at bit rates for talking heads, shares asyncio's default executor,
queues without bound in front of its decoder and holds sound back for 80 ms. `apply` changes that for the
process, once, and only where the code that it changes is the code that was read: each change first checks for
the names it relies on, and reports a refusal instead of guessing. `realtime/webrtc/buffers.py` holds the new
behaviour.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aioice.ice
import aiortc
import aiortc.codecs.h264 as h264
import aiortc.codecs.opus as opus
import aiortc.codecs.vpx as vpx
import aiortc.jitterbuffer as jitterbuffer
import aiortc.rtcdtlstransport as rtcdtlstransport
import aiortc.rtcrtpreceiver as rtcrtpreceiver
import aiortc.rtcrtpsender as rtcrtpsender
import aiortc.rtp as rtp
import av

from realtime.media import rate_of

from . import sending
from .buffers import BoundedDecoderQueue, PromptJitterBuffer, PromptSoundBuffer
from .encoding import encode_h264
from .line import CEILING_BITS_S, LEAST_BITS_S, START_BITS_S
from .nacks import HISTORY_PACKETS, RepeatingNacks, asking, ending, marking

log = logging.getLogger(__name__)

READ_VERSION = (1, 16)
"""The aiortc whose source these changes were written against."""

CIPHERS = b":".join(
    (
        b"ECDHE-ECDSA-AES128-GCM-SHA256",
        b"ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-ECDSA-AES128-SHA",
        b"ECDHE-ECDSA-AES256-SHA",
        b"ECDHE-RSA-AES128-GCM-SHA256",
        b"ECDHE-RSA-CHACHA20-POLY1305",
    )
)
"""aiortc's own four and two for RSA. Few, since Mbed TLS, which OBS has on some systems, takes no ClientHello
that needs two packets."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Say what became of one change."""

    name: str
    done: bool
    why: str
    """What it is good for, or why it was refused."""


class _Refused(Exception):
    """A change does not fit the aiortc that is installed."""


def _needs(condition: bool, what: str) -> None:
    if not condition:
        raise _Refused(f"aiortc {aiortc.__version__} has no {what} as it was read")


def _put(owner: Any, name: str, value: object) -> None:
    setattr(owner, name, value)


def _source_has(thing: Any, *words: str) -> bool:
    source = inspect.getsource(thing)
    return all(word in source for word in words)


def _receiver() -> str:
    """Complete a picture with its marked last packet (RFC 3550, 5.1); bound what waits for the decoder."""
    buffer, receiver = jitterbuffer.JitterBuffer, rtcrtpreceiver.RTCRtpReceiver
    _needs(_source_has(buffer.add, "self._remove_frame(packet.sequence_number)"), "JitterBuffer.add")
    _needs(_source_has(buffer._remove_frame, "packet.timestamp != timestamp", "x._data"), "_remove_frame")
    _needs(_source_has(receiver.__init__, "JitterBuffer(capacity=512, is_video=True)"), "jitter buffer")
    _needs(
        _source_has(receiver.__init__, "self.__decoder_queue: queue.Queue = queue.Queue()"), "decoder queue"
    )
    _needs(_source_has(receiver.__init__, "self.__nack_generator = NackGenerator()"), "NACK generator")
    _needs(_source_has(receiver.__init__, "self.__decoder_error = threading.Event()"), "decoder error flag")
    _needs(
        _source_has(
            receiver._handle_rtp_packet,
            "self.__timestamp_mapper.map(",
            "self.__decoder_queue.put((codec, encoded_frame))",
        ),
        "_handle_rtp_packet",
    )
    before: Callable[..., None] = receiver.__init__

    def init(self: Any, kind: str, transport: Any) -> None:
        before(self, kind, transport)
        self._RTCRtpReceiver__decoder_queue = BoundedDecoderQueue(self._RTCRtpReceiver__decoder_error.set)

    _put(receiver, "__init__", init)
    _put(rtcrtpreceiver, "JitterBuffer", PromptJitterBuffer)
    return "saves one picture interval (33 ms at 30 a second); a decoder that falls behind catches up"


def _sound() -> str:
    """Hold no sound back in the receiver: it waits for its pictures behind it."""
    buffer, receiver = jitterbuffer.JitterBuffer, rtcrtpreceiver.RTCRtpReceiver
    # The class's text, since __init__ itself may be ours by now.
    _needs(_source_has(receiver, "JitterBuffer(capacity=16, prefetch=4)"), "buffer of sound")
    _needs(_source_has(buffer.add, "self._remove_frame(packet.sequence_number)"), "JitterBuffer.add")
    before: Callable[..., None] = receiver.__init__

    def init(self: Any, kind: str, transport: Any) -> None:
        before(self, kind, transport)
        if kind == "audio":
            self._RTCRtpReceiver__jitter_buffer = PromptSoundBuffer(capacity=16)

    _put(receiver, "__init__", init)
    return "saves 80 ms, and 300 after a lost packet"


def limit_pictures(receiver: Any, max_px: int, on_too_large: Callable[[int, int], object]) -> None:
    """Forget a receiver's pictures of more than `max_px` unseen, and call `on_too_large(width, height)`."""
    coded = getattr(receiver, "_RTCRtpReceiver__decoder_queue", None)
    if isinstance(coded, BoundedDecoderQueue):  # else `apply` was refused, and its log says so
        coded.limit_px, coded.on_too_large = max_px, on_too_large


def _nacks() -> str:
    """Ask again for a packet that did not come (RFC 4585, 6.2.1 leaves the timing to the receiver)."""
    receiver = rtcrtpreceiver.RTCRtpReceiver
    _needs(_source_has(receiver, "self.__nack_generator = NackGenerator()"), "NACK generator")
    _needs(
        _source_has(receiver._handle_rtp_packet, "self.__nack_generator.add(packet)", "_send_rtcp_nack("),
        "_handle_rtp_packet",
    )
    _needs(_source_has(receiver._send_rtcp_nack, "packet.lost = lost"), "_send_rtcp_nack")
    _needs(_source_has(receiver.stop, "self.__rtcp_task.cancel()"), "RTCRtpReceiver.stop")
    _needs(_source_has(receiver._handle_rtp_packet, "packet = unwrap_rtx("), "unwrap_rtx")
    _put(receiver, "__init__", asking(receiver.__init__))
    _put(receiver, "stop", ending(receiver.stop))
    _put(rtcrtpreceiver, "unwrap_rtx", marking(rtp.unwrap_rtx))
    _put(rtcrtpreceiver, "NackGenerator", RepeatingNacks)
    return "halves the longest standstill at 3 % loss, more at 10 %"


def _x264() -> str:
    """Encode H.264 with "ultrafast" and pictures at their own times."""
    _needs(
        _source_has(h264.H264Encoder._encode_frame, '"tune": "zerolatency"', 'create("libx264", "w")'),
        "H264Encoder._encode_frame",
    )
    _put(h264.H264Encoder, "_encode_frame", encode_h264)
    return "1.2 ms a picture of 640 x 480 instead of 9.4"


def _opus() -> str:
    """Let RTP time move on over a pause (RFC 7587, 4.1); code any sound, not speech alone."""
    encoder = opus.OpusEncoder
    _needs(_source_has(encoder.__init__, '{"application": "voip"}'), "OpusEncoder.__init__")
    _needs(_source_has(encoder.encode, "packets[0].pts - self.first_packet_pts"), "OpusEncoder.encode")
    make: Callable[..., None] = encoder.__init__
    encode: Callable[..., Any] = encoder.encode

    def init(self: Any) -> None:
        make(self)
        self.codec.options = {"application": "audio"}
        self.origin = None

    def with_pauses(self: Any, frame: av.AudioFrame, force_keyframe: bool = False) -> Any:
        payloads, time = encode(self, frame, force_keyframe)
        is_packet = (frame.samples, frame.sample_rate) == (opus.SAMPLES_PER_FRAME, opus.SAMPLE_RATE)
        if not payloads or not is_packet:
            return payloads, time
        at: int = round((frame.pts or 0) * rate_of(frame.time_base) * opus.SAMPLE_RATE)
        self.origin = at - time if self.origin is None else self.origin
        return payloads, at - self.origin

    _put(encoder, "__init__", init)
    _put(encoder, "encode", with_pauses)
    return "what follows a pause is not taken for late"


def _vp8_threads() -> str:
    """Give libvpx one thread: on a busy machine several wait for each other for hundreds of milliseconds."""
    _needs(
        list(inspect.signature(vpx.number_of_threads).parameters) == ["pixels", "cpus"], "number_of_threads"
    )
    _needs(_source_has(vpx.Vp8Encoder.encode, "= number_of_threads("), "Vp8Encoder.encode")
    _put(vpx, "number_of_threads", lambda pixels, cpus: 1)
    return "no thread hand-overs for pictures of this size"


def _bit_rates() -> str:
    """Start and end where painted textures need it; the receiver's estimate (REMB) still rules in between."""
    for module, encoder in ((vpx, vpx.Vp8Encoder), (h264, h264.H264Encoder)):
        _needs(
            _source_has(encoder, "DEFAULT_BITRATE", "min(bitrate, MAX_BITRATE)"),
            f"{encoder.__name__} bit rates",
        )
        _put(module, "DEFAULT_BITRATE", START_BITS_S)
        _put(module, "MIN_BITRATE", LEAST_BITS_S)
        _put(module, "MAX_BITRATE", CEILING_BITS_S)
    return f"start at {START_BITS_S / 1e6:g} Mbit/s, at most {CEILING_BITS_S / 1e6:g}"


def _own_executor() -> str:
    """Encode on threads of our own: what else uses the loop's default executor cannot hold pictures up."""
    sender = rtcrtpsender.RTCRtpSender
    _needs(_source_has(sender.__init__, "self.__loop = asyncio.get_event_loop()"), "RTCRtpSender.__loop")
    _needs(_source_has(sender._next_encoded_frame, "self.__loop.run_in_executor("), "RTCRtpSender executor")
    _needs(inspect.getsource(sender).count("self.__loop.") == 1, "single use of RTCRtpSender.__loop")
    before: Callable[..., None] = sender.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)
        self._RTCRtpSender__loop = sending.EncoderLoop(self._RTCRtpSender__loop, self)

    _put(sender, "__init__", init)
    return "encoding does not wait for other work in threads"


def _line() -> str:
    """Send no more than the line carries: rate, repeats and key pictures (RFC 4585, 4.3 and 6.2.1)."""
    sender = rtcrtpsender.RTCRtpSender
    _needs(
        _source_has(sender._handle_rtcp_packet, "self.__lsr == report.lsr", "self._retransmit(seq)"),
        "RTCRtpSender._handle_rtcp_packet",
    )
    _needs(_source_has(sender._retransmit, "self.__rtp_history.get(", "RTP_HISTORY_SIZE"), "_retransmit")
    _needs(_source_has(sender._send_keyframe, "self.__force_keyframe = True"), "_send_keyframe")
    _needs(_source_has(sender._run_rtcp, "self.__lsr_time = "), "RTCRtpSender.__lsr_time")
    heard, repeat, key = sender._handle_rtcp_packet, sender._retransmit, sender._send_keyframe

    async def handle(self: Any, packet: Any) -> None:
        await heard(self, packet)
        await sending.hear(self, packet)

    async def retransmit(self: Any, sequence_number: int) -> None:
        if sending.may_repeat(self, sequence_number):
            sending.restamp(self, sequence_number)
            await repeat(self, sequence_number)

    def send_keyframe(self: Any) -> None:
        if sending.may_send_key(self):
            key(self)

    _put(rtcrtpsender, "RTP_HISTORY_SIZE", HISTORY_PACKETS)
    _put(sender, "_handle_rtcp_packet", handle)
    _put(sender, "_retransmit", retransmit)
    _put(sender, "_send_keyframe", send_keyframe)
    return "a narrow line is filled, not jammed"


def _rsa_peers() -> str:
    """Take certificates of the RSA kind too, after the others: GStreamer's own ones are."""
    certificate = rtcdtlstransport.RTCCertificate
    before = certificate._create_ssl_context
    _needs(_source_has(before, "ctx.set_cipher_list(", "return ctx"), "RTCCertificate._create_ssl_context")

    def context(self: Any, srtp_profiles: Any) -> Any:
        made = before(self, srtp_profiles)
        made.set_cipher_list(CIPHERS)
        return made

    _put(certificate, "_create_ssl_context", context)
    return "GStreamer and older gateways can connect"


def _lonely_host() -> str:
    """Offer 127.0.0.1 where the machine has no other address (a laptop off line, a container)."""
    before = aioice.ice.get_host_addresses
    _needs(
        list(inspect.signature(before).parameters) == ["use_ipv4", "use_ipv6"], "aioice.get_host_addresses"
    )

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        found: list[str] = before(use_ipv4, use_ipv6)
        return found or (["127.0.0.1"] if use_ipv4 else ["::1"])

    _put(aioice.ice, "get_host_addresses", addresses)
    return "peers on the same machine meet without a network"


_CHANGES: tuple[Callable[[], str], ...] = (
    _receiver,
    _sound,
    _nacks,
    _x264,
    _opus,
    _vp8_threads,
    _bit_rates,
    _own_executor,
    _line,
    _rsa_peers,
    _lonely_host,
)


def _name(change: Callable[[], str]) -> str:
    return change.__name__.strip("_")


@lru_cache(maxsize=1)
def apply() -> tuple[Applied, ...]:
    """Apply all changes, once a process, and tell what became of each. Refusals are logged, not raised."""
    return apply_only([_name(change) for change in _CHANGES])


def apply_only(names: Sequence[str]) -> tuple[Applied, ...]:
    """Apply the changes of these names and no others, to measure them; instead of `apply`, not after it."""
    version = tuple(int(part) for part in aiortc.__version__.split(".")[:2])
    results = []
    for change in _CHANGES:
        name = _name(change)
        if name not in names:
            continue
        try:
            if version != READ_VERSION:
                raise _Refused(f"aiortc {aiortc.__version__} is not {'.'.join(map(str, READ_VERSION))}")
            results.append(Applied(name, True, change()))
        except (_Refused, AttributeError, TypeError, OSError) as refusal:
            log.warning("aiortc goes on without %s: %s", name, refusal)
            results.append(Applied(name, False, str(refusal)))
    return tuple(results)
