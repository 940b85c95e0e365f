"""What int8 is calibrated with, and that pictures painted so stay near those in fp32."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from pipelines.diffusion import calibration
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.loader import load_painter, read_material
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.pictures import Pixels, square
from pipelines.diffusion.stream_batch import StreamBatch, tick
from pipelines.diffusion.wish import Wish
from pipelines.models.store import locate
from realtime.core.errors import ModelError
from tests import tiny

SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_folder(tmp_path_factory.mktemp("calibrated") / "tiny", "painter")


def test_the_pictures_are_real_and_the_same_each_time(folder: Path) -> None:
    pictures = calibration.sample_pictures(folder, SIDE)
    assert len(pictures) == calibration.SAMPLES
    assert all(one.shape == (SIDE, SIDE, 3) and one.dtype == np.uint8 for one in pictures)
    again = calibration.sample_pictures(folder, SIDE)
    assert all(np.array_equal(one, other) for one, other in zip(pictures, again, strict=True))
    assert np.mean([one.std() for one in pictures]) > 20, "not flat"
    assert len({one.tobytes() for one in pictures}) == len(pictures)


def test_a_model_may_bring_its_own(tmp_path: Path) -> None:
    (tmp_path / "calibration").mkdir()
    red = np.zeros((90, 120, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "calibration" / "a.png"), red)
    pictures = calibration.sample_pictures(tmp_path, SIDE, count=2)
    assert [one[5, 5].tolist() for one in pictures] == [[200, 0, 0]] * 2
    (tmp_path / "calibration" / "a.png").write_bytes(b"torn")
    calibration._read.cache_clear()
    with pytest.raises(ModelError, match="cannot be read"):
        calibration.sample_pictures(tmp_path, SIDE)


def test_samples_are_what_the_networks_see_while_painting(folder: Path) -> None:
    material = read_material(folder, size_px=SIDE)
    encoder, decoder = (material.networks[name] for name in ("encoder", "decoder"))
    assert material.networks["unet"].calibration is None
    assert encoder.calibration is not None
    assert decoder.calibration is not None
    pictures, latents = list(encoder.calibration()), list(decoder.calibration())
    assert len(pictures) == len(latents) == calibration.SAMPLES
    for sample in (pictures[0], latents[0]):
        assert all(value.isfinite().all() for value in sample.values())
    assert pictures[0]["pixels"].shape == (1, SIDE, SIDE, 3)
    assert pictures[0]["pixels"].dtype == torch.uint8
    assert pictures[0]["pixels"].float().std() > 20, "not flat"
    assert latents[0]["latent"].shape == (1, 32, SIDE // 8, SIDE // 8)
    assert encoder.shown is not None
    with torch.inference_mode():
        assert encoder.shown(latents[0]["latent"]).shape == (1, SIDE, SIDE, 3)
    assert pictures[0]["pixels"] is next(iter(encoder.calibration()))["pixels"], "painted once"


def painted(painter: Painter, photo: Pixels, prompt: str) -> Pixels:
    batch = StreamBatch()
    with torch.inference_mode():
        latent = painter.encode([square(photo, painter.size_px)]).clone()
        words = painter.book.words(prompt, "")
        batch.admit(
            painter.start(
                None,  # type: ignore[arg-type] # nobody asks when it was taken
                "test",
                latent,
                words,
                Wish(),
                Guidance(),
            )
        )
        (due,) = batch.due()
        tick(painter, [batch])
        return painter.decode(due.latent_1CHW)[0]


def psnr_db(one: Pixels, other: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "least_db"), [pytest.param("auto", 43.0, marks=pytest.mark.nightly), ("int8", 38.0)]
)
def test_pictures_stay_near_those_in_full_precision(precision: str, least_db: float) -> None:
    folder, said = Path(locate("painter")), []
    full = load_painter(folder, engine="openvino", precision="fp32")
    other = load_painter(folder, engine="openvino", precision=precision, report=said.append)
    photos = [np.ascontiguousarray(photo()) for photo in (data.astronaut, data.coffee, data.chelsea)]
    prompts = ("photo", "watercolor painting", "cartoon", "pixel art")
    found = [psnr_db(painted(full, p, words), painted(other, p, words)) for p in photos for words in prompts]
    assert np.mean(found) > least_db
    if precision == "int8":
        assert np.mean(found) < 60, "it would not be int8"
        assert [engine.info.precision for engine in other.engines][::2] == ["int8", "int8"]
        assert other.engines.unet.info.precision in ("bf16", "fp32")
        assert any("the UNet is not" in sentence for sentence in said)
