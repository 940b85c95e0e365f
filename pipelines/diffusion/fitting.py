"""What takes time to prepare when settings change: a new size, a network with other features.

It is prepared on the builder's thread while frames are painted as before, and taken by the first frame after
it is ready; so a change neither stalls a session nor loses a picture of it. What cannot be prepared is told
once, and the old stays.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from realtime.core.errors import VitascopeError

from .config import PaintConfig
from .features import Features, Key, network_key
from .kits import Kit
from .painter import Painter

Report = Callable[[str], None]
Wanted = tuple[int, Key]


@dataclass(frozen=True, slots=True)
class Fit:
    """Hold what frames are painted with now."""

    size_px: int
    features: Key
    """Which features act, see `Features.key`."""
    kit: Kit


class Fitting:
    """Give the newest fit that is ready. One session's, on the painting lane."""

    def __init__(self, painter: Painter, features: Features, report: Report) -> None:
        self._painter = painter
        self._features = features
        self._report = report
        self._fit: Fit | None = None
        self._coming: tuple[Wanted, Future[Fit]] | None = None
        self._refused: Wanted | None = None

    def first(self, config: PaintConfig, rows: int) -> Fit:
        """Prepare what the first frame needs, and wait for it. Raises what preparing it raises."""
        self._fit = self._prepare(config, rows).result()
        return self._fit

    def newest(self, config: PaintConfig, rows: int) -> Fit:
        """Return the newest fit that is ready, and begin to prepare what `config` asks for."""
        assert self._fit is not None  # `first` came first
        wanted: Wanted = (config.size_px, self._features.key(config))
        if wanted in ((self._fit.size_px, self._fit.features), self._refused):
            self._coming = None
            return self._fit
        if self._coming is None or self._coming[0] != wanted:
            self._report("Preparing the new settings; painting goes on with the old ones meanwhile.")
            self._coming = (wanted, self._prepare(config, rows))
        coming = self._coming[1]
        if coming.done():
            self._coming = None
            try:
                self._fit = coming.result()
            except VitascopeError as error:
                self._refused = wanted
                self._report(f"The new settings cannot be had, the old ones stay: {error}")
        return self._fit

    def _prepare(self, config: PaintConfig, rows: int) -> Future[Fit]:
        painter, key = self._painter, self._features.key(config)

        def make() -> Fit:
            kit = painter.kit(
                network_key(key), lambda: self._features.additions(painter, config, self._report)
            )
            painter.warm(1, rows, config.size_px, kit)
            for note in painter.notes(network_key(key)):
                self._report(note)
            return Fit(config.size_px, key, kit)

        return painter.build(make)
