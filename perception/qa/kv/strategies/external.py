"""Let an embedder of pictures and text find frames: the same frames for all layers, or for any server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch

from realtime.core.errors import EngineError

from .base import Asked, Choice, best

if TYPE_CHECKING:
    from perception.qa.kv.memory import Query
    from perception.qa.kv.table import Rows


class Embedder(Protocol):
    """Put pictures and text in one space, where what belongs together lies close. Any thread."""

    def picture(self, pixels_HW3: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Return (E,) float32 of length 1."""

    def words(self, text: str) -> torch.Tensor:
        """Return (E,) float32 of length 1; of length 0 when it knows no word of the text."""


@dataclass(frozen=True, slots=True)
class External:
    """Bring back the frames that lie closest to the question, and the newest."""

    embedder: Embedder
    frames: int = 8
    recent: int = 2
    name: str = "external"

    def choose(self, query: Query, rows: Rows, memory: Asked) -> Choice:
        if rows.embeddings_NE is None:
            raise EngineError(
                "Frames were kept without embeddings, by which this strategy finds them.",
                hint="Give `push` each frame's embedding_E from the same embedder.",
                permanent=True,
            )
        scores_N = rows.embeddings_NE @ self.embedder.words(query.text)
        return Choice((best(scores_N, self.frames, self.recent),), scores_N)


HUES = {
    "red": (220, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (240, 220, 50),
    "green": (50, 170, 70),
    "blue": (50, 80, 220),
    "purple": (140, 60, 180),
    "pink": (245, 150, 190),
    "brown": (120, 75, 40),
    "white": (250, 250, 250),
    "black": (15, 15, 15),
    "grey": (128, 128, 128),
    "cyan": (60, 200, 210),
}
"""Words for colours and what a camera shows of them, roughly."""
SYNONYMS = {"gray": "grey", "violet": "purple", "teal": "cyan", "turquoise": "cyan"}


class ColourEmbedder:
    """Embed pictures by how much of each named colour they show, and text by the colours that it names.

    Analytic, without weights: it finds "the red cup" when nothing else is red, and no more than that.
    """

    def __init__(self) -> None:
        self._palette_C3 = np.array(list(HUES.values()), np.float32)
        self._names = list(HUES)

    def picture(self, pixels_HW3: npt.NDArray[np.uint8]) -> torch.Tensor:
        height, width = pixels_HW3.shape[:2]
        step = max(1, min(height, width) // 64)
        some_N3 = pixels_HW3[::step, ::step].reshape(-1, 3).astype(np.float32)
        away_NC = ((some_N3[:, None] - self._palette_C3[None]) ** 2).sum(axis=2)
        share_C = np.bincount(away_NC.argmin(axis=1), minlength=len(self._names)) / len(some_N3)
        root_C = np.sqrt(share_C)  # of length 1: the Bhattacharyya angle between histograms
        return torch.from_numpy(root_C.astype(np.float32))

    def words(self, text: str) -> torch.Tensor:
        said = "".join(c if c.isalpha() else " " for c in text.lower()).split()
        named = {SYNONYMS.get(word, word) for word in said}
        found_C = torch.tensor([1.0 if name in named else 0.0 for name in self._names])
        return found_C / found_C.norm().clamp_min(1e-9)
