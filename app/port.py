"""What the page needs, given by the application: `ui.port.StudioPort` over the session manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ui.port import EngineBadge, Vocabulary

from .manager import SessionManager
from .models import present
from .settings import Settings


def looks_of(settings: Settings) -> Vocabulary:
    """Return the words that the chosen model understands; an open vocabulary for a model that takes any."""
    config = settings.stage(settings.graph.nodes[settings.graph.output].stage)
    model = getattr(config, "model", None)
    folder = present(str(model)) if model else None
    if folder is None or not (folder / "vitascope.json").is_file():
        return Vocabulary(is_open=True)
    return Vocabulary.read(folder)


class Port:
    """Serve the page from Gradio's worker threads."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        graph = manager.settings.graph
        self._stage = graph.nodes[graph.output].stage

    def schema(self) -> type[BaseModel]:
        return self._manager.registry.config(self._stage)

    def defaults(self) -> Mapping[str, Any]:
        return self._manager.settings.stage(self._stage).model_dump(mode="json")

    def vocabulary(self) -> Vocabulary:
        return looks_of(self._manager.settings)

    def engine(self) -> EngineBadge:
        found = self._manager.warmth.engine
        if found:
            return EngineBadge(found["name"], found.get("why", ""))
        warmth = self._manager.warmth
        wish = self.defaults().get("engine", "auto")
        return EngineBadge(str(wish), warmth.says or "chosen when the painter is loaded")

    def configure(self, session_id: str, settings: Mapping[str, Any]) -> None:
        self._manager.configure(session_id, settings)
