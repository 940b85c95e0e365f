"""Stages of one group share a call: the same results, fair turns, and each keeps its own faults."""

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.core.frame import Frame
from realtime.core.lane import Lane
from realtime.core.seat import ERRORS_TO_SWITCH_OFF
from realtime.core.stage import Emitted
from tests.realtime.core.place import Place, seqs
from tests.realtime.core.stages import AFTER_COUNT, CALLS, JOINT, SPEC, Delay, Faulty
from tests.vocabulary import PATIENCE_S, timeless


@settings(timeless, max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 1), max_size=6)), min_size=2, max_size=4)
)
def test_together_gives_what_each_alone_gives(sessions: list[tuple[int, list[int]]]) -> None:
    """Sessions of different depth and length, two groups: the same results as one by one."""
    given_alone, given_joint = [], []
    for spec, given_all in [(SPEC, given_alone), (JOINT, given_joint)]:
        lane = Lane("paint")
        places = []
        for number, (behind, samples) in enumerate(sessions):
            place = Place(Delay(behind), spec)
            place.stage.group = number % 2
            place.feed(*range(len(samples)))
            places.append(place)
        lane.attach(*(place.seat for place in places))
        given_all += [[(r.stamp, r.value.pixels.tobytes()) for r in place.settle(lane)] for place in places]
        assert lane.close(PATIENCE_S)
    assert given_joint == given_alone
    assert [len(one) for one in given_joint] == [len(samples) for _, samples in sessions]


def test_only_one_group_shares_a_call_and_none_means_alone(lane: Lane) -> None:
    CALLS.clear()
    groups = {"a": 1, "b": 1, "c": 2, "d": None, "e": None}
    places = []
    for name, group in groups.items():
        place = Place(Delay(name=name), JOINT)
        place.stage.group = group
        place.feed(0, 1)
        places.append(place)
    lane.attach(*(place.seat for place in places))
    assert all(seqs(place.settle(lane)) == [0, 1] for place in places)
    assert CALLS
    assert {name for call in CALLS for name, _ in call} == {"a", "b"}
    assert CALLS[0] == [("a", 0), ("b", 0)]


def test_a_group_does_not_take_the_turns_of_others(lane: Lane) -> None:
    order: list[str] = []

    class Noting(Delay):
        def step(self, item: Frame | None) -> list[Emitted]:
            if item is not None:
                order.append(self.name)
            return super().step(item)

    places = [Place(Noting(name=name), JOINT if name != "x" else SPEC) for name in "abx"]
    for place in places:
        place.stage.group = 1
        place.feed(*range(4))
    lane.attach(*(place.seat for place in places))
    for place in places:
        place.settle(lane)
    assert order == [*"abx" * 4]


def test_in_a_shared_call_a_fault_stays_with_the_session_that_has_it(lane: Lane) -> None:
    bad, good = Place(Faulty("all"), JOINT), Place(Delay(), JOINT)
    for place in (bad, good):
        place.stage.group = 1
        place.feed(*range(ERRORS_TO_SWITCH_OFF + 10))
    lane.attach(bad.seat, good.seat)
    ill, well = bad.settle(lane), good.settle(lane)
    assert sum(r.error is not None for r in ill) == ERRORS_TO_SWITCH_OFF
    assert sum(r.error is not None for r in well) == 1  # the one call that they shared
    assert len(ill) == len(well) == ERRORS_TO_SWITCH_OFF + 10
    assert len(bad.told) == 1
    assert good.told == []


def test_the_wrong_spec_is_not_mistaken_for_a_group() -> None:
    one, two = Place(Delay(), JOINT), Place(Delay(), AFTER_COUNT)
    one.stage.group = two.stage.group = 1
    one.feed(0)
    assert not one.seat.may_join(two.seat)
    assert one.seat.may_join(one.seat)
