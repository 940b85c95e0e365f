"""VideoStreaming (Qian et al. 2024, arXiv:2405.16009): a memory for each clip; a question picks some.

Frames are gathered to clips. A summariser turns [the memory of the clip before | the clip] into a memory of
fixed size and an indicator. The memories of all clips are kept, up to a limit; a question takes a constant
number of them, those whose indicators lie closest to its own. What is ours: the choice is deterministic, the
newest clip is always taken, the frames since come along in full, and clips know their times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from perception.qa.kv.memory import Query, TokenContext
from realtime.core.errors import ConfigError

from .parts import Forgotten, Grid, Piece, checked, context_of
from .summary import Summariser


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """Bound the memory."""

    clip_frames: int = 0
    """0: as many as the summariser takes."""
    chosen_clips: int = 4
    """The newest is always among them."""
    open_frames: int = 8
    """Of the frames since the last whole clip so many go along in full, the newest."""
    chain_clips: int = 12
    """After so many clips memories begin anew, so that to forget one costs no more than a chain. Ours."""
    most_clips: int = 2048
    """Beyond these the oldest is forgotten: at 64 tokens of 896 half-precision numbers they take 224 MiB."""

    def __post_init__(self) -> None:
        least = min(self.chosen_clips, self.open_frames, self.chain_clips, self.most_clips)
        if least < 1 or self.clip_frames < 0:
            raise ConfigError(f"A clip has one frame at least, and one clip is chosen at least, got {self}.")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Hold the memory of one clip."""

    memory: Piece
    indicator_D: torch.Tensor
    """Of length 1."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipSnapshot:
    """Hold the clips and newest frames of a moment."""

    clips: tuple[Clip, ...] = ()
    newest: tuple[Piece, ...] = ()
    forgotten: int = 0


class ClipMemory:
    """Remember a stream clip by clip. Satisfies `Memory[ClipSnapshot]`."""

    def __init__(self, grid_hw: Grid, summariser: Summariser, config: ClipConfig | None = None) -> None:
        self.config, self.summariser = config or ClipConfig(), summariser
        self.clip_frames = self.config.clip_frames or summariser.clip_frames
        self._grid = grid_hw
        self._open: tuple[Piece, ...] = ()
        self._before_MC: torch.Tensor | None = None
        self._chain = 0
        self._root_ns = 0
        self._forgotten = Forgotten()
        self._now = ClipSnapshot()

    def push(self, features_TC: torch.Tensor, at_ns: int) -> None:
        """Take in one frame; with the first of a clip the one before is summed up."""
        frame = Piece.of_frame(checked(features_TC, self._grid), at_ns)
        clips = self._now.clips
        if len(self._open) == self.clip_frames:  # only now: so the newest frame is never but summed up
            clips = (*clips, self._summed_up(self._open))[-self.config.most_clips :]
            self._open = ()
        self._open = (*self._open, frame)
        self._now = ClipSnapshot(clips, self._open[-self.config.open_frames :], len(self._forgotten))

    @torch.inference_mode()
    def _summed_up(self, frames: tuple[Piece, ...]) -> Clip:
        clip_FTC = torch.stack([frame.tokens_TC for frame in frames])
        if self._chain == self.config.chain_clips or not self.summariser.carries:
            self._chain, self._before_MC = 0, None
        if not self._chain:
            self._root_ns = frames[0].at_ns
        memory_MC, indicator_D = self.summariser.clip(self._before_MC, clip_FTC)
        self._chain, self._before_MC = self._chain + 1, memory_MC
        middle_ns = sum(frame.at_ns for frame in frames) // len(frames)
        memory = Piece(memory_MC, middle_ns, self._root_ns, frames[-1].at_ns)
        return Clip(memory, torch.nn.functional.normalize(indicator_D.float(), dim=0))

    def snapshot(self) -> ClipSnapshot:
        return self._now

    @torch.inference_mode()
    def context(self, query: Query, memory: ClipSnapshot) -> TokenContext:
        """Return the chosen clips in order of time, then the newest frames."""
        keeps = self._forgotten.keeps
        clips = [clip for clip in memory.clips if keeps(clip.memory, memory.forgotten)]
        newest = [frame for frame in memory.newest if keeps(frame, memory.forgotten)]
        shown = [(frame, 1.0) for frame in newest]
        if clips:
            asked_D = torch.nn.functional.normalize(self.summariser.question(query.embeddings_NC), dim=0)
            indicators_KD = torch.stack([clip.indicator_D for clip in clips])
            alike = (indicators_KD @ asked_D.to(indicators_KD)).tolist()
            last = len(clips) - 1
            older = sorted(range(last), key=lambda i: (-alike[i], i))
            best = [last, *older[: self.config.chosen_clips - 1]]
            chosen = [(clips[i].memory, (1.0 + alike[i]) / 2) for i in sorted(best)]
            shown = chosen + shown
        return context_of([piece for piece, _ in shown], query.embeddings_NC, shown)

    def forget(self, begin_ns: int, end_ns: int) -> int:
        """Delete clips and frames of the time from `begin_ns` up to `end_ns`; return how many went.

        A clip that took in some of one that is deleted goes too: at most as many as make a chain.
        """
        before, since = self._now, len(self._forgotten)
        self._forgotten.add(begin_ns, end_ns)
        keeps = self._forgotten.keeps
        clips = tuple(clip for clip in before.clips if keeps(clip.memory, since))
        newest = tuple(frame for frame in before.newest if keeps(frame, since))
        self._open = tuple(frame for frame in self._open if keeps(frame, since))
        self._chain, self._before_MC = 0, None
        self._now = ClipSnapshot(clips, newest, len(self._forgotten))
        return len(before.clips) - len(clips) + len(before.newest) - len(newest)

    def close(self) -> None:
        """Let go of everything. Twice does no harm."""
        self._now, self._open, self._before_MC = ClipSnapshot(), (), None
