"""What takes time to prepare when settings change: a new size, a network with other features, more rows.

It is prepared on the builder's thread while frames are painted as before, and taken by the first frame after
it is ready; so a change neither stalls a session nor loses a picture of it. The newest wish wins: what was
wanted before and is not begun is never prepared. What cannot be prepared is told once, and the old stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from realtime.core.errors import EngineBuildFailed, VitascopeError

from .config import PaintConfig
from .features import Features, Key, network_key
from .kits import Kit
from .painter import Painter

Report = Callable[[str], None]
Place = tuple[int, Key]
"""Side in pixels, and which features act."""
Wanted = tuple[Place, int]
"""A place, and the rows of a full tick."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Hold what frames are painted with now."""

    size_px: int
    features: Key
    """Which features act, see `Features.key`."""
    kit: Kit
    config: PaintConfig
    """The newest settings whose rows are ready: steps and guidance are taken from here."""
    asked: PaintConfig
    """The newest settings that ask for just these features: a feature sees none in which it is off."""

    @property
    def place(self) -> Place:
        return (self.size_px, self.features)


class Fitting:
    """Give the newest fit that is ready. One session's, on the painting lane."""

    def __init__(self, painter: Painter, features: Features, report: Report) -> None:
        self._painter = painter
        self._features = features
        self._report = report
        self._fit: Fit | None = None
        self._coming: tuple[Wanted, Future[Kit]] | None = None
        self._refused: Wanted | None = None

    def first(self, config: PaintConfig, rows: int) -> Fit:
        """Prepare what the first frame needs, and wait for it. Raises what preparing it raises."""
        place = (config.size_px, self._features.key(config))
        kit = self._prepare(place, config, rows).result()
        self._fit = Fit(*place, kit, config, config)
        return self._fit

    def prepare(self, rows: Iterable[int]) -> None:
        """Prepare what may be wanted later, without waiting for it."""
        fit = self._fit
        assert fit is not None  # `first` came first
        for count in rows:
            if not self._painter.is_warm(1, count, fit.size_px, fit.kit):
                self._painter.build(partial(self._painter.warm, 1, count, fit.size_px, fit.kit))

    def newest(self, config: PaintConfig, rows: int) -> Fit:
        """Return the newest fit that is ready, and begin to prepare what `config` asks for.

        `rows` is how many rows a tick has when all frames in flight are painted by `config`.
        """
        fit = self._fit
        assert fit is not None  # `first` came first
        wanted = ((config.size_px, self._features.key(config)), rows)
        if fit.config is not config or fit.place != wanted[0]:
            self._fit = fit = self._at_once(fit, config, wanted)
        if self._refused is not None and self._refused[0] != wanted[0]:
            self._refused = None
        elif self._refused is not None and self._refused[0] != fit.place:
            wanted = (fit.place, rows)  # the place was refused: what else is wanted can still be had
        if (wanted[0] == fit.place and fit.config is config) or wanted == self._refused:
            self.cancel()
            return fit
        if self._coming is None or self._coming[0] != wanted:
            self.cancel()
            if wanted[0] != fit.place:
                self._report("Preparing the new settings; painting goes on with the old ones meanwhile.")
            self._coming = (wanted, self._prepare(wanted[0], config, rows))
        return self._taken(fit, config) if self._coming[1].done() else fit

    def _at_once(self, fit: Fit, config: PaintConfig, wanted: Wanted) -> Fit:
        """Return what of `config` needs no preparing, laid over `fit`."""
        place, rows = wanted
        kit = self._painter.kits.known(network_key(place[1]))
        if kit is not None and self._painter.is_warm(1, rows, place[0], kit):
            return Fit(*place, kit, config, config)
        if place[1] == fit.features:
            fit = replace(fit, asked=config)
        if self._painter.is_warm(1, rows, fit.size_px, fit.kit):
            fit = replace(fit, config=config)
        return fit

    def cancel(self) -> None:
        """Prepare no longer what has not been begun."""
        if self._coming is not None:
            self._coming[1].cancel()
        self._coming = None

    def _taken(self, fit: Fit, config: PaintConfig) -> Fit:
        """Take what has come, or tell why it did not and keep `fit`."""
        assert self._coming is not None
        wanted, coming = self._coming
        self._coming, self._refused = None, wanted  # refused until it is seen to be good
        try:
            self._fit = fit = Fit(*wanted[0], coming.result(), config, config)
            self._refused = None
        except VitascopeError as error:
            self._report(f"The new settings cannot be had, the old ones stay: {error}")
        return fit

    def _prepare(self, place: Place, config: PaintConfig, rows: int) -> Future[Kit]:
        painter, size_px, network = self._painter, place[0], network_key(place[1])
        same = self._fit.kit if self._fit is not None and self._fit.features == place[1] else None

        def make() -> Kit:
            try:
                kit = same or painter.kit(
                    network, lambda: self._features.additions(painter, config, self._report)
                )
                painter.warm(1, rows, size_px, kit)
            except (RuntimeError, MemoryError) as error:  # what back ends raise without room or ground
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise EngineBuildFailed(
                    f"{rows} rows at {size_px} px cannot be prepared: {reason}.", hint="Use a smaller size."
                ) from error
            for note in () if same else painter.kits.notes(network):
                self._report(note)
            return kit

        return painter.build(make)
