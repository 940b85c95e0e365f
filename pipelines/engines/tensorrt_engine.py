"""TensorRT as an engine, the fast one on NVIDIA GPUs. Not one line of this file has met a GPU yet.

One compiled engine for each size of picture, built at first use or found on the shelf; rows are padded up to
a bucket. Results are copied to memory of their own for each shape, since two shapes may share a bucket.

When weights change, as with another LoRA, an engine that was built for it is refitted; else a new one is
built in a thread while the old one serves, and takes its place between two calls.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch

from realtime.core.errors import EngineBuildFailed, EngineError, EngineUnavailable

from . import parity
from .base import Engine, EngineInfo, Key, Network, Report, Shapes, TensorSpec, key_of, shapes_of
from .key import Shelf
from .tensorrt_api import device_here, load_api, target_here
from .tensorrt_build import HINT, PRECISIONS, ROWS, Profile, own_shelf, profile_of
from .tensorrt_cuda import Cuda, TorchCuda
from .tensorrt_run import WARM_UPS, Compiled
from .tensorrt_store import Store

KEPT_SIZES = 2
"""Each holds all weights on the GPU."""
KEPT_SHAPES = 8
FAULTS = (OSError, RuntimeError, ValueError, TypeError, MemoryError)
"""What torch, its exporter and the library may raise while weights are exchanged."""
BF16_FROM = 80
"""The first compute capability with bf16, Ampere's 8.0."""


