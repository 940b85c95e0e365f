"""`python -m app doctor`: what this machine can run, what is missing, and what to do about it.

Each check is a function that gives rows and imports nothing heavier than it must, so the answer comes in
about a second. A check that finds something missing says so in a row; none of them may end the doctor.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.engines.launch import environment_report
from realtime.core.errors import ConfigError, VitascopeError

from .models import size, standing
from .registry import Registry
from .serve import check_port
from .settings import Settings

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
SET_UP = "python scripts/bootstrap.py (or: make run), which sets everything up"
LITTLE_MEMORY_BYTES = 2_000_000_000
CUDA_LIBRARIES = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one line of the table."""

    what: str
    is_good: bool | None
    """None: neither here nor needed."""
    says: str
    cure: str = ""
    serves: tuple[str, ...] = ()
    """Commands that cannot run when this is not good."""


Check = Callable[[Settings, Registry], Iterator[Row]]
RUNNABLE = {"serve": "python -m app", "paint": "python -m app paint IN OUT"}
BOTH = tuple(RUNNABLE)


def doctor(settings: Settings, registry: Registry | None = None) -> int:
    """Print the table and what can be run; return 0 when the page can be served, else 1."""
    rows = examine(settings, registry or Registry())
    width = max(len(row.what) for row in rows)
    for row in rows:
        mark = {True: "yes", False: "no", None: "-"}[row.is_good]
        print(f"{row.what:{width}}  {mark:3}  {row.says}")
        if row.cure and not row.is_good:
            print(f"{'':{width}}       {row.cure}")
    can = [name for name in RUNNABLE if not any(row.is_good is False and name in row.serves for row in rows)]
    print()
    if can:
        print(f"You can run: {'   or   '.join(RUNNABLE[name] for name in can)}")
    else:
        print("You can run: nothing yet; cure the lines marked no, from the top.")
    return 0 if "serve" in can else 1


def examine(settings: Settings, registry: Registry) -> list[Row]:
    """Return the rows of all checks."""
    return [row for check in CHECKS for row in check(settings, registry)]


def _python(settings: Settings, registry: Registry) -> Iterator[Row]:
    said = f"{platform.python_version()} at {sys.executable}"
    wanted = ".".join(str(part) for part in OLDEST_PYTHON)
    yield Row(
        "Python", sys.version_info[:2] >= OLDEST_PYTHON, said, f"Install Python {wanted} or newer.", BOTH
    )


def _packages(settings: Settings, registry: Registry) -> Iterator[Row]:
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        yield Row("Packages", None, f"pyproject.toml cannot be read: {error}")
        return
    needed = [
        text for text in project["dependencies"] if ";" not in text
    ]  # those with a marker have a row each
    names = [found.group() for text in needed if (found := re.match(r"[A-Za-z0-9_.-]+", text))]
    missing = [name for name in names if _version(name) is None]
    says = f"missing: {', '.join(missing)}" if missing else f"all {len(names)} that are needed"
    yield Row("Packages", not missing, says, f"Run {SET_UP}.", BOTH)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _processor(settings: Settings, registry: Registry) -> Iterator[Row]:
    has = os.cpu_count() or 1
    may = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else has
    skills = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in _cpu_flags()]
    says = f"{may} of {has} threads, {platform.machine()}{', ' if skills else ''}{' '.join(skills)}"
    yield Row(
        "Processor", may >= 2, says, "With one thread the picture and the network take turns: expect stutter."
    )


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def _memory(settings: Settings, registry: Registry) -> Iterator[Row]:
    try:
        import psutil
    except ImportError:
        yield Row("Memory", None, "unknown without psutil")
        return
    memory = psutil.virtual_memory()
    says = f"{size(memory.available)} free of {size(memory.total)}"
    yield Row(
        "Memory", memory.available >= LITTLE_MEMORY_BYTES, says, "Close other programs: 2 GB should be free."
    )


