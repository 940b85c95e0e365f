"""Judge the painter that ships, on pictures it never saw, and write its contact sheet, thumbnails and figures.

Everything goes through the production stage: what is judged is what a user gets, engine included. Four questions:
is each look nearer to its target than an untouched picture would be (and by how much); does somebody else tell
the looks apart (a linear classifier over hand-made texture and colour features that learnt on procedural
targets of other pictures, sharp and softened, and never met the painter); is what was in the picture still there; is a still picture
steady although its sensor is not.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.stage import PaintStage
from pipelines.models.checksums import write_checksums
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext

from training.painter.card import card
from training.painter.data import HELD_OUT, TRAIN, crop, held_out, read, shapes
from training.painter.export import MODEL
from training.painter.styles import STYLES, finish

SHEET_PICTURES = 6
FACES = 2
"""The first held-out pictures show faces."""
NOISE_LEVELS = 5.0
"""Standard deviation of the sensor noise in the steadiness check, of 255."""


class Brush:
    """Paint with the production stage; engines are made once for all prompts."""

    def __init__(self, model: str, engine: str = "auto", size_px: int = 256) -> None:
        self._model, self._engine, self._size_px = model, engine, size_px
        self._shared: dict[str, Any] = {}

    def _share(self, key: str, make: Any) -> Any:
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def paint(self, prompt: str, pictures_NHW3: Sequence[np.ndarray], steps: int = 1) -> np.ndarray:
        """Return the painted pictures, (N, size, size, 3) uint8, in order."""
        config = PaintConfig(prompt=prompt, steps=steps, model=self._model, engine=self._engine, size_px=self._size_px)  # type: ignore[arg-type]
        stage = PaintStage()
        stage.configure(config)
        stage.open(StageContext(shared=self._share))
        found: dict[int, np.ndarray] = {}
        for seq, picture in enumerate(pictures_NHW3):
            stamp = Stamp("held-out", seq, seq, Fraction(1, 30), 0)
            for out in stage.process(Frame(stamp, np.ascontiguousarray(picture))):
                found[out.stamp.seq] = out.value.pixels
        while late := stage.process(None):
            found.update({out.stamp.seq: out.value.pixels for out in late})
        stage.close()
        return np.stack([found[seq] for seq in range(len(pictures_NHW3))])


def features(rgb_HW3: np.ndarray) -> np.ndarray:
    """Describe colour and texture, not content: colour histogram, slopes, spectrum, what repeats every 16 px."""
    x = rgb_HW3.astype(np.float32) / 255
    y = x @ np.array([0.299, 0.587, 0.114], np.float32)
    bins = (rgb_HW3 // 64).astype(np.int64) @ np.array([16, 4, 1])
    colours = np.sqrt(np.bincount(bins.ravel(), minlength=64) / bins.size)
    gx, gy = np.diff(y, axis=1)[:-1], np.diff(y, axis=0)[:, :-1]
    slopes = np.histogram(np.hypot(gx, gy), bins=[0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 2])[0] / gx.size
    power = np.log(np.abs(np.fft.rfft2(y - y.mean())) + 1)
    h, w = y.shape
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])
    ring = np.minimum((radius * 48).astype(int), 33)
    spectrum = np.bincount(ring.ravel(), power.ravel(), 34) / np.bincount(ring.ravel(), minlength=34)
    cells = y[: h // 16 * 16, : w // 16 * 16].reshape(h // 16, 16, -1, 16).mean((0, 2))
    lab = cv2.cvtColor(rgb_HW3, cv2.COLOR_RGB2LAB).astype(np.float32)
    chroma = np.hypot(lab[..., 1] - 128, lab[..., 2] - 128)
    vividness = np.sqrt(np.histogram(chroma, bins=[0, 3, 6, 12, 20, 30, 45, 60, 200])[0] / chroma.size)
    light = np.sqrt(np.histogram(lab[..., 0], bins=16, range=(0, 256))[0] / chroma.size)
    grid = (cells - cells.mean()).ravel() * 4
    return np.concatenate([colours, slopes, spectrum / 4, grid, vividness, light])


def soften(rgb_HW3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture as a lossy copy might be: blurred, noisy, compressed, paler. A look survives that."""
    out = rgb_HW3
    if rng.random() < 0.8:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.8)))
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(1, 6), out.shape)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 80))])[1]
        out = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
    if rng.random() < 0.5:
        paler = (out.astype(np.float32) - 128) * rng.uniform(0.7, 1.05) + 128 + rng.uniform(-8, 8)
        out = np.clip(paler, 0, 255).astype(np.uint8)
    return out


