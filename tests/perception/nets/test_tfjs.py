"""A graph as TensorFlow.js writes it, read and run: the same as torch's own operations, or refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from perception.nets.readers.graph import GraphNet, Node, same_padding
from perception.nets.readers.tfjs import read_tfjs
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.choose import choose
from realtime.core.errors import ModelCorrupt

SIDE = 13


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(one) for one in values]}}


def conv(padding: str, stride: int, dilation: int = 1) -> dict[str, Any]:
    return {
        "padding": text(padding),
        "strides": numbers(1, stride, stride, 1),
        "dilations": numbers(1, dilation, dilation, 1),
        "data_format": text("NHWC"),
    }


class Writer:
    """Write a graph with one picture (1, 3, SIDE, SIDE) and its weights in half precision, in two files."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = [{"name": "picture", "op": "Placeholder"}]
        self.constants: dict[str, np.ndarray] = {}
        self.random = np.random.default_rng(5)

    def constant(self, name: str, value: Any) -> str:
        self.constants[name] = np.asarray(value)
        self.nodes.append({"name": name, "op": "Const"})
        return name

    def weights(self, name: str, *shape: int) -> str:
        return self.constant(name, self.random.normal(0, 0.3, shape).astype(np.float16))

    def node(self, name: str, op: str, *takes: str, **attributes: Any) -> str:
        self.nodes.append({"name": name, "op": op, "input": list(takes), "attr": attributes})
        return name

    def write(self, folder: Path, outputs: dict[str, tuple[int, ...]]) -> Path:
        kinds = {"f": "float32", "i": "int32"}
        listed: list[dict[str, Any]] = []
        content = b""
        for name, value in self.constants.items():
            told = {"name": name, "shape": list(value.shape), "dtype": kinds[value.dtype.kind]}
            if value.dtype == np.float16:
                told["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            listed.append(told)
            content += value.astype(np.int32 if value.dtype.kind == "i" else value.dtype).tobytes()
        (folder / "w1.bin").write_bytes(content[:101])
        (folder / "w2.bin").write_bytes(content[101:])
        told_outputs = {
            f"{name}:0": {
                "name": f"{name}:0",
                "tensorShape": {"dim": [{"size": str(side)} for side in shape]},
            }
            for name, shape in outputs.items()
        }
        graph = {
            "signature": {"inputs": {"picture:0": {"name": "picture:0"}}, "outputs": told_outputs},
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["w1.bin", "w2.bin"], "weights": listed}],
        }
        file = folder / "graph.json"
        file.write_text(json.dumps(graph))
        return file


def written(folder: Path) -> tuple[Path, Writer]:
    """Write a graph that has each operation of NanoDet's at least once."""
    w = Writer()
    w.constant("to_last", [0, 2, 3, 1])
    w.constant("to_first", [0, 3, 1, 2])
    w.constant("around", [[0, 0], [0, 0], [1, 2], [0, 1]])
    w.node("padded", "Pad", "picture", "around")
    w.node("last", "Transpose", "padded", "to_last")
    w.node("c1", "Conv2D", "last", w.weights("k1", 3, 2, 3, 8), **conv("VALID", 2))
    w.node("b1", "BiasAdd", "c1", w.weights("o1", 8))
    w.node("l1", "LeakyRelu", "b1", alpha={"f": 0.1})
    w.constant("edge", np.float32(-3.0))
    w.constant("thin", [[0, 0], [1, 0], [0, 1], [0, 0]])
    w.node("p1", "PadV2", "l1", "thin", "edge")
    w.node(
        "m1", "MaxPool", "p1", ksize=numbers(1, 3, 3, 1), padding=text("SAME"), strides=numbers(1, 2, 2, 1)
    )
    w.node("c2", "Conv2D", "m1", w.weights("k2", 3, 3, 2, 8), **conv("SAME", 1, 2))  # four groups
    w.constant("size", [7, 10])
    w.node("r1", "ResizeBilinear", "c2", "size", half_pixel_centers={"b": True}, align_corners={"b": False})
    w.constant("sizes", [3, 5])
    w.constant("axis", 3)
    w.node("s1", "SplitV", "r1", "sizes", "axis", num_split={"i": "2"})
    w.node("g1", "Sigmoid", "s1:1")
    w.node("j1", "ConcatV2", "g1", "s1", "axis", N={"i": "2"})
    w.node("first", "Transpose", "j1", "to_first")
    w.constant("at", np.zeros((0, 1), np.int32))
    w.constant("long", [3])
    w.constant("none", np.zeros(0, np.int32))
    w.constant("naught", 0)
    w.constant("wanted", [1, 8, 70])
    w.node("dense", "SparseToDense", "at", "long", "none", "naught")
    w.node("shape", "AddV2", "wanted", "dense")
    w.node("flat", "Reshape", "first", "shape")
    w.node("out", "Identity", "flat", "^first")
    return w.write(folder, {"out": (1, 8, 70)}), w


