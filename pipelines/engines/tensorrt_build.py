"""A network as a TensorRT engine file: what is built, for which sizes and GPUs, and under which key it lies.

With TensorRT-RTX none of this needs a GPU, so a build machine or CI can do it. Precision lies in the graph: a
half module is exported, and the builder is told to keep its types. Heights and widths are fixed, for static
kernels are the fast ones; the number of rows has one profile for each bucket, and calls are padded to one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.core.errors import EngineBuildFailed, EngineUnavailable

from . import export, sizes
from .base import Network, Report, Shapes
from .key import Recipe, Shelf, cache_folder
from .tensorrt_api import Api, Log, load_api

ROWS = (1, 2, 4, 8, 16)
TARGETS = ("sm86", "sm89", "sm120")
"""GeForce 30, 40 and 50 and their workstation kin: what an engine is built for where there is no GPU."""
PRECISIONS = ("fp32", "fp16", "bf16")
SIZES: Mapping[str, int] = {"h": 64, "w": 64, "H": 512, "W": 512, "t": 77}
"""Pictures of 512 pixels and sentences of 77 tokens: what is built when nobody says otherwise."""
LIMIT_BYTES = 16 << 30
"""What the kept engines may take together; a Stable Diffusion UNet is 1.7 GB."""
HINT = "Use engine = torch."


@dataclass(frozen=True, slots=True)
class Profile:
    """Say for which shapes an engine is built."""

    sizes: tuple[tuple[str, int], ...]
    """Each size by its word, rows aside."""
    rows: tuple[int, ...] = ROWS
    """The buckets, upwards."""

    def shapes(self, network: Network, rows: int) -> Mapping[str, tuple[int, ...]]:
        """Return the input shapes of one bucket."""
        return sizes.shapes_at(network, {**dict(self.sizes), sizes.batch_of(network): rows})

    def bucket(self, rows: int) -> int:
        """Return the least bucket that holds this many rows; the largest when none does."""
        return next((bucket for bucket in self.rows if bucket >= rows), self.rows[-1])


def profile_of(network: Network, shapes: Shapes, rows: Sequence[int] = ROWS) -> Profile:
    """Return the profile for the sizes of these shapes. Raises EngineError for shapes that do not fit.

    A network with one number of rows only has that as its single bucket.
    """
    found = sizes.sizes_of(network, shapes)
    batch = sizes.batch_of(network)
    fixed = network.inputs[0].dims[0]
    buckets = tuple(sorted(set(rows))) if batch else (int(fixed),)
    return Profile(tuple(sorted((w, n) for w, n in found.items() if w != batch)), buckets)


def recipe_of(
    network: Network,
    profile: Profile,
    *,
    precision: str,
    targets: Sequence[str],
    api: Api,
    place: str = "",
    opset: int | None = None,
    is_refittable: bool = False,
) -> Recipe:
    """Return all that would make a kept engine wrong. Fused LoRAs are part of the network's digest.

    An engine of TensorRT-RTX is tied to `targets`, one of the enterprise library to `place`, its GPU.
    """
    import torch

    packages = ("onnx", "onnxscript", "diffusers")
    versions = ", ".join([f"torch {torch.__version__}", *(f"{p} {_version(p)}" for p in packages)])
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    graph = f"{export.source_digest(network)} {own} opset {opset or export.OPSETS[precision]}"
    return Recipe(
        network=network.name,
        weights=network.digest,
        shapes=tuple(
            (f"{name} of {rows}", shape)
            for rows in profile.rows
            for name, shape in profile.shapes(network, rows).items()
        ),
        precision=precision,
        threads=0,
        streams=0,
        backend=api.name,
        versions=f"{api.name} {api.version}, {versions}",
        graph=f"{graph}{' refittable' if is_refittable else ''}",
        processor=f"{' '.join(sorted(targets))} {sys.platform}" if api.is_rtx else place,
    )


def build_engine_bytes(
    network: Network,
    profile: Profile,
    *,
    precision: str,
    targets: Sequence[str] = TARGETS,
    report: Report = lambda sentence: None,
    api: Api | None = None,
    opset: int | None = None,
    is_refittable: bool = False,
    timing_file: Path | None = None,
    exporter: Any = export.write,
) -> bytes:
    """Export a network and compile it. Takes seconds for a small one, minutes for a large one.

    TensorRT-RTX needs no GPU, unless `is_refittable`, and builds for all of `targets` at once. The enterprise
    library builds for the GPU of this machine and leaves what it timed in `timing_file`. Raises
    EngineUnavailable when TensorRT or the ONNX packages are missing, EngineBuildFailed with what the parser
    or the builder said.
    """
    if precision not in PRECISIONS:
        raise EngineUnavailable(f"The TensorRT back end builds {', '.join(PRECISIONS)}, not {precision}.")
    api = api or load_api(("tensorrt_rtx",))
    with tempfile.TemporaryDirectory(prefix="vitascope-onnx-") as folder:
        report(f"Exporting {network.name} to ONNX.")
        shapes = profile.shapes(network, profile.rows[0])
        graph = exporter(
            network, shapes, Path(folder), precision=precision, opset=opset, only_rows=True, report=report
        )
        buckets = ", ".join(str(rows) for rows in profile.rows)
        report(f"Building {network.name} with TensorRT for {buckets} rows; this can take minutes.")
        return compile_graph(
            graph.path,
            network,
            profile,
            api=api,
            targets=targets if api.is_rtx else (),
            is_exact=precision == "fp32",
            is_refittable=is_refittable,
            timing_file=timing_file,
        )


def compile_graph(
    path: Path,
    network: Network,
    profile: Profile,
    *,
    api: Api,
    targets: Sequence[str],
    is_exact: bool,
    is_refittable: bool = False,
    timing_file: Path | None = None,
) -> bytes:
    """Compile an ONNX file for the shapes of a profile. `is_exact` forbids TF32 in place of float32."""
    trt, log = api.trt, Log(api.trt)
    builder = trt.Builder(log.logger)
    strongly = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # 11 knows nothing else
    definition = builder.create_network(0 if strongly is None else 1 << int(strongly))
    parser = trt.OnnxParser(definition, log.logger)
    if not parser.parse_from_file(str(path)):
        faults = " ".join(_fault(parser.get_error(i)) for i in range(parser.num_errors)) or log.quote()
        raise EngineBuildFailed(f"TensorRT cannot read {network.name}: {faults}", hint=HINT)
    let_attention_fall_apart(trt, definition)
    config = builder.create_builder_config()
    for rows in profile.rows:
        _add_profile(builder, config, profile.shapes(network, rows), network, rows)
    if api.is_rtx:
        config.num_compute_capabilities = len(targets)
        for i, target in enumerate(targets):
            config.set_compute_capability(api.capability(target), i)
    if is_exact and hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    if is_refittable:
        config.set_flag(trt.BuilderFlag.REFIT)
    if timing_file is not None and not api.is_rtx:
        known = timing_file.read_bytes() if timing_file.exists() else b""
        config.set_timing_cache(config.create_timing_cache(known) or config.create_timing_cache(b""), False)
    engine = builder.build_serialized_network(definition, config)
    if engine is None:
        raise EngineBuildFailed(f"TensorRT could not build {network.name}: {log.quote()}", hint=HINT)
    if timing_file is not None and not api.is_rtx:
        timing_file.parent.mkdir(parents=True, exist_ok=True)
        timing_file.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def let_attention_fall_apart(trt: Any, definition: Any) -> int:
    """Allow each ONNX Attention to be built of smaller operations where no fused kernel has its head size.

    Without this a head of 8 or 16 numbers does not build. Returns how many there are: only graphs of opset 23
    have any.
    """
    kind = getattr(trt.LayerType, "ATTENTION_INPUT", None)
    found = 0
    for i in range(definition.num_layers if kind is not None else 0):
        layer = definition.get_layer(i)
        if layer.type == kind:
            layer.__class__ = trt.IAttentionInputLayer
            layer.attention.decomposable = True
            found += 1
    return found


def _add_profile(builder: Any, config: Any, shapes: Shapes, network: Network, rows: int) -> None:
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape, shape, shape)
    if config.add_optimization_profile(profile) < 0:
        raise EngineBuildFailed(
            f"TensorRT takes no profile of {rows} rows for {network.name}: {dict(shapes)}."
        )


def _fault(error: Any) -> str:
    """Say what a parser holds against a node."""
    what = " ".join(str(error.desc()).split())
    return f'the node "{error.node_name()}" ({error.node_operator()}): {what}.'


def own_shelf() -> Shelf:
    """Return the shelf for TensorRT's engines, apart from the others, which are small and keep to less."""
    return Shelf(cache_folder() / "engines" / "tensorrt", LIMIT_BYTES)


