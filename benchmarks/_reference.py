"""The reference, StreamDiffusion as it is on PyPI, in an environment and a process of its own.

The environment is a virtual one in this person's cache folder, made on first use. It sees the packages of
the interpreter that runs this (torch, diffusers, transformers), so both sides compute with the same
libraries; `streamdiffusion` itself is installed without its dependencies, which would pin older ones. The
process gets the environment variables and the number of threads that our side has, and only computes when
asked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._measure import Spent
from pipelines.engines.cost import usable_threads
from pipelines.engines.key import cache_folder
from pipelines.engines.launch import AT_EXEC, IN_PROCESS
from realtime.core.errors import EngineError

REQUIREMENT = (
    "streamdiffusion==0.1.1 --hash=sha256:dde60636d717ed0f227814d4b25578f580d0357e9fa601f34890840722a57201\n"
)
WORKER = Path(__file__).with_name("_reference_worker.py")


class ReferenceError(EngineError):
    """The reference could not be installed, or failed at what it was asked."""


def environment() -> Path:
    """Return the Python of the reference's environment; make it first if it is not there (PyPI, seconds)."""
    found = importlib.util.find_spec("diffusers")
    if found is None or found.origin is None:
        raise ReferenceError("diffusers is not installed here, and the reference needs it.")
    packages = str(Path(found.origin).parents[1])
    tag = f"py{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / "benchmarks" / f"streamdiffusion-0.1.1-{tag}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    note = folder / "packages.txt"  # written last: an environment without it is half made
    if python.is_file() and note.is_file() and note.read_text(encoding="utf-8") == packages:
        return python
    print(f"making the reference's environment in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.EnvBuilder(with_pip=True).create(folder)
    wanted = folder / "requirements.txt"
    wanted.write_text(REQUIREMENT, encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "-r", str(wanted)], capture_output=True, text=True
    )
    if done.returncode:
        raise ReferenceError(
            f"The reference cannot be installed: {done.stderr.strip() or done.stdout.strip()}",
            hint="It comes from PyPI: check the network, or set PIP_INDEX_URL to a mirror.",
        )
    own = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    Path(own, "the_libraries_of_vitascope.pth").write_text(packages + "\n", encoding="utf-8")
    note.write_text(packages, encoding="utf-8")
    return python


def variables(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the worker's environment: ours, with what makes torch fast set even where ours lacks it."""
    kept = {name: value for name, value in base.items() if not name.startswith("PYTHON")}
    return {**IN_PROCESS, **AT_EXEC, **kept, "HF_HUB_OFFLINE": "1"}


class Reference:
    """Talk to a worker that holds the reference's pipeline and any number of prepared streams."""

    def __init__(self, folder: Path, size_px: int, command: Sequence[str] | None = None) -> None:
        """Start the worker (default: in the reference's environment) and load the model in `folder`.

        Raises ReferenceError when there is no environment, or the model cannot be loaded.
        """
        self._process = subprocess.Popen(
            # -P keeps this folder, whose streamdiffusion.py is ours, out of the worker's imports.
            command or [str(environment()), "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=variables(),
        )
        try:
            self.versions = self.ask("load", folder=str(folder), size_px=size_px, threads=usable_threads())
        except ReferenceError:
            self.close()
            raise

    def prepare(
        self,
        stream: str,
        t_index_list: Sequence[int],
        mode: str,
        *,
        scale: float,
        delta: float,
        seed: int,
        prompt: str,
        negative: str,
        batched: bool = True,
    ) -> None:
        """Make a stream of that name. `mode` is the reference's cfg_type."""
        self.ask(
            "prepare", stream=stream, t_index_list=list(t_index_list), mode=mode, scale=scale, delta=delta,
            seed=seed, prompt=prompt, negative=negative, batched=batched,
        )  # fmt: skip

    def run(self, stream: str, pictures: Path, count: int, out: Path | None = None) -> Spent:
        """Feed `count` pictures of an .npy file of (N, H, W, 3) uint8, in turn; return what one took.

        `out` gets the outputs before clamping as float32 .npy (count, 3, H, W).
        """
        found = self.ask(
            "run", stream=stream, pictures=str(pictures), count=count, out=str(out) if out else None
        )
        return Spent(float(found["seconds"]), float(found["cpu_seconds"]))

    def fault(self, number: int) -> dict[str, Any]:
        """Show fault `number` on the reference: {"shown": bool, "says": sentence}."""
        return self.ask("fault", number=number)

    def ask(self, what: str, **details: Any) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises ReferenceError with what the worker says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"what": what, **details}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ReferenceError(
                f"The reference's process ended with {self._process.wait()} during {what!r}."
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ReferenceError(f"The reference failed at {what!r}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the worker; twice does no harm."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # it has ended by itself
                    pipe.close()
        self._process.wait(30)

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
