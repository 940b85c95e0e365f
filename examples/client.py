"""Have a moving pattern painted and keep a picture: python -m examples.client URL OUT.png [PROMPT]"""

import asyncio
import json
import os
import sys
import urllib.request

import cv2
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

from realtime.media import to_video_frame
from realtime.sources.pattern import pattern_picture


class Pattern(VideoStreamTrack):
    count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        self.count += 1
        frame = to_video_frame(pattern_picture(self.count, 320, 240))
        frame.pts, frame.time_base = pts, time_base
        return frame


def call(method, url, body=None):
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("VITASCOPE_SERVER__TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or "{}")


async def main(url, target, prompt="", pictures=30):
    settings = {"prompt": prompt} if prompt else {}
    made = call("POST", f"{url}/api/sessions", {"settings": settings})
    while "ticket" in made:  # all places are taken: wait for one's turn
        await asyncio.sleep(made["retry_after_s"])
        made = call("POST", f"{url}/api/sessions", {"settings": settings, "ticket": made["ticket"]})
    here = f"{url}/api/sessions/{made['id']}"
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTrack(Pattern())
    pc.createDataChannel("control").on("message", lambda text: print(text, flush=True))
    tracks = asyncio.Queue()
    pc.on("track", tracks.put_nowait)
    await pc.setLocalDescription(await pc.createOffer())
    answer = call("POST", f"{here}/offer", {"sdp": pc.localDescription.sdp, "type": "offer"})
    await pc.setRemoteDescription(RTCSessionDescription(**answer))
    painted = await tracks.get()
    for _ in range(pictures):
        frame = await painted.recv()
    cv2.imwrite(str(target), frame.to_ndarray(format="bgr24"))
    await pc.close()
    call("DELETE", here)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
