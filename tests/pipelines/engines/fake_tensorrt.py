"""A TensorRT that computes with ONNX Runtime on the CPU, behind the calls that the back end makes.

An engine is its ONNX file and its profiles; a context reads and writes the addresses that it was given. So
what is tested is ours: which memory is bound when, what is padded, recorded, copied, refitted and refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

TYPES = {"tensor(float)": ("FLOAT", np.float32), "tensor(float16)": ("HALF", np.float16)}
TYPES["tensor(int64)"] = ("INT64", np.int64)
TYPES["tensor(uint8)"] = ("UINT8", np.uint8)


class ILogger:
    Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO")

    def log(self, severity, message):
        raise NotImplementedError


class Fake:
    """Stand in for the module; attributes named `breaks_…` make it fail, `calls` is what was asked of it."""

    def __init__(self, version: str = "1.7.1") -> None:
        self.__version__ = version
        self.ILogger = ILogger
        self.breaks_building = False
        self.breaks_loading = self.breaks_capture = self.breaks_refit = self.breaks_launch = False
        self.calls: list[str] = []
        self.recording: list[Any] | None = None
        self.known_timings: list[bytes] = []
        self.NetworkDefinitionCreationFlag = enum.IntEnum("Flag", {"STRONGLY_TYPED": 1})
        self.BuilderFlag = enum.Enum("BuilderFlag", "TF32 REFIT")
        self.ComputeCapability = enum.Enum("ComputeCapability", "NONE CURRENT SM86 SM89 SM120")
        self.CudaGraphStrategy = enum.Enum("CudaGraphStrategy", "DISABLED WHOLE_GRAPH_CAPTURE")
        self.DynamicShapesKernelSpecializationStrategy = enum.Enum("Strategy", "LAZY EAGER NONE")
        self.LayerType = SimpleNamespace()
        for part in (Builder, OnnxParser, Runtime, Refitter, OnnxParserRefitter):
            setattr(self, part.__name__, self._made(part))

    def _made(self, part):
        return lambda *arguments: part(self, *arguments)


class Builder:
    def __init__(self, fake, logger):
        self.fake, self.logger = fake, logger

    def create_network(self, flags):
        assert flags == 2, "strongly typed"
        return SimpleNamespace(num_layers=0, model=b"")

    def create_optimization_profile(self):
        shapes = {}
        set_shape = lambda name, least, most_often, most: shapes.update({name: (least, most_often, most)})  # noqa: E731
        return SimpleNamespace(shapes=shapes, set_shape=set_shape)

    def create_builder_config(self):
        return Config(self.fake)

    def build_serialized_network(self, network, config):
        if self.fake.breaks_building:
            self.logger.log(ILogger.Severity.ERROR, "no implementation for node_7")
            return None
        self.fake.calls.append(f"build {config.targets} {sorted(config.flags)}")
        made = {"model": network.model, "profiles": config.profiles, "refittable": "REFIT" in config.flags}
        return pickle.dumps(made)


class Config:
    def __init__(self, fake):
        self.fake = fake
        self.profiles, self.flags, self.targets = [], {"TF32"}, []
        self.num_compute_capabilities = 0

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def set_compute_capability(self, target, index):
        assert index == len(self.targets) < self.num_compute_capabilities
        self.targets.append(target.name)
        return True

    def set_flag(self, flag):
        self.flags.add(flag.name)

    def clear_flag(self, flag):
        self.flags.discard(flag.name)

    def create_timing_cache(self, content):
        return SimpleNamespace(serialize=lambda: content + b"timed ")

    def set_timing_cache(self, timings, ignore_mismatch):
        self.timings = timings
        return True

    def get_timing_cache(self):
        return self.timings


class OnnxParser:
    num_errors = 0

    def __init__(self, fake, network, logger):
        self.network = network

    def parse_from_file(self, path):
        self.network.model = onnx.load(path).SerializeToString()
        return True


class Runtime:
    def __init__(self, fake, logger):
        self.fake, self.logger = fake, logger

    def deserialize_cuda_engine(self, engine):
        if self.fake.breaks_loading:
            self.logger.log(ILogger.Severity.ERROR, "cudaError 35: driver version\n is insufficient")
            return None
        self.fake.calls.append("load")
        return Engine(self.fake, **pickle.loads(engine))


class Engine:
    def __init__(self, fake, model, profiles, refittable):
        self.fake, self.profiles, self.refittable = fake, profiles, refittable
        self.load(model)

    def load(self, model):
        self.session = onnxruntime.InferenceSession(model)
        self.ports = {port.name: port for port in [*self.session.get_inputs(), *self.session.get_outputs()]}

    def create_runtime_config(self):
        kept = SimpleNamespace(content=b"kernels", refuses=lambda blob: blob != b"kernels")
        kept.deserialize = lambda blob: self.fake.calls.append("kernels") or not kept.refuses(blob)
        kept.serialize = lambda: kept.content
        return SimpleNamespace(create_runtime_cache=lambda: kept, set_runtime_cache=lambda cache: None)

    def create_execution_context(self, config=None):
        self.fake.calls.append("context")
        return Context(self)

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name=TYPES[self.ports[name].type][0])


class Context:
    def __init__(self, engine):
        self.engine, self.shapes, self.addresses = engine, {}, {}

    def set_optimization_profile_async(self, index, stream):
        assert stream == CpuCuda.handle
        self.profile = self.engine.profiles[index]
        return True

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)
        return self.profile[name][0] <= tuple(shape) <= self.profile[name][2]

    def get_tensor_shape(self, name):
        feeds = {n: np.zeros(s, TYPES[self.engine.ports[n].type][1]) for n, s in self.shapes.items()}
        return self.engine.session.run([name], feeds)[0].shape

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, stream):
        return not self.engine.fake.breaks_capture

    def execute_async_v3(self, stream):
        fake = self.engine.fake
        if fake.breaks_launch:
            return False
        if fake.recording is not None:
            fake.recording.append(self._compute)
        else:
            fake.calls.append("launch")
            self._compute()
        return True

    def _compute(self):
        feeds = {name: self._at(name, shape) for name, shape in self.shapes.items()}
        names = [port.name for port in self.engine.session.get_outputs()]
        for name, value in zip(names, self.engine.session.run(names, feeds), strict=True):
            self._at(name, value.shape)[...] = value

    def _at(self, name, shape):
        dtype = np.dtype(TYPES[self.engine.ports[name].type][1])
        size = int(np.prod(shape)) * dtype.itemsize
        raw = (ctypes.c_byte * size).from_address(self.addresses[name])
        return np.frombuffer(raw, dtype).reshape(shape)


class Refitter:
    def __init__(self, fake, engine, logger):
        self.fake, self.engine, self.logger = fake, engine, logger

    def refit_cuda_engine(self):
        self.engine.load(self.model)
        self.fake.calls.append("refit")
        return True


class OnnxParserRefitter:
    def __init__(self, fake, refitter, logger):
        self.fake, self.refitter, self.logger = fake, refitter, logger

    def refit_from_file(self, path):
        if self.fake.breaks_refit:
            self.refitter.engine.load(onnx.load(path).SerializeToString())  # some weights are new by now
            self.logger.log(ILogger.Severity.ERROR, "a weight is missing")
            return False
        self.refitter.model = onnx.load(path).SerializeToString()
        return True


class CpuCuda:
    """What `Cuda` promises, on the CPU: launches happen at once, a recording runs only when replayed."""

    device = torch.device("cpu")
    handle = 7

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.is_inside = False

    @contextlib.contextmanager
    def ordered(self):
        assert not self.is_inside
        self.is_inside = True
        yield
        self.is_inside = False

    def record(self, launch):
        assert self.is_inside
        self.fake.recording = []
        launch()
        recorded, self.fake.recording = self.fake.recording, None

        def replay():
            self.fake.calls.append("replay")
            for compute in recorded:
                compute()

        return replay

    def synchronize(self):
        self.fake.calls.append("wait")