def by_hand(w: Writer, picture: Tensor) -> Tensor:
    """Run the same in torch's own words."""
    k = {name: torch.from_numpy(v.astype(np.float32)) for name, v in w.constants.items()}
    x = F.pad(picture, (0, 1, 1, 2))
    x = F.conv2d(x, k["k1"].permute(3, 2, 0, 1), k["o1"], stride=2)
    x = F.pad(F.leaky_relu(x, 0.1), (0, 1, 1, 0), value=-3.0)
    high, wide = (same_padding(side, 3, 2) for side in x.shape[2:])
    x = F.max_pool2d(F.pad(x, (*wide, *high), value=-1e9), 3, 2)
    x = F.conv2d(x, k["k2"].permute(3, 2, 0, 1), padding=2, dilation=2, groups=4)
    x = F.interpolate(x, (7, 10), mode="bilinear")
    return torch.cat([x[:, 3:].sigmoid(), x[:, :3]], 1).reshape(1, 8, 70)


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) * 4 - 2


def test_every_operation_is_that_of_torch(tmp_path: Path, picture: Tensor) -> None:
    file, w = written(tmp_path)
    net, shapes = read_tfjs(file)
    assert shapes == {"out": (1, 8, 70)}
    (found,) = net(picture)
    expected = by_hand(w, picture)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float(expected.std()) > 0.1


@pytest.mark.parametrize("engine", ["openvino", pytest.param("onnx", marks=pytest.mark.nightly)])
def test_engines_run_a_graph_that_was_read(tmp_path: Path, picture: Tensor, engine: str) -> None:
    file, w = written(tmp_path)
    net, _ = read_tfjs(file)
    network = Network(
        "read",
        net.eval(),
        (TensorSpec("picture", "float32", (1, 3, SIDE, SIDE)),),
        (TensorSpec("out", "float32", (1, 8, 70)),),
        "",
        threads=1,
    )
    made = choose(network, wanted=engine, precision="fp32", example={"picture": picture})
    found = made.run(picture=picture)["out"].clone()
    made.close()
    torch.testing.assert_close(found, by_hand(w, picture), atol=1e-4, rtol=1e-4)


def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    file, _ = written(tmp_path)
    whole = file.read_text()
    cases = {
        "operation Erf": whole.replace('"LeakyRelu"', '"Erf"'),
        "nothing gives nowhere": whole.replace('["c1", "o1"]', '["nowhere", "o1"]'),
        "resized in a way": whole.replace(
            '"half_pixel_centers": {"b": true}', '"align_corners": {"b": true}'
        ),
        "modelTopology": json.dumps({"weightsManifest": []}),
        "Expecting value": "",
    }
    for reason, content in cases.items():
        assert content != whole
        file.write_text(content)
        with pytest.raises(ModelCorrupt, match=reason):
            read_tfjs(file)
    file.write_text(whole)
    second = tmp_path / "w2.bin"
    content = second.read_bytes()
    second.write_bytes(content[:-1])
    with pytest.raises(ModelCorrupt, match="weights end before"):
        read_tfjs(file)
    second.write_bytes(content + b"1")
    with pytest.raises(ModelCorrupt, match="1 bytes of weights are left"):
        read_tfjs(file)
    second.unlink()
    with pytest.raises(ModelCorrupt, match=r"w2\.bin"):
        read_tfjs(file)


def test_a_graph_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValueError, match="not known here: erf"):
        GraphNet([Node("erf", ("x",), ("y",))], {}, "x", ["y"])
    with pytest.raises(ValueError, match="nothing gives z"):
        GraphNet([Node("relu", ("x",), ("y",))], {}, "x", ["z"])


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "around"),
    [(8, 3, 2, (0, 1)), (9, 3, 2, (1, 1)), (5, 1, 2, (0, 0)), (4, 5, 1, (2, 2))],
)
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int, around: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == around


def test_a_convolution_takes_only_a_bias_of_its_own() -> None:
    """One whose result is used twice, or is an output, stays; so does an addition of another shape."""
    random = np.random.default_rng(0)
    numbers = {
        "k": random.normal(size=(2, 3, 1, 1)).astype(np.float32),
        "bias": np.array([5, -7], np.float32),
        "grid": random.normal(size=(1, 4, 4, 2)).astype(np.float32),
    }
    options = {"padding": "VALID", "strides": (1, 1)}
    nodes = [
        Node("conv", ("x", "k"), ("once",), options),
        Node("add", ("once", "bias"), ("a",), {"activation": "relu"}),
        Node("conv", ("x", "k"), ("twice",), options),
        Node("add", ("twice", "bias"), ("b",)),
        Node("add", ("twice", "a"), ("c",)),
        Node("conv", ("x", "k"), ("shown",), options),
        Node("add", ("shown", "bias"), ("d",)),
        Node("conv", ("x", "k"), ("other",), options),
        Node("add", ("other", "grid"), ("e",)),
    ]
    net = GraphNet(nodes, numbers, "x", ["a", "b", "c", "d", "e", "shown"])
    assert len(net._nodes) == len(nodes) - 1
    x = torch.from_numpy(random.normal(size=(1, 4, 4, 3)).astype(np.float32))
    plain = x @ torch.from_numpy(numbers["k"][:, :, 0, 0].T)
    summed, grid = plain + torch.from_numpy(numbers["bias"]), torch.from_numpy(numbers["grid"])
    expected = [summed.relu(), summed, plain + summed.relu(), summed, plain + grid, plain]
    for found, wanted in zip(net(x), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
