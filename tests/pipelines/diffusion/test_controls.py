"""The text that names control nets: what it says, and what is refused with a sentence."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipelines.diffusion.config import PaintConfig
from pipelines.diffusion.controls import Control, controls_of
from realtime.core.errors import ConfigError


def test_a_part_names_map_scale_share_and_model() -> None:
    text = "edges:0.8 models/canny net | depth:.5@0-0.6 hub:owner/depth|pose /home/me/pose"
    assert controls_of(text) == (
        Control("edges", "models/canny net", 0.8),
        Control("depth", "hub:owner/depth", 0.5, 0.0, 0.6),
        Control("pose", "/home/me/pose"),
    )
    assert controls_of("") == controls_of("  ") == ()
    assert controls_of("edges@0.2-1 C:/nets/canny")[0].begin == 0.2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("edges", "names no map and model"),
        ("edges:0.8", "names no map and model"),
        ("Edges:0.8 x", "names no map"),
        ("edges:-1 x", "names no map"),
        ("edges:2.1 x", "scale of 2.1"),
        ("edges@0.6-0.2 x", "from 0.6 to 0.2"),
        ("edges@0-1.5 x", "from 0 to 1.5"),
        ("edges x | ", '"" names no map'),
        ("|".join(["edges x"] * 5), "5 control nets"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        controls_of(text)
    with pytest.raises(ValidationError, match=says):
        PaintConfig(control=text)


def test_a_share_of_the_steps_is_counted_as_diffusers_does() -> None:
    one = Control("edges", "x", 0.7, 0.25, 0.75)
    assert [one.scale_at(i, 4) for i in range(4)] == [0.0, 0.7, 0.7, 0.0]
    assert Control("edges", "x", 0.7).scale_at(0, 1) == 0.7
    assert Control("edges", "x", 0.7, 0.0, 0.6).scale_at(0, 1) == 0.0