def _camera(settings: Settings, registry: Registry) -> Iterator[Row]:
    wanted = settings.source.camera
    if sys.platform != "linux":
        yield Row("Camera", None, "the browser asks for it; the server's own is tried when chosen")
        return
    seen = sorted(Path("/dev").glob("video*"))
    path = Path(f"/dev/video{wanted}")
    if path not in seen:
        names = ", ".join(one.name for one in seen) or "none"
        yield Row(
            "Camera",
            None,
            f"no {path} here (seen: {names}); browser cameras, files and the pattern need none",
        )
    elif not os.access(path, os.R_OK | os.W_OK):
        yield Row(
            "Camera", False, f"{path} may not be opened", "sudo usermod -aG video $USER, then log in again."
        )
    else:
        yield Row("Camera", True, str(path))


def _ffmpeg(settings: Settings, registry: Registry) -> Iterator[Row]:
    try:
        import av
        from av.codec import Codec
    except (ImportError, OSError) as error:
        yield Row("FFmpeg", False, f"PyAV does not load: {error}", f"Run {SET_UP}.", BOTH)
        return
    lacking = []
    for name in ("libx264", "libvpx"):
        try:
            Codec(name, "w")
        except ValueError:  # what PyAV raises for a codec that it was built without
            lacking.append(name)
    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    says = f"PyAV {av.__version__}, libavcodec {codec}{', without ' if lacking else ''}{', '.join(lacking)}"
    yield Row(
        "FFmpeg", not lacking, says, "Install the wheel from PyPI: pip install --force-reinstall av", BOTH
    )


