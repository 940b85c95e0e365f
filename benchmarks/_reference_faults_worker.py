"""Show the reference's faults on the reference: each function returns whether it shows, and what was seen.

Loaded by the worker inside the reference's environment; imports nothing of ours. Numbers are those of the
table in `python -m benchmarks reference_faults`. Where a fault is an exception, the exception is caught here
and quoted; where it is a wrong picture, two outputs are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

SAME = 2e-4
"""Outputs (std about 1) that differ by less are the same picture."""
Shown = tuple[bool, str]


def picture(worker: Any, seed: int) -> torch.Tensor:
    """Return a picture (1, 3, H, W) in [-1, 1]."""
    draw = torch.Generator().manual_seed(1000 + seed)
    coarse = torch.rand((1, 3, 8, 8), generator=draw) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(worker.size_px, worker.size_px), mode="nearest")


def made(worker: Any, t_index_list: list[int], mode: str, scale: float = 1.5, **more: Any) -> Any:
    """Return a prepared stream with a generator of its own."""
    stream = worker.make(t_index_list, mode, **more)
    stream.prepare("a harbour", "text", guidance_scale=scale, generator=torch.Generator(), seed=5)
    return stream


def raising(work: Callable[..., object], *given: Any) -> str:
    """Return what `work` raises when given that, in one line; empty when it works."""
    try:
        work(*given)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:110]}"
    return ""


def differ(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two outputs."""
    return float((one - other).abs().max())


def one_step_self(worker: Any) -> Shown:
    stream = worker.make([0], "self")
    stream.prepare("a harbour", "text", generator=torch.Generator(), seed=5)  # its own default guidance
    x, largest = picture(worker, 0), []
    for _ in range(60):
        stream(x)
        largest.append(float(stream.stock_noise.abs().max()))
    broken = next((k + 1 for k, value in enumerate(largest) if not math.isfinite(value)), None)
    grown = largest[9] / largest[0]
    said = f"its noise is not finite from frame {broken} on" if broken else "its noise stays finite"
    return broken is not None or grown > 100, f"{said}; in 10 frames it grows {grown:.0e}-fold"


def frame_buffer(worker: Any) -> Shown:
    stream = made(worker, [16, 32], "none", frame_buffer_size=2)
    x = torch.cat([picture(worker, 0), picture(worker, 1)])
    seen = raising(lambda: [stream(x) for _ in range(3)])
    return bool(seen), seen or "two frames a call at two steps work"


def frame_buffer_initialize(worker: Any) -> Shown:
    stream = made(worker, [32], "initialize", frame_buffer_size=2)
    x = torch.cat([picture(worker, 0), picture(worker, 1)])
    seen = raising(stream, x)
    return bool(seen), seen or 'two frames a call work with "initialize"'


def update_prompt(worker: Any) -> Shown:
    seen = []
    for mode in ("full", "initialize"):
        stream = made(worker, [16, 32], mode)
        stream(picture(worker, 0))
        stream.update_prompt("a library")
        seen.append(raising(stream, picture(worker, 0)))
    return all(seen), seen[0] or "a prompt can change under guidance"


def scale_one(worker: Any) -> Shown:
    seen = [raising(made, worker, [32], mode, 1.0) for mode in ("full", "initialize")]
    return all(seen), seen[0] or "a scale of 1 works"


def sequential_guidance(worker: Any) -> Shown:
    full = raising(lambda: made(worker, [16, 32], "full", use_denoising_batch=False)(picture(worker, 0)))
    off = []
    for batched in (True, False):
        outs = []
        for delta in (1.0, 0.0):
            stream = worker.make([16, 32], "self", use_denoising_batch=batched)
            generator = torch.Generator()
            stream.prepare("a harbour", guidance_scale=1.5, delta=delta, generator=generator, seed=5)
            torch.manual_seed(0)  # the sequential mode draws from the global generator
            outs.append([stream(picture(worker, 0)) for _ in range(3)][-1])
        off.append(differ(*outs))
    return bool(full) and off[1] == 0.0 < off[0], (
        f"full: {full}; self: delta 0 or 1 makes {off[0]:.2f} in a batch, {off[1]:.2f} in sequential mode"
    )


