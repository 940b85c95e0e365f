"""Receiving: a picture goes out with its last packet, lost ones are asked for again, queues have ends."""

from types import SimpleNamespace

import pytest
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from realtime.webrtc.buffers import (
    DECODER_QUEUE_PICTURES,
    BoundedDecoderQueue,
    CompletePicture,
    PromptJitterBuffer,
    PromptSoundBuffer,
    is_key_picture,
)

VP8 = SimpleNamespace(name="VP8", mimeType="video/VP8")
OPUS = SimpleNamespace(name="opus", mimeType="audio/opus")
KEY, INTER = b"\x10\x00", b"\x11\x00"


def packet(number: int, time: int, *, last: bool, data: bytes | None = None) -> RtpPacket:
    made = RtpPacket(sequence_number=number % 65_536, timestamp=time, marker=int(last))
    made._data = bytes([number % 256]) if data is None else data
    return made


def add(buffer: PromptJitterBuffer, *packets: RtpPacket) -> list[CompletePicture | None]:
    return [buffer.add(p)[1] for p in packets]


def test_a_picture_goes_out_with_its_marked_packet() -> None:
    buffer = PromptJitterBuffer(capacity=512, is_video=True)
    out = add(buffer, packet(0, 0, last=False), packet(1, 0, last=True), packet(2, 3000, last=True))
    assert out[0] is None
    assert (out[1].data, out[1].timestamp) == (b"\x00\x01", 0)
    assert (out[2].data, out[2].timestamp) == (b"\x02", 3000)


def test_without_a_marker_the_next_picture_completes_it() -> None:
    buffer = PromptJitterBuffer(capacity=512, is_video=True)
    out = add(buffer, packet(0, 0, last=False), packet(1, 0, last=False), packet(2, 3000, last=False))
    assert out[:2] == [None, None]
    assert out[2].data == b"\x00\x01"


def test_out_of_order_packets_wait_for_the_missing_one_then_all_go_out() -> None:
    buffer = PromptJitterBuffer(capacity=512, is_video=True)
    first, *others = (packet(n, 3000 * n, last=True) for n in range(6))
    lost = others.pop(0)
    assert add(buffer, first)[0].timestamp == 0
    assert add(buffer, *others) == [None] * 4
    late = add(buffer, lost)[0]
    assert [late.timestamp, *(p.timestamp for p in late.later)] == [3000, 6000, 9000, 12_000, 15_000]
    assert add(buffer, packet(6, 18_000, last=True))[0].later == []  # nothing stays one behind


def test_padding_after_a_picture_is_no_picture() -> None:
    buffer = PromptJitterBuffer(capacity=512, is_video=True)
    out = add(
        buffer,
        packet(0, 0, last=True),
        packet(1, 0, last=False, data=b""),
        packet(2, 0, last=True, data=b""),
        packet(3, 3000, last=True),
    )
    assert [p and p.data for p in out] == [b"\x00", None, None, b"\x03"]


H264_KEY = b"\x00\x00\x00\x01\x67sps\x00\x00\x00\x01\x65"
VP8_KEY = b"\x10\x00\x00\x9d\x01\x2a"


