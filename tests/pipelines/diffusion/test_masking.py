"""A mask on the embedded painter: the picture stays outside, is painted inside, and no seam lies between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from pipelines.diffusion import masking
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.pictures import square
from pipelines.diffusion.stage import PaintStage
from pipelines.diffusion.stream_batch import StreamBatch, advance, tick
from pipelines.diffusion.trajectory import Trajectory, joined, reached
from pipelines.diffusion.wish import Wish
from realtime.core.errors import ConfigError
from realtime.core.frame import Frame
from realtime.core.stage import StageContext
from tests.pipelines.diffusion.vocabulary import ATOL, Oracle, picture, stamp

MODEL = Path(__file__).parents[3] / "models" / "painter"
SIDE = 256
PHOTO = square(skimage.data.astronaut(), SIDE)
FEATHER = 16
REACH = 40
"""Pixels over which the autoencoder's decoder carries a change."""
Load = Callable[..., tuple[Painter, Oracle]]


def half(split: int = SIDE // 2) -> np.ndarray:
    """Return a mask whose right side is white."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, split:] = 255
    return mask


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one.astype(float) - other) ** 2))
    return 10 * np.log10(255**2 / max(error, 1e-9))


class Easel:
    """Paint the photograph with the embedded model, loaded once."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.reports: list[str] = []

    def shared(self, key: str, make: Any) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def stage(self, **wish: Any) -> PaintStage:
        stage = PaintStage()
        plain = {"model": str(MODEL), "engine": "torch", "precision": "fp32", "prompt": "blueprint"}
        stage.configure(PaintConfig(**{**plain, "mask_feather_px": FEATHER, **wish}))
        stage.open(StageContext(shared=self.shared, report=self.reports.append))
        return stage

    def paint(self, maps: Mapping[str, np.ndarray] | None = None, **wish: Any) -> np.ndarray:
        stage = self.stage(**wish)
        out = list(stage.process(Frame(stamp(0), PHOTO, maps or {})))
        while not out:
            out += stage.process(None)
        return out[0].value.pixels

    def round_trip(self) -> np.ndarray:
        """Return what the autoencoder alone makes of the photograph."""
        painter = next(iter(self.made.values()))
        with torch.inference_mode():
            return painter.decode(painter.encode([PHOTO]))[0]


@pytest.fixture(scope="module")
def easel() -> Easel:
    return Easel()


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_outside_stays_as_the_autoencoder_has_it_and_inside_is_painted(easel: Easel, steps: int) -> None:
    full = easel.paint(steps=steps)
    masked = easel.paint({"mask": half()}, mask="mask", steps=steps)
    plain = easel.round_trip()
    outside, inside = slice(0, SIDE // 2 - FEATHER), slice(SIDE // 2 + FEATHER + REACH, SIDE)
    assert psnr(masked[:, outside], plain[:, outside]) >= 40
    assert psnr(full[:, outside], plain[:, outside]) < 20  # without the mask it would be painted
    assert psnr(masked[:, inside], full[:, inside]) >= 35
    assert psnr(masked[:, inside], plain[:, inside]) < 20


def test_it_can_paint_outside_instead(easel: Easel) -> None:
    one = easel.paint({"mask": half()}, mask="mask", mask_paints="outside")
    other = easel.paint({"mask": 255 - half()}, mask="mask")
    assert psnr(one, other) > 60
    assert psnr(one, easel.paint({"mask": half()}, mask="mask")) < 20


def steepest(pixels: np.ndarray, columns: slice) -> float:
    """Return the largest change from a column to the next, in grey levels, averaged over the rows."""
    rows = pixels.astype(float).mean(2)[:, columns]
    return float(np.abs(np.diff(rows.mean(0))).max())


def test_the_feather_has_no_seam(easel: Easel) -> None:
    full, plain = easel.paint(), easel.round_trip()
    band = slice(SIDE // 2 - 2 * FEATHER, SIDE // 2 + 2 * FEATHER)
    soft = easel.paint({"mask": half()}, mask="mask", mask_feather_px=FEATHER)
    hard = easel.paint({"mask": half()}, mask="mask", mask_feather_px=0)
    natural = max(steepest(full, band), steepest(plain, band))
    gap = np.abs(full.astype(float) - plain)[:, band].mean()
    assert gap > 30  # there is an edge to be hidden
    bound = natural + gap / FEATHER  # the photograph's own edges, and the gap drawn out over the feather
    assert steepest(soft, band) <= bound
    assert steepest(hard, band) > 1.2 * bound


def test_a_weaker_strength_outside_lies_between(easel: Easel) -> None:
    plain = easel.round_trip()
    outside = slice(0, SIDE // 2 - FEATHER - REACH)
    away = [
        np.abs(
            easel.paint({"mask": half()}, mask="mask", mask_outside_strength=share)[:, outside].astype(float)
            - plain[:, outside]
        ).mean()
        for share in (0.0, 0.4, 1.0)
    ]
    assert away[0] < 1
    assert away[0] + 5 < away[1] < away[2] - 5


def test_a_live_mask_moves_with_the_frames(easel: Easel) -> None:
    stage = easel.stage(mask="mask", steps=2)
    splits = [64, 128, 192]
    out = [
        e
        for seq, split in enumerate(splits)
        for e in stage.process(Frame(stamp(seq), PHOTO, {"mask": half(split)}))
    ]
    while more := stage.process(None):
        out += more
    plain = easel.round_trip()
    assert [e.stamp.seq for e in out] == [0, 1, 2]
    for split, one in zip(splits, out, strict=True):
        assert psnr(one.value.pixels[:, : split - FEATHER], plain[:, : split - FEATHER]) >= 40
        assert psnr(one.value.pixels[:, split + FEATHER :], plain[:, split + FEATHER :]) < 20


def test_a_frame_without_the_map_is_told_once_and_painted_whole(easel: Easel) -> None:
    easel.reports.clear()
    stage = easel.stage(mask="mask")
    for seq in range(3):
        (out,) = stage.process(Frame(stamp(seq), PHOTO))
    told = [one for one in easel.reports if 'no stage made a map "mask"' in one.lower()]
    assert len(told) == 1
    assert psnr(out.value.pixels, easel.paint()) > 60


def test_a_mask_from_a_file_and_one_that_is_none(easel: Easel, tmp_path: Path) -> None:
    file, text = tmp_path / "mask.png", tmp_path / "text.png"
    cv2.imwrite(str(file), half())
    text.write_text("no picture", encoding="utf-8")
    assert psnr(easel.paint(mask=str(file)), easel.paint({"mask": half()}, mask="mask")) > 60
    with pytest.raises(ConfigError, match="is no picture"):
        masking.mask_of(str(text), {})
    with pytest.raises(ConfigError, match="cannot be read"):
        masking.mask_of(str(tmp_path / "none.png"), {})
    with pytest.raises(ConfigError, match="motion"):
        masking.mask_of("flow", {"flow": np.zeros((4, 4, 2), np.float32)})


def test_the_feather_ends_where_it_should_and_has_no_kink() -> None:
    soft = masking.feathered(half().astype(np.float32) / 255, FEATHER)[7]
    assert soft[: SIDE // 2 - FEATHER].max() == 0
    assert soft[SIDE // 2 + FEATHER :].min() == pytest.approx(1, abs=1e-6)
    steps = np.diff(soft)
    assert steps.min() > -1e-6
    assert steps.max() <= 1.1 / FEATHER
    assert np.abs(np.diff(steps)).max() < 1.5 / FEATHER**2


def test_a_cell_joins_when_the_level_has_fallen_to_its_strength(painter_of: Load) -> None:
    first, second, last = painter_of("sd")[0].levels.schedule(3, 0.6)
    cells = torch.tensor([0.0, second.t / first.t + 1e-4, 0.99, 1.0]).reshape(1, 1, 1, 4)
    assert joined(cells, first, first).flatten().tolist() == [0, 0, 0, 1]
    assert joined(cells, first, second).flatten().tolist() == [0, 1, 1, 1]
    assert reached(cells, first, last).flatten().tolist() == [0, 1, 1, 1]
    assert torch.allclose(reached(cells, first, first), cells)  # one step: mixed


def begun(painter: Painter, seq: int, steps: int, cells: torch.Tensor | None, sampler: str) -> Trajectory:
    return painter.start(
        stamp(seq),
        "one",
        painter.encode([picture(seq)]),
        painter.book.words("oil", ""),
        Wish(steps, 0.6, sampler=sampler),
        Guidance(),
        cells_11HW=cells,
    )


@pytest.mark.parametrize("sampler", ["lcm", "tcd", "ddim"])
def test_a_stream_with_masks_equals_each_frame_alone(painter_of: Load, sampler: str) -> None:
    painter, _ = painter_of("sd")
    draw = torch.Generator().manual_seed(5)
    masks = [None, *(torch.rand((1, 1, 8, 8), generator=draw).round(decimals=1) for _ in range(4))]
    batch, out = StreamBatch(), []
    for seq, cells in enumerate(masks):
        batch.admit(begun(painter, seq, 1 + seq % 3, cells, sampler))
        out += tick(painter, [batch])[0]
    while batch:
        out += tick(painter, [batch])[0]
    assert [one.stamp.seq for one in out] == [0, 1, 2, 3, 4]
    for seq, (cells, one) in enumerate(zip(masks, out, strict=True)):
        alone = begun(painter, seq, 1 + seq % 3, cells, sampler)
        while not alone.is_finished:
            advance(painter, [alone])
        assert float((one.latent_1CHW - alone.latent_1CHW).abs().max()) < ATOL
        if cells is not None:
            unmasked = begun(painter, seq, 1 + seq % 3, None, sampler)
            while not unmasked.is_finished:
                advance(painter, [unmasked])
            assert float((one.latent_1CHW - unmasked.latent_1CHW).abs().max()) > 100 * ATOL


@pytest.mark.parametrize("sampler", ["lcm", "tcd", "ddim"])
def test_what_is_kept_is_the_reference_at_the_noise_of_each_step(painter_of: Load, sampler: str) -> None:
    painter, _ = painter_of("sd")
    cells = torch.zeros(1, 1, 8, 8)
    cells[..., 4:] = 1
    one = begun(painter, 1, 3, cells, sampler)
    while not one.is_finished:
        if sampler != "tcd":  # whose noise is a mixture of the first and fresh ones
            noise = one.noise_NCHW[:1] if sampler == "ddim" else one.noise_NCHW[one.index : one.index + 1]
            kept = one.step.a * one.reference_1CHW + one.step.b * noise
            assert float((one.latent_1CHW - kept)[..., :4].abs().max()) < ATOL
        advance(painter, [one])
    assert torch.equal(one.latent_1CHW[..., :4], one.reference_1CHW[..., :4])
    assert float((one.latent_1CHW - one.reference_1CHW)[..., 4:].abs().mean()) > 0.1


@pytest.mark.parametrize("kind", ["painter", "sd"])
def test_where_a_mask_does_not_paint_nothing_of_an_earlier_picture_is_left(
    painter_of: Load, kind: str
) -> None:
    painter, _ = painter_of(kind)
    reference = painter.encode([picture(1)])
    before = torch.randn(reference.shape, generator=torch.Generator().manual_seed(6))
    cells = torch.zeros(1, 1, 8, 8)
    cells[..., 4:] = 1
    one = painter.start(
        stamp(1), "one", reference, painter.book.words("oil", ""), Wish(2, 0.6), Guidance(),
        painted=0.6, kept_1CHW=before, cells_11HW=cells,
    )  # fmt: skip
    whole = painter.start(
        stamp(1), "one", reference, painter.book.words("oil", ""), Wish(2, 0.6), Guidance(),
        painted=0.6, kept_1CHW=before,
    )  # fmt: skip
    for frame in (one, whole):
        while not frame.is_finished:
            advance(painter, [frame])
    assert torch.equal(one.latent_1CHW[..., :4], reference[..., :4])
    if kind == "painter":  # steps of a translator see no mask: inside it is what it would be without
        assert float((one.latent_1CHW - whole.latent_1CHW)[..., 4:].abs().max()) < ATOL
