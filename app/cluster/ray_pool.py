"""Workers as detached, named actors of a Ray cluster, which chooses their machines and restarts them.

Detached actors outlive the front: one that begins anew finds them by name, and their news tell it which
sessions run there. Ray's calls block, so each is made on a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
from dataclasses import asdict
from typing import Any

from realtime.core.errors import ConfigError, SessionError

from .pool import Address
from .ray_worker import START_S, GpuWorker
from .worker import Setup

log = logging.getLogger(__name__)

NAMESPACE = "vitascope"
ANSWER_S = 5.0
RETRY_S = 0.1
PASSED_ON = ("OMP_WAIT_POLICY", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables that make engines fast (pipelines/engines/launch.py) and that an actor's process needs too."""


class RayBackend:
    """Place workers in the cluster at `address`; "" starts one on this machine, which ends with this process.

    `gpus` are set aside for each worker where the cluster has any.
    """

    def __init__(self, setup: Setup, *, address: str = "", gpus: float = 1.0) -> None:
        self._setup = asdict(setup)
        self._digest = hashlib.sha256(json.dumps(self._setup, sort_keys=True).encode()).hexdigest()
        self._address = address
        self._gpus = gpus
        self._joined = False
        self._joining = asyncio.Lock()
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ConfigError(
                'cluster.backend = "ray" needs the package ray, which is not here.',
                hint='.venv/bin/pip install -c constraints.txt "ray>=2.60"',
            ) from error
        self._ray: Any = ray

    async def begin(self, name: str, lost: Address | None) -> Address:
        async with self._joining:
            if not self._joined:
                await asyncio.to_thread(self._join)
                self._joined = True
        return await asyncio.to_thread(self._begin, name, lost)

    async def end(self, name: str, grace_s: float) -> None:
        if self._joined:
            await asyncio.to_thread(self._end, name, grace_s)

    async def close(self) -> None:
        if self._joined:
            await asyncio.to_thread(self._ray.shutdown)

    # On threads.

    def _join(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        here = {"include_dashboard": False} if not self._address else {"address": self._address}
        try:
            self._ray.init(namespace=NAMESPACE, log_to_driver=True, configure_logging=False, **here)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise SessionError(
                f"The Ray cluster cannot be joined: {error}.", hint="See cluster.ray_address."
            ) from error

    def _begin(self, name: str, lost: Address | None) -> Address:
        """Return where actor `name` serves: of one that is there, as Ray restarts it, or of a new one."""
        errors = self._ray.exceptions
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s:
            actor = self._found(name) or self._made(name)
            try:
                said = self._ray.get(actor.address.remote(), timeout=end_s - time.monotonic())
            except errors.ActorUnavailableError:
                time.sleep(RETRY_S)  # Ray restarts it: there is no event to wait for
                continue
            except errors.ActorDiedError as error:
                log.warning("%s is gone for good: %s", name, str(error).splitlines()[0])
                self._kill(actor, for_good=True)
                time.sleep(RETRY_S)
                continue
            except errors.GetTimeoutError:
                self._kill(actor, for_good=False)
                break
            digest = said.pop("digest")
            if digest != self._digest:
                log.info("%s was started with other settings: it is replaced", name)
                self._kill(actor, for_good=True)
            elif lost is not None and said["secret"] == lost.secret:
                log.warning("%s hangs: it is killed and restarted", name)
                self._kill(actor, for_good=False)
            else:
                return Address(**said)
            time.sleep(RETRY_S)
        raise SessionError(
            f"Ray did not start {name} within {START_S:g} s.", hint="ray status tells what it has to give."
        )

    def _found(self, name: str) -> Any:
        try:
            return self._ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            return None

    def _made(self, name: str) -> Any:
        gpus = self._gpus if self._ray.cluster_resources().get("GPU") else 0
        passed_on = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        made = self._ray.remote(GpuWorker).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            max_restarts=-1,
            num_cpus=1,
            num_gpus=gpus,
            runtime_env={"env_vars": passed_on} if passed_on else None,
        )
        return made.remote(self._setup, self._digest, is_alone=not self._address)

    def _end(self, name: str, grace_s: float) -> None:
        actor = self._found(name)
        if actor is None:
            return
        if grace_s > 0:
            try:
                self._ray.get(actor.stop.remote(), timeout=min(grace_s, ANSWER_S))
            except (self._ray.exceptions.RayError, TimeoutError) as error:
                log.warning("%s did not stop by itself: %s", name, type(error).__name__)
        self._kill(actor, for_good=True)

    def _kill(self, actor: Any, *, for_good: bool) -> None:
        self._ray.kill(actor, no_restart=for_good)