def train_judge(looks: Sequence[str], count: int = 160) -> Any:
    """Return a classifier of looks, fitted on procedural targets of training pictures (numpy seed 7).

    Each target is shown as it is and twice softened, so that the judge knows looks, not sharpness.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(7)
    names = [name for name in TRAIN if not name.startswith("face_recognition")]
    seen, labels = [], []
    for _ in range(count):
        name = names[rng.integers(len(names))]
        clean = crop(shapes(rng) if name == "synthetic:shapes" else read(name), rng)
        for label, look in enumerate(looks):
            target = STYLES[look](clean)
            seen += [features(target), features(soften(target, rng)), features(soften(target, rng))]
            labels += [label] * 3
    judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
    return judge.fit(np.stack(seen), labels)


def structure(a_HW3: np.ndarray, b_HW3: np.ndarray, blur_px: float = 4.0) -> float:
    """Return how well the outlines of two pictures agree: correlation of blurred luma slopes, -1 to 1."""

    def slopes(rgb: np.ndarray) -> np.ndarray:
        y = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), blur_px)
        return np.hypot(cv2.Sobel(y, cv2.CV_32F, 1, 0), cv2.Sobel(y, cv2.CV_32F, 0, 1)).ravel()

    return float(np.corrcoef(slopes(a_HW3), slopes(b_HW3))[0, 1])


def steadiness(brush: Brush, prompt: str, picture: np.ndarray, count: int = 6) -> float:
    """Return the frame-to-frame change of the painted over that of a still, noisy input; below 1 is steadier."""
    rng = np.random.default_rng(3)
    noisy = [np.clip(picture + rng.normal(0, NOISE_LEVELS, picture.shape), 0, 255).astype(np.uint8) for _ in range(count)]
    painted = brush.paint(prompt, noisy).astype(np.float32)
    change = np.abs(np.diff(painted, axis=0)).mean()
    return float(change / np.abs(np.diff(np.stack(noisy).astype(np.float32), axis=0)).mean())


def sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], cell_px: int = 128) -> np.ndarray:
    """Lay rows of pictures out, two blocks side by side, each row under its title."""
    title_px = 18
    wide = cell_px * len(rows[0][1])
    drawn = []
    for title, pictures in rows:
        head = np.full((title_px, wide, 3), 250, np.uint8)
        cv2.putText(head, title, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
        cells = [cv2.resize(p, (cell_px, cell_px), interpolation=cv2.INTER_AREA) for p in pictures]
        drawn.append(np.vstack([head, np.hstack(cells)]))
    if len(drawn) % 2:
        drawn.append(np.full_like(drawn[0], 250))
    half = len(drawn) // 2
    return np.hstack([np.vstack(drawn[:half]), np.full((half * drawn[0].shape[0], 8, 3), 250, np.uint8), np.vstack(drawn[half:])])


def write_jpeg(path: Path, rgb_HW3: np.ndarray, quality: int = 88) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(rgb_HW3, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])


def told(r: dict[str, Any]) -> str:
    """Return a look's line of the table."""
    errors = f"{r['look']:11} {r['error']:6.1f} {r['nothing']:8.1f} {r['ratio']:6.2f} {r['ratio_2_steps']:7.2f}"
    judged = f"{r['told']:6.2f} ({r['told_target']:.2f}) {r['structure']:6.2f} ({r['structure_target']:.2f})"
    return f"{errors} {judged} {r['flicker']:7.2f}"


def judge_looks(brush: Brush, looks: Sequence[dict[str, Any]], pictures: np.ndarray) -> list[dict[str, Any]]:
    """Return a row of figures for each look; errors are mean absolute levels of 255."""
    judge = train_judge([item["id"] for item in looks])
    rows = []
    for label, item in enumerate(looks):
        target = np.stack([STYLES[item["id"]](p) for p in pictures])
        painted = brush.paint(item["prompt"], pictures)
        twice = brush.paint(item["prompt"], pictures, steps=2)
        seen = judge.predict(np.stack([features(p) for p in painted]))
        ideal = judge.predict(np.stack([features(p) for p in target]))
        wide = target.astype(np.float32)
        error = float(np.abs(painted - wide).mean())
        nothing = float(np.abs(pictures - wide).mean())
        rows.append({
            "look": item["id"], "title": item["title"], "prompt": item["prompt"],
            "error": error, "nothing": nothing, "ratio": error / nothing if nothing else float("nan"),
            "ratio_2_steps": float(np.abs(twice - wide).mean()) / nothing if nothing else float("nan"),
            "told": float((seen == label).mean()), "told_target": float((ideal == label).mean()),
            "structure": float(np.mean([structure(a, b) for a, b in zip(painted, pictures, strict=True)])),
            "structure_target": float(np.mean([structure(a, b) for a, b in zip(target, pictures, strict=True)])),
            "flicker": steadiness(brush, item["prompt"], pictures[0]),
            "pictures": painted,
        })  # fmt: skip
        print(told(rows[-1]), flush=True)
    return rows


