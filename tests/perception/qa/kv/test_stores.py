"""Stores give back what they were given, forget what they must, and say which blocks are holes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from perception.qa.kv.leaving import Limits
from perception.qa.kv.packing import Packing
from perception.qa.kv.ram import RamStore
from perception.qa.kv.slab_store import SlabStore
from perception.qa.kv.store import BlockStore
from perception.qa.kv.tiered import TieredStore
from realtime.core.errors import EngineError
from tests.perception.qa.kv.blocks import PACKING, ROOM, SHAPE, block, fill, is_whole, open_slabs

Make = Callable[[Limits], BlockStore]
ROOM_OF_TEN = 10.5 * PACKING.block_bytes / 2**20
"""MiB; a store on disk has heads and vectors to keep as well, and so a block or two less."""


@pytest.fixture(params=["ram", "slab", "tiered"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    made: list[BlockStore] = []

    def store(limits: Limits) -> BlockStore:
        if request.param == "ram":
            made.append(RamStore(PACKING, limits))
        elif request.param == "slab":
            made.append(open_slabs(tmp_path / "slabs", limits))
        else:
            made.append(TieredStore(open_slabs(tmp_path / "slabs", limits), ram_mib=0.01, queue_blocks=4))
        return made[-1]

    yield store
    for one in made:
        one.close()
        one.close()


def test_blocks_come_back_bit_by_bit_in_the_order_asked_for(make: Make) -> None:
    store = make(ROOM)
    assert store.numbers() == ()
    fill(store, 25)
    assert store.numbers() == tuple(range(25))
    assert all(is_whole(store, number) for number in range(25))
    keys, values = store.read([7, 24, 0], 1)
    assert torch.equal(keys, torch.cat([block(n)[0][1] for n in (7, 24, 0)], 1))
    assert torch.equal(values, torch.cat([block(n)[1][1] for n in (7, 24, 0)], 1))
    assert store.read([], 0)[0].shape == (SHAPE.heads, 0, SHAPE.head_dim)


def test_an_evicted_block_is_a_hole_and_its_number_is_not_used_again(make: Make) -> None:
    store = make(ROOM)
    fill(store, 20)
    store.evict([3, 19, 999])
    assert store.numbers() == (*range(3), *range(4, 19))
    for number in (3, 19, 20):
        with pytest.raises(KeyError, match=str(number)):
            store.read([number], 0)
        with pytest.raises(KeyError):
            store.at_ns(number)
    fill(store, 1, first=20)
    assert is_whole(store, 20)
    assert is_whole(store, 4)


@pytest.mark.parametrize("make", ["ram", "slab"], indirect=True)
def test_who_leaves_for_another_is_the_oldest_or_the_least_novel(make: Make) -> None:
    by_age = make(Limits(ROOM_OF_TEN))
    fill(by_age, 40)
    kept = by_age.numbers()
    assert 7 <= len(kept) <= 10
    assert kept == tuple(range(40 - len(kept), 40))
    assert all(is_whole(by_age, number) for number in kept)
    by_age.close()
    by_novelty = RamStore(PACKING, Limits(ROOM_OF_TEN, evict="novelty", spare_newest=2))
    for number in range(40):
        by_novelty.append(*block(number), number * 1000, score=float(number in (5, 6, 17)))
    kept = by_novelty.numbers()
    assert kept[:3] == (5, 6, 17)
    assert kept[-2:] == (38, 39)


def test_what_is_too_old_is_forgotten_though_there_is_room(make: Make) -> None:
    store = make(Limits(64.0, keep_s=10e-6))
    fill(store, 30)
    if isinstance(store, TieredStore):
        store.flush()
        store = store.disk
    assert store.numbers() == tuple(range(19, 30))


def test_slabs_are_the_same_bits_after_a_restart_and_lost_vectors_are_made_again(
    tmp_path: Path,
) -> None:
    store = open_slabs(tmp_path, epoch_ns=50)
    fill(store, 25)
    store.evict([4, 24])
    numbers, vectors = store.vectors()
    assert numbers == store.numbers()
    for number, vector in zip(numbers, vectors, strict=True):
        assert torch.allclose(torch.from_numpy(vector), block(number)[0].mean(2), atol=1e-6)
    store.close()
    next(tmp_path.glob("*.vectors")).unlink()
    again = open_slabs(tmp_path, epoch_ns=20)
    assert again.numbers() == numbers
    assert again.at_ns(7) == 7 * 1000 + 30  # this machine's clock began 30 ns later, so it shows less
    again.close()
    again = open_slabs(tmp_path, epoch_ns=50)
    assert all(is_whole(again, number) for number in numbers)
    assert (again.vectors()[1] == vectors).all()
    fill(again, 1, first=25)  # the number of the forgotten newest block is not used again
    again.close()


def test_files_do_not_grow_past_the_limit_and_what_is_forgotten_is_gone_from_them(tmp_path: Path) -> None:
    store = open_slabs(tmp_path, Limits(ROOM_OF_TEN * 4))
    fill(store, 200)
    assert store.used_bytes < ROOM_OF_TEN * 4 * 2**20 + 3 * 2 * 4096
    assert len(store.numbers()) > 30
    secret = block(190)[0].numpy().tobytes()[:64]
    files = [path for path in tmp_path.iterdir() if path.suffix]
    assert any(secret in path.read_bytes() for path in files)
    store.evict([190])
    assert not any(secret in path.read_bytes() for path in files if path.exists())
    store.evict(store.numbers())
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "next"}
    store.close()
    again = open_slabs(tmp_path)
    assert again.next_number == 200
    again.close()


def test_int8_is_within_half_a_step_and_the_same_in_memory_and_on_disk(tmp_path: Path) -> None:
    packing = Packing(SHAPE, "float32", int8=True)
    ram = RamStore(packing, ROOM)
    disk = SlabStore(tmp_path, packing, "tiny@1", ROOM)
    for number in range(5):
        ram.append(*block(number), number)
        disk.append(*block(number), number)
    for layer in range(SHAPE.layers):
        got, there = ram.read([3, 1], layer), disk.read([3, 1], layer)
        for which, (mine, theirs) in enumerate(zip(got, there, strict=True)):
            assert torch.equal(mine, theirs)
            true = torch.cat([block(n)[which][layer] for n in (3, 1)], 1)
            half_step = true.abs().amax(-1, keepdim=True) / 127 / 2
            assert ((mine - true).abs() <= half_step * 1.001).all()
            assert not torch.equal(mine, true)
    assert packing.block_bytes < PACKING.block_bytes * 0.4
    disk.close()


def test_a_folder_in_use_and_files_of_another_model_shape_or_version_are_refused(tmp_path: Path) -> None:
    store = open_slabs(tmp_path)
    fill(store, 1)
    with pytest.raises(EngineError, match="in use"):
        open_slabs(tmp_path)
    store.close()
    with pytest.raises(EngineError, match=r"another model than other@2.*Delete"):
        SlabStore(tmp_path, PACKING, "other@2", ROOM, slab_mib=0.02)
    with pytest.raises(EngineError, match="another shape"):
        SlabStore(tmp_path, Packing(SHAPE, "float16"), "tiny@1", ROOM, slab_mib=0.02)
    path = next(tmp_path.glob("*.slab"))
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + b"\x63" + whole[9:])
    with pytest.raises(EngineError, match="version 99"):
        open_slabs(tmp_path)
    path.write_bytes(b"something else".ljust(5000))
    with pytest.raises(EngineError, match="no slab file"):
        open_slabs(tmp_path)
    assert path.read_bytes().startswith(b"something else")
    path.write_bytes(whole)
    again = open_slabs(tmp_path)
    assert is_whole(again, 0)
    again.close()


def test_reads_beside_writes_find_the_very_block_or_a_hole(tmp_path: Path) -> None:
    disk = open_slabs(tmp_path, Limits(ROOM_OF_TEN, spare_newest=1), slab_mib=0.006)
    store = TieredStore(disk, ram_mib=0.004, queue_blocks=1)
    newest, seen, done = [-1], [0, 0], threading.Event()

    def write() -> None:
        for number in range(400):
            fill(store, 1, first=number)
            newest[0] = number
            if number % 50 == 49:
                store.evict(store.numbers()[2:5])
        done.set()

    writing = threading.Thread(target=write)
    writing.start()
    while not done.is_set():
        number = max(0, newest[0] - seen[0] % 12)
        try:
            assert newest[0] < 0 or is_whole(store, number)
            seen[0] += 1
        except KeyError:
            seen[1] += 1
            seen[0] += 1
    writing.join()
    store.flush()
    assert disk.corrupt == 0
    assert seen[0] > seen[1] > 0
    assert store.numbers()[-1] == 399
    store.close()
