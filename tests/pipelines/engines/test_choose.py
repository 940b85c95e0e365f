"""Which back end is taken, what is said of the others, and what each way of being broken turns into."""

from __future__ import annotations

import pytest
import torch

from pipelines.engines import choose as choosing
from pipelines.engines import torch_engine
from pipelines.engines.base import EngineInfo
from pipelines.engines.choose import choose
from realtime.core.errors import ConfigError, EngineBuildFailed, EngineUnavailable

from . import nets

EXAMPLE = {"x": torch.tensor([[1.0, 2.0, 3.0, 4.0]])}


class Faulty:
    """Behave like an engine, but for `answer`."""

    def __init__(self, answer) -> None:
        self.info = EngineInfo("openvino", "fp32", "cpu", "openvino 0")
        self.is_closed = False
        self._answer = answer

    def run(self, **tensors):
        return self._answer(tensors["x"])

    def warm(self, shapes):
        raise AssertionError("nobody warms it")

    def plans(self):
        return ()

    def close(self):
        self.is_closed = True


def raises(error):
    def build(network, **options):
        raise error

    return build


def answers(answer):
    return lambda network, **options: Faulty(answer)


def twice(x):
    return {"y": x * 2}


def fails_to_run(x):
    raise RuntimeError("the primitive descriptor is\nnot what it was")


BROKEN = {
    "not installed": (
        raises(ModuleNotFoundError("No module named 'openvino'")),
        "cannot be imported: No module",
    ),
    "library missing": (
        raises(OSError("libtbb.so.12: cannot open")),
        "cannot be loaded on this machine: libtbb",
    ),
    "assertion at import": (
        raises(AssertionError("no GPU")),
        "could not build double: AssertionError: no GPU",
    ),
    "build fails": (raises(RuntimeError("op Foo is unknown.\nmore")), "RuntimeError: op Foo is unknown."),
    "says why": (raises(EngineUnavailable("Not on this processor.")), "Not on this processor."),
    "gives None": (lambda network, **options: None, "gave no engine for double"),
    "wrong numbers": (answers(lambda x: {"y": x * 2.1}), "relative error 0.05, allowed 0.001 in fp32"),
    "not a number": (answers(lambda x: {"y": x * float("nan")}), "relative error inf"),
    "wrong shape": (answers(lambda x: {"y": x[:, :3] * 2}), "(1, 3) in place of (1, 4)"),
    "wrong name": (answers(lambda x: {"z": x * 2}), 'gave no output "y"'),
    "fails to run": (answers(fails_to_run), "failed to run it: RuntimeError: the primitive descriptor is."),
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_broken_back_end_is_passed_over_with_its_reason(fault):
    build, words = BROKEN[fault]
    told: list[str] = []
    engine = choose(
        nets.doubler(),
        example=EXAMPLE,
        report=told.append,
        device="cpu",
        has_bf16=False,
        builders={"openvino": build, "torch": torch_engine.build},
    )
    assert engine.info.backend == "torch"
    ((name, reason),) = engine.info.refused
    assert name == "openvino"
    assert words in reason
    assert "openvino was refused" in engine.info.why
    assert any(words in sentence for sentence in told)
    assert engine.run(**EXAMPLE)["y"].tolist() == [[2.0, 4.0, 6.0, 8.0]]


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_broken_back_end_asked_for_by_name_is_an_error(fault):
    build, words = BROKEN[fault]
    with pytest.raises((EngineUnavailable, EngineBuildFailed)) as caught:
        choose(
            nets.doubler(),
            wanted="openvino",
            example=EXAMPLE,
            device="cpu",
            builders={"openvino": build, "torch": torch_engine.build},
        )
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.permanent


def test_a_refused_engine_is_closed():
    made: list[Faulty] = []

    def build(network, **options):
        made.append(Faulty(lambda x: {"y": x * 3}))
        return made[0]

    choose(
        nets.doubler(),
        example=EXAMPLE,
        device="cpu",
        has_bf16=False,
        builders={"openvino": build, "torch": torch_engine.build},
    )
    assert made[0].is_closed


def test_when_all_are_refused_each_reason_is_told():
    builders = {"openvino": raises(OSError("no library")), "torch": raises(MemoryError("no room"))}
    with pytest.raises(EngineUnavailable, match=r"openvino: .*no library.* torch: .*no room"):
        choose(nets.doubler(), example=EXAMPLE, device="cpu", builders=builders, has_bf16=False)


@pytest.mark.parametrize("name", nets.NAMES)
def test_on_a_cpu_openvino_is_taken_first(name):
    network = nets.network(name)
    engine = choose(network, example=nets.example(network), device="cpu", has_bf16=False)
    assert (engine.info.backend, engine.info.precision, engine.info.refused) == ("openvino", "fp32", ())
    assert "agrees with torch" in engine.info.why


def test_without_openvino_onnx_is_taken_before_torch():
    builders = {
        "openvino": raises(ImportError("no openvino")),
        **dict.fromkeys(("torch", "onnx"), answers(twice)),
    }
    engine = choose(nets.doubler(), example=EXAMPLE, device="cpu", builders=builders, has_bf16=False)
    assert engine.info.why.startswith("onnx is the first that works here; openvino was refused.")


def test_a_named_engine_is_obeyed():
    engine = choose(nets.doubler(), wanted="torch", precision="bf16", example=EXAMPLE, device="cpu")
    assert (engine.info.backend, engine.info.precision) == ("torch", "bf16")
    assert engine.info.why.startswith("torch was asked for.")


def test_tensorrt_wants_a_gpu_and_says_so():
    with pytest.raises(EngineUnavailable, match="runs on NVIDIA GPUs") as caught:
        choose(nets.doubler(), wanted="tensorrt", example=EXAMPLE, device="cpu")
    assert "engine = torch" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what the test wants absent")
def test_on_a_gpu_torch_serves_after_tensorrt_was_refused():
    def build(network, *, device, **options):
        assert device == "cuda"
        return Faulty(lambda x: {"y": x * 2})

    builders = {"tensorrt": choosing.BUILT_IN["tensorrt"], "torch": build}
    engine = choose(nets.doubler(), precision="fp32", example=EXAMPLE, device="cuda", builders=builders)
    ((name, reason),) = engine.info.refused
    assert name == "tensorrt"
    assert "no CUDA device" in reason


@pytest.mark.parametrize(
    ("option", "words"), [({"wanted": "fast"}, "no engine"), ({"precision": "fp4"}, "no precision")]
)
def test_a_word_nobody_knows_is_refused_with_the_known_ones(option, words):
    with pytest.raises(ConfigError, match=words) as caught:
        choose(nets.doubler(), example=EXAMPLE, device="cpu", **option)
    assert "auto" in caught.value.hint
