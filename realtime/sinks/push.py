"""A program of its own that carries a finished stream from its standard input to a server, packet by packet.

PyAV holds Python's lock while an output connects: in the main process a server that is slow to answer would
stop every session, and the relay that watches over the connection too. So FFmpeg's output protocols live in
here; whoever started this ends it by closing the pipe, or by force. The input's first line says where to.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

PIPE_FORMAT = "flv"
FINISH_S = 5.0


class Pushing:
    """Run this file as a program; a file that a muxer writes `PIPE_FORMAT` to."""

    name = "pushing"

    def __init__(self, url: str, form: str, options: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        # The address, which may hold a password, stands in no list of processes.
        self.write(json.dumps({"url": url, "format": form, "options": options}).encode() + b"\n")

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:
        """Hand on. Raises OSError, with the program's last words, once it has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(piece)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise OSError(self.last_words() or str(error)) from error
        return len(piece)

    def last_words(self) -> str:
        """Return what it said as it failed."""
        assert self._process.stderr is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(FINISH_S)
            return self._process.stderr.read().decode(errors="replace").strip()[-200:]
        return ""

    def close(self) -> None:
        """Let it finish; by force when it takes too long. Raises OSError when it failed."""
        assert self._process.stdin is not None
        try:
            with suppress(OSError):
                self._process.stdin.close()
            said = self.last_words()
            if self._process.poll():
                raise OSError(said or "it ended early")
        finally:
            self.kill()

    def kill(self) -> None:
        """End it now. Twice does no harm."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def push(source: BinaryIO) -> None:
    """Copy the packets of `source` to the place that its first line names."""
    import av

    where: dict[str, Any] = json.loads(source.readline())
    quick = {"probesize": "4096", "analyzeduration": "0", "fpsprobesize": "0"}
    with (
        av.open(source, "r", format=PIPE_FORMAT, options=quick) as given,
        av.open(where["url"], "w", format=where["format"], options=where["options"]) as target,
    ):
        streams = {one.index: target.add_stream_from_template(one) for one in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)


if __name__ == "__main__":
    try:
        push(sys.stdin.buffer)
    except Exception as error:
        print(getattr(error, "strerror", None) or error, file=sys.stderr)
        sys.exit(1)
