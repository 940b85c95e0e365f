"""How windows of T frames lie on a film: chunk by chunk for files, or one further for each live frame.

Chunks share one frame, so each pair is seen once and T - 1 flows come at once, T - 1 frames late. Live
windows end with the newest frame, whose flow alone is kept: no delay, and (T - 1) times the work, of which a
warm start takes rounds off. Nothing here holds a state of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from realtime.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from .model import Flows

Frame = TypeVar("Frame")


@dataclass(frozen=True, slots=True)
class Window(Generic[Frame]):
    """Hold the frames that go into the network at once, and say which of its flows are new."""

    first: int
    """Number of its first frame in the film, from 0."""
    frames: tuple[Frame, ...]
    fresh: range
    """Which of its pairs no window before held: pair k leads from frame first + k to the next one."""


def chunks(frames: Iterable[Frame], length: int) -> Iterator[Window[Frame]]:
    """Cut a film into windows of `length` frames such that each pair is fresh once, in order.

    The last window is shifted back to be full; a film that is shorter than a window is filled with copies of
    its last frame. Holds one window at a time. Raises ConfigError for a length below 2.
    """
    if length < 2:
        raise ConfigError(f"A window needs 2 frames or more, got {length}.")
    held: list[Frame] = []
    fresh = count = 0
    for frame in frames:
        held = [*held, frame][-length:]
        count += 1
        fresh += count > 1
        if fresh == length - 1:
            yield Window(count - length, tuple(held), range(length - 1))
            fresh = 0
    if fresh == 0:
        return
    if count < length:
        held += held[-1:] * (length - count)
        yield Window(0, tuple(held), range(fresh))
    else:
        yield Window(count - length, tuple(held), range(length - 1 - fresh, length - 1))


Flowing = Callable[["Tensor", "Tensor | None"], "Flows"]
"""Frames (1, T, 3, H, W) and what to begin with (1, S, 2, h, w) or None, to flows: the network."""


def chunked(frames: Iterable[Tensor], length: int, flowing: Flowing) -> Iterator[Tensor]:
    """Yield the flow (2, H, W) of each pair of a film of frames (3, H, W), each pair seen once."""
    import torch

    for window in chunks(frames, length):
        found = flowing(torch.stack(window.frames)[None], None).pixels_BS2HW[0]
        yield from found[window.fresh.start : window.fresh.stop].clone()  # an engine writes there again


@dataclass(frozen=True, slots=True)
class Live:
    """Hold what a live stream knows: its last frames and the flows between them. Begin anew with `Live()`."""

    frames: tuple[Tensor, ...] = ()
    """The newest last, (3, H, W) each."""
    cells_1S2HW: Tensor | None = None


def stepped(
    state: Live, frame_3HW: Tensor, length: int, flowing: Flowing, *, is_warm: bool = True
) -> tuple[Live, Tensor | None]:
    """Return what is known after one more frame, and the flow (2, H, W) that leads to it.

    The first frame has none, nor has one of another size, which begins anew. See `onward`.
    """
    if not state.frames or state.frames[-1].shape != frame_3HW.shape:
        return Live((frame_3HW,)), None
    state, flows = onward(state, (frame_3HW,), length, flowing, is_warm=is_warm)
    return state, flows[-1]


def onward(
    state: Live,
    frames_3HW: Sequence[Tensor],
    length: int,
    flowing: Flowing,
    *,
    is_warm: bool = True,
    is_back: bool = False,
) -> tuple[Live, Tensor]:
    """Return what is known after `length` - 1 more frames or fewer, and the flow of each new pair, one run.

    Flows are (K, 2, H, W), the oldest pair first; `is_back`: from each pair's later frame to the earlier one,
    by a window that goes back in time. `state` holds a frame at least. A young stream is filled up with
    copies of its first frame. Without `is_warm` each window begins with no motion.
    """
    import torch

    from .warm import started

    fresh = len(frames_3HW)
    known = (*state.frames, *frames_3HW)[-length:]
    frames = torch.stack((known[0],) * (length - len(known)) + known)[None]
    before = state.cells_1S2HW if is_warm else None
    start = None if before is None else started(before, fresh, is_back=is_back)
    found = flowing(frames.flip(1) if is_back else frames, start)
    flows = found.pixels_BS2HW[0].flip(0) if is_back else found.pixels_BS2HW[0]
    # An engine writes to the same memory again.
    return Live(known, found.cells_BS2HW.clone()), flows[-fresh:].clone()


def live(
    frames: Iterable[Tensor], length: int, flowing: Flowing, *, is_warm: bool = True
) -> Iterator[Tensor | None]:
    """Yield, for each frame (3, H, W), the flow (2, H, W) that leads to it; see `stepped`."""
    state = Live()
    for frame in frames:
        state, flow = stepped(state, frame, length, flowing, is_warm=is_warm)
        yield flow
