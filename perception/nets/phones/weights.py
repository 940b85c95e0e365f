"""Read the phone network's weights: the package's own file, and what ours learnt on top of it.

A packed file is a table of names, types, shapes and places, then the numbers. Of ours, a matrix is changed by
the product of two narrow ones (Hu et al. 2021, LoRA), `NAME.down` and `NAME.up`, so that it stays small.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from realtime.core.errors import ModelCorrupt

from .model import BLOCKS, PhoneConformer

MAGIC, HEADER = b"HAMAPK", 12
TYPES = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
DOWN, UP = ".down", ".up"
NORMS = {
    "before": "ffn1.norm", "seen": "attn_norm", "near": "conv.norm", "after": "ffn2.norm", "last": "norm",
}  # fmt: skip
BIASES = {
    "widen": "ffn1.fc1.bias", "narrow": "ffn1.fc2.bias",
    "asks": "attn.in_proj_bias", "told": "attn.out_proj.bias",
    "widen_again": "ffn2.fc1.bias", "narrow_again": "ffn2.fc2.bias",
}  # fmt: skip
MATRICES = {"widen": 0, "narrow": 1, "asks": 2, "told": 6, "widen_again": 7, "narrow_again": 8}
"""Numbers by which their graph names the matrices of a block, counted from its first; each block has nine."""
FIRST_MATRIX, PER_BLOCK, FIRST_CONV = 829, 9, 801


def unpacked(packed: bytes) -> dict[str, Tensor]:
    """Return the arrays of a packed file by name. Raises ModelCorrupt for what is none."""
    try:
        if packed[: len(MAGIC)] != MAGIC:
            raise ValueError(f"it begins with {packed[: len(MAGIC)]!r}")
        (count,) = struct.unpack_from("<I", packed, HEADER - 4)
        rows, at = list[tuple[str, Any, tuple[int, ...], int, int]](), HEADER
        for _ in range(count):
            (length,) = struct.unpack_from("<H", packed, at)
            name, at = packed[at + 2 : at + 2 + length].decode(), at + 2 + length
            kind, sides = packed[at], packed[at + 1]
            shape = struct.unpack_from(f"<{sides}I", packed, at + 2)
            begin, size = struct.unpack_from("<QQ", packed, at + 2 + 4 * sides)
            rows.append((name, TYPES[kind], shape, begin, size))
            at += 2 + 4 * sides + 16
        base = len(packed) - max(begin + size for *_, begin, size in rows)
        return {
            name: torch.from_numpy(
                np.frombuffer(packed, kind, size // kind.itemsize, base + begin)
                .reshape(shape)
                .astype(np.float32)
            )
            for name, kind, shape, begin, size in rows
        }
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise ModelCorrupt(
            f"The phone network cannot be read: {error}.", hint="Install the package hama 1.7.0 again."
        ) from error


def network(packed: bytes, learnt: Path | None = None) -> PhoneConformer:
    """Return the network of a packed file, changed by a file of ours if one is named. Raises ModelCorrupt."""
    model, state = PhoneConformer(), dict(_renamed(unpacked(packed)))
    if learnt is not None:
        state = changed(state, _read(learnt))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelCorrupt(f"The phone network has other weights than expected: {error}.") from error
    model.eval()
    return model


def changed(state: Mapping[str, Tensor], learnt: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with matrices changed by products of narrow ones, and all others taken as they are."""
    out = dict(state)
    for name, value in learnt.items():
        if name.endswith(UP):
            key = name.removesuffix(UP)
            out[key] = state[key] + value.float() @ learnt[key + DOWN].float()
        elif not name.endswith(DOWN):
            out[name] = value.float()
    return out


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except Exception as error:  # safetensors has errors of its own for what it cannot read
        raise ModelCorrupt(
            f"{path} cannot be read: {error}.", hint="Get the checkout's files again."
        ) from error
    return found


def _renamed(held: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    whole = "acoustic_model.model."
    yield from (
        ("bank", held["mel_fb"]),
        ("real", held["stft_real_kernel"]),
        ("imaginary", held["stft_imag_kernel"]),
    )
    yield from (("halved.weight", held["onnx::Conv_801"]), ("halved.bias", held["onnx::Conv_802"]))
    yield from (
        ("phones.weight", held[f"{whole}proj.weight"][..., 0]),
        ("phones.bias", held[f"{whole}proj.bias"]),
    )
    for at in range(BLOCKS):
        theirs, ours = f"{whole}blocks.{at}.", f"blocks.{at}."
        for name, norm in NORMS.items():
            for part in ("weight", "bias"):
                yield f"{ours}{name}.{part}", held[f"{theirs}{norm}.{part}"]
        for name, bias in BIASES.items():
            matrix = held[f"onnx::MatMul_{FIRST_MATRIX + PER_BLOCK * at + MATRICES[name]}"]
            yield from (
                (f"{ours}{name}.weight", matrix.T.contiguous()),
                (f"{ours}{name}.bias", held[theirs + bias]),
            )
        for name, point in (("gated", "conv.pointwise1"), ("mixed", "conv.pointwise2")):
            yield f"{ours}{name}.weight", held[f"{theirs}{point}.weight"][..., 0]
            yield f"{ours}{name}.bias", held[f"{theirs}{point}.bias"]
        for part, add in (("weight", 3), ("bias", 4)):
            yield f"{ours}taps.{part}", held[f"onnx::Conv_{FIRST_CONV + 3 * at + add}"]
