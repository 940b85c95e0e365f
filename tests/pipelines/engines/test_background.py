"""A better engine is built behind the one that serves, and taken between two runs; a failure is only said."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from pipelines.engines import openvino_engine, torch_engine
from pipelines.engines.background import NS_PER_S, BackgroundEngine, choose_and_improve, improve
from pipelines.engines.base import EngineInfo
from realtime.core.errors import EngineBuildFailed, EngineError

from . import nets

LONG_S = 60.0
X = torch.tensor([[1.0, 2.0, 3.0, 4.0]])


class Doubling:
    """Double the input, and note what was asked of it."""

    def __init__(self, backend: str = "torch", factor: float = 2.0) -> None:
        self.info = EngineInfo(backend, "fp32", "cpu", f"{backend} 1", why="It agrees.")
        self.warmed: list[tuple[int, ...]] = []
        self.runs = self.closed = 0
        self._factor = factor

    def run(self, x):
        assert not self.closed
        self.runs += 1
        return {"y": x * self._factor}

    def warm(self, shapes):
        self.warmed.append(shapes["x"])

    def plans(self):
        return (self.info.backend,)

    def close(self):
        self.closed += 1


class Later:
    """Stand in for a thread: the work is done when the test says so, in the test's own thread."""

    def __call__(self, work) -> None:
        self.now = work


class World:
    """A background engine with a clock of its own and everything that it said."""

    def __init__(self, make=None) -> None:
        self.first, self.second = Doubling(), Doubling("tensorrt")
        self.said: list[str] = []
        self.at_s = 100
        self.build = Later()
        self.engine = BackgroundEngine(
            nets.doubler(),
            self.first,
            "tensorrt",
            make or (lambda report: self.second),
            report=self.said.append,
            start=self.build,
            now_ns=lambda: self.at_s * NS_PER_S,
        )


def test_it_serves_at_once_and_changes_over_between_two_runs():
    world = World()
    engine = world.engine
    assert engine.run(x=X)["y"].tolist() == [[2.0, 4.0, 6.0, 8.0]]
    engine.warm({"x": (3, 4)})
    assert engine.info.backend == "torch"
    world.at_s += 12
    world.build.now()
    assert world.second.warmed == [(1, 4), (3, 4)], "what was used is made ready first"
    assert (engine.info.backend, world.second.runs) == ("torch", 0)
    engine.run(x=X)
    assert (world.first.runs, world.second.runs, world.first.closed) == (1, 1, 1)
    assert engine.info.why == "It was built in 12 s while torch served. It agrees."
    assert (engine.plans(), engine.progress) == (("tensorrt",), "")
    assert world.said[-1] == "double runs with tensorrt now."


def test_progress_is_said_now_and_then():
    world = World()
    for _ in range(13):
        world.engine.run(x=X)
        world.at_s += 1
    assert world.said == [
        "Building double with tensorrt, 5 s so far.",
        "Building double with tensorrt, 10 s so far.",
    ]
    assert world.engine.progress == "Building double with tensorrt, 13 s so far."


def test_a_shape_that_comes_while_others_are_made_ready_is_made_ready_too():
    world = World()
    world.engine.run(x=X)
    plain = world.second.warm

    def warm(shapes):
        if shapes["x"] == (1, 4):
            world.engine.run(x=X.repeat(2, 1))
        plain(shapes)

    world.second.warm = warm
    world.build.now()
    assert world.second.warmed == [(1, 4), (2, 4)]


def raises(error):
    def make(report):
        raise error

    return make


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineBuildFailed("No kernel for node 7."), "No kernel for node 7."),
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
        (ImportError("no tensorrt"), "ImportError: no tensorrt"),
    ],
)
def test_a_failure_is_a_report_and_a_reason(error, words):
    world = World(raises(error))
    world.engine.run(x=X)
    world.build.now()
    assert world.engine.run(x=X)["y"].sum() == 20.0
    assert world.said == [f"double stays with torch: tensorrt failed: {words}"]
    assert world.engine.info.refused == (("tensorrt", words),)
    assert world.engine.progress == ""


def test_a_shape_that_the_new_engine_cannot_have_keeps_the_old_one():
    world = World()
    world.engine.run(x=X)

    def warm(shapes):
        raise EngineBuildFailed("too small")

    world.second.warm = warm
    world.build.now()
    world.engine.run(x=X)
    assert (world.engine.info.backend, world.second.closed) == ("torch", 1)
    assert "too small" in world.said[-1]


