"""What a person may choose for a video model that watches a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from realtime.core.errors import ConfigError

INSTRUCT = "Answer in one short sentence. If the video does not show it, say that it is not visible."
TokenMemory = Literal["flash-vstream", "videostreaming", "last-frames"]
TOKEN_MEMORIES: tuple[TokenMemory, ...] = get_args(TokenMemory)
"""Memories of tokens in place of keys and values; see `perception/qa/kv/memories`."""


@dataclass(frozen=True, slots=True)
class VideoModelOptions:
    """Choose what is looked at, what is kept and what is brought back. The defaults suit a small model."""

    strategy: str = "hybrid"
    """Which frames a question brings back: one of `strategies.NAMES`; or a memory of `TOKEN_MEMORIES`."""
    frames: int = 16
    """How many frames a question brings back, the newest among them."""
    recent: int = 4
    """How many of the newest frames are always among them."""
    window_tokens: int = 4096
    """How far back a frame sees while it is encoded."""
    every_s: float = 1.0
    """Seconds from one encoded frame to the next, at least; 0: as fast as the model can."""
    change_levels: float = 2.0
    """Change, of 255 levels, from which a picture is encoded for certain; below it may be passed over."""
    most_still: int = 30
    """Frames in a row that may be passed over since they look like the last one; 0: none."""
    ram_mib: float = 1024.0
    """Blocks in memory. Beyond it they leave, or go to disk where that is switched on."""
    disk_gib: float = 0.0
    """Blocks on disk, in `folder`; 0: nothing is written to disk."""
    folder: Path | None = None
    evict: Literal["age", "novelty"] = "novelty"
    """Which blocks leave first when there is no room: the oldest, or those most like others."""
    keep_s: float = 0.0
    """Seconds after which a block is forgotten in any case; 0: when there is no room."""
    int8: bool = False
    """Keep blocks in 8 bits: half of bfloat16, a quarter of float32."""
    pictures_mib: float = 32.0
    """Thumbnails in memory."""
    most_tokens: int = 64
    """Length of an answer."""
    most_asks: int = 2
    """Questions that run at once; others wait for one to end, none for a frame."""
    instruct: str | None = None
    """What is said to the model after each question; None: `INSTRUCT`, but nothing to a demo model."""

    def __post_init__(self) -> None:
        """Raise ConfigError for numbers that cannot be."""
        if not (self.frames >= 1 and 0 <= self.recent <= self.frames):
            raise ConfigError(
                f"{self.frames} frames with {self.recent} of the newest among them cannot be brought back.",
                hint="Bring back one frame or more, and no more new ones than that.",
            )
        if self.disk_gib > 0 and self.folder is None:
            raise ConfigError(
                "Keeping blocks on disk needs a folder.", hint="Name one, or set disk_gib to 0."
            )
        if min(self.every_s, self.change_levels, self.most_still, self.keep_s, self.disk_gib) < 0:
            raise ConfigError("Times, limits and thresholds are 0 or more.")
        if min(self.ram_mib, self.pictures_mib, self.most_tokens, self.most_asks) <= 0:
            raise ConfigError("Room for blocks and pictures, tokens and questions are more than 0.")
