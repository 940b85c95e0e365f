"""Faults of the StreamDiffusion package, each shown on the package itself and tried on our painter.

The package runs in its own environment (see benchmarks/_reference.py), both sides on the same random weights;
for the CPU two names of torch are replaced, but not in fault 12, which is about them. A fault "shows" where a
call that makes sense raises, or where a picture is wrong by far more than rounding. Exact comparisons of ours
are with the same frame, painted alone.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from benchmarks import _faults_of_ours as ours_side
from benchmarks._models import SIZE_PX, model_folder
from benchmarks._ours import Ours
from benchmarks._reference import Reference
from pipelines.engines.cost import usable_threads

FAULTS: dict[int, str] = {
    1: "one step with guidance self, default settings, t_index 0, a still scene",
    2: "two frames a call at two steps",
    3: "two frames a call with guidance initialize (ours: onetime)",
    4: "the prompt changes under guidance full and initialize",
    5: "guidance scale 1 under full and initialize",
    6: "steps one after the other with guidance full, and with self",
    7: "steps one after the other: the seed's noise after 12 still frames",
    8: "new settings while frames are in flight, and a second stream",
    9: "the same seed twice, steps one after the other, and from text alone",
    10: "a frame without a pixel under mid-grey",
    11: "two users take turns at four steps",
    12: "a machine without CUDA",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", type=int, nargs="*", choices=sorted(FAULTS), help="numbers of faults")


def run(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(usable_threads())
    folder = model_folder()
    ours = Ours(folder, "torch", "fp32", SIZE_PX)
    figures: dict[str, Any] = {}
    with Reference(folder, SIZE_PX) as reference:
        for number in options.only or sorted(FAULTS):
            theirs = reference.fault(number)
            shown, says = ours_side.ATTEMPTS[number](ours)
            print(f"{number:2}. {FAULTS[number]}", flush=True)
            print(f"    reference  {'FAULT' if theirs['shown'] else 'right'}  {theirs['says']}", flush=True)
            print(f"    ours       {'FAULT' if shown else 'right'}  {says}", flush=True)
            figures[f"fault_{number}_reference"] = bool(theirs["shown"])
            figures[f"fault_{number}_ours"] = shown
    figures["reference_shows"] = sum(v for k, v in figures.items() if k.endswith("_reference"))
    figures["ours_shows"] = sum(v for k, v in figures.items() if k.endswith("_ours"))
    return figures
