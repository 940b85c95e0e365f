"""Kinds are compared as a person means them."""

from __future__ import annotations

import numpy as np

from perception.kinds import are_of, kinds_of, picked
from tests.perception.overlay.scenes import make_things


def test_case_and_spaces_do_not_matter() -> None:
    assert kinds_of(" Person ,traffic   LIGHT,, ") == {"person", "traffic light"}
    assert kinds_of(" , ") == frozenset()


def test_no_kinds_are_all_kinds() -> None:
    things = make_things([(0, 0, 1, 1)] * 3, kinds=[0, 1, 2])
    assert are_of(things, frozenset()).all()
    assert are_of(things, kinds_of("CAR, face")).tolist() == [False, True, True]
    assert are_of(make_things([]), kinds_of("car")).shape == (0,)


def test_what_is_picked_keeps_its_numbers() -> None:
    things = make_things([(0, 0, 1, 1)] * 3, ids=[4, 5, 6])
    assert picked(things, np.array([True, False, True])).ids_N.tolist() == [4, 6]
