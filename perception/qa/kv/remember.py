"""Make the memory that somebody chose, on the store that somebody chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .kvmemory import KVMemory
from .leaving import MIB, Limits
from .memory import Memory
from .options import TOKEN_MEMORIES, VideoModelOptions
from .packing import Packing
from .ram import RamStore
from .slab_store import SlabStore
from .store import BlockShape, BlockStore
from .strategies import Embedder, strategy
from .tiered import TieredStore

if TYPE_CHECKING:
    from .families.base import VideoModel


def store_for(
    model: VideoModel, options: VideoModelOptions, revision: str, epoch_ns: int = 0
) -> Callable[[BlockShape], BlockStore]:
    """Return what opens the store: memory alone, or memory in front of slab files.

    `revision` names the weights: files of others are refused. `epoch_ns`: wall clock minus the stream's.
    """

    def opened(shape: BlockShape) -> BlockStore:
        dtype: Any = str(model.dtype).removeprefix("torch.")
        packing = Packing(shape, dtype, int8=options.int8)
        spare = max(8, options.recent)
        if options.disk_gib <= 0 or options.folder is None:
            return RamStore(packing, Limits(options.ram_mib, options.keep_s, options.evict, spare))
        limits = Limits(options.disk_gib * 1024, options.keep_s, options.evict, spare)
        disk = SlabStore(options.folder, packing, revision, limits, epoch_ns=epoch_ns)
        return TieredStore(disk, options.ram_mib)

    return opened


def memory_for(
    model: VideoModel,
    options: VideoModelOptions,
    *,
    revision: str,
    epoch_ns: int = 0,
    embedder: Embedder | None = None,
) -> Memory[Any]:
    """Return the memory of `options.strategy`. Raises ConfigError for a name that nobody knows."""
    if options.strategy in TOKEN_MEMORIES:
        return _of_tokens(model, options)
    chosen = strategy(options.strategy, options.frames, options.recent, embedder)
    size = len(embedder.words("a")) if embedder is not None else 0
    block_bytes = (
        2 * model.dtype.itemsize * model.layers * model.kv_heads * model.layout.tokens * model.head_dim
    )
    room = 0 if options.disk_gib else min(int(options.ram_mib * MIB / block_bytes) + 1, 4096)
    return KVMemory(
        model,
        store_for(model, options, revision, epoch_ns),
        chosen,
        window_tokens=options.window_tokens,
        room=room,
        embedding_size=size,
    )


def _of_tokens(model: VideoModel, options: VideoModelOptions) -> Memory[Any]:
    from .memories.clips import ClipMemory
    from .memories.flash import FlashMemory
    from .memories.last import LastFrames
    from .memories.summary import best_summariser

    match options.strategy:
        case "flash-vstream":
            return FlashMemory(model.grid_hw)
        case "videostreaming":
            return ClipMemory(model.grid_hw, best_summariser(model.width, model.grid_hw))
    return LastFrames(model.grid_hw, options.recent or options.frames)