class TensorRtEngine:
    """Run a network on the GPU. One thread at a time; `change` may be called from another."""

    def __init__(
        self,
        network: Network,
        precision: str,
        *,
        store: Store,
        new_cuda: Callable[[], Cuda] = TorchCuda,
        rows: Sequence[int] = ROWS,
        report: Report = lambda sentence: None,
    ) -> None:
        self._network = network
        self._precision = precision
        self._store = store
        self._new_cuda = new_cuda  # a stream for each engine: one may be recorded while another is tried out
        self._rows = tuple(rows)
        self._report = report
        self._compiled: OrderedDict[Profile, Compiled] = OrderedDict()
        self._results: OrderedDict[Key, dict[str, torch.Tensor]] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted: Network | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        api = store.api
        self.info = EngineInfo("tensorrt", precision, "cuda", f"{api.name} {api.version}")

    def run(self, **tensors: torch.Tensor) -> Mapping[str, torch.Tensor]:
        key = key_of(self._network, shapes_of(tensors))
        with self._lock, torch.inference_mode(False), torch.no_grad():
            compiled = self._ready(shapes_of(tensors))
            try:
                results = self._own(key, compiled)
                compiled.run(tensors, results)
            except RuntimeError as error:  # torch's, e.g. no memory left on the GPU
                reason = str(error).splitlines()[0]
                raise EngineError(f"TensorRT failed to run {self._network.name}: {reason}") from error
            return dict(results)

    def warm(self, shapes: Shapes) -> None:
        """Build, load, and launch until the launch is recorded."""
        key_of(self._network, shapes)
        zeros = {
            spec.name: torch.zeros(shapes[spec.name], dtype=getattr(torch, spec.dtype))
            for spec in self._network.inputs
        }
        for _ in range(WARM_UPS + 1):
            self.run(**zeros)
        with self._lock:
            self._store.keep_kernels(self._ready(shapes))

    def plans(self) -> tuple[str, ...]:
        return ()

    def change(self, network: Network) -> None:
        """Serve a network with other weights, and nothing else different, once there is an engine of it.

        Returns at once. The work is done in a thread, while the old weights serve: refitting where the engine
        was built for that, building anew else. What goes wrong is reported, and the old weights stay. Raises
        EngineError for a network of other inputs or outputs.
        """
        old = self._network
        if (network.name, network.inputs, network.outputs) != (old.name, old.inputs, old.outputs):
            raise EngineError(f"{network.name} is not {old.name} with other weights.")
        with self._lock:
            self._wanted = network
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._follow, name="tensorrt weights", daemon=True)
                self._thread.start()

    def settle(self, timeout_s: float | None = None) -> None:
        """Wait until no weights are being changed."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._wanted = None
            for compiled in self._compiled.values():
                compiled.close()
            self._compiled.clear()
            self._results.clear()

    def _ready(self, shapes: Shapes) -> Compiled:
        """Return the engine of these sizes, loaded or built; forgotten when used longest ago.

        One that was kept may have other buckets than are asked for here; it then splits and pads by its own.
        """
        if self._is_closed:
            raise EngineError(f"The TensorRT engine of {self._network.name} is closed.")
        profile = profile_of(self._network, shapes, self._rows)
        if profile not in self._compiled:
            while len(self._compiled) >= KEPT_SIZES:  # make room on the GPU first
                self._compiled.popitem(last=False)[1].close()
            self._compiled[profile] = self._load(self._network, profile)
        self._compiled.move_to_end(profile)
        return self._compiled[profile]

    def _load(self, network: Network, profile: Profile) -> Compiled:
        """Return the engine from the shelf, or built. One that is kept and does not load is built anew."""
        if (kept := self._store.get(network, profile)) is not None:
            try:
                return self._loaded(network, *kept)
            except EngineBuildFailed as error:
                self._report(f"A kept engine is of no use: {error.message} Building anew.")
        return self._loaded(network, self._store.build(network, profile), profile)

    def _loaded(self, network: Network, engine: bytes, profile: Profile) -> Compiled:
        return Compiled(
            network,
            profile,
            engine,
            api=self._store.api,
            cuda=self._new_cuda(),
            report=self._report,
            kernels=self._store.kernels(network, profile),
        )

    def _own(self, key: Key, compiled: Compiled) -> dict[str, torch.Tensor]:
        """Return the results' memory for these input shapes; forgotten when used longest ago."""
        if key not in self._results:
            types = {spec.name: getattr(torch, spec.dtype) for spec in self._network.outputs}
            self._results[key] = {
                name: torch.zeros(shape, dtype=types[name], device=compiled.cuda.device)
                for name, shape in compiled.output_shapes(key[0][0]).items()
            }
        self._results.move_to_end(key)
        while len(self._results) > KEPT_SHAPES:
            self._results.popitem(last=False)
        return self._results[key]

    def _follow(self) -> None:
        """Bring all engines to the wanted weights; once more when others were wanted meanwhile."""
        while True:
            with self._lock:
                network, self._wanted = self._wanted, None
                if network is None or self._is_closed:
                    self._thread = None
                    return
            try:
                self._exchange(network)
            except (EngineError, *FAULTS) as error:  # nobody waits for this thread who could be told
                self._report(f"{network.name} keeps its old weights: {error}")
            else:
                self._report(f"{network.name} has its new weights.")

    def _exchange(self, network: Network) -> None:
        """Put the new weights in place of the old for every size that is loaded, or for none."""
        fresh: dict[Profile, Compiled] = {}
        refitted: set[Profile] = set()
        try:
            while (profile := self._swap(network, fresh, refitted)) is not None:
                if self._store.is_refittable and self._refit(network, profile):
                    refitted.add(profile)
                else:
                    fresh[profile] = self._checked(network, profile)
        except Exception:
            with self._lock:  # what was refitted is loaded with its old weights when it is next asked for
                gone = [self._compiled.pop(profile) for profile in refitted & self._compiled.keys()]
                for compiled in [*fresh.values(), *gone]:
                    compiled.close()
            raise

    def _swap(
        self, network: Network, fresh: Mapping[Profile, Compiled], refitted: set[Profile]
    ) -> Profile | None:
        """Return a size that still has the old weights; when there is none, serve the new and return None."""
        with self._lock:
            left = [profile for profile in self._compiled if profile not in fresh.keys() | refitted]
            if left and not self._is_closed:
                return left[0]
            for profile, compiled in fresh.items():
                if (old := self._compiled.pop(profile, None)) is not None:
                    old.close()
                if self._is_closed:
                    compiled.close()
                else:
                    self._compiled[profile] = compiled
            self._network = network
            return None

    def _checked(self, network: Network, profile: Profile) -> Compiled:
        """Return a new engine that gives the numbers of torch. Raises EngineError."""
        compiled = self._load(network, profile)
        example = example_of(network, profile)
        try:
            self._check(compiled, network, example, parity.reference_of(network, example))
        except Exception:
            compiled.close()
            raise
        return compiled

    def _refit(self, network: Network, profile: Profile) -> bool:
        """Exchange the weights inside the engine of one size; an engine that comes out wrong is dropped."""
        example = example_of(network, profile)
        reference = parity.reference_of(network, example)
        with self._store.graph(network, profile) as path, self._lock:
            compiled = self._compiled.get(profile)
            if compiled is None:
                return False
            trouble = compiled.refit(str(path), network)
            if not trouble:
                try:
                    self._check(compiled, network, example, reference)
                except EngineError as error:
                    trouble = error.message
            if trouble:
                self._compiled.pop(profile).close()
        if trouble:
            self._report(f"{network.name} could not be refitted and is built anew: {trouble}")
        return not trouble

    def _check(
        self,
        compiled: Compiled,
        network: Network,
        example: Mapping[str, torch.Tensor],
        reference: Mapping[str, torch.Tensor],
    ) -> None:
        """Raise EngineBuildFailed when an engine does not give the numbers of torch."""
        with torch.inference_mode(False), torch.no_grad():
            found = {
                name: torch.zeros(value.shape, dtype=value.dtype, device=compiled.cuda.device)
                for name, value in reference.items()
            }
            compiled.run(example, found)
        verdict = parity.judge(network, found, reference, self._precision)
        if not verdict.is_good:
            raise EngineBuildFailed(f"TensorRT runs {network.name} wrongly. {verdict.says}", hint=HINT)


