"""Pictures with clear licences, cropped, aged like a webcam and painted by every look.

Writes three arrays below the work folder, memory-mapped so that a small machine can train from them:
`source_N3` what a camera would see (sometimes noisy or soft), `target_NL3` the CLEAN crop painted by each look
(index 0 is the clean crop itself), `held_M3` test pictures that no training step reads. Training from a noisy
source to a clean target is what makes the painter steadier than its input. DATA.md lists every file.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from training.painter.styles import STYLES

SIZE = 256
"""Edge of a stored crop, px."""
WORK = Path(__file__).resolve().parents[1] / "_work"
"""Downloads, arrays, checkpoints; ignored by git."""
LOOKS = list(STYLES)

_LOMIRI, _PALAPELI, _OPENCV = "/usr/share/backgrounds", "/usr/share/palapeli/collection", "/usr/share/doc/opencv-doc/examples"

TRAIN: dict[str, int] = {
    **{f"{_LOMIRI}/{n}.jpg": 3 for n in (
        "Picture_0B_by_freespace", "Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi",
        "friends_by_Aitzol_Berasategi", "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi",
        "seeding_by_Clements_Engelhardt", "sunset_by_Aitzol_Berasategi")},
    f"{_LOMIRI}/umang_by_Abhishek_Mudgal.jpg": 1,
    **{f"{_PALAPELI}/{n}.jpg": 3 for n in ("cincinnati-bridge", "citrus-fruits", "european-honey-bee")},
    **{f"face_recognition:{n}.jpg": 9 for n in ("biden", "obama", "obama2", "obama3")},
    **{f"skimage:{n}": 1 for n in ("brick.png", "grass.png", "gravel.png", "ihc.png", "hubble_deep_field.jpg",
                                   "moon.png", "logo.png")},
    **{f"{_OPENCV}/data/{n}": 2 for n in (
        "aloeL.jpg", "apple.jpg", "basketball1.png", "basketball2.png", "board.jpg", "building.jpg", "butterfly.jpg",
        "chicky_512.png", "fruits.jpg", "graf1.png", "home.jpg", "left.jpg", "leuvenA.jpg", "leuvenB.jpg",
        "orange.jpg", "right.jpg", "rubberwhale1.png", "smarties.png", "squirrel_cls.jpg", "stuff.jpg")},
    **{f"{_OPENCV}/data/{n}": 1 for n in (
        "aero1.jpg", "aero3.jpg", "blox.jpg", "box_in_scene.png", "ela_modified.jpg", "ela_original.jpg", "graf3.png",
        "sudoku.png", "HappyFish.jpg", "Blender_Suzanne1.jpg", "Blender_Suzanne2.jpg", "left05.jpg", "right12.jpg",
        "text_defocus.jpg", "cards.png", "ml.png")},
    **{f"{_OPENCV}/hfs/data/{n}.jpg": 2 for n in ("000", "001", "002")},
    "synthetic:shapes": 14,
}  # fmt: skip
"""Training pictures and how often each is drawn, relative to the others."""

HELD_OUT: tuple[str, ...] = (
    "skimage:astronaut.png", "matplotlib:grace_hopper.jpg", "skimage:chelsea.png", "skimage:coffee.png",
    "sklearn:china.jpg", "skimage:rocket.jpg", "sklearn:flower.jpg", "skimage:camera.png",
    "skimage:motorcycle_left.png", "skimage:coins.png", "skimage:retina.jpg", "skimage:page.png",
)  # fmt: skip
"""Test pictures, never trained on; all come with pip install scikit-image scikit-learn matplotlib."""

_PLACES = {
    "skimage": ("skimage", "data"),
    "sklearn": ("sklearn", "datasets/images"),
    "matplotlib": ("matplotlib", "mpl-data/sample_data"),
}
_FACES = "face_recognition-1.3.0/tests/test_images"


def fetch(work: Path = WORK) -> None:
    """Download the two packages that are read without being installed: their pictures only are unpacked."""
    into = work / "downloads"
    into.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(into)]
    subprocess.run([*pip, "--no-binary", ":all:", "--no-build-isolation", "face_recognition==1.3.0"], check=True)
    subprocess.run([*pip, "matplotlib==3.11.2"], check=True)
    with tarfile.open(next(into.glob("face_recognition*.gz"))) as tar:
        tar.extractall(into, filter="data")
    with zipfile.ZipFile(next(into.glob("matplotlib*.whl"))) as wheel:
        wheel.extractall(into, [n for n in wheel.namelist() if "sample_data/" in n])


def find(name: str, work: Path = WORK) -> Path:
    """Return the file behind a picture's name; FileNotFoundError says which package brings it."""
    package, _, file = name.rpartition(":")
    if not package:
        path = Path(name)
    elif package == "face_recognition":
        path = work / "downloads" / _FACES / file
    else:
        module, folder = _PLACES[package]
        spec = importlib.util.find_spec(module)
        root = Path(spec.origin).parent if spec and spec.origin else work / "downloads" / module
        path = root / folder / file
    if not path.is_file():
        raise FileNotFoundError(f"{name}: not at {path}; DATA.md says which package brings it")
    return path


