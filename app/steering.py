"""The settings of a running graph: whose a name is, what may change now, and who may change it.

"strength" is a setting of the graph's main node, "detect.share" one of the node "detect".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from realtime.core.errors import ConfigError
from realtime.core.stage import Live

from .layers import sentence
from .registry import Registry, nearest
from .settings import GraphSettings, Settings

Changes = dict[str, Mapping[str, Any]]
"""Settings by node."""


def by_node(graph: GraphSettings, changes: Mapping[str, Any]) -> Changes:
    """Return `changes` sorted by the node that they are for. Raises ConfigError for an unknown node."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        node, dot, key = name.rpartition(".")
        if dot and node not in graph.nodes:
            raise ConfigError(
                f'"{name}" is no setting: there is no node "{node}".', hint=nearest(node, list(graph.nodes))
            )
        found.setdefault(node if dot else graph.main, {})[key if dot else name] = value
    return dict(found)


def guarded(registry: Registry, graph: GraphSettings) -> Changes:
    """Return by node the settings that name models and files of this machine, and what to call them."""
    return {
        name: {key: "model" if key in spec.models else key for key in (*spec.models, *spec.files)}
        for name, node in graph.nodes.items()
        for spec in [registry.spec(node.stage)]
    }


class Steering:
    """Hold the settings of each node of one session's graph.

    `is_guest`: what names files of this machine cannot change while it runs. Raises ConfigError for a name or
    value in `changes` that cannot be.
    """

    def __init__(
        self, settings: Settings, registry: Registry, changes: Mapping[str, Any], *, is_guest: bool = False
    ) -> None:
        graph = self._graph = settings.graph
        wished = by_node(graph, changes)
        self._held = {
            name: registry.spec(node.stage).files if is_guest else () for name, node in graph.nodes.items()
        }
        self.configs = {
            name: changed(settings.stage(node.stage), wished.get(name, {}))
            for name, node in graph.nodes.items()
        }

    def change(self, changes: Mapping[str, Any]) -> dict[str, BaseModel]:
        """Take live settings, all or none, and return the new settings of the nodes that they are for.

        Raises ConfigError for a name, a value or a setting that cannot change while it runs.
        """
        new = {
            name: changed(self.configs[name], some, is_running=True, held=self._held[name])
            for name, some in by_node(self._graph, changes).items()
        }
        self.configs |= new
        return new

    def values(self) -> dict[str, Any]:
        """Return the current values, those of the main node without its name."""
        main = self._graph.main
        found = self.configs[main].model_dump(mode="json")
        for name, config in self.configs.items():
            if name != main:
                found |= {f"{name}.{key}": value for key, value in config.model_dump(mode="json").items()}
        return found


def changed(
    config: BaseModel, changes: Mapping[str, Any], *, is_running: bool = False, held: Sequence[str] = ()
) -> BaseModel:
    """Return `config` with `changes`. Raises ConfigError: a sentence, and the nearest right name.

    While it runs only `Live` fields may get another value, and of them none that is `held`.
    """
    schema = type(config)
    try:
        new = schema.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        raise sentence(error, schema) from error
    fixed = [
        name
        for name, described in schema.model_fields.items()
        if is_running and getattr(new, name) != getattr(config, name) and not is_live(described)
    ]
    if fixed:
        verb = "applies" if len(fixed) == 1 else "apply"
        raise ConfigError(f"{', '.join(fixed)} {verb} after restart.", hint="Start a new session with it.")
    kept = [name for name in held if is_running and getattr(new, name) != getattr(config, name)]
    if kept:
        raise ConfigError(f"Only someone at the server's own machine may set {', '.join(kept)}.")
    return new


def is_live(described: FieldInfo) -> bool:
    """Tell whether a config field acts between two samples."""
    return any(mark is Live or isinstance(mark, Live) for mark in described.metadata)
