"""Real engines from real TensorRT-RTX, built on a CPU for GPUs that are not here; what keeps them apart."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from functools import cache

import onnx
import pytest
import torch

from pipelines.engines import export, networks, sizes
from pipelines.engines import tensorrt_build as building
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.key import Shelf
from pipelines.engines.tensorrt_api import Api, Log, load_api
from pipelines.engines.tensorrt_run import DTYPES
from pipelines.engines.tensorrt_store import Store
from realtime.core.errors import EngineBuildFailed, EngineError, EngineUnavailable
from tests import tiny

from . import fake_tensorrt, nets
from .fake_tensorrt import Fake

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is for x86-64 Linux and Windows")

TARGETS = ("sm86", "sm89", "sm120")
HEAD = 8
"""Numbers in an attention head: fewer than any fused kernel takes."""


class TextEncoder(torch.nn.Module):
    """Read tokens with one layer of causal attention, as a text encoder does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.words = torch.nn.Embedding(50, 4 * HEAD)
        self.places = torch.nn.Parameter(torch.randn(16, 4 * HEAD))
        self.all = torch.nn.Linear(4 * HEAD, 12 * HEAD)
        self.norm = torch.nn.LayerNorm(4 * HEAD)
        self.requires_grad_(False)

    def forward(self, ids_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.words(ids_BT) + self.places
        q, k, v = (part.unflatten(2, (4, HEAD)).transpose(1, 2) for part in self.all(x).chunk(3, dim=2))
        seen = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = self.norm(x + seen.transpose(1, 2).flatten(2))
        return x, x[:, -1]


@cache
def text_encoder() -> Network:
    ids = TensorSpec("ids", "int64", ("b", 16))
    context = TensorSpec("context", "float32", ("b", 16, 4 * HEAD))
    pooled = TensorSpec("pooled", "float32", ("b", 4 * HEAD))
    return Network("text", TextEncoder(), (ids,), (context, pooled), "text weights")


@cache
def small_unet() -> Network:
    """Return a UNet with one attention block: half the time to export of the usual tiny one."""
    unet = tiny.make_unet(
        "sd",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type=None,
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    return networks.unet_network(unet, "unet weights")


def named(name: str) -> Network:
    made = {"text": text_encoder, "unet": small_unet}
    return made[name]() if name in made else nets.network(name)


def profile(network: Network, rows=(1, 2)) -> building.Profile:
    at = {"b": 1, "h": 8, "w": 8, "H": 64, "W": 64, "t": 16}
    return building.profile_of(network, sizes.shapes_at(network, at), rows)


@pytest.mark.slow  # the export of the UNet takes most of it
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param("unet", "fp16", marks=pytest.mark.nightly),
        ("decoder-tiny", "fp16"),
        ("encoder-tiny", "fp32"),
        ("decoder-tiny", "bf16"),
        ("text", "fp16"),
        ("text", "fp32"),
    ],
)
def test_every_network_builds_for_three_generations_in_one_file(name, precision):
    network = named(name)
    engine = building.build_engine_bytes(
        network, profile(network), precision=precision, targets=TARGETS, exporter=nets.export_once
    )
    weights = export.weight_bytes(network.module) * (1 if precision == "fp32" else 0.5)
    assert len(engine) > 0.8 * weights, "the weights are in the file"


def test_attention_without_a_fused_kernel_is_taken_apart(tmp_path):
    network = text_encoder()
    graph = export.write(network, {"ids": (1, 16)}, tmp_path, precision="fp16", opset=23, only_rows=True)
    assert any(node.op_type == "Attention" for node in onnx.load(graph.path).graph.node)
    api = load_api(("tensorrt_rtx",))
    log = Log(api.trt)
    builder = api.trt.Builder(log.logger)
    definition = builder.create_network(1 << int(api.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.trt.OnnxParser(definition, log.logger)
    assert parser.parse_from_file(str(graph.path))
    assert building.let_attention_fall_apart(api.trt, definition) == 1
    engine = building.compile_graph(
        graph.path, network, profile(network), api=api, targets=TARGETS, is_exact=False
    )
    assert len(engine) > 1000


def test_weights_beside_the_graph_are_found(tmp_path):
    network = nets.network("decoder-tiny")
    at = profile(network, rows=(1,))
    graph = export.write(
        network, at.shapes(network, 1), tmp_path, precision="fp16", only_rows=True, inline_bytes=0
    )
    assert graph.is_split
    api = load_api(("tensorrt_rtx",))
    engine = building.compile_graph(graph.path, network, at, api=api, targets=TARGETS, is_exact=False)
    assert len(engine) > 0.4 * export.weight_bytes(network.module)


def test_an_operation_that_tensorrt_does_not_know_is_named(tmp_path):
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
    node = onnx.helper.make_node("Foo", ["x"], ["y"], name="node_foo")
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ports[:1], ports[1:]))
    path = tmp_path / "foo.onnx"
    path.write_bytes(model.SerializeToString())
    network = nets.doubler()
    with pytest.raises(
        EngineBuildFailed, match=r'cannot read double: the node "node_foo" \(Foo\): .*Plugin'
    ) as it:
        building.compile_graph(
            path,
            network,
            building.profile_of(network, {"x": (1, 4)}),
            api=load_api(("tensorrt_rtx",)),
            targets=TARGETS,
            is_exact=True,
        )
    assert it.value.hint == "Use engine = torch."


