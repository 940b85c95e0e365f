"""Networks as TensorFlow Lite keeps them, in one file: operations on numbered tensors
(https://ai.google.dev/edge/litert/conversion/tensorflow; the schema is tensorflow/compiler/mlir/lite/schema).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from realtime.core.errors import ModelCorrupt

from .flat import Table, root
from .graph import Array, GraphNet, Node, Options

DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 4: "<i8"}
ACTIVATIONS = {0: "", 1: "relu", 3: "relu6"}
HINT = "Fetch the model again: `python -m app models list` says how it stands."


def read_tflite(file: Path) -> tuple[GraphNet, tuple[int, ...], list[tuple[int, ...]]]:
    """Read the graph in `file`; return it, the shape of its picture (1, H, W, C) and those of its outputs.

    Raises ModelCorrupt for what cannot be read.
    """
    try:
        model = root(file.read_bytes(), b"TFL3")
        (graph,) = model.tables(2)
        buffers = [one.numbers(0, "u1") for one in model.tables(4)]
        codes = [_code(one) for one in model.tables(1)]
        tensors = graph.tables(0)
        shapes = [tuple(int(side) for side in one.numbers(0, "<i4")) for one in tensors]
        constants = {
            str(k): _constant(one, shapes[k], buffers[one.number(2, "I")])
            for k, one in enumerate(tensors)
            if len(buffers[one.number(2, "I")])
        }
        (picture,) = (int(one) for one in graph.numbers(1, "<i4"))
        outputs = [int(one) for one in graph.numbers(2, "<i4")]
        nodes = [_node(one, codes[one.number(0, "I")], constants) for one in graph.tables(3)]
        net = GraphNet(nodes, constants, str(picture), [str(one) for one in outputs])
        return net, shapes[picture], [shapes[one] for one in outputs]
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        reason = str(error) or type(error).__name__
        raise ModelCorrupt(f"{file.name} is no network that can be read: {reason}.", hint=HINT) from error


def _code(told: Table) -> int:
    """Return the number of an operation; older files have it in a field of one byte."""
    return max(told.number(0, "b"), told.number(3, "i"))


def _constant(told: Table, shape: tuple[int, ...], content: Array) -> Array:
    kind = told.number(1, "b")
    if kind not in DTYPES:
        raise ValueError(f"it holds numbers of the kind {kind}")
    found = np.frombuffer(content.tobytes(), DTYPES[kind]).reshape(shape)
    return found.astype(np.float32) if found.dtype.kind == "f" else found


def _node(told: Table, code: int, constants: dict[str, Array]) -> Node:
    if code not in OPERATIONS:
        raise ValueError(f"the operation {code} is not known here")
    op, read = OPERATIONS[code]
    takes = [str(int(one)) for one in told.numbers(1, "<i4") if one >= 0]
    gives = tuple(str(int(one)) for one in told.numbers(2, "<i4"))
    options = dict(read(told.table(4) or Table(b"\4\0\4\0\4\0\0\0", 4)))
    if op == "conv":
        order = (3, 0, 1, 2) if options.pop("is_deep") else (0, 3, 1, 2)
        source = constants.get(takes[1])
        if source is None:
            raise ValueError("a convolution has weights that are worked out")
        takes[1] = f"{takes[1]} turned"
        constants[takes[1]] = np.ascontiguousarray(source.transpose(order))
    if op == "reshape" and len(takes) == 1:
        takes.append(f"{gives[0]} shape")
        constants[takes[1]] = np.array(options["shape"], np.int64)
    if op == "same" and takes[0] in constants:  # half precision, of which a constant is freed already
        constants[gives[0]] = constants[takes[0]]
    return Node(op, tuple(takes), gives, options)


def _sides(told: Table, first: int) -> Options:
    """Return padding and strides, which stand first in the options of each operation that has them."""
    padding = {0: "SAME", 1: "VALID"}[told.number(0, "b")]
    return {
        "padding": padding,
        "strides": (told.number(2, "i"), told.number(1, "i")),
        "activation": ACTIVATIONS[told.number(first, "b")],
    }


def _conv(told: Table) -> Options:
    dilations = told.number(5, "i", 1), told.number(4, "i", 1)
    return {**_sides(told, 3), "dilations": dilations, "is_deep": False}


def _deep_conv(told: Table) -> Options:
    dilations = told.number(6, "i", 1), told.number(5, "i", 1)
    return {**_sides(told, 4), "dilations": dilations, "is_deep": True}


def _max_pool(told: Table) -> Options:
    return {**_sides(told, 5), "kernel": (told.number(4, "i"), told.number(3, "i"))}


def _add(told: Table) -> Options:
    return {"activation": ACTIVATIONS[told.number(0, "b")]}


def _concat(told: Table) -> Options:
    if told.number(1, "b"):
        raise ValueError("tensors are joined with a non-linearity")
    return {"axis": told.number(0, "i")}


def _reshape(told: Table) -> Options:
    return {"shape": [int(side) for side in told.numbers(0, "<i4")]}


def _nothing(told: Table) -> Options:
    return {}


OPERATIONS: Mapping[int, tuple[str, Callable[[Table], Mapping[str, Any]]]] = MappingProxyType(
    {
        0: ("add", _add),
        2: ("concat", _concat),
        3: ("conv", _conv),
        4: ("conv", _deep_conv),
        6: ("same", _nothing),
        14: ("sigmoid", _nothing),
        17: ("max_pool", _max_pool),
        19: ("relu", _nothing),
        22: ("reshape", _reshape),
        34: ("pad", _nothing),
    }
)
"""The schema's operations by number: what each is called here, and how its options are read."""