def build_to_shelf(
    network: Network,
    *,
    precision: str,
    shelf: Shelf | None = None,
    rows: Sequence[int] = ROWS,
    targets: Sequence[str] = TARGETS,
    report: Report = lambda sentence: None,
    at: Mapping[str, int] | None = None,
    opset: int | None = None,
    api: Api | None = None,
    exporter: Any = export.write,
) -> Path:
    """Build an engine, on a machine with or without a GPU, and return where it is kept.

    `at` says the sizes by word (default: what 512 pixels need). A machine with a GPU that is one of `targets`
    finds it there, when it has the same versions of everything. Raises what `build_engine_bytes` raises, and
    EngineUnavailable for a network whose weights cannot be named, or a shelf that cannot be written.
    """
    shelf = shelf or own_shelf()
    if not network.digest:
        raise EngineUnavailable(f"{network.name} has no digest: an engine of it would never be found again.")
    api = api or load_api(("tensorrt_rtx",))
    words = {dim for spec in network.inputs for dim in spec.dims if isinstance(dim, str)}
    wanted = {**SIZES, **(at or {}), sizes.batch_of(network): rows[0]}
    if unknown := words - wanted.keys():
        raise EngineUnavailable(f"{network.name} has sizes that were not said: {', '.join(sorted(unknown))}.")
    profile = profile_of(network, sizes.shapes_at(network, wanted), rows)
    recipe = recipe_of(network, profile, precision=precision, targets=targets, api=api, opset=opset)
    if shelf.get(recipe) is None:
        engine = build_engine_bytes(
            network, profile, precision=precision, targets=targets, report=report, api=api, opset=opset,
            exporter=exporter,
        )  # fmt: skip
        if trouble := shelf.put(recipe, engine):
            raise EngineUnavailable(f"The built {network.name} cannot be kept: {trouble}")
    return shelf.folder / f"{recipe.key()}.bin"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
