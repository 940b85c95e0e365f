"""The TensorRT engine's own work, over a TensorRT that computes on the CPU: memory, rows, weights."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch

from pipelines.engines import tensorrt_engine, tensorrt_run
from pipelines.engines.base import Network, TensorSpec
from pipelines.engines.key import Shelf
from pipelines.engines.parity import relative_error
from pipelines.engines.tensorrt_api import Api
from pipelines.engines.tensorrt_store import Store
from realtime.core.errors import EngineBuildFailed, EngineError, EngineUnavailable

from . import nets
from .fake_tensorrt import CpuCuda, Fake


@dataclasses.dataclass
class Bench:
    """An engine on a fake library, and what it said."""

    fake: Fake
    said: list[str]
    engine: tensorrt_engine.TensorRtEngine


def bench(
    network: Network,
    *,
    rows=(1, 2, 4),
    shelf: Shelf | None = None,
    name: str = "tensorrt_rtx",
    is_refittable: bool = False,
    precision: str = "fp32",
    fake: Fake | None = None,
) -> Bench:
    fake, said = fake or Fake(), []
    store = Store(
        Api(fake, name, fake.__version__),
        shelf,
        precision,
        "sm89",
        "a GPU",
        is_refittable=is_refittable,
        report=said.append,
        exporter=nets.export_once,
    )
    engine = tensorrt_engine.TensorRtEngine(
        network, precision, store=store, new_cuda=lambda: CpuCuda(fake), rows=rows, report=said.append
    )
    return Bench(fake, said, engine)


def doubled(rows: int, start: float = 1.0) -> tuple[torch.Tensor, list[list[float]]]:
    x_BN = torch.arange(rows * 4.0).reshape(rows, 4) + start
    return x_BN, (x_BN * 2).tolist()


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 9])
def test_any_number_of_rows_is_padded_or_split(rows):
    made = bench(nets.doubler())
    x_BN, expected = doubled(rows)
    for _ in range(4):  # launched twice, recorded, replayed
        assert made.engine.run(x=x_BN)["y"].tolist() == expected


def test_a_launch_is_recorded_after_two_and_replayed_from_then_on():
    made = bench(nets.doubler())
    for start in range(5):
        x_BN, expected = doubled(1, float(start))
        assert made.engine.run(x=x_BN)["y"].tolist() == expected
    ran = [call for call in made.fake.calls if call in ("launch", "replay")]
    assert ran == ["launch"] * 2 + ["replay"] * 3
    assert made.fake.calls.count("context") == 1, "memory is bound once"


def test_each_bucket_has_its_own_context_and_recording():
    made = bench(nets.doubler())
    for _ in range(4):
        for rows in (1, 3, 4):
            x_BN, expected = doubled(rows)
            assert made.engine.run(x=x_BN)["y"].tolist() == expected
    assert made.fake.calls.count("context") == 2, "three rows and four share a bucket"


def test_results_of_two_shapes_in_one_bucket_do_not_share_memory():
    made = bench(nets.doubler())
    x_BN, expected = doubled(3)
    three = made.engine.run(x=x_BN)["y"]
    made.engine.run(x=torch.full((4, 4), 9.0))
    assert three.tolist() == expected


def test_where_a_launch_cannot_be_recorded_it_goes_on_without_and_says_so_once():
    made = bench(nets.doubler())
    made.fake.breaks_capture = True
    x_BN, expected = doubled(1)
    for _ in range(5):
        assert made.engine.run(x=x_BN)["y"].tolist() == expected
    assert made.fake.calls.count("launch") == 5
    assert [sentence for sentence in made.said if "without a CUDA graph" in sentence] == [made.said[-1]]


def test_a_failing_capture_is_survived(monkeypatch):
    def fails(self, launch):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(CpuCuda, "record", fails)
    made = bench(nets.doubler())
    x_BN, expected = doubled(1)
    for _ in range(4):
        assert made.engine.run(x=x_BN)["y"].tolist() == expected
    assert made.said[-1].endswith("more slowly: operation not permitted when stream is capturing")


def test_integers_and_several_outputs_pass():
    made = bench(nets.mixer())
    for rows in (1, 3, 1):
        tensors = nets.mixer_example(rows)
        seen = made.engine.run(**tensors)
        for value, expected in zip(seen.values(), nets.mixer().module(*tensors.values()), strict=True):
            assert relative_error(value, expected) < 1e-5


def test_half_precision_takes_and_gives_float32():
    network = nets.network("encoder-tiny")
    made = bench(network, precision="fp16", rows=(2,))
    tensors = nets.example(network, rows=2)
    seen = made.engine.run(**tensors)["latent"]
    assert seen.dtype == torch.float32
    assert 1e-5 < relative_error(seen, nets.expected(network, tensors)) < 5e-3


def test_memory_made_in_inference_mode_serves_outside_of_it():
    made = bench(nets.doubler())
    with torch.inference_mode():
        made.engine.run(x=torch.ones(1, 4))
    x_BN = torch.ones(1, 4, requires_grad=True)
    seen = made.engine.run(x=x_BN)["y"]
    assert seen.tolist() == [[2.0] * 4]
    assert not seen.requires_grad


def test_each_size_has_an_engine_and_the_one_used_longest_ago_goes():
    network = nets.network("decoder-tiny")
    made = bench(network, rows=(1,))
    for width in (4, 8, 12, 4):
        tensors = nets.example(network, width=width)
        seen = made.engine.run(**tensors)["pixels"]
        assert relative_error(seen, nets.expected(network, tensors)) < 2e-3
    assert made.fake.calls.count("load") == 4
    assert tensorrt_engine.KEPT_SIZES == 2


def test_warming_leaves_nothing_to_be_done_in_the_first_run(tmp_path):
    made = bench(nets.doubler("weights"), shelf=Shelf(tmp_path))
    made.engine.warm({"x": (2, 4)})
    made.fake.calls.clear()
    x_BN, expected = doubled(2)
    assert made.engine.run(x=x_BN)["y"].tolist() == expected
    assert made.fake.calls == ["replay"]


def test_a_second_start_finds_engine_and_kernels(tmp_path):
    bench(nets.doubler("weights"), shelf=Shelf(tmp_path)).engine.warm({"x": (1, 4)})
    again = bench(nets.doubler("weights"), shelf=Shelf(tmp_path))
    again.engine.warm({"x": (1, 4)})
    assert [call for call in again.fake.calls if call.startswith("build")] == []
    assert "kernels" in again.fake.calls
    assert again.said == []


@pytest.mark.parametrize("name", ["tensorrt_rtx", "tensorrt"])
def test_an_engine_kept_for_other_rows_serves_with_its_own_buckets(tmp_path, name):
    bench(nets.doubler("weights"), rows=(3,), shelf=Shelf(tmp_path), name=name).engine.warm({"x": (1, 4)})
    again = bench(nets.doubler("weights"), rows=(1, 2, 4), shelf=Shelf(tmp_path), name=name)
    for rows in (1, 4, 7):
        x_BN, expected = doubled(rows)
        assert again.engine.run(x=x_BN)["y"].tolist() == expected
    assert [call for call in again.fake.calls if call.startswith("build")] == []
    assert again.fake.calls.count("context") == 1


def test_a_kept_engine_that_does_not_load_is_built_anew(tmp_path):
    bench(nets.doubler("weights"), shelf=Shelf(tmp_path)).engine.warm({"x": (1, 4)})
    fake = Fake()
    built = fake.Builder

    def builder(logger):
        fake.breaks_loading = False
        return built(logger)

    fake.Builder, fake.breaks_loading = builder, True
    again = bench(nets.doubler("weights"), shelf=Shelf(tmp_path), fake=fake)
    assert again.engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0
    assert "cudaError 35: driver version is insufficient Building anew." in again.said[0]


def test_what_does_not_load_is_said_in_the_librarys_words():
    made = bench(nets.doubler())
    made.fake.breaks_loading = True
    with pytest.raises(EngineBuildFailed, match="could not load double: cudaError 35: driver version is"):
        made.engine.run(x=torch.ones(1, 4))


def test_a_launch_that_fails_is_an_engine_error():
    made = bench(nets.doubler())
    made.engine.run(x=torch.ones(1, 4))
    made.fake.breaks_launch = True
    with pytest.raises(EngineError, match="did not run for double: It gave no reason"):
        made.engine.run(x=torch.ones(1, 4))


def test_the_enterprise_library_keeps_what_it_timed(tmp_path):
    made = bench(nets.doubler("weights"), shelf=Shelf(tmp_path), name="tensorrt")
    made.engine.warm({"x": (1, 4)})
    assert made.fake.calls[0] == "build [] []", "no targets, and no TF32 for float32"
    assert (tmp_path / "timing.cache").read_bytes() == b"timed "
    bench(nets.doubler("other"), shelf=Shelf(tmp_path), name="tensorrt").engine.warm({"x": (1, 4)})
    assert (tmp_path / "timing.cache").read_bytes() == b"timed timed "


class Scaler(nets.Doubler):
    """Give a multiple of its input."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weight.fill_(factor)


