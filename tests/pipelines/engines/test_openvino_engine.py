"""What is OpenVINO's own: shapes kept and forgotten, engines on disk, rows on two streams, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import openvino as ov
import pytest
import torch

from pipelines.engines import cost, networks, openvino_engine
from pipelines.engines.key import Shelf
from pipelines.engines.parity import relative_error
from realtime.core.errors import EngineError, EngineUnavailable
from tests import tiny

from . import nets

LONG_S = 60.0
"""Longer than anything here takes: who waits so long waits for ever."""


def engine_of(network, **options):
    return openvino_engine.build(network, precision="fp32", **options)


def test_the_shape_used_longest_ago_is_forgotten_and_built_again(monkeypatch):
    monkeypatch.setattr(openvino_engine, "SMALL_BYTES", 0)  # as a large network: of small ones more are kept
    said: list[str] = []
    engine = engine_of(nets.network("encoder-tiny"), report=said.append, threads=1)
    network = nets.network("encoder-tiny")
    sizes = [8 + 4 * i for i in range(openvino_engine.KEPT_SHAPES + 1)]
    for width in sizes:
        engine.run(**nets.example(network, width=width))
    assert len(said) == len(sizes)
    engine.run(**nets.example(network, width=sizes[-1]))
    assert len(said) == len(sizes), "the newest is still there"
    tensors = nets.example(network, width=sizes[0], seed=3)
    assert relative_error(engine.run(**tensors)["latent"], nets.expected(network, tensors)) < 1e-4
    assert len(said) == len(sizes) + 1, "the oldest is built again"


def test_a_batch_nobody_warmed_needs_no_further_build():
    said: list[str] = []
    network = nets.network("unet-pooled")
    engine = engine_of(network, report=said.append, threads=2)
    for rows in (2, 3, 4):
        tensors = nets.example(network, rows=rows)
        assert relative_error(engine.run(**tensors)["out"], nets.expected(network, tensors)) < 1e-4
    assert len(said) == 1, said
    assert engine.plans() == ()


def test_warming_a_batch_measures_both_ways_and_says_which_is_taken():
    network = nets.network("unet-attention")
    engine = engine_of(network, threads=2)
    engine.warm(nets.shapes(network, rows=2))
    (says,) = engine.plans()
    assert says.startswith("unet: 2 rows run ")
    assert "ms split" in says
    tensors = nets.example(network, rows=2, seed=5)
    assert relative_error(engine.run(**tensors)["out"], nets.expected(network, tensors)) < 1e-4
    engine.warm(nets.shapes(network, rows=2))
    assert engine.plans() == (says,), "measured once"


def test_one_thread_leaves_no_choice():
    network = nets.network("unet-pooled")
    engine = engine_of(network, threads=1)
    engine.warm(nets.shapes(network, rows=2))
    assert engine.plans() == ()


class Held:
    """Be told what is going on, and hold the one who tells at his first word until `go_on` is set."""

    def __init__(self) -> None:
        self.is_told, self.go_on = threading.Event(), threading.Event()

    def __call__(self, sentence: str) -> None:
        self.is_told.set()
        assert self.go_on.wait(LONG_S)


def test_a_shape_runs_while_another_is_built():
    network = nets.network("unet-pooled")
    ready, reference = nets.example(network), nets.expected(network, nets.example(network))
    holding = Held()
    engine = engine_of(network, report=lambda sentence: holding(sentence), threads=2)
    holding.go_on.set()
    engine.warm(nets.shapes(network))
    holding = Held()
    with ThreadPoolExecutor(2) as pool:
        try:
            building = pool.submit(engine.warm, nets.shapes(network, rows=2, width=12))
            assert holding.is_told.wait(LONG_S)
            seen = pool.submit(lambda: engine.run(**ready)["out"].clone()).result(LONG_S)
            assert not building.done()
        finally:
            holding.go_on.set()
        building.result(LONG_S)
    assert relative_error(seen, reference) < 1e-4
    other = nets.example(network, rows=2, width=12)
    assert relative_error(engine.run(**other)["out"], nets.expected(network, other)) < 1e-4


def test_closing_waits_for_no_build_and_the_build_finds_it_closed():
    network, holding = nets.network("unet-pooled"), Held()
    engine = engine_of(network, report=holding)
    with ThreadPoolExecutor(2) as pool:
        try:
            building = pool.submit(engine.warm, nets.shapes(network))
            assert holding.is_told.wait(LONG_S)
            pool.submit(engine.close).result(LONG_S)
            assert not building.done()
        finally:
            holding.go_on.set()
        with pytest.raises(EngineError, match="is closed"):
            building.result(LONG_S)


def test_two_who_want_a_shape_build_it_once():
    network, said = nets.network("unet-pooled"), []
    engine = engine_of(network, report=said.append, threads=1)
    tensors = nets.example(network)
    with ThreadPoolExecutor(3) as pool:
        wishes = [pool.submit(engine.run, **tensors) for _ in range(3)]
    seen = [wish.result()["out"] for wish in wishes]
    assert len(said) == 1, said
    assert all(one.data_ptr() == seen[0].data_ptr() for one in seen)


def test_a_batch_turns_to_the_other_way_without_changing_its_numbers_or_memory(monkeypatch):
    network = nets.network("unet-pooled")
    engine = engine_of(network, threads=2)
    engine.warm(nets.shapes(network, rows=2))
    (calls,) = engine._calls.values()
    monkeypatch.setattr(cost, "LOOK_AGAIN", (1, 1))
    calls.watch = cost.RowWatch(calls.watch.plan)
    tensors = nets.example(network, rows=2, seed=5)
    ways, pointers = set(), set()
    for _ in range(4):
        ways.add(calls.watch.next_way())
        seen = engine.run(**tensors)["out"]
        pointers.add(seen.data_ptr())
        assert relative_error(seen, nets.expected(network, tensors)) < 1e-4
    assert ways == {"batch", "rows"}
    assert len(pointers) == 1


BF16 = pytest.mark.skipif(
    "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this processor has no bf16",
)


@pytest.mark.parametrize("why", ["large", pytest.param("rounded", marks=BF16)])
def test_where_turning_costs_or_shows_one_way_is_held(monkeypatch, why):
    monkeypatch.setattr(openvino_engine, "CACHED_BYTES", 1000 if why == "large" else 1 << 30)
    network = nets.network("unet-pooled")
    precision = "fp32" if why == "large" else "bf16"
    engine = openvino_engine.build(network, precision=precision, threads=2)
    engine.warm(nets.shapes(network, rows=2))
    (calls,) = engine._calls.values()
    assert list(calls._requests) == [calls.watch.plan.way]
    assert len(engine._models._compiled) == 1
    assert "ms split" in engine.plans()[0]


def test_a_kept_engine_is_used_again_and_a_torn_one_is_not(tmp_path):
    network = nets.network("decoder-tiny")
    tensors = nets.example(network)
    reference = nets.expected(network, tensors)

    def builds() -> int:
        said: list[str] = []
        engine = engine_of(network, report=said.append, shelf=Shelf(tmp_path))
        assert relative_error(engine.run(**tensors)["pixels"], reference) < 2e-3
        return len(said)

    assert builds() == 1
    assert builds() == 0
    (kept,) = tmp_path.glob("*.bin")
    kept.write_bytes(kept.read_bytes()[:-1000])
    assert builds() == 1
    assert builds() == 0


def test_without_a_digest_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    engine_of(nets.doubler()).run(x=torch.ones(1, 4))
    assert list(tmp_path.iterdir()) == []
    engine_of(nets.doubler(digest="abc")).run(x=torch.ones(1, 4))
    assert [path.suffix for path in sorted((tmp_path / "engines").iterdir())] == [".bin", ".json"]


def test_a_cache_that_cannot_be_written_is_said_and_survived(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    said: list[str] = []
    engine = engine_of(nets.doubler(), report=said.append, shelf=Shelf(blocked / "engines"))
    assert engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0
    assert "not kept for the next start" in said[-1]


def test_scale_shift_is_refused_before_it_crashes():
    unet = tiny.make_unet("painter", resnet_time_scale_shift="scale_shift")
    with pytest.raises(EngineUnavailable, match="scale_shift"):
        engine_of(networks.unet_network(unet, ""))


def test_a_precision_it_does_not_know_is_refused():
    with pytest.raises(EngineUnavailable, match="not fp16"):
        openvino_engine.build(nets.doubler(), precision="fp16")


@BF16
@pytest.mark.parametrize("name", nets.NAMES)
def test_bf16_stays_close(name):
    network = nets.network(name)
    engine = openvino_engine.build(network, precision="bf16")
    tensors = nets.example(network, rows=2, seed=11)
    (seen,) = engine.run(**tensors).values()
    error = relative_error(seen, nets.expected(network, tensors))
    assert 1e-5 < error < 6e-2, "below, it would not be bf16; above, it would not be right"


def test_building_an_engine_opens_no_connection(tmp_path):
    script = """
import sys
calls, names = [], ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda name, args: calls.append(args) if name in names else None)
import torch
from pipelines.engines import openvino_engine
from tests.pipelines.engines import nets
engine = openvino_engine.build(nets.doubler(), precision="fp32")
assert engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0
engine.close()
print("connections:", len(calls))
"""
    environment = {**os.environ, "VITASCOPE_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "connections: 0", done.stderr
