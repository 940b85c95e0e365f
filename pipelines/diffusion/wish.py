"""What a frame is painted with besides its words and its guidance. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, field

from .noise import Seeds


@dataclass(frozen=True, slots=True)
class Wish:
    """Say which noise levels and which noise a frame is painted with; the newest wish of its session."""

    steps: int = 1
    strength: float = 0.5
    t_index: tuple[int, ...] = ()
    """Exact noise levels, 0 (noisiest) to 49, rising; in place of `steps` and `strength` where given."""
    sampler: str = ""
    """"lcm", "tcd" or "ddim"; "" is the model's own."""
    adds_noise: bool = True
    """Whether later steps get fresh noise."""
    seeds: Seeds = field(default_factory=Seeds)

    def __len__(self) -> int:
        return len(self.t_index) or self.steps
