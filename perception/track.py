"""Follow things from picture to picture, however far apart the pictures are.

`docs/decisions/0011-our-own-tracker.md` says why no library stands here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .forecast import Drift, Forecast, after, drift_of
from .kalman import HABITS, Bank, Beliefs, Habit, Numbers
from .match import Places, pairs
from .scene import Detections, seconds
from .tracks import Patience, Tracks

TRIED = 5
"""What was seen so often tells how far to believe each filter about what is new."""


class Tracker:
    """Follow the things of one stream. One thread at a time; what it returns may go to any."""

    def __init__(self, habits: Sequence[Habit] = HABITS, patience: Patience | None = None) -> None:
        self._bank = Bank(habits)
        self._usual_M4 = self._bank.even_M4
        self._patience = patience or Patience()
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget all things: after a cut, or with another picture size. Numbers are not given again."""
        self._tracks = self._begun(np.zeros((0, 4)), _NONE, 0)
        self._at_ns: int | None = None
        self._interval_s = 0.0
        self._names: tuple[str, ...] = ()
        self._size_px: tuple[int, int] | None = None

    def update(
        self,
        detections: Detections,
        at_ns: int,
        *,
        camera: Numbers | None = None,
        size_px: tuple[int, int] | None = None,
    ) -> Forecast:
        """Take what was seen and return how things move from there.

        `at_ns` is the moment for which the boxes hold. `camera` (2, 3) takes points of the picture of the
        last update to where they are in this one, in shares. `size_px`, width and height, tells the ratio of
        the sides, 16:9 if it is not given. With another size, or other names, all is forgotten.
        """
        if self._names != detections.names:
            self._usual_M4 = self._bank.even_M4
        if (self._size_px, self._names) != (size_px, detections.names):
            self.reset()
            self._size_px, self._names = size_px, detections.names
        span_s = seconds(self._at_ns, at_ns) if self._at_ns is not None else 0.0
        self._interval_s = abs(span_s) or self._interval_s
        self._at_ns = at_ns
        drift = self._advance(span_s, camera)
        seen, detections = self._measured(detections)
        self._take(seen, detections, at_ns)
        return self._forecast(at_ns, drift)

    @property
    def aspect(self) -> float:
        """Width by height of the picture."""
        return self._size_px[0] / self._size_px[1] if self._size_px else 16 / 9

    def _advance(self, span_s: float, camera: Numbers | None) -> Drift | None:
        tracks = self._tracks
        tracks.beliefs = self._bank.advance(tracks.beliefs, span_s)
        if camera is None or not np.isfinite(camera).all() or np.linalg.det(camera[:, :2]) <= 0:
            return None
        wide = np.array([self.aspect, 1.0])
        moved = np.asarray(camera, np.float64) * wide[:, None] / np.append(wide, 1.0)
        growth = np.sqrt(np.linalg.det(moved[:, :2]))
        means = tracks.beliefs.means_NM43
        means[:, :, :2] = np.einsum("ij,nmjk->nmik", moved[:, :2], means[:, :, :2])
        means[:, :, :2, 0] += moved[:, 2]
        means[:, :, 2:] *= growth
        tracks.beliefs.spread_NM433[:] *= growth**2
        return drift_of(moved, span_s)

    def _measured(self, detections: Detections) -> tuple[Numbers, Detections]:
        """Return middles and sides in heights, and the detections without what is no box."""
        boxes = detections.xyxy_N4.astype(np.float64)
        with np.errstate(invalid="ignore"):
            sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        sound &= np.isfinite(detections.scores_N)
        if not sound.all():
            boxes = boxes[sound]
            detections = _part(detections, sound)
        boxes = boxes * np.array([self.aspect, 1.0, self.aspect, 1.0])
        middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        return np.concatenate([middle, sides], axis=1), detections

    def _take(self, seen_M4: Numbers, detections: Detections, at_ns: int) -> None:
        tracks = self._tracks
        expected, variance = self._bank.expected(tracks.beliefs)
        known, boxes = pairs(expected, variance, tracks.kinds_N, seen_M4, detections.kinds_N)
        before = Beliefs(*(one[known] for one in tracks.beliefs))
        for held, now in zip(tracks.beliefs, self._bank.correct(before, seen_M4[boxes]), strict=True):
            held[known] = now
        self._vote(known, detections.kinds_N[boxes], detections.scores_N[boxes])
        tracks.scores_N[known] = detections.scores_N[boxes]
        tracks.times_missed_N += 1
        tracks.times_missed_N[known] = 0
        tracks.times_seen_N[known] += 1
        tracks.seen_N_ns[known] = at_ns
        patience = self._patience
        long_s = max(patience.remembered_s, patience.rests * self._interval_s)
        if not len(known) and len(seen_M4) and np.count_nonzero(tracks.times_missed_N == 1) > 1:
            long_s = -1.0  # all gone at once and others there: a cut
        often = (tracks.times_seen_N >= patience.least_seen) & (after(at_ns, -long_s) <= tracks.seen_N_ns)
        if (tried := tracks.times_seen_N >= TRIED).any():
            self._usual_M4 = tracks.beliefs.weights_NM4[tried].mean(axis=0)
        new = np.ones(len(seen_M4), bool)
        new[boxes] = False
        fresh = self._begun(seen_M4[new], _part(detections, new), at_ns)
        self._tracks = tracks.kept((tracks.times_missed_N == 0) | often).joined(fresh)

    def _vote(self, tracks: Places, kinds: Places, scores: npt.NDArray[np.float32]) -> None:
        """Let a track have the kind that most say, by score; the last few count."""
        of = self._tracks
        same = of.kinds_N[tracks] == kinds
        votes = np.minimum(of.votes_N[tracks] + np.where(same, scores, -scores), 3.0)
        of.kinds_N[tracks] = np.where(votes < 0, kinds, of.kinds_N[tracks])
        of.votes_N[tracks] = np.abs(votes)

    def _begun(self, seen_N4: Numbers, detections: Detections, at_ns: int) -> Tracks:
        count = len(seen_N4)
        ids = np.arange(self._next_id, self._next_id + count, dtype=np.int64)
        self._next_id += count
        return Tracks(
            self._bank.begin(seen_N4, self._usual_M4),
            ids,
            detections.scores_N.astype(np.float32),
            detections.kinds_N.astype(np.int64),
            detections.scores_N.astype(np.float64),
            np.ones(count, np.int64),
            np.zeros(count, np.int64),
            np.full(count, at_ns, np.int64),
        )

    def _forecast(self, at_ns: int, drift: Drift | None) -> Forecast:
        tracks, patience = self._tracks, self._patience
        silence_s = max(patience.silence_s, patience.rests * self._interval_s)
        until = np.where(
            tracks.times_missed_N == 0,
            after(at_ns, silence_s),
            np.minimum(tracks.seen_N_ns + after(0, patience.shown_s), after(at_ns, silence_s)),
        )
        return Forecast(
            at_ns,
            tracks.beliefs.mean_N43(),
            tracks.ids_N.copy(),
            (tracks.scores_N * patience.fading**tracks.times_missed_N).astype(np.float32),
            tracks.kinds_N.copy(),
            until,
            self._names,
            self.aspect,
            drift,
        )


def _part(detections: Detections, which: npt.NDArray[np.bool_]) -> Detections:
    return Detections(
        detections.xyxy_N4[which],
        detections.scores_N[which],
        detections.kinds_N[which],
        detections.names,
        detections.ahead_s,
    )


_NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())
