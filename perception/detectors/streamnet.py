"""DAMO-StreamNet as a detector of one stream: each frame is encoded once, and what is told is the future.

Its boxes hold `ahead_s` after the picture was taken. How far that is follows the delay which `expect` hears:
see `horizon`. The networks are shared, the ring of past frames is the stream's own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perception.scene import Detections
from pipelines.engines.base import Report
from realtime.core.clock import NS_PER_S

from .base import DetectorInfo, Pixels
from .horizon import LONGEST, horizon
from .streamnet_rows import boxes_in, fitted, net_size

if TYPE_CHECKING:
    from perception.nets.streamnet.backbone import Pyramid
    from perception.nets.streamnet.model import DamoStreamNet

ID = "streamnet"
PREFIX = f"{ID}:"
"""Before the path of a published checkpoint."""
PUBLISHED_PX = 960
"""Longest side that the published checkpoints were trained at."""
LONGEST_GAP_S = 1.0
"""Pictures further apart tell nothing of how things move: the stream begins anew."""
USUAL = (16, 9)


class StreamNets:
    """Run both networks. Any number of streams and threads: each call waits for the one before it."""

    def __init__(
        self, model: DamoStreamNet, digest: str, longest_px: int, engine: str, precision: str, report: Report
    ) -> None:
        """Make the engines. Raises EngineError when the one that was asked for cannot run it."""
        from perception.nets.streamnet.networks import examples, stream_networks
        from pipelines.engines.choose import choose

        self.past, self.longest_px = model.past, longest_px
        see, foresee = stream_networks(model, digest)
        width, height = net_size(*USUAL, longest_px)[1]
        picture, maps = examples(model, height, width)
        how: Any = {"wanted": engine, "precision": precision, "report": report}
        self._see = choose(see, example=picture, **how)
        self._foresee = choose(foresee, example=maps, **how)
        self._lock = threading.Lock()
        """Held for one run, until what was found is copied: an engine writes to the same memory again."""

    @property
    def says(self) -> str:
        """What runs it, in two words: "openvino fp32"."""
        return f"{self._see.info.backend} {self._see.info.precision}"

    def encode(self, picture_13HW: np.ndarray) -> Pyramid:
        """Return the maps of a frame, the caller's own."""
        import torch

        from perception.nets.streamnet.backbone import Pyramid
        from perception.nets.streamnet.networks import NOW

        with self._lock:
            found = self._see.run(picture=torch.from_numpy(picture_13HW))
            return Pyramid(*(found[name].clone() for name in NOW))

    def predict(self, now: Pyramid, before: Sequence[Pyramid]) -> np.ndarray:
        """Return the head's raw rows, (A, 5 + classes), the caller's own."""
        from perception.nets.streamnet.networks import named

        with self._lock:
            rows = self._foresee.run(**named(now, before))["rows"]
            return np.array(rows[0].float().cpu().numpy())

    def close(self) -> None:
        """Give the memory back."""
        self._see.close()
        self._foresee.close()


class StreamNetDetector:
    """Foresee where things will be in the pictures of one stream."""

    def __init__(self, nets: StreamNets, info: DetectorInfo) -> None:
        from perception.nets.streamnet.ring import FeatureRing

        self.info = info
        self._nets = nets
        self._ring = FeatureRing(nets.past, LONGEST)
        self._times_ns: deque[int] = deque(maxlen=nets.past * LONGEST + 1)
        self._size_px = (0, 0)
        self._delay_s: float | None = None

    def detect(self, pixels: Pixels, captured_ns: int, *, least_score: float, most: int) -> Detections:
        size_px = pixels.shape[1], pixels.shape[0]
        if size_px != self._size_px or self._is_torn(captured_ns):
            self.reset()
        self._size_px = size_px
        self._times_ns.append(captured_ns)
        picture, inner_px = fitted(pixels, self._nets.longest_px)
        now = self._nets.encode(picture)
        step, ahead_s = horizon(self._times_ns, self._delay_s, self._nets.past)
        before = self._ring.before(now, step) if step else [now] * self._nets.past
        self._ring.push(now)
        rows = self._nets.predict(now, before)
        outer_px = picture.shape[3], picture.shape[2]
        boxes, scores, kinds = boxes_in(rows, outer_px, inner_px, least_score, most)
        return Detections(boxes, scores, kinds, self.info.names, ahead_s)

    def expect(self, delay_s: float) -> None:
        self._delay_s = max(delay_s, 0.0)

    def reset(self) -> None:
        self._ring.clear()
        self._times_ns.clear()

    def close(self) -> None:
        self.reset()

    def _is_torn(self, captured_ns: int) -> bool:
        """Tell whether this picture does not follow the one before: a seek back, or a long gap."""
        if not self._times_ns:
            return False
        gap_s = (captured_ns - self._times_ns[-1]) / NS_PER_S
        return not 0 < gap_s <= LONGEST_GAP_S


def load_streamnet(
    shared: Callable[[str, Callable[[], Any]], Any],
    engine: str = "auto",
    report: Report = lambda sentence: None,
    *,
    model: str = ID,
    precision: str = "auto",
    why: str = "",
) -> StreamNetDetector:
    """Return the detector of one stream, on shared engines.

    `model` is "streamnet", ours, or "streamnet:" and the path of a published checkpoint that a person has.
    Raises ModelMissing, ModelCorrupt or ModelError for weights that are not there or do not fit, EngineError
    when the engine that was asked for cannot run them.
    """
    from perception.nets.streamnet.weights import ROAD, digest_of, from_checkpoint, from_folder

    if model.startswith(PREFIX):
        path = Path(model.removeprefix(PREFIX)).expanduser()
        names, title = ROAD, f"DAMO-StreamNet ({path.name})"

        def read() -> tuple[DamoStreamNet, str, int]:
            return from_checkpoint(path), digest_of(path), PUBLISHED_PX

    else:
        from pipelines.models.store import digest, locate

        path = locate(ID)
        config = from_folder_config(path)
        names, title = tuple(config["names"]), config["title"]

        def read() -> tuple[DamoStreamNet, str, int]:
            return from_folder(path)[0], digest(path), int(config["longest_px"])

    def make() -> StreamNets:
        net, summed, longest_px = read()
        if net.classes != len(names):
            from realtime.core.errors import ModelError

            raise ModelError(f"{path} tells {net.classes} classes apart, {len(names)} were expected.")
        return StreamNets(net, summed, longest_px, engine, precision, report)

    nets = shared(f"see {path} {engine} {precision}", make)
    return StreamNetDetector(nets, DetectorInfo(model, title, names, nets.says, why))


def from_folder_config(folder: Path) -> dict[str, Any]:
    """Return what a folder of ours says of itself."""
    import json

    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config
