"""Publish a red picture by WHIP from GStreamer's webrtcbin: python3 gst_publisher.py URL vp8|h264 SECONDS

Run with the system's Python, since GObject introspection is the distribution's; it needs nothing of ours.
Whatever goes wrong ends it with a word on stderr.
"""

import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    "vp8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 ! rtpvp8pay ! "
    "application/x-rtp,media=video,encoding-name=VP8,payload=96",
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! "
    "video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 ! "
    "application/x-rtp,media=video,encoding-name=H264,payload=96",
}


class Publisher:
    """Offer once all candidates are known, as a client without trickle does."""

    def __init__(self, url: str, codec: str) -> None:
        self.url = url
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(
            "webrtcbin name=peer bundle-policy=max-bundle videotestsrc is-live=true pattern=red ! "
            f"video/x-raw,width=320,height=240,framerate=30/1 ! videoconvert ! {ENCODERS[codec]} ! peer."
        )
        self.peer = self.pipeline.get_by_name("peer")
        self.peer.connect("on-negotiation-needed", self.offer)
        self.peer.connect("notify::ice-gathering-state", self.gathered)
        self.peer.connect("notify::connection-state", self.connected)

    def run(self, seconds: int) -> None:
        transceiver = self.peer.emit("get-transceiver", 0)
        transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add_seconds(seconds, self.loop.quit)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)

    def offer(self, peer) -> None:
        def made(promise, *_) -> None:
            promise.wait()
            self.reply = promise.get_reply()  # it owns the offer
            peer.emit("set-local-description", self.reply.get_value("offer"), Gst.Promise.new())

        self.promise = Gst.Promise.new_with_change_func(made, None)
        peer.emit("create-offer", None, self.promise)

    def gathered(self, peer, _what) -> None:
        if peer.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        offer = peer.get_property("local-description").sdp.as_text().encode()
        request = urllib.request.Request(self.url, offer, {"Content-Type": "application/sdp"}, method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            print("answered", answer.status, answer.headers["Location"], flush=True)
            text = answer.read().decode()
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        told = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        peer.emit("set-remote-description", told, Gst.Promise.new())

    def connected(self, peer, _what) -> None:
        state = peer.get_property("connection-state").value_nick
        print("state", state, flush=True)
        if state == "failed":
            self.loop.quit()


Gst.init(None)
Publisher(sys.argv[1], sys.argv[2]).run(int(sys.argv[3]))
