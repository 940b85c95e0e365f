"""Tensors that grow along one axis without ever changing what somebody has been given."""

from __future__ import annotations

import math
import mmap

import torch

MAPPED_BYTES = 1 << 18
"""From this size on a tensor has pages of its own."""


def roomy(shape: list[int], like: torch.Tensor) -> torch.Tensor:
    """Return an empty tensor of `like`'s type, on its device.

    A large one on the CPU is mapped from the system: what nobody has written takes no memory, and all of it
    goes back with the tensor. From the heap, which keeps what was freed, each move would leave a hole.
    """
    size = math.prod(shape) * like.element_size()
    if like.device.type != "cpu" or size < MAPPED_BYTES:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    own = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    return torch.frombuffer(mmap.mmap(-1, size, **own), dtype=like.dtype).view(shape)


class Grown:
    """Append to a tensor and drop from it; what `now` returned stays as it was.

    Rows are written behind those that were given out. When there is no room, what is kept moves to a new
    tensor and the old one is left to those who hold it. So each row is copied a bounded number of times, and
    memory is at most about four times what is kept.
    """

    def __init__(self, axis: int, room: int = 0) -> None:
        self._axis, self._room = axis, room
        self._all: torch.Tensor | None = None
        self._begin = self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def now(self) -> torch.Tensor:
        """Return all rows, as a view that later changes leave alone. Raises LookupError before the first."""
        if self._all is None:
            raise LookupError("nothing was appended yet")
        return self._all.narrow(self._axis, self._begin, len(self))

    def append(self, rows: torch.Tensor) -> None:
        """Add rows at the end."""
        count = rows.shape[self._axis]
        if self._all is None or self._end + count > self._all.shape[self._axis]:
            self._move(rows)
        assert self._all is not None
        self._all.narrow(self._axis, self._end, count).copy_(rows)
        self._end += count

    def drop_first(self, count: int) -> None:
        """Leave out the oldest rows."""
        self._begin = min(self._begin + count, self._end)

    def keep(self, chosen_N: torch.Tensor) -> None:
        """Keep the rows that a mask names, and no others."""
        if self._all is not None and not bool(chosen_N.all()):
            kept = self.now.index_select(self._axis, chosen_N.nonzero()[:, 0].to(self._all.device))
            self._all, self._begin, self._end = None, 0, 0
            if kept.shape[self._axis]:
                self.append(kept)
            else:
                self._move(kept)

    def _move(self, rows: torch.Tensor) -> None:
        shape = list(rows.shape)
        shape[self._axis] = max(2 * (len(self) + rows.shape[self._axis]), self._room)
        larger = roomy(shape, rows)
        if self._all is not None and len(self):
            larger.narrow(self._axis, 0, len(self)).copy_(self.now)
        self._begin, self._end = 0, len(self)
        self._all = larger
