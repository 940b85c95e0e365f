"""Valid messages made wrong in many ways, the same ways for the same seed."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

NASTY_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, -(2**70), 10**400, 1e308, -0.0, float("nan"), float("inf"), "",
    "x" * 3000, "\x00", "\ud800", "é\u202e\U0001f600", "../../etc/passwd", "file:///etc/passwd",
    "{{7*7}}", "%s%n", [], {}, [[]], {"": ""}, {"type": "settings"}, [None] * 100, {"__class__": 1},
    "1", "0x10", "1e999",
)  # fmt: skip
NASTY_BYTES = (
    b"\x00", b"\xff\xfe", b"\r\n", b"\r\n\r\n", b"\n", b" ", b"a=", b"m=video ", b"\xed\xa0\x80", b"-1",
    b"m=video 9 UDP/TLS/RTP/SAVPF 96", b"9" * 20, b"[" * 50, b"{" * 50, b'"', b"\\u", b"NaN", b"=", b":",
    b"a=rtpmap:96 ", b"a=fmtp:", b"a=candidate:", b"a=ssrc:1 ", b"a=setup:actpass", b"a=mid:",
    b"c=IN IP6 ::1",
)  # fmt: skip


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Return `data` with one to four places cut, doubled, swapped, flipped or filled with something nasty."""
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.randint(1, 40))
        what = random.randrange(6)
        if what == 0:
            data = data[:at] + data[end:]
        elif what == 1:
            data = data[:end] + data[at:end] + data[end:]
        elif what == 2:
            data = data[:at] + random.choice(NASTY_BYTES) + data[at:]
        elif what == 3 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        elif what == 4:
            data = data[:at]
        else:
            data = data[:at] + random.randbytes(random.randint(1, 8)) + data[end:]
    return data


def mutated_lines(text: str, random: Random) -> str:
    """Return a description (SDP) with lines dropped, doubled, swapped, or one of them mutated."""
    lines = text.split("\r\n")
    for _ in range(random.randint(1, 3)):
        at, other = random.randrange(len(lines)), random.randrange(len(lines))
        what = random.randrange(5)
        if what == 0 and len(lines) > 1:
            del lines[at]
        elif what == 1:
            lines.insert(other, lines[at])
        elif what == 2:
            lines[at], lines[other] = lines[other], lines[at]
        elif what == 3:
            words = lines[at].split(" ")
            words[random.randrange(len(words))] = str(random.choice(NASTY_VALUES))[:200]
            lines[at] = " ".join(words)
        else:
            lines[at] = mutated_bytes(lines[at].encode(), random).decode("utf-8", "replace")
    return "\r\n".join(lines)


def mutated_value(value: Any, random: Random) -> Any:
    """Return a JSON value with one to three of its places replaced, renamed, dropped or nested deeper."""
    value = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        holder = value
        while isinstance(holder, (dict, list)) and holder and random.random() < 0.6:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            inner = holder[random.choice(keys)]
            if not (isinstance(inner, (dict, list)) and inner):
                break
            holder = inner
        if not (isinstance(holder, (dict, list)) and holder):
            return random.choice(NASTY_VALUES)
        key = random.choice(list(holder) if isinstance(holder, dict) else list(range(len(holder))))
        what = random.randrange(4)
        if what == 0:
            holder[key] = copy.deepcopy(random.choice(NASTY_VALUES))
        elif what == 1:
            del holder[key]
        elif what == 2:
            holder[key] = {"type": [holder[key]]}
        elif isinstance(holder, dict):
            holder[str(random.choice(NASTY_VALUES))[:80]] = holder.pop(key)
    return value


def mutated_json(value: Any, random: Random) -> bytes:
    """Return a JSON body with its value mutated, its bytes, or both."""
    if random.random() < 0.75:
        value = mutated_value(value, random)
    data = json.dumps(value).encode("utf-8", "surrogatepass")
    return mutated_bytes(data, random) if random.random() < 0.4 else data
