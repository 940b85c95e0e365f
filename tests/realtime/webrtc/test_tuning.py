"""Each change to aiortc is in force. When one of these fails, aiortc changed: read its source again."""

from fractions import Fraction

import aioice.ice
import aiortc
import aiortc.codecs.h264 as h264
import aiortc.codecs.vpx as vpx
import aiortc.rtcrtpreceiver as rtcrtpreceiver
import numpy as np
import pytest
from aiortc.jitterbuffer import JitterFrame

from realtime.media import to_video_frame
from realtime.sources.pattern import pattern_picture
from realtime.webrtc import tuning
from realtime.webrtc.buffers import PromptJitterBuffer, PromptSoundBuffer, RepeatingNacks


@pytest.fixture(autouse=True)
def applied() -> None:
    tuning.apply()


def test_the_installed_aiortc_takes_every_change() -> None:
    results = tuning.apply()
    assert [r.name for r in results if not r.done] == [], [r.why for r in results if not r.done]
    assert {r.name for r in results} == {
        "receiver", "sound", "nacks", "x264", "opus",
        "vp8_threads", "bit_rates", "own_executor", "rsa_peers", "lonely_host",
    }  # fmt: skip
    assert tuning.apply() is results  # once a process


def test_receivers_are_made_of_our_parts() -> None:
    assert rtcrtpreceiver.JitterBuffer is PromptJitterBuffer
    assert rtcrtpreceiver.NackGenerator is RepeatingNacks


async def test_sound_is_received_into_a_buffer_that_holds_nothing_back() -> None:
    pc = aiortc.RTCPeerConnection()
    sound, pictures = (pc.addTransceiver(kind).receiver for kind in ("audio", "video"))
    assert type(sound._RTCRtpReceiver__jitter_buffer) is PromptSoundBuffer
    assert type(pictures._RTCRtpReceiver__jitter_buffer) is PromptJitterBuffer
    await pc.close()


def encode(encoder: object, seq: int, *, key: bool = False) -> tuple[list[bytes], int]:
    frame = to_video_frame(pattern_picture(seq, 256, 256))
    frame.pts, frame.time_base = seq * 3000, Fraction(1, 90_000)
    return encoder.encode(frame, key)


def test_h264_is_ultrafast_and_still_decodes() -> None:
    encoder, decoder = h264.H264Encoder(), h264.H264Decoder()
    for seq in range(5):
        payloads, time = encode(encoder, seq, key=seq == 3)
        data = b"".join(h264.h264_depayload(p) for p in payloads)
        (frame,) = decoder.decode(JitterFrame(data, time))
        assert time == seq * 3000
        assert (
            np.abs(frame.to_ndarray(format="rgb24").astype(int) - pattern_picture(seq, 256, 256)).mean() < 12
        )
        if seq in (0, 3):
            assert b"\x00\x00\x01\x65" in data  # a key picture when asked for
            assert b"subme=0" in data or seq == 3  # x264 writes its options into the first picture
    assert encoder.codec.bit_rate == tuning.START_BITS_S


def test_h264_follows_the_receivers_estimate_within_bounds() -> None:
    encoder = h264.H264Encoder()
    encode(encoder, 0)
    for asked, got in ((500_000, 500_000), (1, tuning.LEAST_BITS_S), (99_000_000, tuning.MOST_BITS_S)):
        encoder.target_bitrate = asked
        encode(encoder, 1)
        assert encoder.codec.bit_rate == got


def test_vp8_has_one_thread_and_our_bit_rate() -> None:
    encoder = vpx.Vp8Encoder()
    encode(encoder, 0)
    assert encoder.codec.thread_count == 1
    assert vpx.number_of_threads(3840 * 2160, 64) == 1
    assert encoder.codec.bit_rate == tuning.START_BITS_S


def test_a_machine_with_only_a_loopback_interface_offers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice.ifaddr, "get_adapters", list)
    assert aioice.ice.get_host_addresses(True, True) == ["127.0.0.1"]
    assert aioice.ice.get_host_addresses(False, True) == ["::1"]


def test_another_aiortc_is_left_alone_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aiortc, "__version__", "9.9.0")
    before = h264.H264Encoder._encode_frame
    results = tuning.apply.__wrapped__()
    assert not any(r.done for r in results)
    assert "9.9.0" in results[0].why
    assert h264.H264Encoder._encode_frame is before
    assert "goes on without" in caplog.text


def test_a_change_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def _encode_frame(self) -> None:
            """Not what was read."""

    monkeypatch.setattr(h264, "H264Encoder", Other)
    refused = {r.name: r for r in tuning.apply.__wrapped__() if not r.done}
    assert "H264Encoder" in refused["x264"].why
