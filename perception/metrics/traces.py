"""A session's own record as outputs that the metric can judge: what was told, and when.

The event track of a recording (or what the data channel sent) has a line for each scene: `captured_ns` of its
picture, `age_ms` when it was told, and where the things were *then*. So the metric sees what a person saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from realtime.core.clock import NS_PER_MS, NS_PER_S
from realtime.core.errors import ConfigError

from .sap import Output

SEEN = "seen"


def outputs_of(
    lines: Iterable[str], first_captured_ns: int, size_px: tuple[int, int], kinds: Mapping[str, int]
) -> list[Output]:
    """Return the outputs of one stream, in the order of their times.

    `lines` are JSON, one event each; others than "seen" are passed over. `first_captured_ns` is the capture
    time of the frame that the annotations call 0; `size_px`, width and height, is theirs; `kinds` gives the
    category of each name, and things of other names are left out. Raises ConfigError for a line that is no
    event.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = _event(line, number)
        if SEEN not in (event.get("type"), event.get("kind")):  # the data channel's word, and the record's
            continue
        told_ns = event["captured_ns"] + round(event["age_ms"] * NS_PER_MS)
        things = [one for one in event["things"] if one["name"] in kinds]
        boxes = np.array([one["box"] for one in things], np.float64).reshape(-1, 4)
        found.append(
            Output(
                (told_ns - first_captured_ns) / NS_PER_S,
                boxes * np.array(size_px * 2, np.float64),
                np.array([one["score"] for one in things], np.float64),
                np.array([kinds[one["name"]] for one in things], np.int64),
            )
        )
    return sorted(found, key=lambda one: one.finish_s)


def _event(line: str, number: int) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise ConfigError(
            f"Line {number} of the trace is no JSON: {error}.", hint="Give the .jsonl of a recording."
        ) from error
    if not isinstance(event, dict):
        raise ConfigError(f"Line {number} of the trace is no event.", hint="Give the .jsonl of a recording.")
    return event