def moods(brush: Brush, vocabulary: dict[str, Any], pictures: np.ndarray) -> tuple[float, float]:
    """Return the mean ratio error / do-nothing of moods over a photo, and of half-strength looks."""
    ratios = []
    for mood, words in vocabulary["moods"].items():
        want = np.stack([finish(p, p, mood) for p in pictures]).astype(np.float32)
        got = brush.paint(f"photo, {words[0]}", pictures)
        ratios.append(np.abs(got - want).mean() / np.abs(pictures - want).mean())
    half = []
    for item in vocabulary["looks"][1:]:
        want = np.stack([finish(p, STYLES[item["id"]](p), "", 0.5) for p in pictures[:3]]).astype(np.float32)
        got = brush.paint(f"slightly {item['prompt']}", pictures[:3])
        half.append(np.abs(got - want).mean() / np.abs(pictures[:3] - want).mean())
    return float(np.mean(ratios)), float(np.mean(half))


def evaluate(folder: Path = MODEL, engine: str = "auto", out: Path | None = None) -> dict[str, Any]:
    """Print the table, write sheet.jpg and looks/*.jpg into `out` and the card into `out` (None: nothing), return the summary."""
    for module in ("sklearn", "skimage"):
        importlib.import_module(module)
    vocabulary = json.loads((folder / "vitascope.json").read_text(encoding="utf-8"))
    pictures = held_out()
    brush = Brush(str(folder), engine)
    print("look         error  nothing  ratio 2 steps   told (target) structure (target) flicker")
    rows = judge_looks(brush, vocabulary["looks"], pictures)
    mood_ratio, half_ratio = moods(brush, vocabulary, pictures)
    painted = [r for r in rows if r["look"] != "photo"]
    photo = next((r["error"] for r in rows if r["look"] == "photo"), None)
    shuffled = float(
        np.mean([structure(r["pictures"][i], pictures[(i + 5) % len(pictures)]) for r in painted for i in range(len(pictures))])
    )
    summary: dict[str, Any] = {
        "looks": len(painted), "pictures": len(HELD_OUT),
        "looks_nearer_than_nothing": sum(r["ratio"] < 1 for r in painted),
        "worst_ratio": max(r["ratio"] for r in painted), "mean_ratio": float(np.mean([r["ratio"] for r in painted])),
        "mean_ratio_2_steps": float(np.mean([r["ratio_2_steps"] for r in painted])),
        "told_apart": float(np.mean([r["told"] for r in painted])),
        "told_apart_target": float(np.mean([r["told_target"] for r in painted])),
        "structure": float(np.mean([r["structure"] for r in painted])),
        "structure_target": float(np.mean([r["structure_target"] for r in painted])), "structure_wrong_picture": shuffled,
        "structure_faces": float(np.mean([structure(r["pictures"][i], pictures[i]) for r in painted for i in range(FACES)])),
        "flicker": float(np.mean([r["flicker"] for r in painted])), "photo_error": photo,
        "mood_ratio": mood_ratio, "half_strength_ratio": half_ratio,
    }  # fmt: skip
    if out is not None:
        first = [("input", pictures[:SHEET_PICTURES]), *((r["prompt"], r["pictures"][:SHEET_PICTURES]) for r in rows)]
        write_jpeg(out / "sheet.jpg", sheet(first))
        for r in rows:
            write_jpeg(out / "looks" / f"{r['look']}.jpg", cv2.resize(r["pictures"][0], (192, 192), interpolation=cv2.INTER_AREA), 90)
        told_rows = [{k: None if v != v else v for k, v in r.items() if k != "pictures"} for r in rows]  # JSON has no NaN
        figures = {"summary": summary, "looks": told_rows}
        (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (out / "README.md").write_text(card(summary, told_rows), encoding="utf-8")
        write_checksums(out)
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in summary.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=MODEL)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--write", action="store_true", help="write card, sheet.jpg, looks/ and figures.json into the folder")
    args = parser.parse_args()
    print(json.dumps(evaluate(args.folder, args.engine, args.folder if args.write else None)))


if __name__ == "__main__":
    main()
