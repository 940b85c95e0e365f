"""Control nets: maps of the frame steer what is painted, several at once, each row with its own scales.

The setting's text is read by `controls.py`. Nets are loaded beside the running session; what a frame is
shown and how strongly may change with each frame. The map is one that a stage before made
(`realtime.core.frame.Frame.maps`); "edges" is made here when no stage did, since that costs little.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.maps.edges import edges_of

from .config import PaintConfig
from .control_rows import NAME, ControlRows, Hint, load_net
from .controls import Control, controls_of
from .features import Additions, Draft, Nothing, Report
from .pictures import Pixels, square, to_numbers

if TYPE_CHECKING:
    from .painter import Painter

SANA = "sana_control"
"""Name of the add-on of a SANA painter's nets, see `nets.sana_control`."""


class ControlNets(Nothing):
    """Show the maps of one session's frames to the control nets that are wanted."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def key(self, config: PaintConfig) -> Hashable | None:
        """Return the models that are wanted, in one order."""
        return tuple(sorted({one.model for one in controls_of(config.control)})) or None

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        models = sorted({one.model for one in controls_of(config.control)})
        if painter.unet is None:
            from .sana_control import sana_additions

            return sana_additions(models, painter, config, report)
        nets = {model: load_net(model, painter, config, report) for model in models}
        from .nets.control import ControlInputs

        rows = ControlRows(nets)
        return Additions((ControlInputs(rows.residuals),), (rows,))

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        shown = []
        for control in controls_of(config.control):
            picture = hint_of(control.map, draft)
            if picture is not None:
                shown.append((control, picture))
                continue
            self._tell(
                draft,
                f'No stage made a map "{control.map}" that can be shown: it is painted without. '
                f'Put the stage "{control.map}" before the painter.',
            )
        if draft.kit is not None and any(one.name == SANA for one in draft.kit.add_ons):
            self._show_sana(draft, shown)
            return
        draft.extras[NAME] = tuple(
            Hint(control, (to_numbers([picture]) + 1.0) / 2.0) for control, picture in shown
        )

    def _show_sana(self, draft: Draft, shown: Sequence[tuple[Control, Pixels]]) -> None:
        from .nets import sana_control

        draft.extras[SANA] = [
            sana_control.Hint(one.model, one.scale, picture, one.begin, one.end) for one, picture in shown
        ]

    def _tell(self, draft: Draft, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            draft.report(sentence)


def hint_of(name: str, draft: Draft) -> Pixels | None:
    """Return the map as the square picture that a net is shown, (size, size, 3); None when there is none."""
    array = draft.frame.maps.get(name)
    if array is not None:
        picture = as_picture(array)
        return None if picture is None else square(picture, draft.size_px)
    if name == "edges":
        return as_picture(edges_of(square(draft.frame.pixels, draft.size_px)))
    return None


def as_picture(array: npt.NDArray[Any]) -> Pixels | None:
    """Return a map as an RGB picture (H, W, 3); None for a motion."""
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    if array.ndim != 2:
        return None
    grey = array if array.dtype == np.uint8 else (array * 255.0 + 0.5).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
