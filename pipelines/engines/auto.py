"""What "auto" means for precision: the fastest numbers that nobody can tell from fp32.

On two cores with AVX-512 BF16 the embedded painter's pictures in bf16 lie 47.8 dB from those in fp32 (mean of
72, the worst 38.3), and take about half the time. So where the processor computes in bf16, OpenVINO tries
that first, through a gate that is closer than that of a person who asked for bf16; else it is fp32.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
CLOSE = 2e-2
"""Largest relative error of a network in bf16 that nobody asked for. The embedded painter's are at most 9e-3;
a UNet with much attention may be at 5e-2."""


@dataclass(frozen=True, slots=True)
class Try:
    """Name a back end and precision to try."""

    backend: str
    precision: str
    label: str
    """What a refusal is filed under: with the precision where the same back end has another chance."""
    tolerance: float | None = None
    """Largest relative error; None for what the precision allows."""
    says: str = ""
    """Words for "why?" where the precision was not asked for."""


OWN: Mapping[str, str] = {"tensorrt": "fp16"}
"""What "auto" is for back ends that do not go by the device."""


def tries(order: Sequence[str], precision: str, usual: str, has_bf16: bool) -> list[Try]:
    """Return what to try, the best first; `usual` is what the device has for "auto"."""
    found = []
    for name in order:
        if name == "openvino" and precision == "auto" and usual == "fp32" and has_bf16:
            words = "It computes in bf16, which this processor does in half the time."
            found.append(Try(name, "bf16", f"{name} in bf16", CLOSE, words))
        found.append(Try(name, OWN.get(name, usual) if precision == "auto" else precision, name))
    return found


@cache
def has_bf16() -> bool:
    """Tell whether this processor says that it computes in bf16; False where it cannot be asked."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(r"^flags\s*:\s*(.*)$", told, re.MULTILINE)
    return bool(found and FLAGS & set(found.group(1).split()))
