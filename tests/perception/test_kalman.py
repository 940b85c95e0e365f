"""The filters: their sums agree with integrals, and the one that suits is believed."""

from __future__ import annotations

import numpy as np
import pytest

from perception.kalman import HABITS, MEMORY_S, Bank, Beliefs, transition_33, wander_33


def followed(path_T: np.ndarray, noise: float, step_s: float = 1 / 30) -> Beliefs:
    """Follow one thing along the middle's x."""
    bank, draw = Bank(), np.random.default_rng(0)
    seen = [np.array([[x, 0.5, 0.2, 0.2]]) + draw.normal(0, noise, (1, 4)) for x in path_T]
    beliefs = bank.begin(seen[0], bank.even_M4)
    for one in seen[1:]:
        beliefs = bank.correct(bank.advance(beliefs, step_s), one)
    return beliefs


def believed(beliefs: Beliefs) -> dict[str, float]:
    """Return how far the rough and the agile are believed about the middle."""
    weights = beliefs.weights_NM4[0, :, 0]
    rough = [one.side_off == max(h.side_off for h in HABITS) for one in HABITS]
    agile = [one.swerve == max(h.swerve for h in HABITS) for one in HABITS]
    return {"rough": float(weights[rough].sum()), "agile": float(weights[agile].sum())}


@pytest.mark.parametrize("span_s", [0.0, 1e-4, 1 / 30, 0.4, 3.0, -0.2])
def test_two_steps_are_one_of_both_lengths_and_wandering_adds_up(span_s: float) -> None:
    half = transition_33(span_s / 2)
    assert half @ half == pytest.approx(transition_33(span_s), abs=1e-12)
    twice = half @ wander_33(span_s / 2) @ half.T + wander_33(span_s / 2)
    if span_s >= 0:
        assert twice == pytest.approx(wander_33(span_s), rel=1e-5, abs=1e-15)
    assert np.linalg.eigvalsh(wander_33(span_s)).min() > -1e-12


def test_what_swerves_forever_has_the_acceleration_that_its_habit_says() -> None:
    spread = np.zeros((3, 3))
    for _ in range(300):
        step = transition_33(0.1 * MEMORY_S)
        spread = step @ spread @ step.T + wander_33(0.1 * MEMORY_S)
    assert spread[2, 2] == pytest.approx(1.0, rel=1e-6)


def test_the_filter_that_suits_is_believed() -> None:
    frames = np.arange(60)
    calm = believed(followed(0.3 + 0.004 * frames, 0.001))
    waving = believed(followed(0.5 + 0.15 * np.sin(frames * 0.25), 0.001))
    blurred = believed(followed(0.3 + 0.004 * frames, 0.012))
    assert calm["agile"] < 0.1 < 0.9 < waving["agile"]
    assert calm["rough"] < 0.2 < 0.8 < blurred["rough"]


def test_weights_are_whole_and_no_filter_is_given_up() -> None:
    weights = followed(0.5 + 0.2 * np.sin(np.arange(100) * 0.5), 0.001).weights_NM4
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert weights.min() > 0
