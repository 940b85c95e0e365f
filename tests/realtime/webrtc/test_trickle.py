"""Fragments of SDP: what is read from them and what is refused."""

from __future__ import annotations

import pytest

from realtime.core.errors import UnsupportedMedia
from realtime.webrtc.trickle import bundle, parse_fragment, ufrags

CANDIDATE = "1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw"


def test_the_fragment_of_the_rfc_is_read() -> None:
    read = parse_fragment(
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        f"a=candidate:{CANDIDATE}\r\na=end-of-candidates\r\n"
    )
    assert read.ufrag == "EsAw"
    assert read.candidates == (("0", CANDIDATE),)
    assert read.is_last


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither"),
        ("{}", "not a line"),
        ("a=mid:0\r\n", "neither"),
        ("a=candidate:1 1 udp\r\n", "not a candidate"),
        ("a=candidate:1 1 udp x 192.0.2.1 61764 typ host\r\n", "not a candidate"),
        ("a=candidate:" + CANDIDATE + "\r\n" + f"a=candidate:{CANDIDATE}\r\n" * 64, "more than 64"),
    ],
)
def test_what_is_no_fragment_is_refused(text: str, says: str) -> None:
    with pytest.raises(UnsupportedMedia, match=says):
        parse_fragment(text)


def test_what_is_shared_in_an_offer() -> None:
    sdp = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9\r\na=ice-ufrag:EsAw\r\nm=video 9\r\na=ice-ufrag:EsAw\r\n"
    assert bundle(sdp) == ["0", "1"]
    assert bundle("v=0\r\n") == []
    assert ufrags(sdp) == {"EsAw"}