def sequential_noise(worker: Any) -> Shown:
    stream = made(worker, [0, 32], "none", use_denoising_batch=False)
    x, before = picture(worker, 0), stream.init_noise.clone()
    for _ in range(12):
        stream(x)
    is_other = stream.init_noise.shape != before.shape or differ(stream.init_noise, before[:1]) > SAME
    return is_other, (
        f"the noise of the seed is overwritten: std {before.std():.3f} before, "
        f"{stream.init_noise.std():.3f} after 12 still frames"
    )


def prepare_again(worker: Any) -> Shown:
    one, other = worker.make([16, 32], "none"), worker.make([16, 32], "none")
    one.prepare("a harbour", seed=7)
    noise = one.init_noise.clone()
    other.prepare("a library", seed=8)
    shares = one.generator is other.generator
    one(picture(worker, 0))
    in_flight = float(one.x_t_latent_buffer.abs().max())
    one.prepare("a harbour", guidance_scale=1.3)
    lost = differ(one.init_noise, noise) > SAME
    zeroed = in_flight > 0 and float(one.x_t_latent_buffer.abs().max()) == 0
    return lost and zeroed and shares, (
        f"new settings: seed lost {lost}, frames in flight zeroed {zeroed}; two streams share one generator "
        f"{shares}"
    )


def not_repeatable(worker: Any) -> Shown:
    outs = []
    for _ in range(2):
        stream = made(worker, [16, 32], "none", use_denoising_batch=False)
        outs.append(stream(picture(worker, 0)))
    texts = []
    for _ in range(2):
        stream = made(worker, [0], "none")
        texts.append(stream.txt2img())
    off, off_text = differ(*outs), differ(*texts)
    return off > SAME and off_text > SAME, (
        f"the same seed and frame twice: {off:.2f} apart in sequential mode, {off_text:.2f} as txt2img"
    )


def bright_frame(worker: Any) -> Shown:
    x = picture(worker, 0) * 0.4 + 0.6  # 0.2 to 1: ready, and nowhere under mid-grey
    ready = made(worker, [32], "none").image_processor.preprocess(x, worker.size_px, worker.size_px)
    low, off = float(ready.min()), differ(ready, x)
    return off > SAME, f"a ready frame from {float(x.min()):.1f} to 1 is taken as one from {low:.1f} to 1"


def two_users(worker: Any) -> Shown:
    alone = []
    for user in (0, 1):
        stream = made(worker, [0, 16, 32, 45], "none")
        alone.append([stream(picture(worker, user)) for _ in range(8)][-1])
    shared = made(worker, [0, 16, 32, 45], "none")
    answers = [shared(picture(worker, turn % 2)) for turn in range(12)][-2:]
    own = [differ(answers[user], alone[user]) for user in (0, 1)]
    other = [differ(answers[user], alone[1 - user]) for user in (0, 1)]
    return max(other) < SAME < min(own), (
        f"each user's answer is {max(other):.0e} from the other's picture, {min(own):.2f} from the own one"
    )


def needs_cuda(worker: Any, unpatch: Callable[[], None], patch: Callable[[], None]) -> Shown:
    stream = made(worker, [32], "none")
    unpatch()
    try:
        seen = raising(stream, picture(worker, 0))
    finally:
        patch()
    return bool(seen), seen or "a frame is painted without CUDA"


def _patched(work: Callable[[Any], Shown]) -> Callable[..., Shown]:
    return lambda worker, unpatch, patch: work(worker)


DEMONSTRATIONS: dict[int, Callable[..., Shown]] = {
    1: _patched(one_step_self),
    2: _patched(frame_buffer),
    3: _patched(frame_buffer_initialize),
    4: _patched(update_prompt),
    5: _patched(scale_one),
    6: _patched(sequential_guidance),
    7: _patched(sequential_noise),
    8: _patched(prepare_again),
    9: _patched(not_repeatable),
    10: _patched(bright_frame),
    11: _patched(two_users),
    12: needs_cuda,
}
