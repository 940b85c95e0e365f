"""A clip of real photographs with stated boxes: a portrait swings and zooms over a ground that pans.

Where the person and the face are in the portrait was read off once, so where they are in each picture follows
from how it was moved, to a fraction of a pixel. The clip is encoded and decoded as a camera's would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perception.metrics.world import annotation

Pixels = npt.NDArray[np.uint8]
SIZE_PX = (640, 360)
FPS = 30
BOXES = {"person": (22.0, 16.0, 366.0, 512.0), "face": (178.0, 76.0, 276.0, 188.0)}
"""In `skimage.data.astronaut`, px."""


@dataclass(frozen=True, slots=True)
class Swing:
    """Say how one portrait moves: its left upper corner and its scale by the number of the picture."""

    left: float
    top: float
    reach: tuple[float, float]
    rate: tuple[float, float]
    """Radians a picture."""
    scale: float

    def matrix(self, frame: float) -> npt.NDArray[np.float64]:
        """Return what takes points of the portrait to points of the picture, (2, 3)."""
        scale = self.scale * (1 + 0.12 * np.sin(frame / 17))
        left = self.left + self.reach[0] * np.sin(self.rate[0] * frame)
        top = self.top + self.reach[1] * np.cos(self.rate[1] * frame)
        return np.array([[scale, 0.0, left], [0.0, scale, top]])

    def box(self, name: str, frame: float) -> npt.NDArray[np.float64]:
        """Return where the person or the face is, px."""
        corners = np.array(BOXES[name]).reshape(2, 2)
        matrix = self.matrix(frame)
        return np.asarray(corners @ matrix[:, :2].T + matrix[:, 2]).reshape(4)


SWINGS = {
    "person": (
        Swing(70.0, 50.0, (60.0, 28.0), (0.13, 0.09), 0.42),
        Swing(420.0, 90.0, (40.0, 60.0), (0.17, 0.11), 0.30),
    ),
    "face": (Swing(110.0, -40.0, (90.0, 35.0), (0.1, 0.07), 1.1),),
}
"""As fast as 9 px from picture to picture. A face is large: face detectors see what is near the camera."""


def picture(name: str, frame: float) -> Pixels:
    """Return a picture with the portraits that show persons or a face."""
    from skimage.data import astronaut, gravel

    ground = cv2.cvtColor(np.asarray(gravel(), np.uint8), cv2.COLOR_GRAY2RGB)
    pan = np.array([[1.4, 0, -40 - 1.5 * frame], [0, 1.4, -30.0]])
    drawn = cv2.warpAffine(ground, pan, SIZE_PX, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    for swing in SWINGS[name]:
        portrait = cv2.GaussianBlur(astronaut(), (0, 0), max(0.4 / swing.scale, 0.1))
        matrix = swing.matrix(frame)
        cv2.warpAffine(portrait, matrix, SIZE_PX, drawn, cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    return np.asarray(drawn, np.uint8)


def encode(path: Path, name: str, frames: int) -> None:
    """Write the clip."""
    import av

    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=FPS, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuv420p"
        for frame in range(frames):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture(name, frame), format="rgb24")))
        file.mux(stream.encode(None))


def decode(path: Path) -> list[Pixels]:
    """Return the pictures of a clip, (H, W, 3) RGB."""
    import av

    with av.open(str(path)) as file:
        return [np.asarray(one.to_ndarray(format="rgb24"), np.uint8) for one in file.decode(video=0)]


def truth(name: str, frames: int) -> dict[str, Any]:
    """Return the boxes of all persons or faces in COCO's format."""
    width, height = SIZE_PX
    images = [
        {"id": k + 1, "sid": 0, "fid": k, "width": width, "height": height, "name": f"{k:04}.jpg"}
        for k in range(frames)
    ]
    boxes: list[dict[str, Any]] = []
    for k in range(frames):
        boxes += [
            annotation(len(boxes) + j + 1, k + 1, 1, one.box(name, k)) for j, one in enumerate(SWINGS[name])
        ]
    return {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 1, "name": name}],
        "sequences": ["clip"],
    }