def test_what_the_builder_says_reaches_the_person():
    network = nets.network("decoder-tiny")
    with pytest.raises(EngineBuildFailed, match=r"could not build decoder: .*sm75.* HW-specific datatypes"):
        building.build_engine_bytes(
            network, profile(network), precision="bf16", targets=("sm75",), exporter=nets.export_once
        )


def test_a_gpu_that_there_is_no_target_for_is_refused_with_those_that_there_are():
    with pytest.raises(EngineUnavailable, match=r"sm75, sm80, sm86, sm89, sm120, sm121, not for sm90"):
        building.build_engine_bytes(
            nets.doubler(),
            building.profile_of(nets.doubler(), {"x": (1, 4)}),
            precision="fp32",
            targets=("sm90",),
            exporter=nets.export_once,
        )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (fake_tensorrt.Builder, "Builder"),
        (fake_tensorrt.Config, "IBuilderConfig"),
        (fake_tensorrt.OnnxParser, "OnnxParser"),
        (fake_tensorrt.Runtime, "Runtime"),
        (fake_tensorrt.Engine, "ICudaEngine"),
        (fake_tensorrt.Context, "IExecutionContext"),
        (fake_tensorrt.Refitter, "Refitter"),
        (fake_tensorrt.OnnxParserRefitter, "OnnxParserRefitter"),
    ],
)
def test_the_library_that_stands_in_has_no_call_that_the_real_one_has_not(ours, theirs):
    real = getattr(load_api(("tensorrt_rtx",)).trt, theirs)
    calls = {name for name, call in vars(ours).items() if callable(call) and not name.startswith("_")}
    assert calls - set(dir(real)) <= {"load"}


def test_the_options_for_running_exist_in_the_real_library():
    trt = load_api(("tensorrt_rtx",)).trt
    options = ("cuda_graph_strategy", "dynamic_shapes_kernel_specialization_strategy", "set_runtime_cache")
    assert set(options) <= set(dir(trt.IRuntimeConfig))
    assert {"serialize", "deserialize"} <= set(dir(trt.IRuntimeCache))
    assert {*DTYPES} <= set(trt.DataType.__members__)
    assert trt.CudaGraphStrategy.DISABLED
    assert trt.DynamicShapesKernelSpecializationStrategy.EAGER
    assert hasattr(trt.ICudaEngine, "refittable")


