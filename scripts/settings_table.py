"""Write docs/settings.md from the schema: python -m scripts.settings_table"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

from app.registry import Registry
from app.settings import leaves, settings_type
from realtime.core.stage import Live

TARGET = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

HEAD = """# Settings

Made from the schema by `python -m scripts.settings_table`; do not edit by hand.

Each setting can stand in a preset, in `vitascope.toml`, in the environment (`server.port` is
`VITASCOPE_SERVER__PORT`) and on the command line (`--server.port 8000`); the later one wins, and the page's
controls win over all. `python -m app config` prints every value and where it comes from. "Live"
settings act between two pictures; the others apply after a restart.
"""


def shown(value: Any) -> str:
    """Write a default as TOML would."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, dict):
        return ", ".join(value) or "none"
    if value is None:
        return "not set"
    return json.dumps(value, default=str, ensure_ascii=False)


def bounds(field: Any) -> str:
    marks = {
        name: getattr(m, name)
        for m in field.metadata
        for name in ("ge", "gt", "le", "lt", "max_length")
        if hasattr(m, name)
    }
    low, high = marks.get("ge", marks.get("gt")), marks.get("le", marks.get("lt"))
    if low is not None and high is not None:
        return f" {low} to {high}."
    return f" At most {marks['max_length']} characters." if "max_length" in marks else ""


def table() -> str:
    """Return the whole document."""
    lines, section = [HEAD], ""
    for path, field in leaves(settings_type(Registry())):
        here = ".".join(path[:-1]) or "(top)"
        if here != section:
            section = here
            lines += ["", f"## {section}", "", "| setting | default | live | meaning |", "|---|---|---|---|"]
        live = "live" if any(isinstance(m, Live) or m is Live for m in field.metadata) else ""
        default = shown(field.get_default(call_default_factory=True, validated_data={}))
        says = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{'.'.join(path)}` | `{default}` | {live} | {says}{bounds(field)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(table(), encoding="utf-8")
    print(f"wrote {TARGET.name}")
