"""An RTSP server whose picture is what comes on stdin: python3 _rtsp_camera.py PORT WIDTH HEIGHT RATE

stdin carries raw I420 pictures, one after the other; each is taken at once, and thrown away while nobody
looks. The address is rtsp://127.0.0.1:PORT/cam; "ready" on stdout says that it answers. Run with the system's
Python, since GObject introspection is the distribution's; it needs nothing of ours.
"""

import os
import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(port: str, width: str, height: str, rate: str) -> None:
    Gst.init(None)
    looking: list[Any] = []

    def configured(_: Any, media: Any) -> None:
        looking[:] = [media.get_element().get_by_name("camera")]

    def read() -> None:
        size = int(width) * int(height) * 3 // 2
        while len(picture := sys.stdin.buffer.read(size)) == size:
            for camera in looking:
                camera.emit("push-buffer", Gst.Buffer.new_wrapped(picture))
        os._exit(0)  # whoever sent pictures is gone

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        "( appsrc name=camera is-live=true do-timestamp=true format=time max-buffers=1 leaky-type=downstream "
        f"caps=video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 ! "
        f"x264enc tune=zerolatency speed-preset=ultrafast bitrate=2000 key-int-max={rate} ! "
        "rtph264pay name=pay0 pt=96 )"
    )
    factory.connect("media-configure", configured)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    threading.Thread(target=read, daemon=True).start()
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:5])
