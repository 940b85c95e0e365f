"""A mask from a file: a picture, or a video that is shown at the stream's own time, again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realtime.core.errors import ConfigError

Mask = npt.NDArray[np.uint8]
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class MaskFile:
    """Give the mask of a moment. Raises ConfigError for a file that is neither picture nor video."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._video: Any = None
        self._shown: Mask | None = None
        self._index = -1
        """Number of the video's frame that is shown."""
        self._begin_s: float | None = None
        if not path.is_file():
            raise ConfigError(f"The mask {path} is not there.", hint="Name a picture or a video.")
        if path.suffix.lower() in PICTURES:
            read: Any = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
            if read is None:
                raise ConfigError(f"The mask {path} is no picture.", hint="Use a PNG.")
            self._shown = np.asarray(read, np.uint8)
            return
        self._video = cv2.VideoCapture(str(path))
        self._count = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._rate_hz = float(self._video.get(cv2.CAP_PROP_FPS))
        if self._video.isOpened() and self._count >= 1 and self._rate_hz > 0:
            self._show(0.0)
            self.rewind()
        if self._shown is None:
            self._video.release()
            raise ConfigError(f"The mask {path} is no video that can be read.", hint="Use a PNG or an MP4.")

    def at(self, time_s: float, height_px: int, width_px: int) -> Mask:
        """Return the mask at a stream's time, (height_px, width_px): the file drawn out over the view."""
        if self._video is not None:
            self._show(time_s)
        assert self._shown is not None  # a picture was read, and a video shows its first frame
        size = (width_px, height_px)
        return np.asarray(cv2.resize(self._shown, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def rewind(self) -> None:
        """Begin the video with the next moment."""
        self._begin_s = None

    def close(self) -> None:
        """Close the file. Twice does no harm."""
        if self._video is not None:
            self._video.release()

    def _show(self, time_s: float) -> None:
        if self._begin_s is None:
            self._begin_s = time_s
        index = int((time_s - self._begin_s) * self._rate_hz + 1e-6) % self._count
        if index < self._index:
            self._video.set(cv2.CAP_PROP_POS_FRAMES, 0)
            self._index = -1
        while self._index < index:
            is_read, picture = self._video.read()
            if not is_read:  # the header promised more than there is
                self._count = max(self._index + 1, 1)
                return
            self._index += 1
            self._shown = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
