"""`python -m app models list|fetch|verify`: what the catalog names, what is here, and whether it is whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from realtime.core.errors import ConfigError, ModelCorrupt, ModelError

from .registry import nearest

UNITS = ("B", "kB", "MB", "GB", "TB")


def models(what: str, ids: Sequence[str]) -> int:
    """Do `what` for the models `ids` (none: all where that makes sense) and return the exit status."""
    from pipelines.models.catalog import entries

    catalog = entries()
    unknown = [one for one in ids if one not in catalog]
    if unknown:
        raise ConfigError(
            f'There is no model "{unknown[0]}" in the catalog.', hint=nearest(unknown[0], catalog)
        )
    work: dict[str, Callable[[dict[str, Any], Sequence[str]], int]] = {
        "list": _list,
        "fetch": _fetch,
        "verify": _verify,
    }
    return work[what](catalog, ids)


def standing(model: str) -> str:
    """Say how a model stands on this machine: "here", "damaged" or "to fetch"."""
    from pipelines.models.store import locate

    try:
        locate(model)
    except ModelCorrupt:
        return "damaged"
    except ModelError:
        return "to fetch"
    return "here"


def size(count: int) -> str:
    """Write a number of bytes for a person: "3.4 MB"."""
    number = float(count)
    for unit in UNITS:
        if number < 1000 or unit == UNITS[-1]:
            return f"{number:.0f} {unit}" if unit in UNITS[:2] or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("the last unit takes any number")


def _list(catalog: dict[str, Any], ids: Sequence[str]) -> int:
    rows = [
        (entry.id, standing(entry.id), size(entry.bytes), entry.licence, entry.title)
        for entry in catalog.values()
        if not ids or entry.id in ids
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]))
    if any(row[1] == "to fetch" for row in rows):
        print("\npython -m app models fetch ID downloads one.")
    return 0


def _fetch(catalog: dict[str, Any], ids: Sequence[str]) -> int:
    from pipelines.models.store import fetch, locate

    if not ids:
        raise ConfigError("Which model?", hint="python -m app models list shows them.")
    for one in ids:
        entry = catalog[one]
        print(f"{one}: {size(max(entry.bytes, entry.download_bytes))}, {entry.licence}", file=sys.stderr)
        fetch(one, lambda sentence: print(f"  {sentence}", file=sys.stderr))
        print(f"{one} is here: {locate(one)}")
    return 0


def _verify(catalog: dict[str, Any], ids: Sequence[str]) -> int:
    from pipelines.models.store import verify

    bad = 0
    for one in ids or [name for name in catalog if standing(name) != "to fetch"]:
        problems = list(verify(one))
        bad += bool(problems)
        print(f"{one}: {'whole' if not problems else 'not as promised'}")
        for problem in problems:
            print(f"  {problem}")
    if bad:
        print("python -m app models fetch ID gets a whole one.", file=sys.stderr)
    return 1 if bad else 0
