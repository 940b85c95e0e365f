"""Hold the kits of one painter: the plain network, and those with what features add to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from .kits import Engine, Kit, Shortcut

if TYPE_CHECKING:
    from pipelines.engines.networks import Extension

    from .features import Additions

KEPT = 8
"""Networks with additions that are held though no session may use them now."""


class KitShelf:
    """Make kits at first use, and let those go that were used longest ago."""

    def __init__(self, plain: Kit, extend: Callable[[Sequence[Extension]], Engine]) -> None:
        """`extend` builds the network with extensions."""
        self._plain = plain
        self._extend = extend
        self._kits: OrderedDict[Hashable, Kit] = OrderedDict()
        self._notes: dict[Hashable, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._kits)

    def get(self, key: Hashable, additions: Callable[[], Additions]) -> Kit:
        """Return the kit of `key`, made at first use; `additions` returns what it adds to the plain network.

        One thread at a time. One that is let go is not closed: sessions that paint with it keep it, and its
        memory goes with the last of them.
        """
        if key not in self._kits:
            added = additions()
            short, notes = self._shortcut(added)
            if added.extensions or added.add_ons:
                engine = self._extend(added.extensions) if added.extensions else self._plain.engine
                coupled = any(extension.couples_rows for extension in added.extensions)
                self._kits[key] = Kit(engine, added.add_ons, coupled, short)
            else:
                self._kits[key] = self._plain
            self._notes[key] = (*added.notes, *notes)
            while len(self._kits) > KEPT:
                self._notes.pop(self._kits.popitem(last=False)[0], None)
        self._kits.move_to_end(key)
        return self._kits[key]

    def known(self, key: Hashable) -> Kit | None:
        """Return the kit of `key` if it has been made. From any thread."""
        return self._kits.get(key)

    def notes(self, key: Hashable) -> tuple[str, ...]:
        """Return what a session is told that paints with the kit of `key`."""
        return self._notes.get(key, ())

    def close(self) -> None:
        """Close all that are held."""
        for kit in self._kits.values():
            kit.close()

    def _shortcut(self, added: Additions) -> tuple[Shortcut | None, tuple[str, ...]]:
        """Return the shortcut that was asked for, if any, and what is to be said of it."""
        detour = added.detour
        if detour is None:
            return None, ()
        if len(added.extensions) > 1:
            return None, ("Feature reuse rests while something else is added to the network.",)
        return Shortcut(Kit(self._extend((detour.extension,)), detour.add_ons), detour.serves), ()
