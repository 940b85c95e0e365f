"""On pictures that are shown while the detector is late, boxes and covers lie on the thing itself."""

from __future__ import annotations

from benchmarks._overlay import cover_leak, overlay_error

FRAMES = 32


def test_boxes_lie_on_what_the_picture_shows() -> None:
    error = overlay_error(FRAMES)
    assert error.with_forecast < 4
    assert error.without > 32


def test_a_cover_stays_on_a_face_that_moves() -> None:
    leak = cover_leak(FRAMES)
    assert leak.worst == 0
    assert leak.worst_without > 0.3
