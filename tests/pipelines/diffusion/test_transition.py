"""Changes that take time, by the frames' own clock, which may pause, jump and begin anew."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from pipelines.diffusion.embedding import Embedding, Words
from pipelines.diffusion.noise import Seeds
from pipelines.diffusion.transition import Transition


def words(value: float) -> Words:
    """Return words whose embeddings are one number, so that a mixture tells its share."""
    return Words(
        Embedding(f"{value}", torch.full((1, 1, 2), value)), Embedding("", torch.full((1, 1, 2), -value))
    )


def value(of: Words) -> float:
    assert torch.equal(of.prompt.context_1TD, -of.negative.context_1TD)  # both sides go together
    return float(of.prompt.context_1TD[0, 0, 0])


A, B, C = words(0.0), words(1.0), words(3.0)


def test_without_time_a_change_is_at_once_and_the_words_are_the_wanted_ones_themselves() -> None:
    transition = Transition()
    assert transition.words(A, 0.0, 0.0) is A
    assert transition.words(B, 0.1, 0.0) is B
    assert transition.words(A, 0.1, 0.0) is A


def test_a_change_takes_its_time_evenly_and_ends_with_the_words_themselves() -> None:
    transition = Transition()
    transition.words(A, 10.0, 2.0)
    seen = [value(transition.words(B, 10.5 + k * 0.25, 2.0)) for k in range(9)]
    assert seen == pytest.approx([k / 8 for k in range(9)], abs=1 / 32)
    assert transition.words(B, 12.6, 2.0) is B


def test_frames_of_one_share_have_one_embedding() -> None:
    """What the network computes of an embedding is kept with it: equal shares must be the same object."""
    transition = Transition()
    transition.words(A, 0.0, 60.0)
    transition.words(B, 0.0, 60.0)
    mixtures = {id(transition.words(B, 20.0 + k / 1000, 60.0)) for k in range(50)}
    assert len(mixtures) == 1


def test_a_change_on_the_way_begins_where_it_was_and_nothing_jumps() -> None:
    transition = Transition()
    transition.words(A, 0.0, 2.0)
    seen = [value(transition.words(B, k * 0.1, 2.0)) for k in range(1, 11)]
    seen += [value(transition.words(C, 1.0 + k * 0.1, 2.0)) for k in range(1, 8)]
    seen += [value(transition.words(A, 1.7 + k * 0.1, 2.0)) for k in range(1, 24)]
    assert max(abs(a - b) for a, b in pairwise(seen)) < 3 / 20 + 3 / 32  # a step of the steepest way, rounded
    assert seen[-1] == 0.0


def test_a_new_pace_acts_from_here_on_and_nothing_jumps_back() -> None:
    transition = Transition()
    transition.words(A, 0.0, 2.0)
    transition.words(B, 0.0, 2.0)
    assert value(transition.words(B, 1.0, 2.0)) == 0.5
    assert value(transition.words(B, 1.1, 60.0)) == pytest.approx(0.5, abs=1 / 32)  # slower: no way back
    assert value(transition.words(B, 7.1, 60.0)) == pytest.approx(0.6, abs=1 / 32)
    assert value(transition.words(B, 7.3, 1.0)) == pytest.approx(0.8, abs=1 / 32)
    assert transition.words(B, 7.4, 0.0) is B


def test_a_source_that_begins_anew_does_not_bring_the_old_words_back() -> None:
    transition = Transition()
    transition.words(A, 100.0, 2.0)
    transition.words(B, 100.0, 2.0)
    assert transition.words(B, 103.0, 2.0) is B
    assert transition.words(B, 0.0, 2.0) is B  # a file that is played again
    transition.words(C, 0.1, 2.0)
    assert value(transition.words(C, 1.1, 2.0)) == pytest.approx(2.0, abs=2 / 32)


def test_a_jump_back_on_the_way_only_holds_it_up() -> None:
    transition = Transition()
    transition.words(A, 50.0, 2.0)
    transition.words(B, 50.0, 2.0)
    assert value(transition.words(B, 51.0, 2.0)) == 0.5
    assert value(transition.words(B, 3.0, 2.0)) == 0.5
    assert value(transition.words(B, 3.5, 2.0)) == 0.75
    assert transition.words(B, 4.1, 2.0) is B


def test_a_long_pause_ends_a_change() -> None:
    transition = Transition()
    transition.words(A, 0.0, 5.0)
    transition.words(B, 0.0, 5.0)
    assert transition.words(B, 900.0, 5.0) is B


def test_reset_forgets_where_a_change_is() -> None:
    transition = Transition()
    transition.words(A, 0.0, 5.0)
    transition.seeds(Seeds(1), 0.0, 5.0)
    transition.words(B, 1.0, 5.0)
    transition.reset()
    assert transition.words(B, 2.0, 5.0) is B
    assert transition.seeds(Seeds(9), 2.0, 5.0) == Seeds(9, 9)


def test_a_seed_moves_to_the_next_one_in_its_time() -> None:
    transition = Transition()
    assert transition.seeds(Seeds(4), 0.0, 1.0) == Seeds(4, 4)
    seen = [transition.seeds(Seeds(7), k * 0.25, 1.0) for k in range(1, 6)]
    assert [(one.seed, one.to, one.share) for one in seen] == [
        (4, 7, 0.0), (4, 7, 0.25), (4, 7, 0.5), (4, 7, 0.75), (7, 7, 0.0)
    ]  # fmt: skip


def test_a_seed_on_its_way_turns_round_where_it_is() -> None:
    transition = Transition()
    transition.seeds(Seeds(4), 0.0, 1.0)
    transition.seeds(Seeds(7), 0.0, 1.0)
    assert transition.seeds(Seeds(7), 0.25, 1.0) == Seeds(4, 7, 0.25)
    assert transition.seeds(Seeds(4), 0.25, 1.0) == Seeds(7, 4, 0.75)  # the same point, seen from there
    assert transition.seeds(Seeds(4), 0.5, 1.0) == Seeds(4, 4)


def test_a_third_seed_begins_at_the_nearer_of_two() -> None:
    transition = Transition()
    transition.seeds(Seeds(4), 0.0, 1.0)
    transition.seeds(Seeds(7), 0.0, 1.0)
    assert transition.seeds(Seeds(9), 0.75, 1.0) == Seeds(7, 9, 0.0)
    assert transition.seeds(Seeds(11), 1.0, 1.0) == Seeds(7, 11, 0.0)


def test_a_blend_by_hand_is_taken_as_it_is() -> None:
    transition = Transition()
    transition.seeds(Seeds(4), 0.0, 10.0)
    assert transition.seeds(Seeds(7, 8, 0.3), 0.1, 10.0) == Seeds(7, 8, 0.3)
    assert transition.seeds(Seeds(7, 8, 0.4), 0.2, 10.0) == Seeds(7, 8, 0.4)
    assert transition.seeds(Seeds(7, 8, 0.0), 0.3, 10.0) == Seeds(7, 7)
