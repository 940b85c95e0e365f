"""A torn record, a full disk and a changed byte cost what they hit, and nothing else."""

from __future__ import annotations

import errno
import logging
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perception.qa.kv.tiered import TieredStore
from realtime.core.errors import EngineError
from tests.house.paths import ROOT
from tests.perception.qa.kv.blocks import block, fill, is_whole, open_slabs


class Disk:
    """Write as `os.pwrite` does until told that there is no room, or to wait."""

    def __init__(self) -> None:
        self.left_bytes = 10**9
        self.open = threading.Event()
        self.open.set()

    def __call__(self, fd: int, data: memoryview, offset: int) -> int:
        assert self.open.wait(20)
        if not self.left_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = data[: min(len(data), self.left_bytes, 1000)]  # in small parts, as a disk may
        self.left_bytes -= len(part)
        return os.pwrite(fd, part, offset)


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    disk = Disk()
    store = open_slabs(tmp_path, write=disk)
    fill(store, 7)
    for left_bytes in (0, 40, 300, 1500):
        disk.left_bytes = left_bytes
        with pytest.raises(EngineError, match=r"No space left.*Free space"):
            store.append(*block(7), at_ns=7000)
        assert store.numbers() == tuple(range(7))
        assert all(is_whole(store, number) for number in range(7))
    disk.left_bytes = 10**9
    fill(store, 3, first=7)
    store.evict([2, 5])
    disk.left_bytes = 700
    with pytest.raises(EngineError):  # over an emptied record: it stays empty
        store.append(*block(10), at_ns=10_000)
    store.close()
    again = open_slabs(tmp_path)
    assert again.numbers() == (0, 1, 3, 4, 6, 7, 8, 9)
    assert all(is_whole(again, number) for number in again.numbers())
    again.close()


def test_a_full_disk_leaves_new_blocks_in_memory_until_that_is_full_too(tmp_path: Path) -> None:
    disk = Disk()
    store = TieredStore(open_slabs(tmp_path, write=disk), ram_mib=0.0151, queue_blocks=4)
    fill(store, 10)
    store.flush()
    disk.left_bytes = 0
    fill(store, store.most_in_ram, first=10)
    last = 10 + store.most_in_ram
    with pytest.raises(EngineError, match="No space left"):
        store.append(*block(last), at_ns=last * 1000)
    with pytest.raises(EngineError, match="No space left"):
        store.flush()
    assert "Free space" in store.stats().fault
    assert store.numbers() == tuple(range(last))
    assert all(is_whole(store, number) for number in range(last))
    disk.left_bytes = 10**9
    store.flush()
    fill(store, 1, first=last)
    store.flush()
    assert store.stats().fault == ""
    assert store.disk.numbers() == tuple(range(last + 1))
    store.close()


def test_who_appends_waits_for_a_slow_disk_and_who_reads_does_not(tmp_path: Path) -> None:
    disk = Disk()
    store = TieredStore(open_slabs(tmp_path, write=disk), ram_mib=1.0, queue_blocks=3)
    fill(store, 2)
    store.flush()
    disk.open.clear()
    fill(store, 3, first=2)
    waiting = threading.Thread(target=fill, args=(store, 1, 5))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert all(is_whole(store, number) for number in range(5))
    assert is_whole(store.disk, 1)  # what is on disk is read beside the write as well
    disk.open.set()
    waiting.join(20)
    store.flush()
    assert store.disk.numbers() == tuple(range(6))
    assert store.stats().waits == 1
    store.close()


def test_a_block_forgotten_before_it_was_written_does_not_come_to_disk(tmp_path: Path) -> None:
    disk = Disk()
    store = TieredStore(open_slabs(tmp_path, write=disk), ram_mib=1.0, queue_blocks=8)
    disk.open.clear()
    fill(store, 5)
    forgetting = threading.Thread(target=store.evict, args=([0, 2],))  # 0 is being written, 2 waits
    forgetting.start()
    disk.open.set()
    forgetting.join(20)
    store.close()
    again = open_slabs(tmp_path)
    assert again.numbers() == (1, 3, 4)
    again.close()


def test_a_damaged_block_is_told_once_and_is_a_hole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_slabs(tmp_path)
    fill(store, 6)
    store.close()
    path = tmp_path / "00000000.slab"
    data = bytearray(path.read_bytes())
    at = data.index(block(3)[1][1].numpy().tobytes())  # values of layer 1
    data[at] ^= 1
    path.write_bytes(data)
    store = open_slabs(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(KeyError, match="3"):
                store.read([2, 3], 1)
    assert [record.getMessage()[:18] for record in caplog.records] == ["Block 3 in " + str(path)[:7]]
    assert store.corrupt == 1
    assert store.numbers() == (0, 1, 2, 4, 5)
    fill(store, 1, first=6)
    assert path.stat().st_size == len(data)  # written over the damaged one
    store.close()
    data = bytearray(path.read_bytes())
    data[100] ^= 1  # the header's check sum no longer fits
    data[60] ^= 1
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        store = open_slabs(tmp_path)
    assert "header" in caplog.records[-1].getMessage()
    assert store.numbers() == ()
    store.close()


KILLED = """
import os, random, resource, signal, sys
from pathlib import Path
from tests.perception.qa.kv.blocks import block, is_whole, open_slabs
from perception.qa.kv.leaving import Limits
from realtime.core.errors import EngineError
import torch
torch.set_num_threads(1)
LIMITS = Limits(0.06)

def cut(left):
    def write(fd, data, offset):
        nonlocal left
        part = data[: max(0, min(len(data), left, 700))]
        left -= len(part)
        done = os.pwrite(fd, part, offset)
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return write

def append_for_ever(folder, write, said):
    store = open_slabs(folder, LIMITS, write=write)
    number = store.next_number
    while True:
        store.append(*block(number), at_ns=number * 1000)
        os.write(said, f"{number}\\n".encode())
        number += 1

def run(folder, left):
    reading, said = os.pipe()
    child = os.fork()
    if child == 0:
        append_for_ever(folder, cut(left), said)
    os.close(said)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    told = [int(line) for line in os.fdopen(reading).read().split()]
    store = open_slabs(folder, LIMITS)
    numbers, before = store.numbers(), store.next_number
    assert not told or told[-1] <= numbers[-1] <= told[-1] + 1, (told[-3:], numbers[-3:])
    assert list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    assert all(is_whole(store, number) for number in numbers), numbers
    assert store.corrupt == 0
    store.close()
    return len(numbers)

chance, folder = random.Random(int(sys.argv[2])), Path(sys.argv[1])
print(*[run(folder, chance.randrange(least, 120_000)) for least in (1, 1, 1, 20_000)])

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store = open_slabs(folder / "limited")
try:
    for number in range(100):
        store.append(*block(number), at_ns=number * 1000)
except EngineError as error:
    print(error)
assert all(is_whole(store, n) for n in store.numbers())
print(len(store.numbers()))
"""


def test_a_kill_in_mid_write_costs_that_record_and_a_limit_on_files_is_a_full_disk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(random.randrange(10**6))],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    kept, told, count = done.stdout.splitlines()
    found = [int(one) for one in kept.split()]
    assert len(found) == 4
    assert max(found) > 0
    assert "File too large" in told
    assert "Free space" in told
    assert int(count) == 3
