"""A worker inside a Ray actor: the same server on a thread of the actor's process.

Ray decides on which machine it runs and starts it again when it dies. Nothing of a session passes through
Ray: calls come over HTTP as they do to any worker, pictures over the network straight from the client.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from typing import Any

from realtime.core.errors import SessionError

from .worker import Serving, Setup

START_S = 120.0
STOP_S = 20.0


class GpuWorker:
    """Serve until the actor ends. Made anew, with the same arguments, each time that Ray restarts it."""

    def __init__(self, setup: dict[str, Any], digest: str, *, is_alone: bool) -> None:
        """Start serving; `is_alone` for a cluster of this one machine, which need not listen to others."""
        self._digest = digest
        host = "127.0.0.1" if is_alone else _node_address()
        self._serving = Serving(replace(Setup(**setup), host=host))
        self._thread = threading.Thread(target=self._serving.run, name="worker", daemon=True)
        self._thread.start()
        if not self._serving.started.wait(START_S):
            raise SessionError(f"The worker did not serve within {START_S:g} s.")

    def address(self) -> dict[str, Any]:
        """Return where it listens, and the digest of what it was made from."""
        return {**asdict(self._serving.address), "digest": self._digest}

    def stop(self) -> None:
        """End its sessions and stop serving."""
        self._serving.stop()
        self._thread.join(STOP_S)


def _node_address() -> str:
    import ray

    util: Any = ray.util
    return str(util.get_node_ip_address())
