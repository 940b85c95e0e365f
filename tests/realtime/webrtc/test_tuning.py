"""Each change to aiortc is in force. When one of these fails, aiortc changed: read its source again."""

import datetime
import time
from fractions import Fraction
from types import SimpleNamespace

import aioice.ice
import aiortc
import aiortc.codecs.h264 as h264
import aiortc.codecs.vpx as vpx
import aiortc.rtcrtpreceiver as rtcrtpreceiver
import aiortc.rtcrtpsender as rtcrtpsender
import av
import numpy as np
import pytest
from aiortc import clock
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from aiortc.rtp import RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket, RtpPacket, pack_remb_fci
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from realtime.media import to_video_frame
from realtime.sources.pattern import pattern_picture
from realtime.webrtc import encoding, sending, tuning
from realtime.webrtc.buffers import PromptJitterBuffer, PromptSoundBuffer
from realtime.webrtc.line import Line
from realtime.webrtc.nacks import HISTORY_PACKETS, RepeatingNacks


@pytest.fixture(autouse=True)
def applied() -> None:
    tuning.apply()


def test_the_installed_aiortc_takes_every_change() -> None:
    results = tuning.apply()
    assert [r.name for r in results if not r.done] == [], [r.why for r in results if not r.done]
    assert {r.name for r in results} == {
        "receiver", "sound", "nacks", "x264", "opus",
        "vp8_threads", "bit_rates", "own_executor", "line", "rsa_peers", "lonely_host",
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
    for asked, got in ((500_000, 500_000), (1, tuning.LEAST_BITS_S), (99_000_000, tuning.CEILING_BITS_S)):
        encoder.target_bitrate = asked
        encode(encoder, 1)
        assert encoder.codec.bit_rate == got


def test_a_new_rate_costs_a_key_picture_only_when_it_is_far_from_the_old() -> None:
    encoder = h264.H264Encoder()

    def keys(seqs: range) -> int:
        data = [b"".join(h264.h264_depayload(p) for p in encode(encoder, seq)[0]) for seq in seqs]
        return sum(b"\x00\x00\x01\x65" in one for one in data)

    assert keys(range(10)) == 1
    encoder.target_bitrate = tuning.START_BITS_S // 2
    assert keys(range(10, 20)) == 0
    encoder.target_bitrate = tuning.START_BITS_S // 8
    assert keys(range(20, 30)) == 1


def test_a_lower_rate_is_kept_without_a_new_codec() -> None:
    encoder = h264.H264Encoder()

    def bits(seqs: range) -> int:
        return sum(8 * sum(map(len, encode(encoder, seq)[0])) for seq in seqs)

    encoder.target_bitrate = 1_000_000
    wide = bits(range(90))
    encoder.target_bitrate = 450_000
    bits(range(90, 120))
    assert bits(range(120, 210)) < 0.65 * wide


class Sender:
    """As much of a sender as the hooks look at."""

    def __init__(self, line: Line | None) -> None:
        self.track = SimpleNamespace(line=line)
        self._ssrc = 5
        self._RTCRtpSender__lsr = 77
        self._RTCRtpSender__lsr_time = time.time() - 0.3
        self._RTCRtpSender__rtp_history = {
            n: RtpPacket(sequence_number=n, timestamp=3000 * n) for n in range(9)
        }
        self._RTCRtpSender__rtp_timestamp = 12_000


def report(loss: int, lsr: int = 77) -> RtcpRrPacket:
    info = RtcpReceiverInfo(5, loss, 0, 0, 0, lsr, 65_536 // 10)
    return RtcpRrPacket(ssrc=1, reports=[info])


async def test_what_a_receiver_reports_reaches_the_line() -> None:
    heard: list[tuple[float, float | None]] = []
    line = Line()
    line.reported = lambda loss, trip, now: heard.append((loss, trip))  # type: ignore[method-assign]
    await sending.hear(Sender(line), report(64))
    await sending.hear(Sender(line), report(0, lsr=3))
    await sending.hear(Sender(None), report(64))  # a track without books
    assert heard[0][0] == 0.25
    assert heard[0][1] == pytest.approx(0.2, abs=0.05)
    assert heard[1] == (0.0, None)
    fci = pack_remb_fci(640_000, [5])
    await sending.hear(Sender(line), RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=fci))
    assert line.bits_s(time.monotonic()) == 640_000


def test_what_came_before_a_key_picture_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending.time, "monotonic", lambda: 100.0)
    sender = Sender(Line())
    assert sending.may_repeat(sender, 3)
    assert not sending.may_repeat(sender, 3)  # its copy is on the way
    assert not sending.may_repeat(sender, 99)
    sender.before_key = 12_000  # type: ignore[attr-defined]
    assert [sending.may_repeat(sender, n) for n in (4, 5)] == [False, True]


