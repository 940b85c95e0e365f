"""Write models/painter: a stock diffusers folder, and vitascope.json with what the app needs beyond it.

The folder is built beside the old one and swapped in by two renames, so a program that starts meanwhile sees a whole
model. The UNet is stored in half precision (it is most of the bytes); the rest is small and stays in full, because
loaders take the text encoder's stored type as the type to compute in.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionImg2ImgPipeline
from pipelines.models.checksums import write_checksums

from training.painter.data import SIZE, WORK, open_arrays
from training.painter.prompts import LOOKS, MOODS, STRENGTHS, SYNONYMS
from training.painter.unet import Parts, load_ae, make_parts, measure_scale

MODEL = Path(__file__).resolve().parents[2] / "models" / "painter"
"""Where the painter ships."""

TIMESTEPS: dict[str, list[int]] = {"1": [59], "2": [99, 39], "4": [139, 99, 59, 19]}
"""Noise levels by number of steps, the noisiest first."""


def settings(looks: list[str] | None = None) -> dict[str, object]:
    """Return vitascope.json: sizes, noise levels and the vocabulary; `looks` keeps only these ids."""
    kept = [item for item in LOOKS if looks is None or item.id in looks]
    return {
        "format": 1,
        "name": "painter",
        "kind": "translator",
        "about": "A learned stylizer, not a generator: it repaints a picture in one of its looks, in one to four steps on a CPU.",
        "prediction_type": "sample",
        "guidance_scale": 1.0,
        "default_size": SIZE,
        "native_size": SIZE,
        "usable_sizes": [192, 256, 320, 384, 448, 512],
        "multiple_of": 32,
        "default_steps": 1,
        "timesteps": TIMESTEPS,
        "default_prompt": LOOKS[1].prompt,
        "looks": [{"id": i.id, "title": i.title, "prompt": i.prompt, "about": i.about, "words": list(i.words),
                   "thumbnail": f"looks/{i.id}.jpg"} for i in kept],
        "moods": {k: list(v) for k, v in MOODS.items()},
        "strengths": STRENGTHS,
        "synonyms": {k: v for k, v in SYNONYMS.items() if looks is None or any(v.startswith(i.prompt) for i in kept)},
    }  # fmt: skip


def write(parts: Parts, folder: Path = MODEL, looks: list[str] | None = None) -> None:
    """Write the folder for `parts`; pictures and card of the old one are carried over."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    parts.vae.register_to_config(scaling_factor=round(parts.scale, 5))
    unet = type(parts.unet).from_config(parts.unet.config)
    unet.load_state_dict(parts.unet.state_dict())
    StableDiffusionImg2ImgPipeline(
        vae=parts.vae.to(memory_format=torch.contiguous_format), text_encoder=parts.text, tokenizer=parts.tokenizer,
        unet=unet.half(), scheduler=parts.scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False).save_pretrained(str(new), safe_serialization=True)  # fmt: skip
    for name in ("vocab.json", "merges.txt"):
        shutil.copy2(WORK / "tokenizer" / name, new / "tokenizer" / name)
    (new / "vitascope.json").write_text(json.dumps(settings(looks), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for kept in ("README.md", "sheet.jpg", "figures.json"):
        source = folder / kept
        if source.is_dir():
            shutil.copytree(source, new / kept)
        elif source.exists():
            shutil.copy2(source, new / kept)
    for file in new.rglob("*.safetensors"):
        file.chmod(0o644)
    drop_key(new / "vae" / "config.json", "block_out_channels")
    write_checksums(new)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def drop_key(file: Path, key: str) -> None:
    """Take a key out of a JSON file: diffusers stores this one, and warns of it when it reads its own file."""
    seen = json.loads(file.read_text(encoding="utf-8"))
    seen.pop(key, None)
    file.write_text(json.dumps(seen, indent=2) + "\n", encoding="utf-8")


def load_parts(ae: Path, unet: Path | None, tune: Path | None = None) -> Parts:
    """Return averaged weights from the checkpoints of ae.py, unet.py and, over them, tune.py."""
    parts = make_parts(vae=load_ae(ae))
    parts.scale = measure_scale(parts.vae, open_arrays()[1])
    for path in (unet, tune):
        if path is None or not path.exists():
            continue
        saved = torch.load(path, weights_only=False)["average"]
        parts.unet.load_state_dict(saved["unet"])
        parts.text.load_state_dict(saved["text"])
        if "decoder" in saved:
            parts.vae.decoder.load_state_dict(saved["decoder"])
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ae", type=Path, default=WORK / "ae.pt")
    parser.add_argument("--unet", type=Path, default=WORK / "unet.pt", help="left out while absent: random weights")
    parser.add_argument("--tune", type=Path, default=WORK / "tune.pt", help="left out while absent")
    parser.add_argument("--folder", type=Path, default=MODEL)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="LOOK", help="looks that the evaluation found too weak")
    args = parser.parse_args()
    torch.set_num_threads(1)
    looks = [item.id for item in LOOKS if item.id not in args.leave_out]
    write(load_parts(args.ae, args.unet, args.tune), args.folder, looks)
    total = sum(f.stat().st_size for f in args.folder.rglob("*") if f.is_file())
    print(f"{args.folder}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
