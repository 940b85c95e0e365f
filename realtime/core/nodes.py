"""The nodes of a graph, and the order in which they open: checked before anything loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .errors import ConfigError
from .stage import Stage, StageSpec

SOURCE = "source:"


@dataclass(frozen=True, slots=True)
class Node:
    """Place one stage in a graph."""

    name: str
    stage: Stage[Any]
    spec: StageSpec
    config: Any
    input: str = SOURCE + "video"
    """Name of another node, or "source:" and the name of a source."""
    watches: tuple[str, ...] = ()
    """Names of nodes whose newest value it looks at, without waiting for one."""


def ordered(nodes: Sequence[Node], sources: Mapping[str, type]) -> tuple[Node, ...]:
    """Return the nodes so that each comes after its input. Raises ConfigError for what cannot work."""
    named: dict[str, Node] = {}
    for node in nodes:
        if node.name in named:
            raise ConfigError(f'Two nodes are named "{node.name}".', hint="Give each a name of its own.")
        if any(node.stage is other.stage for other in named.values()):
            raise ConfigError(f'Node "{node.name}" shares its stage object with another node.')
        named[node.name] = node
    for node in nodes:
        if node.input.startswith(SOURCE):
            gives = sources.get(node.input.removeprefix(SOURCE))
        else:
            gives = named[node.input].spec.gives if node.input in named else None
        if gives is None:
            readable = [*(name for name in named if name != node.name), *(SOURCE + name for name in sources)]
            raise ConfigError(
                f'Node "{node.name}" reads "{node.input}", which there is not.', hint=known(readable)
            )
        if not issubclass(gives, node.spec.takes):
            takes = node.spec.takes.__name__
            raise ConfigError(f'Node "{node.name}" takes {takes}, but "{node.input}" gives {gives.__name__}.')
        for name in node.watches:
            _check_watch(node, name, named)
    try:
        order = tuple(
            TopologicalSorter(
                {node.name: {node.input, *node.watches} & named.keys() for node in nodes}
            ).static_order()
        )
    except CycleError as error:
        raise ConfigError(
            f"The nodes read each other in a circle: {' > '.join(error.args[1])}.",
            hint='Let one of them read a source, e.g. "source:video".',
        ) from None
    return tuple(named[name] for name in order)


def _check_watch(node: Node, name: str, named: Mapping[str, Node]) -> None:
    """Raise ConfigError for a node that `node` cannot watch."""
    wanted = node.spec.watches
    if wanted is None:
        raise ConfigError(f'Node "{node.name}" watches "{name}", but its stage watches nothing.')
    if name not in named:
        others = [one for one in named if one != node.name]
        raise ConfigError(f'Node "{node.name}" watches "{name}", which there is not.', hint=known(others))
    gives = named[name].spec.gives
    if not issubclass(gives, wanted):
        raise ConfigError(
            f'Node "{node.name}" watches {wanted.__name__}, but "{name}" gives {gives.__name__}.'
        )


def known(names: Iterable[str]) -> str:
    """Say which names there are."""
    return f"Known: {', '.join(sorted(names))}."
