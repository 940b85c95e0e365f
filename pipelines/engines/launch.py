"""Start again once with the environment that makes engines fast: two variables are read only at exec.

- `OMP_WAIT_POLICY=PASSIVE`: with the default, OpenMP's threads spin at each barrier while their peer waits
  for a core. Beside one busy process torch with two threads took 239 ms a call, with this 56 ms; on an idle
  machine it costs about 17 %.
- `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`: glibc takes large activations by mmap and gives them
  back after each call; keeping them makes torch's convolutions 1.2 to 1.8 times as fast, for the memory held.

What a person has set already is left as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

GUARD = "VITASCOPE_RELAUNCHED"
IN_PROCESS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Read when torch is loaded: setting them before that is enough."""
AT_EXEC = {"MALLOC_MMAP_THRESHOLD_": "2147483647", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
"""Read by glibc before Python runs."""
MEANING = {
    "OMP_WAIT_POLICY": "threads of torch sleep while they wait, in place of spinning",
    "MALLOC_MMAP_THRESHOLD_": "large activations are kept from call to call",
    "MALLOC_TRIM_THRESHOLD_": "freed memory is kept for the next call",
}

Exec = Callable[[str, list[str], Mapping[str, str]], object]


@dataclass(frozen=True, slots=True)
class Variable:
    """Report one variable of the environment for doctor."""

    name: str
    value: str | None
    """What is set; None when nothing is."""
    wanted: str
    does: str
    matters: bool
    """False where the platform does not read it."""

    @property
    def is_set(self) -> bool:
        return self.value is not None


def relaunch_once(
    arguments: Sequence[str] | None = None,
    *,
    environment: MutableMapping[str, str] | None = None,
    execute: Exec = os.execve,
) -> bool:
    """Replace this process by the same program with the variables set; at most once, and only where it helps.

    `arguments` follow the interpreter, e.g. ["-m", "app", "serve"] (default: what this process was started
    with). Returns whether the process was replaced, which is to say that in earnest it never returns True.
    Does nothing under pytest or a debugger, and once torch is loaded; without glibc it sets what works in the
    running process.
    """
    environment = os.environ if environment is None else environment
    if {"pytest", "torch"} & sys.modules.keys() or sys.gettrace() is not None:
        return False
    for name, value in IN_PROCESS.items():
        environment.setdefault(name, value)
    missing = {name: value for name, value in AT_EXEC.items() if name not in environment}
    if not missing or GUARD in environment or not has_glibc() or not sys.executable:
        return False
    command = [sys.executable, *(sys.orig_argv[1:] if arguments is None else arguments)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        execute(sys.executable, command, {**environment, **missing, GUARD: "1"})
    except OSError:
        return False  # a sandbox may forbid exec: slower, and no reason not to start
    return True


def environment_report(environment: Mapping[str, str] | None = None) -> tuple[Variable, ...]:
    """Return the variables that this file is about, as they are now."""
    environment = os.environ if environment is None else environment
    glibc = has_glibc()
    return tuple(
        Variable(name, environment.get(name), wanted, MEANING[name], glibc or name in IN_PROCESS)
        for name, wanted in (IN_PROCESS | AT_EXEC).items()
    )


def has_glibc() -> bool:
    """Tell whether this Python runs on glibc, whose allocator reads the variables."""
    confstr = getattr(os, "confstr", None)  # absent on Windows
    if confstr is None or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return False
    return str(confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
