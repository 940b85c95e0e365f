"""A bare aiortc echo, to compare with: one route, the track that comes in goes out again. `--tuned` tunes it.

Run as `python -m benchmarks._echo --port 9000`. It is what a program of twenty lines on aiortc does, with no
session, no graph and no page.
"""

from __future__ import annotations

import argparse
from typing import Any

import uvicorn
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from fastapi import FastAPI

from realtime.webrtc import tuning


def build() -> FastAPI:
    """Return the app; peers live until the other side closes."""
    app = FastAPI()
    peers: set[RTCPeerConnection] = set()

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/offer")
    async def offer(body: dict[str, Any]) -> dict[str, str]:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.add(pc)

        @pc.on("track")
        def take(track: Any) -> None:
            if track.kind == "video":
                pc.addTrack(track)

        @pc.on("connectionstatechange")
        async def follow() -> None:
            if pc.connectionState in ("failed", "closed"):
                await pc.close()
                peers.discard(pc)

        await pc.setRemoteDescription(RTCSessionDescription(body["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return {"type": "answer", "sdp": pc.localDescription.sdp}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], help="names of changes, e.g. receiver nacks")
    options = parser.parse_args()
    if options.tuned:
        tuning.apply()
    elif options.only:
        tuning.apply_only(options.only)
    uvicorn.run(build(), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
