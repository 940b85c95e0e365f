"""What the page is given: schema, defaults, the painter's words, and live settings for a running session."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.bodies import FromPattern
from app.manager import SessionManager
from app.port import Port, looks_of
from app.registry import Registry
from app.steering import is_live
from app.visitors import Visitor, visiting
from realtime.core.errors import ConfigError, ModelError, SessionError
from tests.app import stages
from ui.port import EngineBadge


@pytest.fixture
async def manager() -> AsyncIterator[SessionManager]:
    table = stages.registry()
    one = SessionManager(stages.settings(table, stages__paint__prompt="a fox"), table)
    yield one
    await one.close_all()


async def test_the_page_gets_the_stage_s_schema_and_the_settings_of_this_server(
    manager: SessionManager,
) -> None:
    port = Port(manager)
    assert port.schema() is stages.InvertConfig
    assert port.defaults()["prompt"] == "a fox"
    assert port.vocabulary().is_open  # a model without words of its own takes any


async def test_the_badge_says_what_paints_once_it_is_known(manager: SessionManager) -> None:
    port = Port(manager)
    assert port.engine() == EngineBadge("auto", "chosen when the painter is loaded")
    manager.warmth.begin()
    assert port.engine().why == "Loading the painter."
    manager.warmth.done({"name": "numpy", "why": "it is there"})
    assert port.engine() == EngineBadge("numpy", "it is there")


async def test_the_page_s_knobs_reach_the_session(manager: SessionManager) -> None:
    port = Port(manager)
    with visiting(Visitor("me", "10.0.0.7", False)):
        session = await manager.create(FromPattern(kind="pattern"))
        port.configure(session.id, {"strength": 0.25})
        assert session.wiring.settings()["strength"] == 0.25
        with pytest.raises(ConfigError, match='"strength"'):
            port.configure(session.id, {"strenght": 0.25})
        with pytest.raises(SessionError, match="no such session"):
            port.configure("none", {"strength": 0.25})
    with (
        visiting(Visitor("another", "10.0.0.7", False)),
        pytest.raises(SessionError, match="no such session"),
    ):
        port.configure(session.id, {"strength": 0.5})
    with pytest.raises(SessionError, match="Nobody is known"):
        port.configure(session.id, {"strength": 0.5})
    assert session.wiring.settings()["strength"] == 0.25


async def test_a_page_stands_without_its_model_but_the_looks_are_an_error() -> None:
    table = stages.registry("Chooses")
    manager = SessionManager(stages.settings(table), table)
    assert Port(manager).vocabulary().is_open
    with pytest.raises(ModelError, match='no model "own"'):
        looks_of(manager.settings, table)
    await manager.close_all()


def test_a_model_with_no_words_of_its_own_takes_any(tmp_path: Path) -> None:
    table = stages.registry("Chooses")
    settings = stages.settings(table, stages__paint__folder=str(tmp_path))
    assert looks_of(settings, table).is_open
    (tmp_path / "vitascope.json").write_text('{"timesteps": {"1": [499]}}')
    assert looks_of(settings, table).is_open
    look = {"id": "ink", "title": "Ink", "prompt": "ink drawing"}
    (tmp_path / "vitascope.json").write_text(json.dumps({"looks": [look]}))
    assert [one.prompt for one in looks_of(settings, table).looks] == ["ink drawing"]


def test_the_painter_s_looks_and_live_fields() -> None:
    vocabulary = looks_of(stages.settings(Registry()), Registry())
    assert not vocabulary.is_open
    assert len(vocabulary.looks) >= 4
    fields = Registry().config("paint").model_fields
    live = {name for name, described in fields.items() if is_live(described)}
    assert {"prompt", "strength", "steps", "seed", "size_px"} <= live
    assert not live & {"model", "engine", "precision"}
