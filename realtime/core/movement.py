"""Whether anything moved: what a stage that saves work may ask of one that sees motion, whoever that is."""

from __future__ import annotations

from .frame import Stamp


class Movement:
    """Know up to one picture what moved. Values of stages that see motion are of this kind."""

    __slots__ = ()

    stamp: Stamp
    """Of the newest picture that was looked at."""

    def moved(self, since_ns: int) -> bool | None:
        """Tell whether anything moved after the picture taken at that time; None where that is not known."""
        raise NotImplementedError
