"""Frames from a camera plugged into this machine, by OpenCV (V4L2, AVFoundation, Media Foundation)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from realtime.core.clock import NS_PER_S, Clock, MonotonicClock
from realtime.core.errors import MediaError, SourceClosed, UnsupportedMedia
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.media import fit

from .base import OnAudio, OnFrame, ThreadedSource


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...
    def set(self, prop: int, value: float) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


Opener = Callable[[int | str], Capture]


def _open(device: int | str) -> Capture:
    return cv2.VideoCapture(device)


def refusal(device: int | str, present: Sequence[str], *, readable: bool = True) -> MediaError:
    """Say why a camera could not be opened: `present` lists the devices that this machine has."""
    path = f"/dev/video{device}" if isinstance(device, int) and sys.platform == "linux" else str(device)
    if not readable:
        return SourceClosed(
            f"Camera {device} was denied: {path} may not be opened by this user.",
            hint="Join the group that owns it (often: sudo usermod -aG video $USER) and log in again.",
        )
    if sys.platform == "linux" and path not in present:
        seen = ", ".join(present) if present else "none"
        return SourceClosed(
            f"There is no camera {device}. Cameras seen: {seen}.",
            hint="Plug one in, choose another number, or use the test pattern or a file.",
        )
    return SourceClosed(
        f"Camera {device} does not open.",
        hint="Another program may be using it, or access was denied: close that program or allow camera "
        "access in the system's privacy settings, then try again.",
    )


class CameraSource(ThreadedSource):
    """Read camera `device` (a number, or a path such as /dev/video2).

    `size_px` cuts the centre square and resizes it; without it frames have the camera's own size.
    """

    def __init__(
        self,
        device: int | str = 0,
        *,
        width_px: int = 640,
        height_px: int = 480,
        rate_hz: float = 30.0,
        size_px: int | None = None,
        name: str = "camera",
        clock: Clock | None = None,
        opener: Opener = _open,
    ) -> None:
        super().__init__(name, clock or MonotonicClock())
        self._device = device
        self._wish = (width_px, height_px, rate_hz)
        self._size_px = size_px
        self._opener = opener

    def _deliver(self, on_frame: OnFrame, on_audio: OnAudio | None) -> None:
        capture = self._opener(self._device)
        try:
            if not capture.isOpened():
                raise self._refusal()
            for prop, value in zip(
                (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS),
                self._wish,
                strict=True,
            ):
                capture.set(prop, value)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the fourth newest
            self._read(capture, on_frame)
        finally:
            capture.release()

    def _read(self, capture: Capture, on_frame: OnFrame) -> None:
        begin_ns = self._clock.now_ns()
        seq, last = 0, -1
        while not self._stopping.is_set():
            good, bgr = capture.read()
            now_ns = self._clock.now_ns()
            if self._stopping.is_set():
                return
            if not good or bgr is None:
                if seq == 0:
                    raise SourceClosed(
                        f"Camera {self._device} opened but gives no picture.",
                        hint="Another program may be using it: close that program, or replug the camera.",
                    )
                raise SourceClosed(
                    f"Camera {self._device} stopped after {seq} pictures: it was unplugged or switched off.",
                    hint="Plug it in again and start anew.",
                )
            if bgr.dtype != np.uint8 or bgr.ndim not in (2, 3):
                raise UnsupportedMedia(
                    f"Camera {self._device} gives {bgr.dtype} pictures of shape {bgr.shape}, not colour.",
                    hint="Choose another camera; depth and infrared sensors have numbers of their own.",
                )
            code = cv2.COLOR_GRAY2RGB if bgr.ndim == 2 else cv2.COLOR_BGR2RGB
            if self._size_px is not None:
                bgr = fit(bgr, self._size_px, self._size_px)
            rgb = np.asarray(cv2.cvtColor(bgr, code), np.uint8)
            last = max(last + 1, round((now_ns - begin_ns) / NS_PER_S / VIDEO_CLOCK))
            on_frame(Frame(Stamp(self.name, seq, last, VIDEO_CLOCK, now_ns), rgb))
            seq += 1

    def _refusal(self) -> MediaError:
        present = sorted(str(path) for path in Path("/dev").glob("video*")) if sys.platform == "linux" else []
        path = f"/dev/video{self._device}" if isinstance(self._device, int) else self._device
        readable = path not in present or os.access(path, os.R_OK | os.W_OK)
        return refusal(self._device, present, readable=readable)
