"""Run the reference on the CPU and answer requests: one JSON object a line in, one out.

Runs inside the reference's environment and imports nothing of ours. Two names of torch are replaced, without
which the reference cannot run on a CPU; its own code is untouched. What a frame is: a tensor (1, 3, H, W) in
[-1, 1], ready, goes in, and the decoded tensor comes out, so the reference is charged neither for reading
pixels nor for writing them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

UNPATCHED = {"Event": torch.cuda.Event, "synchronize": torch.cuda.synchronize}


class Event:
    """Stand for torch.cuda.Event where there is no GPU."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.at_s = 0.0

    def record(self) -> None:
        self.at_s = time.perf_counter()

    def elapsed_time(self, end: Event) -> float:
        """Return milliseconds."""
        return (end.at_s - self.at_s) * 1e3


def patch() -> None:
    """Let the reference run without CUDA."""
    torch.cuda.Event = Event
    torch.cuda.synchronize = lambda *_: None


def unpatch() -> None:
    """Give torch its own names back."""
    for name, value in UNPATCHED.items():
        setattr(torch.cuda, name, value)


class Worker:
    """Hold the loaded pipeline and the prepared streams."""

    def __init__(self) -> None:
        self.pipe: Any = None
        self.size_px = 0
        self.streams: dict[str, Any] = {}
        self.fed: dict[str, int] = {}
        self.pictures: dict[str, list[torch.Tensor]] = {}

    def load(self, folder: str, size_px: int, threads: int) -> dict[str, Any]:
        import diffusers
        from diffusers import StableDiffusionPipeline

        torch.set_num_threads(threads)
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        self.pipe = StableDiffusionPipeline.from_pretrained(
            folder, torch_dtype=torch.float32, safety_checker=None, local_files_only=True
        )
        self.size_px = size_px
        return {
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
            "mmap_threshold": os.environ.get("MALLOC_MMAP_THRESHOLD_"),
        }

    def make(self, t_index_list: list[int], mode: str, **more: Any) -> Any:
        """Return a stream that is not prepared yet."""
        from streamdiffusion import StreamDiffusion

        return StreamDiffusion(
            self.pipe,
            t_index_list,
            torch_dtype=torch.float32,
            width=self.size_px,
            height=self.size_px,
            cfg_type=mode,
            **more,
        )

    def prepare(
        self, stream: str, t_index_list: list[int], mode: str, scale: float, delta: float, seed: int,
        prompt: str, negative: str, batched: bool,
    ) -> dict[str, Any]:  # fmt: skip
        made = self.make(t_index_list, mode, use_denoising_batch=batched)
        made.prepare(
            prompt,
            negative,
            guidance_scale=scale,
            delta=delta,
            seed=seed,
            generator=torch.Generator(),  # its default is one object for all streams
        )
        self.streams[stream], self.fed[stream] = made, 0
        return {}

    def run(self, stream: str, pictures: str, count: int, out: str | None) -> dict[str, Any]:
        made, ready = self.streams[stream], self.tensors(pictures)
        first = self.fed[stream]
        outputs = []
        began, cpu_began = time.perf_counter(), time.process_time()
        for k in range(first, first + count):
            output = made(ready[k % len(ready)])
            if out is not None:
                outputs.append(output)
        seconds = (time.perf_counter() - began) / count
        cpu_seconds = (time.process_time() - cpu_began) / count
        self.fed[stream] += count
        if out is not None:
            np.save(out, torch.cat(outputs).numpy())
        return {"seconds": seconds, "cpu_seconds": cpu_seconds}

    def tensors(self, file: str) -> list[torch.Tensor]:
        """Return the pictures of an .npy file of (N, H, W, 3) uint8, each (1, 3, H, W) in [-1, 1]."""
        if file not in self.pictures:
            numbers = np.load(file).transpose(0, 3, 1, 2).astype(np.float32) * np.float32(1 / 127.5) - 1
            self.pictures[file] = list(torch.from_numpy(np.ascontiguousarray(numbers)).split(1))
        return self.pictures[file]

    def fault(self, number: int) -> dict[str, Any]:
        """Demonstrate a fault; the demonstrations are in the file next to this one."""
        place = Path(__file__).with_name("_reference_faults_worker.py")
        spec = importlib.util.spec_from_file_location("reference_faults_worker", place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        shown, says = module.DEMONSTRATIONS[number](self, unpatch, patch)
        return {"shown": bool(shown), "says": says}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand between the answers
    warnings.filterwarnings("ignore")
    patch()
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        work = getattr(worker, request.pop("what"))
        try:
            answer = work(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
