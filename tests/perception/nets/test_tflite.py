"""A file of TensorFlow Lite, made by the official FlatBuffers builder: read, and run as torch runs it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from perception.nets.readers.graph import same_padding
from perception.nets.readers.tflite import read_tflite
from realtime.core.errors import ModelCorrupt

SIDE = 9
BYTE, INT, UINT = "Int8", "Int32", "Uint32"
KINDS = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2}
ADD, CONCAT, CONV, DEEP_CONV, DEQUANTIZE, MAX_POOL, RELU, RESHAPE, PAD = 0, 2, 3, 4, 6, 17, 19, 22, 34
RELU6 = 3
SAME, VALID = 0, 1


@dataclass
class Writer:
    """Gather tensors and operations, and write the file."""

    tensors: list[tuple[tuple[int, ...], int, bytes]] = field(default_factory=list)
    operations: list[tuple[int, list[int], int, dict[int, tuple[str, int]]]] = field(default_factory=list)

    def tensor(self, *shape: int) -> int:
        self.tensors.append((shape, 0, b""))
        return len(self.tensors) - 1

    def constant(self, value: Any) -> int:
        value = np.asarray(value)
        self.tensors.append((value.shape, KINDS[value.dtype], value.tobytes()))
        return len(self.tensors) - 1

    def add(self, code: int, takes: list[int], *shape: int, **options: tuple[str, int]) -> int:
        """Add an operation; `options` are fields by number, as in f1=(INT, 2)."""
        gives = self.tensor(*shape)
        fields = {int(name[1:]): value for name, value in options.items()}
        self.operations.append((code, takes, gives, fields))
        return gives

    def write(self, file: Path, picture: int, outputs: list[int]) -> Path:
        b = flatbuffers.Builder(0)
        codes = sorted({one[0] for one in self.operations})
        buffers = [table(b, {}), *(table(b, {0: numbers(b, t[2])} if t[2] else {}) for t in self.tensors)]
        tensors = [
            table(b, {0: ints(b, shape), 1: (BYTE, kind), 2: (UINT, k)})
            for k, (shape, kind, _) in enumerate(self.tensors, 1)
        ]
        operations = []
        for code, takes, gives, fields in self.operations:
            options = table(b, fields)
            told = {0: (UINT, codes.index(code)), 1: ints(b, takes), 2: ints(b, [gives]), 4: options}
            operations.append(table(b, told))
        graph = table(
            b, {0: tables(b, tensors), 1: ints(b, [picture]), 2: ints(b, outputs), 3: tables(b, operations)}
        )
        listed = [table(b, {0: (BYTE, code), 3: (INT, code)}) for code in codes]
        b.Finish(
            table(b, {0: (UINT, 3), 1: tables(b, listed), 2: tables(b, [graph]), 4: tables(b, buffers)}),
            file_identifier=b"TFL3",
        )
        file.write_bytes(bytes(b.Output()))
        return file


def table(b: Any, fields: dict[int, Any]) -> int:
    """Write a table; a field is an offset, or a kind of number and its value."""
    b.StartObject(8)
    for place, value in fields.items():
        if isinstance(value, tuple):
            getattr(b, f"Prepend{value[0]}Slot")(
                place, value[1], 99
            )  # 99: written even where it is the schema's default
        else:
            b.PrependUOffsetTRelativeSlot(place, value, 0)
    return int(b.EndObject())


def ints(b: Any, values: Any) -> int:
    return int(b.CreateNumpyVector(np.array(values, np.int32)))


def numbers(b: Any, content: bytes) -> int:
    return int(b.CreateByteVector(content))


def tables(b: Any, places: list[int]) -> int:
    b.StartVector(4, len(places), 4)
    for place in reversed(places):
        b.PrependUOffsetTRelative(place)
    return int(b.EndVector())


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.4, shape).astype(np.float16)


def written(folder: Path, change: Callable[[Writer], None] = lambda w: None) -> Path:
    """Write a net that has each operation of BlazeFace's at least once."""
    w = Writer()
    picture = w.tensor(1, SIDE, SIDE, 3)
    freed = [w.add(DEQUANTIZE, [w.constant(random(*s))]) for s in ((4, 3, 3, 3), (4,), (1, 3, 3, 4), (4,))]
    strides = {"f1": (INT, 2), "f2": (INT, 1)}  # across 2, down 1
    x = w.add(CONV, [picture, *freed[:2]], f0=(BYTE, SAME), f3=(BYTE, RELU6), **strides)
    y = w.add(DEEP_CONV, [x, *freed[2:]], f0=(BYTE, SAME), f1=(INT, 1), f2=(INT, 1), f3=(INT, 1), f5=(INT, 2))
    x = w.add(RELU, [w.add(ADD, [x, y])])
    pool = {"f0": (BYTE, VALID), "f1": (INT, 1), "f2": (INT, 2), "f3": (INT, 2), "f4": (INT, 3)}
    small = w.add(MAX_POOL, [x], **pool)
    padded = w.add(PAD, [small, w.constant(np.array([[0, 0], [1, 0], [0, 2], [0, 1]], np.int32))])
    flat = w.add(RESHAPE, [padded, w.constant(np.array([1, -1, 5], np.int32))])
    other = w.add(RESHAPE, [padded, w.constant(np.array([1, 30, 5], np.int32))])
    joined = w.add(CONCAT, [flat, other], 1, 60, 5, f0=(INT, 1))
    change(w)
    return w.write(folder / "net.tflite", picture, [joined])


