"""All that stands before the routes, in the order in which a request meets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .closed import Closed
from .guard import Guard
from .login import Login
from .outside import Outside
from .rates import Pace
from .visitors import Visitors

if TYPE_CHECKING:
    from fastapi import FastAPI

    from realtime.core.clock import Clock

    from .outside import Outside
    from .settings import ServerSettings


def add_doors(
    app: FastAPI,
    server: ServerSettings,
    clock: Clock,
    *,
    upload_path: str,
    upload_bytes: int,
    is_open_to: Callable[[str, str], bool],
    outside: Outside,
) -> None:
    """Put the doors before all routes of `app`; the last one added is met first."""
    app.add_middleware(Closed, upload_path=upload_path)
    app.add_middleware(Pace, per_minute=server.starts_per_minute, clock=clock)
    app.add_middleware(
        Login,
        password=server.password.get_secret_value(),
        token=server.token.get_secret_value(),
        name=f"vitascope_login_{server.port}",
        clock=clock,
    )
    app.add_middleware(Visitors, name=f"vitascope_visitor_{server.port}", outside=outside)
    app.add_middleware(
        Guard,
        bound_to=server.host,
        allowed=server.allowed_hosts,
        is_open_to=is_open_to,
        upload_path=upload_path,
        max_upload_bytes=upload_bytes,
        outside=outside,
    )
