"""What may be added to painting: each feature is one file, one session's memory and a few settings.

A feature sees each frame before it is painted and may change its `Draft`; it sees each painted frame as it
finishes. One that needs more of the network than latent, time and text says which `Extension`s of the network
and which `AddOn`s that feed them. The features that the settings ask for share one `Kit`, built beside the
running session when the settings change.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from realtime.core.frame import Frame

from .config import PaintConfig
from .embedding import Words
from .kits import AddOn, Kit
from .levels import NoiseLevels
from .motion import Map
from .pictures import Pixels
from .trajectory import Trajectory
from .ways import Ways

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.networks import Extension

    from .painter import Painter
from .wish import Wish

Report = Callable[[str], None]
Key = tuple[tuple[int, Hashable], ...]
"""Place and key of each feature that acts."""


@dataclass(slots=True)
class Draft:
    """Hold what a frame will be painted with, while features may still change it."""

    frame: Frame
    wish: Wish
    words: Words
    reference_1CHW: Tensor
    """The frame's own latent; zero when it is painted from noise alone."""
    start_1CHW: Tensor | None = None
    """What the first step begins with in place of the reference."""
    painted: float | Tensor | None = None
    """Share of the finished latent that is painted: a number or (1, 1, h, w); None is the model's own."""
    kept_1CHW: Tensor | None = None
    """What stands where it is not painted; None is the reference."""
    way_SS2: Map | None = None
    """Where each cell's noise comes from, in cells from where it is; None is no way."""
    extras: dict[str, Any] = field(default_factory=dict)
    """What the kit's add-ons want to know of this frame, by their names."""
    levels: NoiseLevels | None = None
    """What the model makes of the wish."""
    cells_11HW: Tensor | None = None
    """Share of the strength that each latent cell is painted with; None is all of it everywhere."""
    size_px: int = 0
    """Side of the square that is painted."""
    kit: Kit | None = None
    """The network that the frame will go through."""
    report: Report = lambda sentence: None
    """Tell the person who watches."""
    ways: Ways = field(default_factory=Ways)
    """How the session's pictures moved."""


@dataclass(frozen=True, slots=True)
class Additions:
    """Hold what features add to the network, in one order."""

    extensions: tuple[Extension, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    detour: Detour | None = None
    notes: tuple[str, ...] = ()
    """What each session that asks for them is told, once: sentences."""

    def __add__(self, other: Additions) -> Additions:
        return Additions(
            self.extensions + other.extensions,
            self.add_ons + other.add_ons,
            self.detour or other.detour,
            self.notes + other.notes,
        )


@dataclass(frozen=True, slots=True)
class Detour:
    """Say how a cheaper network is made of the same UNet, and which steps may be taken by it."""

    extension: Extension
    add_ons: tuple[AddOn, ...]
    serves: Callable[[Trajectory], bool]


class Feature(Protocol):
    """Add something to the painting of one session. Calls come from the painting lane, save `additions`."""

    def key(self, config: PaintConfig) -> Hashable | None:
        """Return all that its additions depend on; None when these settings do not ask for it.

        () says that it acts and adds nothing to the network, so that no other network is built for it.
        """

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        """Return what it adds to the network. On a thread of its own; may load models.

        Sessions with the same keys share what is returned, so it must hold nothing of this session.
        """

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        """Change what the frame will be painted with."""

    def finished(self, one: Trajectory, config: PaintConfig) -> None:
        """Take what it wants of a painted frame."""

    def shown(self, one: Trajectory, pixels: Pixels, config: PaintConfig) -> Pixels:
        """Return the picture (H, W, 3) that is shown of a painted frame."""

    def reset(self) -> None:
        """Forget the stream."""


class Nothing:
    """Add nothing: what a feature need not say about itself."""

    def key(self, config: PaintConfig) -> Hashable | None:
        return None

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        return Additions()

    def draft(self, draft: Draft, config: PaintConfig) -> None: ...

    def finished(self, one: Trajectory, config: PaintConfig) -> None: ...

    def shown(self, one: Trajectory, pixels: Pixels, config: PaintConfig) -> Pixels:
        return pixels

    def reset(self) -> None: ...


MAKERS: Sequence[str] = (
    "loras:Loras",
    "embedded_guidance:EmbeddedGuidance",
    "control:ControlNets",
    "image_prompt:ImagePrompt",
    "masking:Masking",
    "memory:Memory",
    "cross_frame:CrossFrame",
    "reuse:Reuse",
    "moving_noise:MovingNoise",
    "feedback:Feedback",
    "steady:Steady",
)
"""One line a feature, its file and its class, in the order in which they see a frame."""


def _maker(name: str) -> Callable[[], Feature]:
    file, _, kind = name.partition(":")
    make: Callable[[], Feature] = getattr(importlib.import_module(f"pipelines.diffusion.{file}"), kind)
    return make


def network_key(key: Key) -> Key:
    """Return the part of a key that the network depends on."""
    return tuple(one for one in key if one[1] != ())


class Features:
    """Hold the features of one session."""

    def __init__(self, makers: Sequence[Callable[[], Feature]] | None = None) -> None:
        self._all: list[Feature] = [make() for make in (map(_maker, MAKERS) if makers is None else makers)]
        self._answered: tuple[PaintConfig, Key] | None = None

    def key(self, config: PaintConfig) -> Key:
        """Return which features these settings ask for, and with what; () for none.

        It is asked for each frame, and texts are read for it: so the newest answer is remembered.
        """
        if self._answered is None or self._answered[0] is not config:
            keys = [(place, feature.key(config)) for place, feature in enumerate(self._all)]
            self._answered = (config, tuple((place, key) for place, key in keys if key is not None))
        return self._answered[1]

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        """Return what all that are asked for add to the network."""
        made = Additions()
        for place, _ in self.key(config):
            made = made + self._all[place].additions(painter, config, report)
        return made

    def draft(self, draft: Draft, config: PaintConfig, ready: Key) -> None:
        """Let each that is `ready` change what a frame will be painted with."""
        for place, _ in ready:
            self._all[place].draft(draft, config)

    def finished(self, one: Trajectory, config: PaintConfig, ready: Key) -> None:
        """Show a painted frame to each that is `ready`."""
        for place, _ in ready:
            self._all[place].finished(one, config)

    def shown(self, one: Trajectory, pixels: Pixels, config: PaintConfig, ready: Key) -> Pixels:
        """Return the picture that is shown of a painted frame, as each that is `ready` makes it in turn."""
        for place, _ in ready:
            pixels = self._all[place].shown(one, pixels, config)
        return pixels

    def reset(self) -> None:
        """Forget the stream."""
        for feature in self._all:
            feature.reset()