def example_of(network: Network, profile: Profile) -> dict[str, torch.Tensor]:
    """Return random inputs of the smallest bucket, the same each time; integers other than levels of
    pixels (uint8) are zero."""
    draw = torch.Generator().manual_seed(0)
    shapes = profile.shapes(network, profile.rows[0])

    def random(spec: TensorSpec) -> torch.Tensor:
        shape = shapes[spec.name]
        if spec.dtype == "uint8":
            return torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
        if spec.dtype.startswith("float"):
            return torch.randn(shape, generator=draw)
        return torch.zeros(shape, dtype=getattr(torch, spec.dtype))

    return {spec.name: random(spec) for spec in network.inputs}


def build(
    network: Network,
    *,
    precision: str,
    device: str = "cuda",
    report: Report = lambda sentence: None,
    shelf: Shelf | None = None,
    rows: Sequence[int] = ROWS,
    is_refittable: bool = False,
) -> Engine:
    """Return the TensorRT engine; nothing is built before a shape is warmed or run.

    `shelf` keeps engines (default: this person's cache, unless the network has no digest). `rows` are the
    buckets that engines are built for. Raises EngineUnavailable where there is no GPU, no TensorRT, or a GPU
    or precision that it does not serve.
    """
    if device != "cuda" or not torch.cuda.is_available():
        seen = "it was asked to use the CPU" if device != "cuda" else "torch sees no CUDA device here"
        raise EngineUnavailable(f"TensorRT runs on NVIDIA GPUs only, and {seen}.", hint=HINT)
    if precision not in PRECISIONS:
        raise EngineUnavailable(f"The TensorRT back end runs {', '.join(PRECISIONS)}, not {precision}.")
    target = target_here()
    if precision == "bf16" and int(target.removeprefix("sm")) < BF16_FROM:
        raise EngineUnavailable("This GPU has no bf16 arithmetic.", hint="Use precision = fp16.")
    api = load_api()
    if api.is_rtx:
        api.capability(target)
    if shelf is None and network.digest:
        shelf = own_shelf()
    store = Store(api, shelf, precision, target, device_here(), is_refittable=is_refittable, report=report)
    return TensorRtEngine(network, precision, store=store, rows=rows, report=report)
