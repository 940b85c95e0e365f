"""Publish a flat red picture by FFmpeg's WHIP muxer: ffmpeg_publisher.py URL SECONDS [name=value ...]"""

import sys
import time

import av
import numpy as np

RATE_HZ = 30


def main(url: str, seconds: int, *options: str) -> None:
    out = av.open(url, "w", format="whip", options=dict(one.split("=", 1) for one in options))
    video = out.add_stream("libx264", rate=RATE_HZ)
    video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
    video.options = {
        "tune": "zerolatency",
        "preset": "ultrafast",
        "profile": "baseline",
        "bf": "0",
        "g": "30",
    }
    red = np.zeros((240, 320, 3), np.uint8)
    red[..., 0] = 255
    begin_s = time.monotonic()
    for number in range(seconds * RATE_HZ):
        picture = av.VideoFrame.from_ndarray(red, format="rgb24")
        picture.pts = number
        out.mux(video.encode(picture))
        time.sleep(max(0.0, begin_s + number / RATE_HZ - time.monotonic()))
    out.close()


main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
