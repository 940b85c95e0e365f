"""`python -m app models`: what is here, what could be fetched, and whether it is whole."""

from __future__ import annotations

import pytest

from app.models import models, size
from realtime.core.errors import ConfigError


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (23_400, "23 kB"),
        (3_420_000, "3.4 MB"),
        (512_000_000, "512 MB"),
        (2_100_000_000, "2.1 GB"),
    ],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_the_embedded_painter_is_listed_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert models("list", []) == 0
    line = next(one for one in capsys.readouterr().out.splitlines() if one.startswith("painter "))
    assert " here " in line
    assert models("verify", ["painter"]) == 0
    assert capsys.readouterr().out == "painter: whole\n"


def test_wrong_model_names_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match='Did you mean "painter"'):
        models("fetch", ["pianter"])
    with pytest.raises(ConfigError, match="Which model"):
        models("fetch", [])
