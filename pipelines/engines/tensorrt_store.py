"""Where the TensorRT back end gets its engines from: the shelf, or a build that then goes there.

An engine of TensorRT-RTX may have been built elsewhere, for several compute capabilities at once and for
other numbers of rows. So a file serves when all else is equal and this GPU is among its targets.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import export
from .base import Network, Report
from .key import Recipe, Shelf, differences
from .tensorrt_api import Api
from .tensorrt_build import Profile, build_engine_bytes, recipe_of

if TYPE_CHECKING:
    from .tensorrt_run import Compiled


class Store:
    """Give engines of networks for one GPU."""

    def __init__(
        self,
        api: Api,
        shelf: Shelf | None,
        precision: str,
        target: str,
        place: str,
        *,
        is_refittable: bool = False,
        report: Report = lambda sentence: None,
        exporter: Any = export.write,
    ) -> None:
        """`target` is such as "sm89"; `place` names all that an enterprise engine is tied to."""
        self.api = api
        self.is_refittable = is_refittable
        self._shelf = shelf
        self._precision = precision
        self._target = target
        self._place = place
        self._report = report
        self._exporter = exporter
        self._kept_kernels: dict[str, bytes] = {}

    def recipe(self, network: Network, profile: Profile) -> Recipe:
        """Return the recipe of an engine for this GPU alone."""
        return recipe_of(
            network,
            profile,
            precision=self._precision,
            targets=(self._target,),
            api=self.api,
            place=self._place,
            is_refittable=self.is_refittable,
        )

    def get(self, network: Network, profile: Profile) -> tuple[bytes, Profile] | None:
        """Return a kept engine that runs here, with its own profile: the same sizes, perhaps other rows."""
        if self._shelf is None or not network.digest:
            return None
        if (engine := self._shelf.get(self.recipe(network, profile))) is not None:
            return engine, profile
        return self._near(self._shelf, network, profile)

    def build(self, network: Network, profile: Profile) -> bytes:
        """Build an engine and keep it."""
        recipe = self.recipe(network, profile)
        if self._shelf is not None and (changed := self._shelf.why_missing(recipe)):
            self._report(f"The kept engine of {network.name} does not serve: {changed}.")
        engine = build_engine_bytes(
            network,
            profile,
            precision=self._precision,
            targets=(self._target,),
            report=self._report,
            api=self.api,
            is_refittable=self.is_refittable,
            timing_file=None if self._shelf is None else self._shelf.folder / "timing.cache",
            exporter=self._exporter,
        )
        if self._shelf is not None and network.digest and (trouble := self._shelf.put(recipe, engine)):
            self._report(f"The built {network.name} is not kept for the next start: {trouble}")
        return engine

    @contextlib.contextmanager
    def graph(self, network: Network, profile: Profile) -> Iterator[Path]:
        """Give the ONNX file of a network, to refit from."""
        shapes = profile.shapes(network, profile.rows[0])
        with tempfile.TemporaryDirectory(prefix="vitascope-onnx-") as folder:
            yield self._exporter(
                network, shapes, Path(folder), precision=self._precision, only_rows=True
            ).path

    def kernels(self, network: Network, profile: Profile) -> bytes:
        """Return the kernels that TensorRT-RTX finished for this engine on this GPU; empty for none."""
        if self._shelf is None or not network.digest or not self.api.is_rtx:
            return b""
        return self._shelf.get(self._kernel_recipe(network, profile)) or b""

    def keep_kernels(self, compiled: Compiled) -> None:
        """Keep what TensorRT-RTX finished, if there is anything new."""
        if self._shelf is None or not compiled.network.digest or not (kernels := compiled.kernels()):
            return
        recipe = self._kernel_recipe(compiled.network, compiled.profile)
        if self._kept_kernels.get(recipe.key()) != kernels:
            self._kept_kernels[recipe.key()] = kernels
            self._shelf.put(recipe, kernels)  # without them the next start takes longer, no more

    def _kernel_recipe(self, network: Network, profile: Profile) -> Recipe:
        recipe = self.recipe(network, profile)
        return replace(recipe, backend=f"{recipe.backend} kernels", processor=self._place)

    def _near(self, shelf: Shelf, network: Network, profile: Profile) -> tuple[bytes, Profile] | None:
        """Return the engine with most buckets among those that differ in rows, or in further targets."""
        found: list[tuple[Profile, Recipe]] = []
        for path in shelf.folder.glob("*.json"):
            try:
                beside = json.loads(path.read_text(encoding="utf-8"))
                rows = {int(name.rpartition(" of ")[2]) for name, _ in beside["shapes"]}
                processor = str(beside["processor"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            other = replace(profile, rows=tuple(sorted(rows)))
            recipe = replace(self.recipe(network, other), processor=processor)
            if self._serves(processor) and not differences(beside, recipe.as_json()):
                found.append((other, recipe))
        for other, recipe in sorted(found, key=lambda one: len(one[0].rows), reverse=True):
            if (engine := shelf.get(recipe)) is not None:
                return engine, other
        return None

    def _serves(self, processor: str) -> bool:
        if not self.api.is_rtx:
            return processor == self._place
        *targets, system = processor.split() or [""]
        return system == sys.platform and self._target in targets
