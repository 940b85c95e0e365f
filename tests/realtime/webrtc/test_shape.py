"""Size and rate follow the bit rate: down at once, up slowly; a picture of any size keeps its proportions."""

from itertools import pairwise

import pytest

from realtime.webrtc.shape import STEPS, UP_AFTER_S, Shaper

WIDTH, HEIGHT = 640, 480


def test_enough_bits_leave_the_picture_alone() -> None:
    shaper = Shaper()
    step = shaper.choose(2_000_000, WIDTH, HEIGHT, 30, 0.0)
    assert step.size_px(WIDTH, HEIGHT) == (WIDTH, HEIGHT)
    assert shaper.choose(300_000, 256, 256, 30, 0.1).size_px(256, 256) == (256, 256)


def test_it_goes_down_at_once_as_far_as_it_must() -> None:
    shaper = Shaper()
    sizes = [
        shaper.choose(bits, WIDTH, HEIGHT, 30, 0.0).size_px(WIDTH, HEIGHT)
        for bits in (600_000, 400_000, 200_000, 50_000)
    ]
    assert sizes[0] == (640, 480)
    assert sizes[1][0] < 640
    assert sizes == sorted(sizes, reverse=True)
    assert shaper.step.most_hz < 30


def test_it_goes_up_step_by_step_once_there_was_room_for_a_while() -> None:
    shaper = Shaper()
    shaper.choose(50_000, WIDTH, HEIGHT, 30, 0.0)
    low = STEPS.index(shaper.step)
    seen = [STEPS.index(shaper.choose(3_000_000, WIDTH, HEIGHT, 30, tenth / 10)) for tenth in range(300)]
    assert seen[int(UP_AFTER_S * 10) - 1] == low
    assert all(before - after in (0, 1) for before, after in pairwise(seen))
    assert seen[-1] == 0


def test_a_rate_at_the_edge_does_not_make_it_swing() -> None:
    shaper = Shaper()
    needs = WIDTH * HEIGHT * 30 * 0.06
    steps = {
        shaper.choose(needs * (0.95 if tenth % 2 else 1.05), WIDTH, HEIGHT, 30, tenth / 10)
        for tenth in range(200)
    }
    assert len(steps) <= 2  # from the first to the second, and it stays there


def test_few_pictures_a_second_need_fewer_bits() -> None:
    assert Shaper().choose(200_000, WIDTH, HEIGHT, 8, 0.0) is STEPS[0]


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1280, 720), (256, 256), (100, 80), (322, 242)])
@pytest.mark.parametrize("step", STEPS)
def test_sides_are_even_and_in_proportion(size: tuple[int, int], step) -> None:
    width, height = step.size_px(*size)
    assert width <= size[0]
    assert height <= size[1]
    assert width % 2 == 0
    assert height % 2 == 0
    assert width / height == pytest.approx(size[0] / size[1], rel=0.25)