def test_a_copy_tells_when_it_was_sent_itself() -> None:
    sender = Sender(Line())
    kept = sender._RTCRtpSender__rtp_history
    kept[3].extensions.abs_send_time = 7
    for number in (3, 4, 99):
        sending.restamp(sender, number)
    now_s = (clock.current_ntp_time() & 0x3F_FFFF_FFFF) / 2**32  # seconds, 64 of them
    assert (now_s - kept[3].extensions.abs_send_time / 2**18) % 64 < 5
    assert kept[4].extensions.abs_send_time is None  # it was not asked for


def test_senders_keep_as_much_as_receivers_ask_for() -> None:
    assert rtcrtpsender.RTP_HISTORY_SIZE == HISTORY_PACKETS


async def test_a_receiver_s_questions_end_with_it() -> None:
    pc = aiortc.RTCPeerConnection()
    receiver = pc.addTransceiver("video").receiver
    nacks = receiver._RTCRtpReceiver__nack_generator
    assert nacks.ask == receiver._send_rtcp_nack
    await receiver.stop()
    assert nacks.ask is None
    await pc.close()


def test_key_pictures_do_not_follow_each_other_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(sending.time, "monotonic", lambda: now[0])
    sender = Sender(Line())
    given = []
    for at in (100.0, 100.1, 100.4, 100.6, 100.7):
        now[0] = at
        given.append(sending.may_send_key(sender))
    assert given == [True, False, False, True, False]
    assert all(sending.may_send_key(Sender(None)) for _ in range(3))


def test_without_a_gpu_x264_encodes_and_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    if encoding.GPU_DEVICE.exists():
        pytest.skip("this machine has a GPU")
    try:
        encoding.wish_for("nvenc")
        for seq in range(2):
            encoder = h264.H264Encoder()
            assert encode(encoder, seq)[0]
            assert encoder.codec.name == "libx264"
        assert caplog.text.count("GPU's H.264 encoder cannot be used") == (
            "h264_nvenc" in av.codecs_available
        )
        encoding.wish_for("auto")
        assert not encoding.is_gpu_wished()
    finally:
        encoding.wish_for("auto")


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


def rsa_certificate() -> RTCCertificate:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    now = datetime.datetime.now(tz=datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return RTCCertificate(key, made.sign(key, hashes.SHA256()))


def test_a_peer_with_an_rsa_certificate_is_met() -> None:
    """Two ends of DTLS in memory: the other one is the server, and shows an RSA certificate."""
    server = SSL.Connection(rsa_certificate()._create_ssl_context(SRTP_PROFILES))
    client = SSL.Connection(RTCCertificate.generateCertificate()._create_ssl_context(SRTP_PROFILES))
    server.set_accept_state()
    client.set_connect_state()
    assert meet(client, server)


def meet(client: SSL.Connection, server: SSL.Connection) -> bool:
    done = {client: False, server: False}
    for _ in range(20):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
                done[one] = True
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            try:
                while True:
                    other.bio_write(one.bio_read(4096))
            except SSL.WantReadError:
                pass
    return all(done.values())


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
