"""The families of models that can paint: one file each, behind the interface in `base`."""

from __future__ import annotations

from pipelines.diffusion.folder import Parts

from .base import Family


def family_of(parts: Parts) -> Family:
    """Return what makes a painter of these parts."""
    if parts.kind == "sana":
        from .sana import Sana

        return Sana(parts)
    if parts.kind == "sdxl":
        from .sdxl import Sdxl

        return Sdxl(parts)
    from .sd import Sd

    return Sd(parts)
