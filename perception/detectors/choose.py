"""Give a stream its detector by the name that a person typed, or the best one that is on this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from pipelines.engines.base import Report
from realtime.core.errors import ConfigError, ModelCorrupt, ModelError, ModelMissing

from .base import Detector

Shared = Callable[[str, Callable[[], Any]], Any]
AUTO = "auto"
ORDER = ("nanodet-g", "blazeface", "streamnet")
"""What "auto" takes the first of that is here; the last one comes along and knows drawn shapes only."""


class Load(Protocol):
    """Make the detector of one stream, on engines that streams share."""

    def __call__(self, shared: Shared, engine: str, report: Report) -> Detector: ...


def _nanodet(shared: Shared, engine: str, report: Report) -> Detector:
    from .nanodet import load_nanodet

    return load_nanodet(shared, engine, report)


def _blazeface(shared: Shared, engine: str, report: Report) -> Detector:
    from .blazeface import load_blazeface

    return load_blazeface(shared, engine, report)


def _streamnet(shared: Shared, engine: str, report: Report) -> Detector:
    from .streamnet import load_streamnet

    found: Detector = load_streamnet(shared, engine, report)
    return found


OWN: Mapping[str, Load] = MappingProxyType(
    {"nanodet-g": _nanodet, "blazeface": _blazeface, "streamnet": _streamnet}
)
"""Detectors that this house has code for, by name; all others are transformers'."""


def known() -> tuple[str, ...]:
    """Return the names that a person may give, beside folders and hub:owner/name."""
    from pipelines.models.catalog import entries

    others = [entry.id for entry in entries().values() if entry.does == "see" and entry.id not in OWN]
    return (AUTO, *OWN, *others)


def load(
    name: str, shared: Shared, *, engine: str = "auto", report: Report = lambda sentence: None
) -> Detector:
    """Return a detector of a stream's own: `name` is "auto", one of `known`, a folder or hub:owner/name.

    `shared` gives what all streams use together: engines and networks. Raises ConfigError for a name that
    nobody knows, ModelError for a model that is not here, with the command that fetches it.
    """
    name = name.strip()
    if name == AUTO:
        return _first(shared, engine, report)
    if name in OWN:
        return OWN[name](shared, engine, report)
    if name not in known() and not _is_place(name):
        near = difflib.get_close_matches(name, known(), n=2, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f'There is no detector "{name}".',
            hint=f"{hint}Known: {', '.join(known())}; or a folder, or hub:owner/name.",
        )
    from .hub import load_hub

    return load_hub(name, shared, engine, report)


def _first(shared: Shared, engine: str, report: Report) -> Detector:
    """Return the first of `ORDER` that is here, and let it say why it was taken."""
    from pipelines.models.store import locate

    lacking: list[str] = []
    for name in ORDER:
        try:
            locate(name)
        except ModelError as error:
            how = "damaged" if isinstance(error, ModelCorrupt) else "not on this machine"
            lacking.append(f"{name} is {how} (`python -m app models fetch {name}` gets it)")
            continue
        found = OWN[name](shared, engine, report)
        reason = f"since {' and '.join(lacking)}" if lacking else "as the first choice, which is here"
        found.info = replace(found.info, why=f"{name} was taken, {reason}.")
        return found
    fetch = f"`python -m app models fetch {' '.join(ORDER)}` gets them."
    raise ModelMissing(f"No detector can be used: {'; '.join(lacking)}.", hint=fetch)


def _is_place(name: str) -> bool:
    """Tell whether a name is meant as a folder or as a model of the hub."""
    if name.startswith(("hub:", "~", ".")) or {"/", os.sep} & set(name):
        return True
    return bool(name) and Path(name).is_dir()
