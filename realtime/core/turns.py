"""Who goes first on a core that two threads want. Only Linux lets a thread say so; elsewhere nothing happens.

Niceness shares a core between threads that compute. It does not help a thread that waits: OpenVINO's threads
wait for one another by giving the core away (`sched_yield`), 1,500 times a picture, and whoever else is ready
then has it until the next tick, 4 ms. Each time costs the thread that gave a turn, a length of time that it
may ask for: the shorter its turns, the less it falls behind by giving, and the more seldom it loses the core.
So while a model thinks beside the painter, the painter takes short turns and the model waits for a core that
nobody wants.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from contextlib import suppress

from .clock import NS_PER_MS

SHORT_MS = 0.1
"""The shortest that the kernel allows."""
_SET_AND_GET = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""Numbers of the calls sched_setattr and sched_getattr, for which glibc has had names only since 2.41."""


class _Attributes(ctypes.Structure):
    """Lie in memory as the kernel's `struct sched_attr` of 48 bytes does."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    ]


_hurried = 0
_counting = threading.Lock()


def hurry() -> None:
    """Let all threads of this process, and all that they start, take turns of `SHORT_MS` (Linux 6.12 on).

    But for those that stepped back. It holds until `relax` was called as often as this.
    """
    global _hurried
    with _counting:
        _hurried += 1
        if _hurried == 1:
            _all_take_turns(round(SHORT_MS * NS_PER_MS))


def relax() -> None:
    """Take one `hurry` back; after the last, turns are of the usual length again."""
    global _hurried
    with _counting:
        _hurried -= 1
        if _hurried == 0:
            _all_take_turns(0)


def _all_take_turns(turn_ns: int) -> None:
    if sys.platform == "linux":
        own = os.getpriority(os.PRIO_PROCESS, os.getpid())  # the first thread; this one may be nicer
        for thread in (int(name) for name in os.listdir("/proc/self/task")):
            with suppress(OSError):  # it has ended since
                if os.getpriority(os.PRIO_PROCESS, thread) <= own:
                    _take_turns(turn_ns, thread)


def turn_ms() -> float | None:
    """Return how long this thread's turns are, ms; None where the system does not say."""
    found = _attributes()
    return found.runtime_ns / NS_PER_MS if found is not None and found.runtime_ns else None


def step_back(niceness: int) -> None:
    """Let other threads go first on this one's core: nicer by `niceness`, with turns of the usual length."""
    if niceness and sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it
            thread = threading.get_native_id()
            own = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(own + niceness, 19))
        _take_turns(0)


def run_when_idle() -> None:
    """Let this thread, and all that it starts from now on, have only what others leave of a core.

    Not for a thread that shares an interpreter with one that is in a hurry: while others compute it gets
    next to nothing, and would keep the interpreter's lock meanwhile.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _take_turns(turn_ns: int, thread: int = 0) -> None:
    """Ask for turns of that length; 0: of the usual one. Thread 0 is the one that calls."""
    if (found := _attributes(thread)) is not None:
        found.runtime_ns = turn_ns
        _call(0, thread, ctypes.byref(found), 0)


def _attributes(thread: int = 0) -> _Attributes | None:
    """Return what the kernel knows of a thread."""
    found = _Attributes()
    size = ctypes.sizeof(found)
    return found if _call(1, thread, ctypes.byref(found), size, 0) else None


def _call(which: int, thread: int, *args: object) -> bool:
    """Make one of two calls about a thread; tell whether it was made. See `_SET_AND_GET`."""
    numbers = _SET_AND_GET.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        return False
    kernel = ctypes.CDLL(None).syscall
    return bool(kernel(ctypes.c_long(numbers[which]), ctypes.c_int(thread), *args) == 0)
