"""Networks as TensorFlow.js keeps them: a graph in JSON, and weights in files beside it, often in half
precision (https://www.tensorflow.org/js/guide/conversion).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realtime.core.errors import ModelCorrupt

from .graph import Array, GraphNet, Node, Options

DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "bool": "?"}
HINT = "Fetch the model again: `python -m app models list` says how it stands."


def read_tfjs(file: Path) -> tuple[GraphNet, dict[str, tuple[int, ...]]]:
    """Read the graph in `file` and the weights that it names; return it and the shape of each output.

    The outputs come in the order of those shapes. Raises ModelCorrupt for what cannot be read.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        constants = _weights(file.parent, told["weightsManifest"])
        listed = told["modelTopology"]["node"]
        signature = told["signature"]
        (picture,) = (_plain(one["name"]) for one in signature["inputs"].values())
        shapes = {
            _plain(one["name"]): tuple(int(dim["size"]) for dim in one["tensorShape"]["dim"])
            for one in signature["outputs"].values()
        }
        nodes = [node for one in listed for node in _node(one, constants)]
        return GraphNet(_ordered(nodes, {picture, *constants}), constants, picture, list(shapes)), shapes
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        reason = str(error) or type(error).__name__
        raise ModelCorrupt(f"{file.name} is no network that can be read: {reason}.", hint=HINT) from error


def _weights(folder: Path, manifest: list[dict[str, Any]]) -> dict[str, Array]:
    """Return the constants of all groups; half precision becomes single."""
    found: dict[str, Array] = {}
    for group in manifest:
        content = b"".join((folder / name).read_bytes() for name in group["paths"])
        at = 0
        for one in group["weights"]:
            packed = one.get("quantization", {})
            if "scale" in packed:
                raise ValueError(f"{one['name']} is rounded to {packed.get('dtype')}")
            kind = np.dtype(DTYPES[packed.get("dtype", one["dtype"])])
            count = int(np.prod(one["shape"], dtype=np.int64))
            if at + count * kind.itemsize > len(content):
                raise ValueError(f"the weights end before {one['name']}")
            array = np.frombuffer(content, kind, count, at).reshape(one["shape"])
            found[one["name"]] = array.astype(np.float32) if kind.kind == "f" else array
            at += count * kind.itemsize
        if at != len(content):
            raise ValueError(f"{len(content) - at} bytes of weights are left over")
    return found


def _node(told: Mapping[str, Any], constants: dict[str, Array]) -> list[Node]:
    """Translate one entry of the graph; none for what is no operation."""
    op, name = told["op"], told["name"]
    takes = tuple(_plain(one) for one in told.get("input", ()) if not one.startswith("^"))
    if op in ("Const", "Placeholder"):
        return []
    if op not in SAME_NAMES:
        raise ValueError(f"the operation {op} of {name} is not known here")
    attributes = {key: _value(one) for key, one in told.get("attr", {}).items()}
    options = SAME_NAMES[op][1](attributes)
    if op == "Conv2D":
        weight, turned = takes[1], f"{takes[1]} OIHW"
        constants[turned] = np.ascontiguousarray(constants[weight].transpose(3, 2, 0, 1))
        takes = (takes[0], turned, *takes[2:])
    if op == "ConcatV2":
        *takes_, axis = takes
        takes, options = tuple(takes_), {"axis": int(constants[axis].reshape(()))}
    if op == "PadV2":
        takes, options = takes[:2], {"value": float(constants[takes[2]].reshape(()))}
    if op == "SplitV":
        options = {"axis": int(constants[takes[2]].reshape(())), "sizes": constants[takes[1]].tolist()}
        return [
            Node("split", takes[:1], tuple(_port(name, k) for k in range(len(options["sizes"]))), options)
        ]
    return [Node(SAME_NAMES[op][0], takes, (name,), options)]


def _conv(attributes: Mapping[str, Any]) -> Options:
    if attributes.get("data_format", "NHWC") != "NHWC" or attributes["padding"] not in ("VALID", "SAME"):
        raise ValueError("a convolution is laid out in a way that is not known here")
    return {
        "padding": attributes["padding"],
        "strides": tuple(attributes["strides"][1:3]),
        "dilations": tuple(attributes.get("dilations", (1, 1, 1, 1))[1:3]),
    }


def _max_pool(attributes: Mapping[str, Any]) -> Options:
    return {**_conv(attributes), "kernel": tuple(attributes["ksize"][1:3])}


def _resize(attributes: Mapping[str, Any]) -> Options:
    if attributes.get("align_corners") or not attributes.get("half_pixel_centers"):
        raise ValueError("a picture is resized in a way that is not known here")
    return {}


def _nothing(attributes: Mapping[str, Any]) -> Options:
    return {}


SAME_NAMES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Options]]] = {
    "Add": ("add", _nothing),
    "AddV2": ("add", _nothing),
    "BiasAdd": ("add", _nothing),
    "ConcatV2": ("concat", _nothing),
    "Conv2D": ("conv", _conv),
    "Identity": ("same", _nothing),
    "LeakyRelu": ("leaky", lambda attributes: {"slope": attributes.get("alpha", 0.2)}),
    "MaxPool": ("max_pool", _max_pool),
    "Pad": ("pad", _nothing),
    "PadV2": ("pad", _nothing),
    "Relu": ("relu", _nothing),
    "Reshape": ("reshape", _nothing),
    "ResizeBilinear": ("resize", _resize),
    "Sigmoid": ("sigmoid", _nothing),
    "SparseToDense": ("dense", _nothing),
    "SplitV": ("split", _nothing),
    "Transpose": ("transpose", _nothing),
}
"""TensorFlow's operations: what each is called here, and how its attributes are read."""


def _value(told: Mapping[str, Any]) -> Any:
    """Return an attribute's value as Python has it."""
    ((kind, value),) = told.items()
    if kind == "list":
        return [int(one) for one in value.get("i", ())]
    if kind == "s":
        return base64.b64decode(value).decode()
    return int(value) if kind == "i" else value


def _plain(name: str) -> str:
    """Return a value's name; the first of an operation's results is called like the operation."""
    stem, _, port = name.partition(":")
    return stem if port in ("", "0") else name


def _port(name: str, number: int) -> str:
    return name if number == 0 else f"{name}:{number}"


def _ordered(nodes: list[Node], known: set[str]) -> list[Node]:
    """Return the nodes so that each comes after what it takes. Raises ValueError for what cannot come."""
    given, left, found = set(known), list(nodes), []
    while left:
        ready = [node for node in left if given.issuperset(node.takes)]
        if not ready:
            lacking = sorted(set(left[0].takes) - given)
            raise ValueError(f"nothing gives {', '.join(lacking)}")
        found += ready
        given.update(name for node in ready for name in node.gives)
        left = [node for node in left if node not in ready]
    return found
