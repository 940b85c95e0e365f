"""Settings of every node: whose a name is, what may change while it runs, and who may change it."""

from __future__ import annotations

from typing import Any

import pytest

from app.settings import Settings
from app.steering import Steering, by_node, guarded
from realtime.core.errors import ConfigError
from tests.app import stages

TABLE = stages.registry("Invert", chooses="Chooses")


def two_nodes(**flags: Any) -> Settings:
    nodes = {"paint": {"stage": "paint"}, "near": {"stage": "chooses", "input": "paint"}}
    return stages.settings(TABLE, graph__nodes=nodes, **flags)


def test_a_name_without_a_node_is_the_main_nodes() -> None:
    graph = two_nodes().graph
    assert by_node(graph, {"strength": 1, "near.mask": "a", "near.folder": "b"}) == {
        "paint": {"strength": 1},
        "near": {"mask": "a", "folder": "b"},
    }
    steered = two_nodes(graph__steers="near").graph
    assert by_node(steered, {"strength": 1}) == {"near": {"strength": 1}}


def test_an_unknown_node_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='no node "nera"') as caught:
        by_node(two_nodes().graph, {"nera.mask": ""})
    assert "near" in caught.value.hint


def test_what_names_files_and_models_is_known_by_node() -> None:
    assert guarded(TABLE, two_nodes().graph) == {"paint": {}, "near": {"folder": "model", "mask": "mask"}}


def test_changes_are_all_or_none_over_all_nodes() -> None:
    steering = Steering(two_nodes(), TABLE, {"near.strength": 0.5})
    before = steering.values()
    assert before["near.strength"] == 0.5
    with pytest.raises(ConfigError, match="strength"):
        steering.change({"strength": 0.25, "near.strength": 7})
    assert steering.values() == before
    changed = steering.change({"strength": 0.25, "near.mask": "x.png"})
    assert set(changed) == {"paint", "near"}
    assert steering.values() == before | {"strength": 0.25, "near.mask": "x.png"}


def test_a_guest_changes_no_file_of_any_node() -> None:
    guest = Steering(two_nodes(), TABLE, {}, is_guest=True)
    with pytest.raises(ConfigError, match="at the server's own machine may set mask"):
        guest.change({"near.mask": "/etc/passwd"})
    guest.change({"near.strength": 0.5})
