"""All that stands before the routes, in the order in which a request meets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .closed import Closed
from .guard import App, Guard
from .login import Login
from .outside import Outside
from .rates import Pace
from .visitors import Visitors

if TYPE_CHECKING:
    from fastapi import FastAPI

    from realtime.core.clock import Clock

    from .outside import Outside
    from .settings import ServerSettings


Doors = Sequence[tuple[Callable[..., App], dict[str, Any]]]
"""What makes each door, and with what; the innermost first."""


def doors(
    server: ServerSettings,
    clock: Clock,
    *,
    upload_path: str,
    upload_bytes: int,
    outside: Outside,
    is_open_to: Callable[[str, str], bool] = lambda path, origin: False,
) -> Doors:
    """Return the doors of a server."""
    return [
        (Closed, {"upload_path": upload_path}),
        (Pace, {"per_minute": server.starts_per_minute, "clock": clock}),
        (
            Login,
            {
                "password": server.password.get_secret_value(),
                "token": server.token.get_secret_value(),
                "name": f"vitascope_login_{server.port}",
                "clock": clock,
                "is_open_to": is_open_to,
            },
        ),
        (Visitors, {"name": f"vitascope_visitor_{server.port}", "is_outside": outside.is_at_door}),
        (
            Guard,
            {
                "bound_to": server.host,
                "allowed": server.allowed_hosts,
                "is_open_to": is_open_to,
                "upload_path": upload_path,
                "max_upload_bytes": upload_bytes,
                "outside": outside,
            },
        ),
    ]


def behind(app: App, found: Doors) -> App:
    """Return `app` with the doors before it, for what is reached by no route of FastAPI's."""
    for make, options in found:
        app = make(app, **options)
    return app


def add_doors(app: FastAPI, found: Doors) -> None:
    """Put the doors before all routes of `app`; the last one added is met first."""
    for make, options in found:
        app.add_middleware(make, **options)
