"""What an offer must have before anything is allocated for it, and which codec the answer prefers."""

from __future__ import annotations

from typing import Literal

from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from aiortc.rtcrtpsender import RTCRtpSender

from realtime.core.errors import UnsupportedMedia

MAX_SDP_BYTES = 65_536
OFFER_HINT = "Reload the page and start again; if it stays so, try a current Chrome, Edge, Firefox or Safari."

Codec = Literal["h264", "vp8", "offer"]
"""What both directions prefer; "offer" keeps the other side's order. All common codecs stay in the answer.

H.264 is the default: as tuned, encoding a textured 256 px picture costs 1.0 ms of CPU against 2.4 for VP8,
512 px 2.5 against 6.0, and decoding about half, at the same 2 Mbit/s and no larger error (Xeon, 2 shared
cores). A browser that offers no H.264 gets VP8.
"""

# What aiortc raises for descriptions that it cannot parse or use.
SDP_ERRORS = (
    ValueError,
    AssertionError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)


def check_offer(sdp: object) -> None:
    """Refuse what cannot be an offer with video, before anything is allocated for it."""
    if not isinstance(sdp, str):
        raise UnsupportedMedia(f"The offer (SDP) must be text, got {type(sdp).__name__}.", hint=OFFER_HINT)
    size = len(sdp.encode("utf-8", "surrogatepass"))
    if size > MAX_SDP_BYTES:
        raise UnsupportedMedia(
            f"The offer (SDP) has {size} bytes; at most {MAX_SDP_BYTES} are read.", hint=OFFER_HINT
        )
    if not sdp.startswith("v=0"):
        raise UnsupportedMedia("The offer is not an SDP: it does not begin with v=0.", hint=OFFER_HINT)
    lines = sdp.splitlines()
    if not any(line.startswith("a=fingerprint:") for line in lines):
        raise UnsupportedMedia(
            "The offer (SDP) has no fingerprint, so nothing could be encrypted.", hint=OFFER_HINT
        )
    if not any(line.startswith("m=video ") for line in lines):
        raise UnsupportedMedia(
            "The offer (SDP) has no video in it.", hint="Offer a video track, or receive one: recvonly."
        )
    if sum(line.startswith("m=") for line in lines) > 8:
        raise UnsupportedMedia("The offer (SDP) has more than 8 media sections.", hint=OFFER_HINT)


def has_sound(sdp: str) -> bool:
    """Tell whether an offer that was checked has sound in it, in whichever direction."""
    return any(line.startswith("m=audio ") for line in sdp.splitlines())


def fingerprints(sdp: str) -> frozenset[str]:
    """Return the fingerprints of the certificates in a description, which are a connection's own."""
    found = (line.split(":", 1)[1] for line in sdp.splitlines() if line.startswith("a=fingerprint:"))
    return frozenset(one.strip().lower() for one in found)


def preferred_codecs(codec: Codec) -> list[RTCRtpCodecCapability]:
    """Return all video codecs, the preferred one first; empty keeps the order of the offer."""
    if codec == "offer":
        return []
    mime = f"video/{codec}".lower()
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return sorted(codecs, key=lambda c: c.mimeType.lower() != mime)