def test_without_a_gpu_a_real_engine_does_not_load_and_the_driver_is_named(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    network = dataclasses.replace(nets.doubler(), digest="weights")
    path = building.build_to_shelf(
        network, precision="fp32", shelf=Shelf(tmp_path), exporter=nets.export_once
    )
    api = load_api(("tensorrt_rtx",))
    log = Log(api.trt)
    assert api.trt.Runtime(log.logger).deserialize_cuda_engine(path.read_bytes()) is None
    assert "cudaError" in log.quote()
    assert log.quote() == "It gave no reason.", "what was quoted is not quoted again"


def store_for(target: str, shelf: Shelf, api: Api, precision: str = "fp32") -> Store:
    return Store(api, shelf, precision, target, "a GPU", exporter=nets.export_once)


def test_what_was_built_for_several_gpus_serves_each_of_them(tmp_path):
    network = dataclasses.replace(nets.doubler(), digest="weights")
    shelf, api = Shelf(tmp_path), load_api(("tensorrt_rtx",))
    said: list[str] = []
    path = building.build_to_shelf(
        network, precision="fp32", shelf=shelf, report=said.append, exporter=nets.export_once
    )
    asked = building.profile_of(network, {"x": (3, 4)})
    assert store_for("sm89", shelf, api).get(network, asked) == (path.read_bytes(), asked)
    assert store_for("sm80", shelf, api).get(network, asked) is None
    assert store_for("sm89", shelf, api, "fp16").get(network, asked) is None
    fewer_rows = dataclasses.replace(asked, rows=(1,))
    assert store_for("sm89", shelf, api).get(network, fewer_rows) == (path.read_bytes(), asked)
    assert store_for("sm89", shelf, Api(api.trt, api.name, "1.7.2")).get(network, asked) is None
    beside = json.loads(path.with_suffix(".json").read_text())
    assert beside["processor"] == f"sm120 sm86 sm89 {sys.platform}"
    assert beside["versions"].startswith(f"tensorrt_rtx {api.version}, torch ")
    assert said == ["Exporting double to ONNX.", said[1]]
    assert "1, 2, 4, 8, 16 rows" in said[1]
    said.clear()
    again = building.build_to_shelf(
        network, precision="fp32", shelf=shelf, report=said.append, exporter=nets.export_once
    )
    assert (again, said) == (path, []), "it is built once"


def test_a_shelf_wants_to_know_the_weights_and_every_size(tmp_path):
    with pytest.raises(EngineUnavailable, match="no digest"):
        building.build_to_shelf(nets.doubler(), precision="fp32", shelf=Shelf(tmp_path))
    odd = dataclasses.replace(
        nets.doubler(), digest="weights", inputs=(TensorSpec("x", "float32", ("b", "tokens")),)
    )
    with pytest.raises(EngineUnavailable, match="sizes that were not said: tokens"):
        building.build_to_shelf(odd, precision="fp32", shelf=Shelf(tmp_path))


def test_a_profile_holds_sizes_and_buckets():
    network = nets.mixer()
    shapes = {"picture": (3, 4, 8, 6), "ids": (3, 5), "side": (3, 8, 8, 6)}
    found = building.profile_of(network, shapes, rows=(4, 1, 2))
    assert found == building.profile_of(network, {name: (1, *s[1:]) for name, s in shapes.items()}, (1, 2, 4))
    assert found.shapes(network, 2)["side"] == (2, 8, 8, 6)
    assert [found.bucket(rows) for rows in (1, 2, 3, 4, 5)] == [1, 2, 4, 4, 4]
    with pytest.raises(EngineError, match="one batch size"):
        building.profile_of(network, shapes | {"ids": (2, 5)})


RTX = Api(Fake(), "tensorrt_rtx", "1.7.1")
PLAIN = building.profile_of(nets.doubler(), {"x": (1, 4)})
CHANGES = {
    "weights": {"network": dataclasses.replace(nets.doubler(), digest="other")},
    "name": {"network": dataclasses.replace(nets.doubler(), name="other")},
    "module's source": {"network": dataclasses.replace(nets.doubler(), module=TextEncoder())},
    "rows": {"profile": building.Profile((), (1, 2))},
    "precision": {"precision": "fp16"},
    "targets": {"targets": ("sm86",)},
    "library": {"api": Api(Fake(), "tensorrt", "1.7.1")},
    "version": {"api": Api(Fake(), "tensorrt_rtx", "1.7.2")},
    "operator set": {"opset": 21},
    "refitting": {"is_refittable": True},
}


def recipe(**changes):
    given = {
        "network": nets.doubler(),
        "profile": PLAIN,
        "precision": "fp32",
        "targets": TARGETS,
        "api": RTX,
        **changes,
    }
    return building.recipe_of(given.pop("network"), given.pop("profile"), **given)


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_whatever_would_make_an_engine_wrong_changes_its_key(what):
    assert recipe(**CHANGES[what]).key() != recipe().key()


def test_the_sizes_and_the_enterprise_gpu_are_in_the_key_and_the_order_of_targets_is_not():
    network = nets.network("decoder-tiny")
    small, large = (building.profile_of(network, nets.shapes(network, width=w)) for w in (8, 12))
    assert recipe(network=network, profile=small).key() != recipe(network=network, profile=large).key()
    assert recipe(targets=TARGETS[::-1]).key() == recipe().key()
    enterprise = Api(Fake(), "tensorrt", "11.4")
    keys = {recipe(api=enterprise, place=place).key() for place in ("A10 sm86 linux", "L4 sm89 linux")}
    assert len(keys) == 2


def test_another_process_has_the_same_key():
    script = """
from tests.pipelines.engines import test_tensorrt_build
print(test_tensorrt_build.recipe().key())
"""
    environment = {**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == recipe().key(), done.stderr