def scaler(factor: float) -> Network:
    x, y = (TensorSpec(name, "float32", ("b", "n")) for name in "xy")
    return Network("double", Scaler(factor), (x,), (y,), f"times {factor}")


def test_changed_weights_are_built_aside_and_then_serve():
    made = bench(scaler(2.0))
    made.engine.run(x=torch.ones(1, 4))
    made.engine.change(scaler(3.0))
    made.engine.settle()
    for _ in range(4):
        assert made.engine.run(x=torch.ones(2, 4))["y"].sum() == 24.0
    assert made.said[-1] == "double has its new weights."
    assert sum(call.startswith("build") for call in made.fake.calls) == 2
    assert "refit" not in made.fake.calls
    assert made.engine.run(x=torch.ones(1, 6))["y"].sum() == 18.0, "other sizes have them too"


def test_an_engine_that_was_built_for_it_is_refitted_and_recorded_anew():
    made = bench(scaler(2.0), is_refittable=True)
    for _ in range(4):
        made.engine.run(x=torch.ones(1, 4))
    made.engine.change(scaler(3.0))
    made.engine.settle()
    assert made.said[-1] == "double has its new weights."
    made.fake.calls.clear()
    for _ in range(4):
        assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 12.0
    assert [call for call in made.fake.calls if call.startswith("build")] == []
    assert made.fake.calls == ["launch", "replay", "replay", "replay"], "it was tried out once before"


