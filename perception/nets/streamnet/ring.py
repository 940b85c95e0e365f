"""The maps of a stream's last frames, so that each frame is encoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from torch import Tensor

from .backbone import Pyramid
from .model import StreamDetector


class FeatureRing:
    """Hold the maps of one stream, newest last. A stream begins with copies of its first frame."""

    def __init__(self, past: int, longest_step: int = 4) -> None:
        self._past = past
        self._longest = longest_step
        self._held: deque[Pyramid] = deque(maxlen=past * longest_step)

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Forget the stream: after a cut, a seek or a change of size."""
        self._held.clear()

    def before(self, now: Pyramid, step: int = 1) -> list[Pyramid]:
        """Return the maps `step`, 2 `step` ... frames before the current one, newest first.

        Where the stream is younger than that, the oldest maps stand in; at its start the current ones.
        """
        if not 1 <= step <= self._longest:
            raise ValueError(f"step = {step} lies outside 1 to {self._longest}")
        held = (*self._held, now)
        return [held[max(len(held) - 1 - step * k, 0)] for k in range(1, self._past + 1)]

    def push(self, now: Pyramid) -> None:
        """Keep the maps of the current frame."""
        self._held.append(now)


def stepped(
    model: StreamDetector,
    ring: FeatureRing,
    picture_B3HW: Tensor,
    step: int = 1,
    encode: Callable[[Tensor], Pyramid] | None = None,
) -> Tensor:
    """Take one frame of a stream: encode it, predict `step` frames ahead, keep its maps; raw rows."""
    now = (encode or model.encode)(picture_B3HW)
    if len(ring) and ring.before(now)[0].p3.shape != now.p3.shape:
        ring.clear()
    rows = model.predict(now, ring.before(now, step))
    ring.push(now)
    return rows
