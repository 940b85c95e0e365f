"""A server behind NAT that maps 1:1, and a client whose firewall lets nothing in that it did not ask for.

    server 10.77.1.2 --- router, 203.0.113.7 outside --- client 198.51.100.2

The client can only come through if the answer names the outer address and a port that is mapped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = "203.0.113.7"
PORTS = "50000-50100"

pytestmark = [pytest.mark.slow, pytest.mark.netns]


def sh(line: str) -> None:
    subprocess.run(line, shell=True, check=True, capture_output=True, text=True)


class Net:
    """Three network namespaces; each command of `on` runs in one of them."""

    def __init__(self, tag: str) -> None:
        self.names = {side: f"{tag}{side}" for side in ("srv", "nat", "cli")}

    def on(self, side: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.names[side], *command]

    def do(self, side: str, line: str) -> None:
        sh(f"ip netns exec {self.names[side]} {line}")

    def build(self) -> None:
        nat = self.names["nat"]
        for name in self.names.values():
            sh(f"ip netns add {name}")
            sh(f"ip netns exec {name} ip link set lo up")
        for side, here, there in (("srv", "10.77.1.2", "10.77.1.1"), ("cli", "198.51.100.2", "198.51.100.1")):
            sh(f"ip link add v0 netns {self.names[side]} type veth peer name to{side} netns {nat}")
            self.do(side, f"ip addr add {here}/24 dev v0")
            self.do(side, "ip link set v0 up")
            self.do("nat", f"ip addr add {there}/24 dev to{side}")
            self.do("nat", f"ip link set to{side} up")
        self.do("srv", "ip route add default via 10.77.1.1")
        self.do("cli", f"ip route add {PUBLIC} via 198.51.100.1")
        self.do("nat", f"ip addr add {PUBLIC}/32 dev lo")
        self.do("nat", "sysctl -qw net.ipv4.ip_forward=1")
        for what in ("udp --dport 50000:50100", "tcp --dport 8000"):
            self.do("nat", f"iptables -t nat -A PREROUTING -d {PUBLIC} -p {what} -j DNAT --to 10.77.1.2")
        self.do("nat", f"iptables -t nat -A POSTROUTING -s 10.77.1.2 -j SNAT --to {PUBLIC}")
        self.do("cli", "iptables -A INPUT -p udp -m conntrack --ctstate ESTABLISHED -j ACCEPT")
        self.do("cli", "iptables -A INPUT -p udp -j DROP")

    def clear(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def net() -> Iterator[Net]:
    if os.geteuid() != 0 or not all(shutil.which(one) for one in ("ip", "iptables")):
        pytest.skip("network namespaces need root, iproute2 and iptables")
    made = Net(f"vs{os.getpid() % 10_000}")
    try:
        made.build()
    except subprocess.CalledProcessError as error:
        made.clear()
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    yield made
    made.clear()


def wait_for(net: Net, server: subprocess.Popen[bytes]) -> None:
    """Return when the client reaches the server over HTTP; another process can only be asked."""
    code = f"import urllib.request; urllib.request.urlopen('http://{PUBLIC}:8000/healthz', timeout=1)"
    end_s = time.monotonic() + 40
    while time.monotonic() < end_s and server.poll() is None:
        asked = subprocess.run(net.on("cli", sys.executable, "-c", code), check=False, capture_output=True)
        if asked.returncode == 0:
            return
        time.sleep(0.2)
    pytest.fail(f"the server does not answer: {asked.stderr.decode()[-300:]}")


def pictures(net: Net, *settings: str) -> int:
    """Run the server behind the router and count what its client gets."""
    serve = [sys.executable, "-m", "tests.app.live", "0.0.0.0", "8000", "server__host=0.0.0.0", *settings]
    play = [sys.executable, "-m", "tests.e2e.nat_player", f"http://{PUBLIC}:8000"]
    server = subprocess.Popen(net.on("srv", *serve), cwd=ROOT)
    try:
        wait_for(net, server)
        seen = subprocess.run(
            net.on("cli", *play), cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
        )
    finally:
        server.terminate()
        server.wait(20)
    return int(seen.stdout.split()[-1])


def test_a_mapped_server_is_reached_under_its_public_address(net: Net) -> None:
    assert pictures(net, f"server__udp_ports={PORTS}", f"server__public_address={PUBLIC}") >= 10


@pytest.mark.nightly  # it waits for what must not come
def test_without_the_address_nobody_gets_through(net: Net) -> None:
    """What the other test shows would be worth nothing if this one saw pictures."""
    assert pictures(net, f"server__udp_ports={PORTS}") == 0