def test_a_fault_of_this_house_is_raised_and_leaves_no_build_under_way():
    world = World(raises(KeyError("oops")))
    with pytest.raises(KeyError):
        world.build.now()
    assert world.engine.progress == ""
    assert world.engine.run(x=X)["y"].sum() == 20.0


def test_what_is_ready_after_the_end_is_closed_in_silence():
    world = World()
    world.engine.close()
    world.build.now()
    assert (world.first.closed, world.second.closed, world.said) == (1, 1, [])
    assert world.engine.info.refused == ()


def test_what_is_ready_and_never_taken_is_closed_with_the_rest():
    world = World()
    world.build.now()
    world.engine.close()
    assert (world.first.closed, world.second.closed) == (1, 1)


def test_a_shape_that_was_refused_is_not_made_ready():
    class Choosy(Doubling):
        def run(self, x):
            raise EngineError("no")

    world = World()
    world.engine._current = Choosy()
    with pytest.raises(EngineError):
        world.engine.run(x=X)
    world.build.now()
    assert world.second.warmed == []


@pytest.mark.parametrize(("factor", "backend"), [(2.0, "better"), (2.1, "torch")])
def test_the_new_engine_goes_through_the_parity_gate(factor, backend):
    said: list[str] = []
    build = Later()
    engine = improve(
        nets.doubler(),
        Doubling(),
        wanted="better",
        precision="fp32",
        example={"x": X},
        report=said.append,
        device="cpu",
        builders={"better": lambda network, **options: Doubling("better", factor)},
        start=build,
    )
    build.now()
    assert engine.run(x=X)["y"].sum() == 20.0
    assert engine.info.backend == backend
    if backend == "torch":
        ((name, reason),) = engine.info.refused
        assert name == "better"
        assert "relative error 0.05, allowed 0.001" in reason


def served(wanted: str, device: str, build: Later) -> object:
    return choose_and_improve(
        nets.doubler(),
        wanted=wanted,
        precision="fp32",
        example={"x": X},
        device=device,
        builders={name: lambda network, name=name, **rest: Doubling(name) for name in ("torch", "tensorrt")},
        start=build,
    )


def test_auto_on_a_gpu_serves_with_torch_until_tensorrt_is_built():
    build = Later()
    engine = served("auto", "cuda", build)
    assert (engine.info.backend, engine.run(x=X)["y"].sum()) == ("torch", 20.0)
    build.now()
    engine.run(x=X)
    assert engine.info.backend == "tensorrt"


@pytest.mark.parametrize(("wanted", "device"), [("auto", "cpu"), ("torch", "cuda"), ("tensorrt", "cuda")])
def test_else_nothing_is_built_behind(wanted, device):
    engine = served(wanted, device, Later())
    assert isinstance(engine, Doubling)
    assert engine.info.backend == ("torch" if wanted == "auto" else wanted)


def test_with_real_engines_and_a_real_thread_it_runs_on_while_the_other_is_built():
    network = nets.network("decoder-tiny")
    started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(network, *, precision, device, report):
        started.set()
        assert go_on.wait(LONG_S)
        return openvino_engine.build(network, precision=precision, report=report)

    def start(work):
        def whole():
            work()
            ended.set()

        thread = threading.Thread(target=whole, daemon=True)
        thread.start()
        return thread

    engine = improve(
        network,
        torch_engine.build(network, precision="fp32", device="cpu"),
        wanted="openvino",
        precision="fp32",
        example=nets.example(network),
        device="cpu",
        builders={"openvino": slow},
        start=start,
    )
    tensors, reference = nets.example(network, seed=4), nets.expected(network, nets.example(network, seed=4))
    assert started.wait(LONG_S)
    with ThreadPoolExecutor(1) as lane:
        before = lane.submit(lambda: engine.run(**tensors)["pixels"].clone()).result(LONG_S)
        assert engine.info.backend == "torch"
        go_on.set()
        assert ended.wait(LONG_S)
        after = lane.submit(lambda: engine.run(**tensors)["pixels"].clone()).result(LONG_S)
    assert engine.info == replace(engine.info, backend="openvino", precision="fp32")
    assert "while torch served" in engine.info.why
    for seen in (before, after):
        assert (seen.int() - reference.int()).abs().max() <= 1
    engine.close()