def read(name: str, longest_px: int = 1600, work: Path = WORK) -> np.ndarray:
    """Read a picture as rgb_HW3 uint8, shrunk to at most `longest_px`."""
    bgr = cv2.imread(str(find(name, work)), cv2.IMREAD_COLOR)
    scale = longest_px / max(bgr.shape[:2])
    if scale < 1:
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def square(rgb_HW3: np.ndarray, size_px: int = SIZE) -> np.ndarray:
    """Return the centre square (upper for portraits) at `size_px`."""
    h, w = rgb_HW3.shape[:2]
    side = min(h, w)
    top, left = (h - side) // (2 if w >= h else 6), (w - side) // 2
    return cv2.resize(rgb_HW3[top : top + side, left : left + side], (size_px, size_px), interpolation=cv2.INTER_AREA)


def held_out(size_px: int = SIZE, count: int | None = None) -> np.ndarray:
    """Return the test pictures, (M, size, size, 3) uint8, in the order of HELD_OUT."""
    return np.stack([square(read(n), size_px) for n in HELD_OUT[:count]])


def shapes(rng: np.random.Generator, size_px: int = 512) -> np.ndarray:
    """Draw a random scene of gradients, discs, polygons and lines: flat areas and clean edges."""
    corner = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    img = cv2.resize(corner, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    for _ in range(rng.integers(4, 16)):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        points = rng.integers(0, size_px, (rng.integers(3, 6), 2)).astype(np.int32)
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(img, tuple(map(int, points[0])), int(rng.integers(8, size_px // 4)), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.fillPoly(img, [points], colour, cv2.LINE_AA)
        elif kind == 2:
            cv2.polylines(img, [points], False, colour, int(rng.integers(1, 14)), cv2.LINE_AA)
        else:
            cv2.ellipse(img, tuple(map(int, points[0])), tuple(map(int, points[1] // 4 + 4)), int(rng.integers(360)),
                        0, 360, colour, -1, cv2.LINE_AA)  # fmt: skip
    if rng.random() < 0.5:
        img = cv2.GaussianBlur(img, (0, 0), float(rng.uniform(0.5, 6)))
    return img


def crop(rgb_HW3: np.ndarray, rng: np.random.Generator, size_px: int = SIZE) -> np.ndarray:
    """Cut a random square of 30 to 100 % of the short side, flip it, and change light and colour."""
    h, w = rgb_HW3.shape[:2]
    side = int(min(h, w) * rng.uniform(0.3, 1.0) ** 0.8)
    top, left = rng.integers(0, h - side + 1), rng.integers(0, w - side + 1)
    cut = rgb_HW3[top : top + side, left : left + side]
    cut = cv2.resize(cut, (size_px, size_px), interpolation=cv2.INTER_AREA if side > size_px else cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    x = cut.astype(np.float32) / 255
    if rng.random() < 0.75:
        x = np.clip(x, 0, 1) ** rng.uniform(0.65, 1.5)
        x = (x - 0.5) * rng.uniform(0.7, 1.25) + 0.5 + rng.uniform(-0.12, 0.12)
        x = x * rng.uniform(0.84, 1.16, 3).astype(np.float32)
        grey = x.mean(-1, keepdims=True)
        x = grey + (x - grey) * rng.uniform(0.4, 1.5)
    if rng.random() < 0.1:
        x = x[..., rng.permutation(3)]
    return np.ascontiguousarray((np.clip(x, 0, 1) * 255).astype(np.uint8))


def webcam(rgb_HW3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Age a clean crop like a cheap camera: soft focus, sensor noise, compression; half stay clean."""
    out = rgb_HW3
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.1)))
    if rng.random() < 0.35:
        noise = rng.normal(0, rng.uniform(2, 8), out.shape)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 90))])
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return out


def open_arrays(work: Path = WORK, mode: str = "r") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (source_N, target_NL, held_M), each (..., 256, 256, 3) uint8; the first two memory-mapped."""
    return tuple(np.load(work / f"{n}.npy", mmap_mode=None if n == "held" else mode) for n in ("source", "target", "held"))


def _fill(job: tuple[Path, int, int, str]) -> int:
    work, start, stop, _ = job
    cv2.setNumThreads(1)
    source, target = (np.load(work / f"{n}.npy", mmap_mode="r+") for n in ("source", "target"))
    names, weights = list(TRAIN), np.array(list(TRAIN.values()), float)
    pictures: dict[str, np.ndarray] = {}
    for i in range(start, stop):
        rng = np.random.default_rng(1000 + i)
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        if name == "synthetic:shapes":
            whole = shapes(rng)
        else:
            if name not in pictures:
                pictures[name] = read(name, work=work)
            whole = pictures[name]
        clean = crop(whole, rng)
        source[i] = webcam(clean, rng)
        for k, look in enumerate(LOOKS):
            target[i, k] = STYLES[look](clean)
    return stop - start


def build(count: int, processes: int, work: Path = WORK) -> None:
    """Write the arrays for `count` crops."""
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "held.npy", held_out())
    for name, shape in (("source", (count, SIZE, SIZE, 3)), ("target", (count, len(LOOKS), SIZE, SIZE, 3))):
        np.lib.format.open_memmap(work / f"{name}.npy", "w+", np.uint8, shape).flush()
    jobs = [(work, a, min(a + 25, count), "") for a in range(0, count, 25)]
    with get_context("spawn").Pool(processes) as pool:  # OpenCV threads do not survive a fork
        done = 0
        for n in pool.imap_unordered(_fill, jobs):
            done += n
            print(f"{done}/{count} crops", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("fetch", "build"))
    parser.add_argument("--count", type=int, default=1500, help="number of crops (4 MB each with all looks)")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    fetch() if args.step == "fetch" else build(args.count, args.processes)


if __name__ == "__main__":
    main()
