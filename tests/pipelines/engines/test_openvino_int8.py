"""Rounding to int8: by real inputs, through a gate that says its number, kept for the next start."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from dataclasses import replace

import openvino as ov
import pytest
import torch

from pipelines.engines import openvino_engine, openvino_int8
from pipelines.engines.choose import choose
from pipelines.engines.key import Shelf
from pipelines.engines.parity import relative_error
from realtime.core.errors import EngineBuildFailed, EngineUnavailable

from . import nets

pytestmark = pytest.mark.skipif(
    "INT8" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this processor has no int8 arithmetic",
)


def calibrated(name: str, samples: int = 8, digest: str = "", **changes):
    network = nets.network(name)
    return replace(
        network,
        digest=digest,
        calibration=lambda: [nets.example(network, seed=seed) for seed in range(samples)],
        **changes,
    )


def types_of(shelf: Shelf) -> str:
    """Return what OpenVINO wrote of the rounded graph, which is kept without shapes."""
    (path,) = [path for path in shelf.folder.glob("*.json") if '"shapes": []' in path.read_text()]
    return path.with_suffix(".bin").read_bytes().decode("latin-1")


def test_a_rounded_decoder_is_near_and_kept(tmp_path):
    shelf, said = Shelf(tmp_path), []
    network = calibrated("decoder-tiny", digest="a")
    tensors = nets.example(network, seed=77)
    engine = openvino_engine.build(network, precision="int8", shelf=shelf, report=said.append)
    error = relative_error(engine.run(**tensors)["pixels"], nets.expected(network, tensors))
    assert 1e-3 < error < 5e-2, "below, nothing was rounded; above, it would not be right"
    assert any("dB on 2 samples" in sentence for sentence in said)
    assert "FakeQuantize" in types_of(shelf)
    assert engine.info.precision == "int8"
    again: list[str] = []
    other = openvino_engine.build(network, precision="int8", shelf=shelf, report=again.append)
    assert relative_error(other.run(**tensors)["pixels"], nets.expected(network, tensors)) == error
    assert again == []
    larger = nets.example(network, rows=2, width=12, seed=5)
    assert relative_error(other.run(**larger)["pixels"], nets.expected(network, larger)) < 5e-2
    assert [sentence.partition(" ")[0] for sentence in again] == ["Building"], (
        "another shape is not rounded anew"
    )


def test_other_calibration_is_another_engine(tmp_path):
    shelf, said = Shelf(tmp_path), []
    for samples in (8, 9):
        network = calibrated("decoder-tiny", samples, digest="a")
        openvino_engine.build(network, precision="int8", shelf=shelf, report=said.append).warm(
            nets.shapes(network)
        )
    assert sum("Rounding" in sentence for sentence in said) == 2


def test_what_is_too_coarse_is_refused_with_its_number(tmp_path):
    network = calibrated("decoder-kl", digest="a")
    engine = openvino_engine.build(network, precision="int8", shelf=Shelf(tmp_path))
    with pytest.raises(EngineBuildFailed, match=r"too coarse: 3\d\.\d dB .* at least 38 dB") as caught:
        engine.warm(nets.shapes(network))
    assert "bf16 or fp32" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_latent_is_judged_by_what_is_seen_of_it():
    network = calibrated("encoder-tiny", shown=lambda latent: (latent * 40.0).sin())
    engine = openvino_engine.build(network, precision="int8")
    with pytest.raises(EngineBuildFailed, match="too coarse"):
        engine.warm(nets.shapes(network))


def test_without_pictures_it_is_refused():
    with pytest.raises(EngineUnavailable, match="nobody brought any for double"):
        openvino_engine.build(nets.doubler(), precision="int8")
    alone = replace(nets.doubler(), calibration=lambda: [{"x": torch.ones(1, 4)}])
    with pytest.raises(EngineBuildFailed, match="two samples are needed"):
        openvino_engine.build(alone, precision="int8").run(x=torch.ones(1, 4))


def test_without_the_package_it_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="nncf, which is not installed") as caught:
        openvino_engine.build(calibrated("decoder-tiny"), precision="int8")
    assert "pip install" in caught.value.hint


def test_asked_for_by_choose_it_passes_the_parity_gate_too():
    network = calibrated("encoder-tiny")
    engine = choose(network, precision="int8", example=nets.example(network, seed=50), device="cpu")
    assert (engine.info.backend, engine.info.precision) == ("openvino", "int8")
    assert "allowed 0.1" in engine.info.why


@pytest.mark.nightly
def test_rounding_reports_nothing_to_anyone_and_draws_nothing(tmp_path):
    script = """
import sys
calls, names = [], ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda name, args: calls.append(args) if name in names else None)
from pipelines.engines import openvino_engine, openvino_int8
from pipelines.engines.survey import sample, sample_network
engine = openvino_engine.build(sample_network(), precision="int8")
engine.run(**sample(1))
from nncf.telemetry.wrapper import NNCFTelemetry, telemetry
print("connections:", len(calls), "reports:", isinstance(telemetry, NNCFTelemetry))
"""
    # NNCF reports nothing under pytest; in a process of its own it would.
    environment = {**os.environ, "VITASCOPE_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."}
    environment.pop("NNCF_CI", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.stdout.strip() == "connections: 0 reports: False", done.stderr


def test_it_leaves_other_peoples_logs_alone(caplog):
    openvino_int8._imported()
    logging.getLogger("realtime.somebody").warning("still heard")
    assert "still heard" in caplog.text
    assert logging.getLoggerClass() is logging.Logger
