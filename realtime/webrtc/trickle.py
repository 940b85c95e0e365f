"""Candidates that come after the offer, as a fragment of SDP (RFC 8840), and what aiortc can do with them.

aiortc takes further candidates of the other side. It cannot restart ICE: a fragment with other credentials
is refused and the connection left as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from realtime.core.errors import UnsupportedMedia

MAX_CANDIDATES = 64
HINT = "Send a=ice-ufrag, a=mid and a=candidate lines, each with CR LF: RFC 8840, section 9."


class RestartRefused(UnsupportedMedia):
    """Report that ICE cannot be restarted on a connection."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """Hold what one fragment says."""

    ufrag: str
    candidates: tuple[tuple[str, str], ...]
    """(mid, what stands after "candidate:")."""
    is_last: bool
    """Whether it says that no more will come."""


def parse_fragment(text: str) -> Fragment:
    """Read a fragment. UnsupportedMedia says what is wrong with another text."""
    ufrag, mid, is_last = "", "", False
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line:
            continue
        if not re.match(r"[a-z]=", line):
            raise UnsupportedMedia(f'"{line[:40]}" is not a line of SDP.', hint=HINT)
        name, _, value = line.partition(":")
        if name == "a=ice-ufrag":
            ufrag = value.strip()
        elif name == "a=mid":
            mid = value.strip()
        elif line == "a=end-of-candidates":
            is_last = True
        elif name == "a=candidate":
            found.append((mid, _checked(value)))
    if not ufrag and not found and not is_last:
        raise UnsupportedMedia("The fragment has neither candidates nor credentials.", hint=HINT)
    if len(found) > MAX_CANDIDATES:
        raise UnsupportedMedia(f"The fragment has more than {MAX_CANDIDATES} candidates.", hint=HINT)
    return Fragment(ufrag, tuple(found), is_last)


def _checked(candidate: str) -> str:
    parts = candidate.split()
    if len(parts) < 8 or parts[6] != "typ" or not all(parts[at].isdigit() for at in (1, 3, 5)):
        raise UnsupportedMedia(f'"a=candidate:{candidate[:60]}" is not a candidate.', hint=HINT)
    return candidate


def ufrags(sdp: str) -> frozenset[str]:
    """Return the user name fragments in a description."""
    return frozenset(re.findall(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE))


def bundle(sdp: str) -> list[str]:
    """Return the mids that share one transport, which is the first one's (RFC 9143)."""
    match = re.search(r"^a=group:BUNDLE (.+?)\r?$", sdp, re.MULTILINE)
    return match[1].split() if match else []