class Stream:
    """Packets that come at given times, each a picture, into a buffer that has this clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.buffer = PromptJitterBuffer(capacity=512, is_video=True)
        self.buffer.clock = lambda: self.now_s
        self.skipped: list[int] = []
        self.buffer.on_skip = self.skipped.append
        self.asked_ms: list[int] = []

    def come(self, number: int, data: bytes, ms: int, *, last: bool = True) -> CompletePicture | None:
        self.now_s = 100 + ms / 1000
        asks, picture = self.buffer.add(packet(number, 3000 * number, last=last, data=data))
        self.asked_ms += [ms] * asks
        return picture


@pytest.mark.parametrize("key", [H264_KEY, VP8_KEY])
def test_a_hole_ends_at_a_whole_key_picture_behind_it(key: bytes) -> None:
    stream = Stream()
    assert stream.come(0, key, 0) is not None
    assert stream.come(2, b"inter", 66) is None  # 1 is lost, and its copies too
    assert stream.come(3, key, 100) is None  # 1 may be late on an uneven line
    assert stream.come(4, b"inter", 110).data == key
    assert stream.skipped == [3]
    assert stream.come(5, b"inter", 133).data == b"inter"
    assert stream.asked_ms == []


def test_a_key_picture_is_whole_when_its_last_missing_packet_comes() -> None:
    stream = Stream()
    stream.come(0, H264_KEY, 0)
    stream.come(2, b"inter", 33)  # 1 is lost
    for number, data, last in ((3, H264_KEY, False), (5, b"c", True)):
        stream.now_s = 100.1
        made = packet(number, 9000, last=last, data=data)
        assert stream.buffer.add(made)[1] is None
    middle = packet(4, 9000, last=False, data=b"b")
    assert stream.buffer.add(middle)[1].data == H264_KEY + b"bc"


def test_a_hole_that_stays_asks_for_a_key_picture_now_and_then() -> None:
    stream = Stream()
    for number in [0, *range(2, 42)]:
        stream.come(number, b"inter", 33 * number)
    assert stream.asked_ms == [33 * 9, 33 * 25, 33 * 41]  # 200 ms after the first that was stuck, 500 apart


def test_numbers_wrap_around() -> None:
    buffer = PromptJitterBuffer(capacity=512, is_video=True)
    out = add(buffer, *(packet(65_534 + n, 3000 * n, last=True) for n in range(4)))
    assert [p.timestamp for p in out] == [0, 3000, 6000, 9000]


def test_a_stream_of_endless_packets_stays_within_the_buffer() -> None:
    buffer = PromptJitterBuffer(capacity=16, is_video=True)
    for number in range(0, 200, 2):  # every other packet is lost for good
        buffer.add(packet(number, 3000 * number, last=False))
    assert sum(p is not None for p in buffer._packets) <= 16


def sound(*numbers: int) -> list[list[int]]:
    """Times, in packets, that come out with each of the packets of sound that go in."""
    buffer = PromptSoundBuffer(capacity=16)
    out = []
    for number in numbers:
        _, first = buffer.add(packet(number, 960 * number, last=True, data=b"x"))
        out.append([] if first is None else [one.timestamp // 960 for one in (first, *first.later)])
    return out


def test_sound_goes_out_as_it_comes() -> None:
    assert sound(0, 1, 2, 65_535) == [[0], [1], [2], []]  # one that comes too late is no use


def test_sound_out_of_order_waits_for_the_missing_packet() -> None:
    assert sound(0, 2, 1, 3) == [[0], [], [1, 2], [3]]
    assert sound(0, 3, 2, 1) == [[0], [], [], [1, 2, 3]]


def test_lost_sound_is_given_up_after_two_more_and_nothing_stays_behind() -> None:
    assert sound(0, 2, 3, 4, 5) == [[0], [], [], [2, 3, 4], [5]]
    assert sound(0, 2, 4, 6, 7, 8) == [[0], [], [], [2], [4], [6, 7, 8]]
    assert sound(0, 500, 501) == [[0], [500], [501]]  # too many to wait for any


def test_a_packet_without_sound_is_left_out() -> None:
    buffer = PromptSoundBuffer(capacity=16)
    assert buffer.add(packet(0, 0, last=True, data=b""))[1] is None
    assert buffer.add(packet(1, 960, last=True))[1].timestamp == 960


def test_pictures_that_wait_are_given_to_the_decoder_in_order_on_its_clock() -> None:
    line = BoundedDecoderQueue(lambda: None)
    first = CompletePicture(KEY, 2**32 - 3000)
    first.later = [CompletePicture(INTER, 0), CompletePicture(INTER, 3000)]
    first.timestamp = 90_000  # as the receiver maps it
    line.put((VP8, first))
    assert [line.get()[1].timestamp for _ in range(3)] == [90_000, 93_000, 96_000]


def test_a_decoder_that_falls_behind_starts_anew_at_a_key_picture() -> None:
    asked = []
    line = BoundedDecoderQueue(lambda: asked.append(True))
    for n in range(DECODER_QUEUE_PICTURES):
        line.put((VP8, JitterFrame(KEY if n == 0 else INTER, n)))
    assert line.qsize() == DECODER_QUEUE_PICTURES
    line.put((VP8, JitterFrame(INTER, 100)))
    line.put((VP8, JitterFrame(INTER, 101)))
    assert line.qsize() == 0
    assert asked
    assert line.forgotten == DECODER_QUEUE_PICTURES + 2
    line.put((VP8, JitterFrame(KEY, 102)))
    line.put((VP8, JitterFrame(INTER, 103)))
    assert [line.get()[1].timestamp for _ in range(2)] == [102, 103]


def test_the_end_is_never_lost() -> None:
    line = BoundedDecoderQueue(lambda: None)
    for n in range(DECODER_QUEUE_PICTURES):
        line.put((VP8, JitterFrame(INTER, n)))
    line.put(None)
    line.put((VP8, JitterFrame(INTER, 99)))
    assert line.get() is None


def test_sound_in_front_of_the_decoder_has_a_bound_too() -> None:
    line = BoundedDecoderQueue(lambda: None)
    for n in range(1000):
        line.put((OPUS, JitterFrame(b"x", n)))
    assert line.qsize() == 4 * DECODER_QUEUE_PICTURES


def test_key_pictures() -> None:
    assert is_key_picture("VP8", KEY)
    assert not is_key_picture("VP8", INTER)
    assert not is_key_picture("VP8", b"")
    start = b"\x00\x00\x00\x01"
    assert is_key_picture("H264", start + b"\x67aaa" + start + b"\x68bb" + start + b"\x65ccc")
    assert not is_key_picture("H264", start + b"\x41aaa")
    assert not is_key_picture("H264", b"")
