"""A kit with a shortcut: each frame is asked, rows of one way share a call, both ways are closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pipelines.diffusion.features import Additions
from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.kit_shelf import KEPT
from pipelines.diffusion.kits import Kit, Row, Shortcut
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stream_batch import advance
from pipelines.diffusion.trajectory import Trajectory
from pipelines.diffusion.wish import Wish
from tests.pipelines.diffusion.vocabulary import Oracle, picture, stamp

Load = Callable[..., tuple[Painter, Oracle]]


class Counted:
    """An engine that is another one, and counts the rows of its calls."""

    def __init__(self, engine: Any) -> None:
        self.info = engine.info
        self.calls: list[int] = []
        self.is_closed = False
        self._engine = engine

    def run(self, **named: torch.Tensor) -> Mapping[str, torch.Tensor]:
        self.calls.append(len(named["latent"]))
        found: Mapping[str, torch.Tensor] = self._engine.run(**named)
        return found

    def warm(self, shapes: Mapping[str, tuple[int, ...]]) -> None: ...

    def close(self) -> None:
        self.is_closed = True


class Told:
    """An add-on that notes whose rows it saw."""

    name = "told"

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def before(self, rows: Sequence[Row], named: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        self.seen.append([row.trajectory.stamp.seq for row in rows])
        return {}

    def after(self, rows: Sequence[Row], outputs: Mapping[str, torch.Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        return {}

    def close(self) -> None: ...


def test_each_frame_goes_its_way_and_rows_of_a_way_share_a_call(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    whole, outer = Counted(painter.engines.unet), Counted(painter.engines.unet)
    told = Told()
    is_short: Callable[[Trajectory], bool] = lambda one: one.stamp.seq % 2 == 1  # noqa: E731
    kit = Kit(whole, shortcut=Shortcut(Kit(outer, (told,)), is_short))

    def frames(with_kit: Kit | None) -> list[Trajectory]:
        return [
            painter.start(
                stamp(seq),
                "one",
                painter.encode([picture(seq)]),
                painter.book.words("oil", ""),
                Wish(),
                Guidance(),
                kit=with_kit,
            )
            for seq in range(5)
        ]

    some, plain = frames(kit), frames(None)
    advance(painter, some)
    advance(painter, plain)
    assert (whole.calls, outer.calls) == ([3], [2])
    assert told.seen == [[1, 3]]
    for one, other in zip(some, plain, strict=True):
        assert (one.latent_1CHW - other.latent_1CHW).abs().max() < 1e-4
    kit.close()
    assert whole.is_closed
    assert outer.is_closed


def test_what_is_not_painted_is_what_is_kept(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    kept = torch.full_like(painter.encode([picture(0)]), 3.0)
    share = torch.zeros(1, 1, *kept.shape[-2:])
    share[..., :4] = 1.0
    made = []
    for more in ({}, {"painted": share, "kept_1CHW": kept}, {"painted": share}):
        one = painter.start(
            stamp(0),
            "one",
            painter.encode([picture(0)]),
            painter.book.words("oil", ""),
            Wish(),
            Guidance(),
            **more,  # type: ignore[arg-type]
        )
        advance(painter, [one])
        made.append(one)
    plain, mixed, usual = (one.latent_1CHW for one in made)
    assert torch.allclose(mixed[..., :4], plain[..., :4], atol=1e-5)
    assert torch.allclose(mixed[..., 4:], kept[..., 4:])
    assert torch.allclose(usual[..., 4:], made[2].reference_1CHW[..., 4:])


def test_kits_used_longest_ago_are_let_go_and_not_closed_under_who_has_them(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    first = painter.kit(("first",), lambda: Additions((), (Told(),)))
    second = painter.kit(("second",), lambda: Additions((), (Told(),)))
    for number in range(KEPT - 1):
        painter.kit(("first",), Additions)  # used again: it stays
        painter.kit(("more", number), lambda: Additions((), (Told(),)))
    assert painter.kit(("first",), Additions) is first
    assert painter.kit(("second",), lambda: Additions((), (Told(),))) is not second
    assert second.run((), **_inputs(painter)).shape == (1, 32, 8, 8)  # a session that has it goes on
    assert first.number != second.number


def _inputs(painter: Painter) -> dict[str, torch.Tensor]:
    given = painter.backbone.given(painter.book.look_up("oil"), 59, 8, {})
    return {"latent": torch.zeros(1, 32, 8, 8), **given}
