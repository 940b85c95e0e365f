"""Flow at the size of the latents: cut and scaled, followed, chained, checked; noise that goes along."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.diffusion.motion import chained, followed, moved_noise, to_cells, visible, warped

SIDE = 24


def flow(dx: float, dy: float, side: int = SIDE) -> np.ndarray:
    return np.broadcast_to(np.float32([dx, dy]), (side, side, 2)).copy()


def test_the_square_that_is_painted_is_cut_and_lengths_become_cells() -> None:
    wide = np.zeros((96, 160, 2), np.float32)
    wide[:, 32:128] = (8.0, -4.0)
    wide[:, :32] = 99.0
    cells = to_cells(wide, SIDE, is_length=True)
    assert cells.shape == (SIDE, SIDE, 2)
    assert np.allclose(cells, (2.0, -1.0))
    assert np.allclose(to_cells(wide[..., 0], SIDE, is_length=False), 8.0)


def test_what_is_followed_is_what_was_there() -> None:
    then = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)
    now = np.roll(then, (2, 3), (0, 1))  # everything went 3 right and 2 down
    back = followed(then, flow(-3, -2))
    assert np.allclose(back[2:, 3:], now[2:, 3:], atol=1e-5)
    latent = torch.from_numpy(then)[None, None]
    assert np.allclose(warped(latent, flow(-3, -2))[0, 0].numpy(), back, atol=1e-4)
    assert torch.allclose(warped(latent, flow(0, 0)), latent, atol=1e-5)


def test_half_a_cell_is_the_mean_of_two() -> None:
    latent = torch.arange(float(SIDE)).expand(1, 1, SIDE, SIDE)
    half = warped(latent, flow(0.5, 0.0))[0, 0]
    assert torch.allclose(half[:, :-1], latent[0, 0, :, :-1] + 0.5, atol=1e-4)


def test_ways_are_chained_in_order() -> None:
    """The earlier picture moved only in its left half, so where one comes from decides how far it went."""
    earlier = flow(0, 0)
    earlier[:, :12] = (-1.0, 0.0)
    whole = chained(flow(-6, 0), earlier)
    assert np.allclose(whole[:, 8:17], (-7.0, 0.0), atol=1e-5)
    assert np.allclose(whole[:, 19:], (-6.0, 0.0), atol=1e-5)
    assert not np.allclose(whole, chained(earlier, flow(-6, 0)))


def test_what_came_into_view_is_not_seen() -> None:
    seen = visible({}, flow(-5, 0))
    assert seen[:, 6:].all()
    assert not seen[:, :4].any()
    hidden = np.zeros((96, 96), np.float32)
    hidden[:48] = 1.0
    seen = visible({"occlusion": hidden}, flow(0, 0))
    assert not seen[:11].any()
    assert seen[13:].all()
    back = np.zeros((96, 96, 2), np.float32)
    back[:, :48] = (12.0, 0.0)  # leads elsewhere
    seen = visible({"flow_back": back}, flow(0, 0))
    assert not seen[:, :11].any()
    assert seen[:, 13:].all()
    assert visible({"flow_back": -np.full((96, 96, 2), 4.0, np.float32)}, flow(1, 1))[:-2, :-2].all()


def walk(steps: int, side: int = 64) -> np.ndarray:
    """Return the way after many pictures of a swirling, spreading motion."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    swirl = np.stack([-2.3 * y - 0.7 * x, 2.3 * x - 0.7 * y], axis=-1).astype(np.float32)
    way = np.zeros((side, side, 2), np.float32)
    for _ in range(steps):
        way = chained(swirl, way)
    return way


@pytest.mark.parametrize("steps", [1, 30, 200])
def test_moved_noise_is_still_noise(steps: int) -> None:
    noise = torch.randn((4, 8, 64, 64), generator=torch.Generator().manual_seed(0))
    moved = moved_noise(noise, walk(steps))
    assert float((walk(steps) ** 2).max()) > 1.0
    assert abs(float(moved.std()) - 1.0) < 0.03
    assert abs(float(moved.mean())) < 0.03
    assert abs(float((moved**4).mean()) - 3.0) < 0.3
    # Bilinear look-ups, the obvious way, lose variance at once.
    assert float(warped(noise[:1], flow(0.5, 0.5, 64)).std()) < 0.6


def test_whole_cells_only_reorder_the_noise() -> None:
    noise = torch.randn((1, 2, 16, 16), generator=torch.Generator().manual_seed(0))
    moved = moved_noise(noise, flow(-3, 2, 16))
    assert torch.equal(moved, noise.roll((3, -2), (3, 2)))
    assert torch.equal(moved_noise(noise, flow(0.3, -0.3, 16)), noise)