def by_hand(picture: Tensor) -> Tensor:
    weight, bias, deep, deep_bias = (
        torch.from_numpy(random(*shape).astype(np.float32))
        for shape in ((4, 3, 3, 3), (4,), (1, 3, 3, 4), (4,))
    )
    wide, high = same_padding(SIDE, 3, 2), same_padding(SIDE, 3, 1)
    x = F.conv2d(F.pad(picture, (*wide, *high)), weight.permute(0, 3, 1, 2), bias, stride=(1, 2)).clamp(0, 6)
    y = F.conv2d(x, deep.permute(3, 0, 1, 2), deep_bias, padding=(1, 2), dilation=(1, 2), groups=4)
    x = F.max_pool2d((x + y).relu(), (3, 2), (2, 1))
    x = F.pad(x, (0, 2, 1, 0, 0, 1)).permute(0, 2, 3, 1).reshape(1, 30, 5)
    return torch.cat([x, x], 1)


def test_every_operation_is_that_of_torch(tmp_path: Path) -> None:
    net, shape, outputs = read_tflite(written(tmp_path))
    assert shape == (1, SIDE, SIDE, 3)
    assert outputs == [(1, 60, 5)]
    picture = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 6 - 3
    (found,) = net(picture.permute(0, 2, 3, 1))
    expected = by_hand(picture)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float(expected.max()) > 3


def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match="operation 63"):
        read_tflite(written(tmp_path, lambda w: w.operations.append((63, [0], w.tensor(1), {}))))
    with pytest.raises(ModelCorrupt, match="nothing gives"):
        read_tflite(written(tmp_path, lambda w: w.operations.append((RELU, [w.tensor(1)], w.tensor(1), {}))))
    file = written(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"TFL3", b"TFL2"))
    with pytest.raises(ModelCorrupt, match="not marked TFL3"):
        read_tflite(file)
    with pytest.raises(ModelCorrupt, match="No such file"):
        read_tflite(tmp_path / "nowhere.tflite")


def test_a_torn_file_is_refused_wherever_it_is_torn(tmp_path: Path) -> None:
    file = written(tmp_path)
    whole = file.read_bytes()
    for end in range(0, len(whole) - 8, 97):
        file.write_bytes(whole[:end])
        with pytest.raises(ModelCorrupt):
            read_tflite(file)
    for place in range(8, 200, 4):  # offsets that lead anywhere
        file.write_bytes(whole[:place] + struct.pack("<I", 0xFFFFFFF0) + whole[place + 4 :])
        try:
            read_tflite(file)
        except ModelCorrupt:
            continue
