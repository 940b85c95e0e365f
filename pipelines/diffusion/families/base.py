"""What a family of models says about itself: everything else in this house is the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.diffusion.embedding import Embedding
from pipelines.diffusion.text import Texts
from realtime.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.engines.base import Network
    from pipelines.engines.networks import Extension

GUIDANCE = "embedded_guidance"
"""Name in a trajectory's `extras` of how hard a model pushes that takes guidance as an input."""


class Backbone(Protocol):
    """Say what the denoiser is given besides the noised latent, row by row."""

    device: str
    """Where its inputs lie."""
    usual_t: float
    """A noise level of the middle, for checks and for the first run."""

    def given(
        self, embedding: Embedding, t: float, side: int, extras: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Return the inputs of one row, each (1, ...), by name: "emb", "context" and what else there is.

        `t` is the step's, `side` the latent's, `extras` those of the frame. What is costly is remembered.
        """


class Family(Protocol):
    """Make the text side and the denoiser's network of a model's parts."""

    title: str
    """As a person calls it: "SDXL"."""
    backbone: Backbone
    text: Texts

    def network(self, digest: str, extensions: Sequence[Extension] = ()) -> Network:
        """Return the denoiser: "latent" and what `Backbone.given` names, to "out" of the latent's size.

        Raises ModelError for extensions that this family cannot have.
        """


def check_extensions(extensions: Sequence[Extension], backbone: str, title: str) -> None:
    """Raise ModelError for an extension that was not written for `backbone`, "unet" or "sana"."""
    for extension in extensions:
        if backbone not in getattr(extension, "backbones", ("unet",)):
            raise ModelError(
                f"{extension.name} does not work with {title} models.",
                hint="Take it out of the settings, or choose another model.",
            )
