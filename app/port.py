"""What the page needs, given by the application: `ui.port.StudioPort` over the session manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from realtime.core.errors import ModelError, SessionError
from realtime.core.nodes import SOURCE
from ui.port import EngineBadge, Fold, Vocabulary

from .registry import Registry
from .settings import Settings
from .visitors import HOUSE, asking
from .wiring import SOUND

OPEN = Vocabulary(is_open=True)


def looks_of(settings: Settings, registry: Registry) -> Vocabulary:
    """Return the words that the main stage's model understands; an open vocabulary for one that takes any.

    Raises ModelError when the model is not on this machine.
    """
    from pipelines.models.store import locate

    stage = settings.graph.nodes[settings.graph.main].stage
    names = [str(getattr(settings.stage(stage), key)) for key in registry.spec(stage).models]
    folders = [folder for folder in map(locate, names) if (folder / "vitascope.json").is_file()]
    found = Vocabulary.read(folders[0]) if folders else OPEN
    return found if found.looks else OPEN


class Painter(Protocol):
    """Tell how far the loading of the painter is (warmth.py, or what the front knows of its workers)."""

    @property
    def engine(self) -> dict[str, str] | None: ...

    @property
    def says(self) -> str: ...


class Sessions(Protocol):
    """Hold the sessions that the page steers: in this process (manager.py) or in others (cluster/far.py)."""

    @property
    def settings(self) -> Settings: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def warmth(self) -> Painter: ...

    def configure(self, session_id: str, changes: Mapping[str, Any], /) -> None: ...


class Port:
    """Serve the page from Gradio's worker threads."""

    def __init__(self, manager: Sessions) -> None:
        self._manager = manager
        graph = manager.settings.graph
        self._stage = graph.nodes[graph.main].stage

    def schema(self) -> type[BaseModel]:
        return self._manager.registry.config(self._stage)

    def defaults(self) -> Mapping[str, Any]:
        return self._manager.settings.stage(self._stage).model_dump(mode="json")

    def folds(self) -> Sequence[Fold]:
        settings, registry = self._manager.settings, self._manager.registry
        return [
            Fold(
                name,
                name.replace("_", " ").capitalize(),
                registry.config(node.stage),
                settings.stage(node.stage).model_dump(mode="json"),
            )
            for name, node in settings.graph.nodes.items()
            if name != settings.graph.main
        ]

    def vocabulary(self) -> Vocabulary:
        try:
            return looks_of(self._manager.settings, self._manager.registry)
        except ModelError:
            return OPEN  # the page stands without the model, and a session says why it cannot paint

    def writes(self) -> bool:
        nodes = self._manager.settings.graph.nodes.values()
        return any(self._manager.registry.spec(node.stage).writes for node in nodes)

    def hears(self) -> bool:
        return SOURCE + SOUND in {node.input for node in self._manager.settings.graph.nodes.values()}

    def answers(self) -> bool:
        nodes = self._manager.settings.graph.nodes.values()
        return any(hasattr(self._manager.registry.stage(node.stage), "desk") for node in nodes)

    def engine(self) -> EngineBadge:
        found = self._manager.warmth.engine
        if found:
            return EngineBadge(found["name"], found.get("why", ""))
        warmth = self._manager.warmth
        wish = self.defaults().get("engine", "auto")
        return EngineBadge(str(wish), warmth.says or "chosen when the painter is loaded")

    def configure(self, session_id: str, settings: Mapping[str, Any]) -> None:
        if asking() is HOUSE:  # the page's events come with a request; without one, nobody may
            raise SessionError("Nobody is known to have asked for that.", hint="Reload the page.")
        self._manager.configure(session_id, settings)
