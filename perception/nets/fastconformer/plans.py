"""How large a FastConformer is and what it was made for: all that its weights do not tell by themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from transformers import NemotronAsrStreamingConfig, NemotronAsrStreamingEncoderConfig

HOP_S = 0.01
"""Seconds between two mel frames."""
LONGEST_FRAMES = 200_000
"""Longest stretch that `model.FastConformer.encode` takes at once, in encoder frames."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Say how a FastConformer is built. The published streaming ones have the defaults here."""

    width: int = 512
    layers: int = 17
    heads: int = 8
    inner: int = 2048
    """Width within a feed-forward half."""
    kernel: int = 9
    """Frames that a block's causal convolution sees."""
    factor: int = 8
    """Mel frames that become one encoder frame: a power of 2, a stage of the subsampling each."""
    channels: int = 256
    """Of the subsampling."""
    mels: int = 80
    scales_input: bool = False
    """Whether frames are multiplied by the root of the width first (NeMo's `xscaling`)."""
    has_attention_bias: bool = True
    has_conv_bias: bool = True
    left: int = 70
    """Encoder frames of the past that attention sees."""
    lookaheads: tuple[int, ...] = (13, 6, 1, 0)
    """Encoder frames of the future that it was trained to see, its favourite first."""
    tokens: int = 1025
    """Outputs of a head, the blank included."""
    blank: int = 1024
    has_ctc: bool = True
    predictor: int = 640
    """Width of the RNN-T's prediction and joint networks; 0: there is no RNN-T."""
    predictor_layers: int = 1
    most_symbols: int = 10
    """Tokens that the RNN-T may say in one frame."""
    mel_shift: float = 0.0
    mel_scale: float = 1.0
    """What is added to the log-mel, then multiplied: 0 and 1 for published weights."""

    def __post_init__(self) -> None:
        if self.factor < 2 or self.factor & (self.factor - 1):
            raise ConfigError(f"The subsampling must be a power of 2, got {self.factor}.")
        if not (self.has_ctc or self.predictor):
            raise ConfigError("A FastConformer needs a head: has_ctc or a predictor.")
        for lookahead in self.lookaheads:
            self.check(lookahead)

    def check(self, lookahead: int) -> None:
        """Raise ConfigError for a look-ahead whose chunks do not tile the past that attention sees."""
        if lookahead < 0 or self.left % (lookahead + 1):
            fitting = [one for one in range(self.left + 1) if not self.left % (one + 1)]
            raise ConfigError(
                f"A look-ahead of {lookahead} frames does not fit: chunks of {lookahead + 1} frames do not "
                f"tile the {self.left} frames of the past that attention sees.",
                hint=f"Take one of {', '.join(map(str, fitting))}; trained for: "
                f"{', '.join(map(str, sorted(self.lookaheads)))}.",
            )

    @property
    def stages(self) -> int:
        """Stages of the subsampling, each of which halves time and mels."""
        return self.factor.bit_length() - 1

    @property
    def frame_s(self) -> float:
        """Seconds of an encoder frame: the grain of word times."""
        return self.factor * HOP_S

    def chunk_s(self, lookahead: int) -> float:
        """Return the seconds of sound that a step takes."""
        return (lookahead + 1) * self.frame_s

    def bands(self) -> list[int]:
        """Return how many mel bands enter each stage, and how many leave the last one."""
        found = [self.mels]
        for _ in range(self.stages):
            found.append(found[-1] // 2 + 1)
        return found

    def frames(self, mels: int, stage: int | None = None) -> int:
        """Return how many frames leave a stage (the last one) of so many mel frames, heard to their end."""
        for _ in range(self.stages if stage is None else stage):
            mels = mels // 2 + 1
        return mels

    def told(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return dataclasses.asdict(self)

    @staticmethod
    def read(told: Mapping[str, Any]) -> Plan:
        """Return the plan that `told` wrote. Raises ModelError for unknown words."""
        known = {field.name for field in dataclasses.fields(Plan)}
        if strange := sorted(set(told) - known):
            raise ModelError(
                f"The plan of this FastConformer has words that are not known here: {', '.join(strange)}.",
                hint=f"Known are: {', '.join(sorted(known))}.",
            )
        return Plan(**{**told, "lookaheads": tuple(told.get("lookaheads", Plan().lookaheads))})

    def encoder_config(self) -> NemotronAsrStreamingEncoderConfig:
        """Return it as transformers names it; without dropout, which only training wants."""
        from transformers import NemotronAsrStreamingEncoderConfig

        return NemotronAsrStreamingEncoderConfig(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.inner,
            attention_bias=self.has_attention_bias,
            convolution_bias=self.has_conv_bias,
            conv_kernel_size=self.kernel,
            subsampling_factor=self.factor,
            subsampling_conv_channels=self.channels,
            num_mel_bins=self.mels,
            scale_input=self.scales_input,
            sliding_window=self.left + 1,
            default_num_lookahead_tokens=self.lookaheads[0],
            max_position_embeddings=LONGEST_FRAMES,
            dropout=0.0,
            layerdrop=0.0,
            activation_dropout=0.0,
            attention_dropout=0.0,
        )

    def whole_config(self) -> NemotronAsrStreamingConfig:
        """Return it with the RNN-T, as transformers names it."""
        from transformers import NemotronAsrStreamingConfig

        return NemotronAsrStreamingConfig(
            vocab_size=self.tokens,
            decoder_hidden_size=self.predictor,
            num_decoder_layers=self.predictor_layers,
            max_symbols_per_step=self.most_symbols,
            blank_token_id=self.blank,
            encoder_config=self.encoder_config(),
        )