@pytest.mark.nightly
def test_a_refit_that_fails_ends_in_a_build():
    made = bench(scaler(2.0), is_refittable=True)
    made.engine.run(x=torch.ones(1, 4))
    made.fake.breaks_refit = True
    made.engine.change(scaler(3.0))
    made.engine.settle()
    assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 12.0
    assert any("could not be refitted and is built anew: a weight is missing" in s for s in made.said)


@pytest.mark.nightly
def test_after_a_failed_refit_and_a_failed_build_the_old_weights_are_loaded_again():
    made = bench(scaler(2.0), is_refittable=True)
    made.engine.run(x=torch.ones(1, 4))
    made.fake.breaks_refit = made.fake.breaks_building = True
    made.engine.change(scaler(3.0))
    made.engine.settle()
    assert "keeps its old weights: TensorRT could not build double: no implementation" in made.said[-1]
    made.fake.breaks_building = False
    assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0


@pytest.mark.nightly
def test_kernels_of_a_refitted_engine_are_kept_under_its_new_weights(tmp_path):
    made = bench(scaler(2.0), is_refittable=True, shelf=Shelf(tmp_path))
    made.engine.run(x=torch.ones(1, 4))
    made.engine.change(scaler(3.0))
    made.engine.settle()
    made.engine.warm({"x": (1, 4)})
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert {(one["weights"], one["backend"]) for one in kept} == {
        ("times 2.0", "tensorrt_rtx"),
        ("times 3.0", "tensorrt_rtx kernels"),
    }


@pytest.mark.nightly
def test_a_refit_that_comes_out_wrong_is_noticed(monkeypatch):
    def drops(self, path, network):
        return ""

    made = bench(scaler(2.0), is_refittable=True)
    made.engine.run(x=torch.ones(1, 4))
    monkeypatch.setattr(tensorrt_run.Compiled, "refit", drops)
    made.engine.change(scaler(3.0))
    made.engine.settle()
    assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 12.0
    assert any("relative error 0.33" in sentence for sentence in made.said)


@pytest.mark.nightly
def test_new_weights_that_do_not_load_leave_the_old_ones():
    made = bench(scaler(2.0))
    made.engine.run(x=torch.ones(1, 4))
    made.fake.breaks_loading = True
    made.engine.change(scaler(3.0))
    made.engine.settle()
    assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0
    assert "double keeps its old weights: TensorRT could not load" in made.said[-1]


@pytest.mark.nightly
def test_a_fault_of_torch_while_weights_change_is_told_and_the_next_change_is_heard():
    made = bench(scaler(2.0))
    made.engine.run(x=torch.ones(1, 4))
    broken = scaler(3.0)
    broken.module.forward = lambda x: torch.full((1 << 60,), 1.0)  # more than any memory holds
    made.engine.change(broken)
    made.engine.settle()
    assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 8.0
    assert "double keeps its old weights: " in made.said[-1]
    made.engine.change(scaler(4.0))
    made.engine.settle()
    assert made.engine.run(x=torch.ones(1, 4))["y"].sum() == 16.0


def test_no_memory_is_an_engine_error(monkeypatch):
    made = bench(nets.doubler())

    def full(self, *arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(tensorrt_run.Compiled, "run", full)
    with pytest.raises(EngineError, match=r"failed to run double: CUDA out of memory\. Tried to allocate"):
        made.engine.run(x=torch.ones(1, 4))


def test_another_network_is_not_other_weights():
    with pytest.raises(EngineError, match="mixer is not double with other weights"):
        bench(nets.doubler()).engine.change(nets.mixer())


def test_a_closed_engine_gives_all_back_and_runs_no_more():
    made = bench(nets.doubler())
    made.engine.run(x=torch.ones(1, 4))
    made.engine.close()
    made.engine.close()
    assert made.fake.calls[-1] == "wait", "nothing is freed under a running kernel"
    with pytest.raises(EngineError, match="is closed"):
        made.engine.run(x=torch.ones(1, 4))


@pytest.mark.parametrize(
    ("capability", "precision", "words"),
    [((9, 0), "fp16", "builds for sm86, sm89, sm120, not for sm90"), ((7, 5), "bf16", "no bf16 arithmetic")],
)
def test_a_gpu_that_it_does_not_serve_is_refused(monkeypatch, capability, precision, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(tensorrt_engine, "load_api", lambda: Api(Fake(), "tensorrt_rtx", "1.7.1"))
    with pytest.raises(EngineUnavailable, match=words) as caught:
        tensorrt_engine.build(nets.doubler(), precision=precision)
    assert caught.value.hint


def test_a_precision_it_does_not_know_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: True))
    with pytest.raises(EngineUnavailable, match="not int8"):
        tensorrt_engine.build(nets.doubler(), precision="int8")
