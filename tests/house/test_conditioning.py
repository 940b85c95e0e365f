"""The graphs in docs/conditioning.md are ones that can be had."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.layers import read_settings
from app.registry import Registry
from app.wiring import House, Wiring
from pipelines.diffusion.controls import controls_of
from realtime.core.stage import StageContext
from tests.house.paths import ROOT

TEXT = (ROOT / "docs/conditioning.md").read_text(encoding="utf-8")
GRAPHS = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("graph", GRAPHS, ids=["control", "mask"])
def test_a_graph_of_the_page_is_read_and_wired(graph: str, tmp_path: Path) -> None:
    (tmp_path / "graph.toml").write_text(graph, encoding="utf-8")
    settings = read_settings(file=tmp_path / "graph.toml", environ={}).settings
    house = House()
    Wiring(settings, Registry(), house, StageContext(shared=house.shared)).close()
    house.close()
    steers = settings.stage("paint")
    assert [one.map for one in controls_of(steers.control)] == (
        ["edges", "depth"] if "control" in graph else []
    )


def test_the_page_names_every_stage_that_makes_a_map_and_every_setting_that_names_a_file() -> None:
    table = Registry()
    makers = [
        name
        for name in table
        if table.spec(name).lane == "see" and name in ("edges", "depth", "pose", "mask")
    ]
    assert len(makers) == 4
    assert [name for name in (*makers, *table.spec("paint").files) if f"`{name}`" not in TEXT] == []
