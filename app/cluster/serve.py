"""Run the front with the back end that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.registry import Registry
from app.serve import run

from .pool import Backend
from .worker import Setup

if TYPE_CHECKING:
    from app.settings import Settings


def backend_of(settings: Settings, registry: Registry) -> Backend:
    """Return what starts the workers. Raises ConfigError when Ray is asked for and is not here."""
    setup = Setup.of(settings, registry.table)
    if settings.cluster.backend == "ray":
        from .ray_pool import RayBackend

        ray: Backend = RayBackend(setup, address=settings.cluster.ray_address, gpus=settings.cluster.ray_gpus)
        return ray
    from .local import LocalBackend

    return LocalBackend(setup)


def serve_front(settings: Settings, registry: Registry | None = None) -> int:
    """Serve until stopped; return the exit status. The workers end with the front."""
    from .front import build_front

    registry = registry or Registry()
    app = build_front(settings, registry, backend_of(settings, registry))
    outside = app.state.outside if settings.server.share else None
    return run(app, settings, outside=outside, ws=app.state.splicing)
