"""Boxes and points seen in one picture lie at the same spot of its centred part, whatever the sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.scene import in_view, points_in_view
from tests.perception.overlay.scenes import make_things
from tests.vocabulary import timeless

SIDES = st.integers(16, 2000)


@timeless
@given(seen=st.tuples(SIDES, SIDES), shown=st.tuples(SIDES, SIDES), x=st.floats(0, 1), y=st.floats(0, 1))
def test_a_point_stays_where_it_is_on_the_screen(
    seen: tuple[int, int], shown: tuple[int, int], x: float, y: float
) -> None:
    (at,) = points_in_view(np.array([[x, y]], np.float32), seen, shown)
    scale = max(shown[0] / seen[0], shown[1] / seen[1])  # the centred part fills what is shown
    middle = (np.array([x, y]) - 0.5) * seen * scale / shown + 0.5
    assert at == pytest.approx(middle, abs=0.011 * max(1, abs(middle).max()))  # 1 % of sides is rounding


def test_boxes_and_speeds_go_with_the_points() -> None:
    things = make_things([(0.5, 0.25, 0.75, 0.5)], velocity=[[0.3, 0.3]])
    shown = in_view(things, (640, 480), (256, 256))
    corners = points_in_view(things.xyxy_N4.reshape(-1, 2), (640, 480), (256, 256))
    assert shown.xyxy_N4.reshape(-1, 2) == pytest.approx(corners)
    assert shown.velocity_N2[0] == pytest.approx([0.4, 0.3])
    assert in_view(things, (640, 480), (320, 240)) is things
