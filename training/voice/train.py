"""Teach the phone network noise: what it says of speech in noise shall be what it says of the same speech without.

    python -m training.voice.train --minutes 60

The package's network is teacher and pupil (distillation); the pupil's matrices change by narrow products, so that what
it learnt of people's voices stays where it is. Writes models/phones-in-noise/model.safetensors and its checksums.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from perception.nets.phones.model import PhoneConformer
from perception.nets.phones.weights import DOWN, UP, network
from perception.voice.phones import LEARNT
from pipelines.models.checksums import write_checksums
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call

from training.voice.noise import Pairs
from training.voice.speech import people, said

RANK = 16
RATE, RATE_OF_REST = 1.5e-3, 3e-4
BATCH, WARM_STEPS = 10, 60
PHONE_WEIGHT = 3.0
"""How much more a frame with a phone counts than one without."""
BLANK = 190


def learnable(model: PhoneConformer) -> dict[str, nn.Parameter]:
    """Return what is learnt: narrow factors of each matrix, and all else as it is but the way to mel."""
    found: dict[str, nn.Parameter] = {}
    for name, value in model.named_parameters():
        if value.dim() == 2:
            rows, columns = value.shape
            found[name + DOWN] = nn.Parameter(torch.randn(RANK, columns) / math.sqrt(columns))
            found[name + UP] = nn.Parameter(torch.zeros(rows, RANK))
        else:
            found[name] = nn.Parameter(value.detach().clone())
    return found


def pupil(teacher: Mapping[str, Tensor], learnt: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the pupil's weights, through which gradients pass."""
    out = {name: value for name, value in learnt.items() if not name.endswith((DOWN, UP))}
    for name in (one.removesuffix(UP) for one in learnt if one.endswith(UP)):
        out[name] = teacher[name] + learnt[name + UP] @ learnt[name + DOWN]
    return out


def loss_of(wanted_BTV: Tensor, found_BTV: Tensor) -> Tensor:
    """Return the divergence (KL) of a frame, those with phones counting more."""
    wanted = wanted_BTV.exp()
    apart = (wanted * (wanted_BTV - found_BTV)).sum(-1)
    weight = 1.0 + PHONE_WEIGHT * (1.0 - wanted[..., BLANK])
    return (apart * weight).sum() / weight.sum()


def train(pairs: Pairs, seconds: float) -> dict[str, nn.Parameter]:
    """Learn for a time and return what was learnt."""
    torch.manual_seed(0)
    model = network(resources.files("hama.assets").joinpath("asr_waveform.hama").read_bytes())
    model.requires_grad_(False)
    held = dict(model.named_parameters())
    learnt = learnable(model)
    narrow = [value for name, value in learnt.items() if name.endswith((DOWN, UP))]
    rest = [value for name, value in learnt.items() if not name.endswith((DOWN, UP))]
    groups = [{"params": narrow, "lr": RATE}, {"params": rest, "lr": RATE_OF_REST}]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-3, betas=(0.9, 0.98))
    began_s, step, shown = time.monotonic(), 0, 0.0
    while (gone := (time.monotonic() - began_s) / seconds) < 1.0:
        clean, noisy = (torch.from_numpy(np.stack(one)) for one in zip(*(pairs.draw() for _ in range(BATCH)), strict=True))
        with torch.no_grad():
            wanted = model(clean)
        loss = loss_of(wanted, functional_call(model, pupil(held, learnt), (noisy,)))
        share = min(1.0, step / WARM_STEPS) * (0.5 + 0.5 * math.cos(math.pi * gone))
        for group, rate in zip(optimizer.param_groups, (RATE, RATE_OF_REST), strict=True):
            group["lr"] = rate * share + 1e-6
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*narrow, *rest], 2.0)
        optimizer.step()
        step += 1
        shown = loss.item() if step == 1 else 0.97 * shown + 0.03 * loss.item()
        if step % 50 == 0:
            print(f"{step} steps, {time.monotonic() - began_s:.0f} s: {shown:.4f} nats a frame", flush=True)
    return learnt


def write(learnt: Mapping[str, Tensor], path: Path) -> None:
    """Write what was learnt in half precision, and its checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().half().contiguous() for name, value in learnt.items()}, path)
    write_checksums(path.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--sentences", type=int, default=4000, help="said by synthetic voices before training begins")
    parser.add_argument("--path", type=Path, default=LEARNT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    synthetic = list(islice(said(seed=1000), args.sentences))
    write(train(Pairs(synthetic, list(people())), args.minutes * 60), args.path)


if __name__ == "__main__":
    main()