def cuda_devices(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> int | str:
    """Return the number of NVIDIA GPUs that the driver knows, or why there is none. Loads no framework."""
    library = CUDA_LIBRARIES.get(sys.platform)
    if library is None:
        return f"there is no CUDA on {sys.platform}"
    try:
        driver = load(library)
    except OSError:
        return "no NVIDIA driver is installed"
    count = ctypes.c_int(0)
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if failed:
        return f"the NVIDIA driver answers with error {failed}"
    return count.value or "the NVIDIA driver knows no GPU"


def _cuda(settings: Settings, registry: Registry) -> Iterator[Row]:
    devices = cuda_devices()
    torch = _version("torch")
    built_for = _torch_cuda()
    if isinstance(devices, str):
        yield Row("CUDA", None, f"{devices}; pictures are painted on the CPU")
    elif torch is None or built_for is None:
        cure = "Install torch with CUDA: see https://pytorch.org/get-started."
        yield Row("CUDA", False, f"{devices} GPU here, but torch {torch} is built without CUDA", cure)
    else:
        yield Row("CUDA", True, f"{devices} GPU, torch {torch} for CUDA {built_for}")
    found = next((name for name in ("tensorrt_rtx", "tensorrt") if importlib.util.find_spec(name)), None)
    if isinstance(devices, str):
        yield Row("TensorRT", None, "needs an NVIDIA GPU")
    elif found is None:
        yield Row("TensorRT", False, "not installed; torch paints on the GPU", "pip install tensorrt-rtx")
    else:
        yield Row("TensorRT", True, f"{found} {_version(found.replace('_', '-')) or ''}".strip())


def _torch_cuda() -> str | None:
    """Return the CUDA version that torch was built for, without importing torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^cuda[^=]*= *'([^']+)'", text, re.MULTILINE)
    return found.group(1) if found else None


def _openvino(settings: Settings, registry: Registry) -> Iterator[Row]:
    try:
        import openvino
    except (ImportError, OSError) as error:
        cure = "pip install openvino; without it torch paints, several times slower."
        yield Row("OpenVINO", False, f"does not load: {error}", cure)
        return
    try:
        devices = ", ".join(openvino.Core().available_devices)
    except RuntimeError as error:
        yield Row(
            "OpenVINO", False, f"does not start: {str(error).splitlines()[0]}", "pip install -U openvino"
        )
        return
    yield Row("OpenVINO", True, f"{_version('openvino')} on {devices}")


def _launcher(settings: Settings, registry: Registry) -> Iterator[Row]:
    """Say whether what this person set in the environment stands in the way of what makes engines fast."""
    variables = [one for one in environment_report() if one.matters]
    other = [one for one in variables if one.is_set and one.value != one.wanted]
    if not variables:
        yield Row("Launcher", None, "nothing to set on this system")
    elif not other:
        names = ", ".join(one.name for one in variables)
        yield Row("Launcher", True, f"serve and paint start with {names}")
    for one in other:
        cure = f"Unset it, or set {one.wanted}: {one.does}."
        yield Row("Launcher", False, f"{one.name} is {one.value} here, which is kept", cure)


def _models(settings: Settings, registry: Registry) -> Iterator[Row]:
    """Look for the models that the graph's stages name."""
    from pipelines.models.store import locate

    for node in settings.graph.nodes.values():
        for key in registry.spec(node.stage).models:
            model = str(getattr(settings.stage(node.stage), key))
            if not model:
                yield Row(f"Model of {node.stage}", None, f"stages.{node.stage}.{key} names none")
                continue
            try:
                folder = locate(model)
            except VitascopeError as error:
                yield Row(f"Model {model}", False, error.message, error.hint, BOTH)
            else:
                yield Row(f"Model {model}", True, str(folder))


def _detectors(settings: Settings, registry: Registry) -> Iterator[Row]:
    """Say which detectors are here, and what stands between a person and those that are not."""
    from pipelines.models.catalog import PACKAGES, entries

    found = [entry for entry in entries().values() if entry.does == "see"]
    here = [entry.id for entry in found if standing(entry.id) == "here"]
    away = [entry for entry in found if entry.id not in here and entry.kind in PACKAGES]
    says = f"{', '.join(here) or 'none'}; all: python -m app models list"
    cure = f"python -m app models fetch {' '.join(entry.id for entry in away)}"
    if any(entry.kind == "npm" for entry in away) and shutil.which("npm") is None:
        cure = f"Install npm (sudo apt-get install npm, or https://nodejs.org), then {cure}"
    yield Row("Detectors", not away, says, f"{cure}.")


def _recognisers(settings: Settings, registry: Registry) -> Iterator[Row]:
    """Say which recognisers of speech are here, under which licence, and how to get one."""
    from perception.asr.recognizers.choose import DEFAULT, MAKERS, chosen, is_here
    from perception.asr.vad import INSTALL, PACKAGE, silero_file

    here = [name for name in MAKERS if is_here(name)]
    listed = ", ".join(f"{name} ({MAKERS[name].licence})" for name in here)
    yield Row(
        "Speech", chosen("auto", "") is not None, listed or "no recogniser", f"{MAKERS[DEFAULT].install}."
    )
    found = silero_file() is not None
    says = "Silero (MIT)" if found else f"by loudness alone; {PACKAGE} is not installed"
    yield Row("Voice detector", found, says, f"{INSTALL}.")
    from perception.voice import phones

    says = f"{phones.PACKAGE} (Apache-2.0)" if phones.is_here() else f"{phones.PACKAGE} is not installed"
    yield Row("Commands by voice", phones.is_here(), says, f"{phones.INSTALL}.")


def _port(settings: Settings, registry: Registry) -> Iterator[Row]:
    server = settings.server
    try:
        check_port(server.host, server.port)
    except ConfigError as error:
        yield Row("Port", False, error.message, error.hint, ("serve",))
    else:
        yield Row("Port", True, f"{server.port} on {server.host} is free")


CHECKS: tuple[Check, ...] = (
    _python,
    _packages,
    _processor,
    _memory,
    _ffmpeg,
    _openvino,
    _cuda,
    _launcher,
    _models,
    _detectors,
    _recognisers,
    _camera,
    _port,
)
