"""torch.compile: refused in words without a compiler, and the numbers of torch with one."""

from __future__ import annotations

import pytest
import torch

from pipelines.engines import torch_compile_engine, torch_engine
from pipelines.engines.choose import choose
from pipelines.engines.parity import relative_error
from realtime.core.errors import EngineUnavailable

from . import nets
from .test_choose import EXAMPLE

needs_compiler = pytest.mark.skipif(
    bool(torch_compile_engine.why_not("cpu")), reason="torch.compile needs a C++ compiler"
)


def test_a_machine_without_compiler_is_told_so(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    assert "none is installed (looked for g++" in torch_compile_engine.why_not("cpu", which=lambda name: None)
    assert torch_compile_engine.why_not("cpu", which=lambda name: name if name == "clang++" else None) == ""
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EngineUnavailable, match=r"looked for no-such-compiler") as caught:
        choose(nets.doubler(), wanted="torch-compile", example=EXAMPLE, device="cpu")
    assert "engine = torch" in caught.value.hint


@pytest.mark.parametrize("build", [torch_engine.build, torch_compile_engine.build])
def test_fp16_on_a_processor_is_refused(build):
    with pytest.raises(EngineUnavailable, match="no fast fp16 on a processor"):
        build(nets.doubler(), precision="fp16", device="cpu")


@pytest.mark.nightly
@needs_compiler
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_keeps_the_promise_of_an_engine_in_each_precision(precision):
    network, said = nets.network("decoder-tiny"), []
    engine = torch_compile_engine.build(network, precision=precision, device="cpu", report=said.append)
    assert (engine.info.backend, engine.info.precision) == ("torch-compile", precision)
    for rows in (1, 2):
        tensors = nets.example(network, rows=rows, seed=rows)
        first = engine.run(**tensors)["pixels"]
        kept = first.clone()
        # of fp32 a level here and there, rounded the other way
        assert relative_error(kept, nets.expected(network, tensors)) < (2e-3 if precision == "fp32" else 3e-2)
        engine.run(**nets.example(network, rows=rows, seed=9))
        assert not torch.equal(first, kept), "the engine's own buffer, filled again"
        assert engine.run(**tensors)["pixels"].data_ptr() == first.data_ptr()
    assert len(said) == 2, "once a shape"
    engine.close()


@pytest.mark.slow
@needs_compiler
def test_a_named_wish_is_obeyed():
    engine = choose(nets.doubler(), wanted="torch-compile", precision="fp32", example=EXAMPLE, device="cpu")
    assert engine.info.backend == "torch-compile"
    assert engine.run(**EXAMPLE)["y"].tolist() == [[2.0, 4.0, 6.0, 8.0]]
