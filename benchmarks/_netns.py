"""Two machines in one: a pair of network namespaces joined by a cable that loses, slows and breaks as told.

The kernel here may have no netem, so faults are made of what every kernel has: iptables' `statistic` match
drops packets (ip6tables too, since a peer may quietly take IPv6), `tbf` limits the rate, a DROP rule is a
broken cable. Delay and reordering come from `benchmarks/_relay.py`. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

TOOLS = ("ip", "tc", "iptables", "ip6tables")
BURST_BYTES = 3000
QUEUE_MS = 150
"""What a slow line holds back before it drops: a modest router."""


def why_not() -> str:
    """Say why there can be no namespaces here; empty where there can."""
    if os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "Network namespaces need root."
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} is not installed (Debian: iproute2, iptables)."
    probe = f"vs-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"This machine lets nobody make a network namespace: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return ""


class Cable:
    """Join namespaces `server` and `client`; faults hold until `heal`."""

    def __init__(self, name: str, subnet: int) -> None:
        self._names = f"{name}-s", f"{name}-c"
        self._devices = f"vs{subnet}s", f"vs{subnet}c"
        self.server_address = f"10.78.{subnet}.1"
        self.client_address = f"10.78.{subnet}.2"

    @property
    def at_server(self) -> tuple[str, ...]:
        """What to put before a command to run it on the server's machine."""
        return ("ip", "netns", "exec", self._names[0])

    @property
    def at_client(self) -> tuple[str, ...]:
        """What to put before a command to run it on the client's machine."""
        return ("ip", "netns", "exec", self._names[1])

    def lay(self) -> None:
        """Make both machines and the cable."""
        for name in self._names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        there, here = self._names
        _run("ip", "-n", there, "link", "add", self._devices[0], "type", "veth", "peer", "name",
             self._devices[1], "netns", here)  # fmt: skip
        for name, device, address in zip(
            self._names, self._devices, (self.server_address, self.client_address), strict=True
        ):
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "up")

    def lose(self, share: float, way: Literal["both", "to_server", "to_client"] = "both") -> None:
        """Lose this share (0..1) of all UDP packets, each by chance."""
        for name, is_meant in zip(self._names, (way != "to_client", way != "to_server"), strict=True):
            if is_meant:
                self._drop(
                    name, "-p", "udp", "-m", "statistic", "--mode", "random", "--probability", str(share)
                )

    def cut(self) -> None:
        """Let nothing through."""
        for name in self._names:
            self._drop(name)

    def narrow(self, kbits_s: int) -> None:
        """Carry at most this many kilobits a second in each direction, with a short queue in front."""
        for name, device in zip(self._names, self._devices, strict=True):
            _run("ip", "netns", "exec", name, "tc", "qdisc", "replace", "dev", device, "root", "tbf",
                 "rate", f"{kbits_s}kbit", "burst", str(BURST_BYTES), "latency", f"{QUEUE_MS}ms")  # fmt: skip

    def heal(self) -> None:
        """Undo all faults."""
        for name, device in zip(self._names, self._devices, strict=True):
            for tool in ("iptables", "ip6tables"):
                _run("ip", "netns", "exec", name, tool, "-F", "INPUT")
            command = ["ip", "netns", "exec", name, "tc", "qdisc", "del", "dev", device, "root"]
            subprocess.run(command, capture_output=True)  # there may be none

    def remove(self) -> None:
        """Take both machines away; the cable goes with them."""
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _drop(self, name: str, *match: str) -> None:
        for tool in ("iptables", "ip6tables"):
            command = ["ip", "netns", "exec", name, tool, "-A", "INPUT", "!", "-i", "lo", *match]
            _run(*command, "-j", "DROP")


@contextmanager
def cable() -> Iterator[Cable]:
    """Lay a cable for the block. Names come from the process id, so that several may be laid at once."""
    one = Cable(f"vs-{os.getpid()}", os.getpid() % 250 + 1)
    try:
        one.lay()
        yield one
    finally:
        one.remove()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
