"""How a block's keys and values lie in bytes: the same in memory and on disk, so that one equals the other.

A packed block is a uint8 tensor (layers, layer_bytes). Each layer's row holds keys and values (2, H, T, D),
either as they are or as int8 with a float32 scale for each head and token: scales (2, H, T) first, numbers
after them. The greatest error of int8 is then 1/254 of the greatest number of that head and token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from realtime.core.errors import ConfigError

from .store import BlockShape

if TYPE_CHECKING:
    import torch

DType = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[DType, ...] = get_args(DType)
GREATEST = 127.0
LEAST_SCALE = 1e-30


@dataclass(frozen=True, slots=True)
class Packing:
    """Turn blocks into bytes and back."""

    shape: BlockShape
    dtype: DType
    """What `unpack` gives; without int8 also what is stored."""
    int8: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f'Blocks are of {", ".join(DTYPES)}; "{self.dtype}" is none of these.')
        if min(self.shape.layers, self.shape.heads, self.shape.tokens, self.shape.head_dim) < 1:
            raise ConfigError(f"A block needs one layer, head, token and number at least, got {self.shape}.")

    @property
    def layer_bytes(self) -> int:
        """Bytes of one layer's keys and values."""
        vectors = 2 * self.shape.heads * self.shape.tokens
        if self.int8:
            return vectors * (4 + self.shape.head_dim)
        return vectors * self.shape.head_dim * (4 if self.dtype == "float32" else 2)

    @property
    def block_bytes(self) -> int:
        return self.shape.layers * self.layer_bytes

    def pack(self, keys_LHTD: torch.Tensor, values_LHTD: torch.Tensor) -> torch.Tensor:
        """Return a block's bytes, uint8 (layers, layer_bytes) in host memory, shared with nobody.

        Raises ValueError for tensors of another shape.
        """
        import torch

        shape = self.shape
        wanted = (shape.layers, shape.heads, shape.tokens, shape.head_dim)
        if tuple(keys_LHTD.shape) != wanted or tuple(values_LHTD.shape) != wanted:
            raise ValueError(f"a block is {wanted}, got {tuple(keys_LHTD.shape)}, {tuple(values_LHTD.shape)}")
        both = torch.stack((keys_LHTD.detach(), values_LHTD.detach()), 1)
        if not self.int8:
            plain = both.to("cpu", getattr(torch, self.dtype)).contiguous()
            return plain.view(torch.uint8).reshape(shape.layers, self.layer_bytes)
        numbers = both.to("cpu", torch.float32)
        scales = numbers.abs().amax(-1, keepdim=True).div_(GREATEST).clamp_min_(LEAST_SCALE)
        whole = (numbers / scales).round_().to(torch.int8)  # not a number stays one, through the scale
        rows = [part.contiguous().view(torch.uint8).reshape(shape.layers, -1) for part in (scales, whole)]
        return torch.cat(rows, 1)

    def unpack(self, rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values (H, n * T, D) of one layer from n rows of `layer_bytes` bytes each."""
        import torch

        shape, dtype, n = self.shape, getattr(torch, self.dtype), len(rows)
        if not n:
            empty = torch.empty(shape.heads, 0, shape.head_dim, dtype=dtype)
            return empty, empty.clone()
        joined = torch.stack(tuple(rows))
        lie = (n, 2, shape.heads, shape.tokens)
        if self.int8:
            cut = 4 * 2 * shape.heads * shape.tokens
            scales = joined[:, :cut].contiguous().view(torch.float32).view(*lie, 1)
            whole = joined[:, cut:].contiguous().view(torch.int8).view(*lie, shape.head_dim)
            both = (whole.to(torch.float32) * scales).to(dtype)
        else:
            both = joined.view(dtype).view(*lie, shape.head_dim)
        keys, values = (part.permute(1, 0, 2, 3).flatten(1, 2).contiguous() for part in both.unbind(1))
        return keys, values

    def vector(self, packed: torch.Tensor) -> torch.Tensor:
        """Return the mean over tokens of a packed block's keys, float32 (layers, heads, head_dim)."""
        import torch

        shape = self.shape
        lie = (shape.layers, 2, shape.heads, shape.tokens)
        if not self.int8:
            keys_LHTD = packed.view(getattr(torch, self.dtype)).view(*lie, shape.head_dim)[:, 0]
            return keys_LHTD.mean(2, dtype=torch.float32)
        cut = 4 * 2 * shape.heads * shape.tokens
        scales_LHT = packed[:, :cut].contiguous().view(torch.float32).view(lie)[:, 0]
        whole_LHTD = packed[:, cut:].contiguous().view(torch.int8).view(*lie, shape.head_dim)[:, 0]
        return torch.einsum("lht,lhtd->lhd", scales_LHT, whole_LHTD.float()) / shape.tokens
