"""Where a URL may lead: a table of addresses, names that resolve inwards, and what messages leave out."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

from realtime.core.errors import ConfigError, ConnectionLost, VitascopeError
from realtime.sources.address import AddressRefused, Rules, dial, read_address, redacted, resolve

PUBLIC = Rules()
LOCAL = Rules(allow_private=True)


def answering(*ips: str) -> Callable[..., list[Any]]:
    """Return a name server that knows these addresses for every name."""
    return lambda host, port, **_: [(None, None, None, "", (ip, port)) for ip in ips]


REFUSED_TO_STRANGERS = [
    "http://127.0.0.1/",
    "http://127.1.2.3:8080/",
    "rtsp://10.0.0.5/cam",
    "rtsp://172.16.0.1/cam",
    "rtsp://172.31.255.255/cam",
    "rtsp://192.168.1.10:554/cam",
    "http://169.254.10.20/",
    "http://100.64.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.7/",
    "http://203.0.113.7/",
    "http://240.0.0.1/",
    "http://[::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::7f00:1]/",
    "http://[::8.8.8.8]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:808:808::1]/",
    "http://[64:ff9b::a00:1]/",
    "http://[64:ff9b::192.168.0.1]/",
    "http://[64:ff9b:1::808:808]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2001:db8::1]/",
    "http://[2606:4700::5efe:a00:1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    "http://8.8.8.8:22/",
    "http://8.8.8.8:25/",
    "rtsp://8.8.8.8:6/",
]
REFUSED_TO_ALL = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://[::]/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://[ff02::1]/",
    "http://255.255.255.255/",
    "file:///etc/passwd",
    "concat://a|b",
    "ftp://8.8.8.8/a",
    "gopher://8.8.8.8/",
    "udp://239.0.0.1:1234",
    "tcp://8.8.8.8:80",
    "unix://tmp/x",
    "tls://8.8.8.8:443",
]
NO_ADDRESS = [
    "http://0177.0.0.1/",
    "http://0x7f.0.0.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://017700000001/",
    "http://127.1/",
    "http://127.0.1/",
    "http://10.0.0.010/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://0x/",
    "http://1.2.3.0x4/",
    "http://[fe80::1%25eth0]/",
    "http://[::1/",
    "http://[127.0.0.1]/",
    "http://example.com\\@127.0.0.1/",
    "http://exa mple.com/",
    "http://example.com/\r\nHost: x",
    "http://%31%32%37.0.0.1/",
    "http://①②⑦.0.0.1/",
    "http://ｌocalhost/",
    "http://-x.example/",
    "http://a..b/",
    "http:///nothing",
    "http:127.0.0.1",
    "//127.0.0.1/",
    "127.0.0.1",
    "C:/video.mp4",
    "/etc/passwd",
    "",
    "http://example.com:99999/",
    "http://example.com:0/",
    "http://" + "a" * 300 + ".example/",
    "http://example.com/" + "a" * 3000,
]
TAKEN = {
    "http://8.8.8.8/a": ("8.8.8.8", 80),
    "HTTPS://Example.COM./x?y=1#z": ("example.com", 443),
    "rtsp://user:pa%40ss@cam.example:8554/s": ("cam.example", 8554),
    "rtmp://live.example/app/key": ("live.example", 1935),
    "rtsps://cam.example/a": ("cam.example", 322),
    "http://[2606:4700::1111]/": ("2606:4700::1111", 80),
    "http://[::ffff:8.8.8.8]/": ("::ffff:808:808", 80),
    "http://[64:ff9b::808:808]/": ("64:ff9b::808:808", 80),
    "http://a_b.example:8080": ("a_b.example", 8080),
    "srt://live.example:9000?streamid=x": ("live.example", 9000),
}


@pytest.mark.parametrize("url", REFUSED_TO_STRANGERS)
def test_a_stranger_is_not_led_inwards(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        read_address(url, PUBLIC)
    assert refused.value.permanent
    assert read_address(url, LOCAL).port > 0  # a visitor at this machine may


@pytest.mark.parametrize("url", REFUSED_TO_ALL)
def test_nobody_is_led_to_secrets_groups_or_other_protocols(url: str) -> None:
    for rules in (PUBLIC, LOCAL):
        with pytest.raises((AddressRefused, ConfigError)):
            read_address(url, rules)


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_programs_read_differently_is_no_address(url: str) -> None:
    for rules in (PUBLIC, LOCAL):
        with pytest.raises(ConfigError) as refused:
            read_address(url, rules)
        assert refused.value.hint


@pytest.mark.parametrize("url", TAKEN)
def test_an_ordinary_address_is_read(url: str) -> None:
    address = read_address(url, PUBLIC)
    assert (address.host, address.port) == (
        (str(ipaddress.ip_address(TAKEN[url][0])), TAKEN[url][1]) if "[" in url else TAKEN[url]
    )


def test_user_and_password_are_read_but_never_told() -> None:
    address = read_address("rtsp://user:pa%40ss@cam.example/s?token=abc&x=1", PUBLIC)
    assert (address.user, address.password) == ("user", "pa@ss")
    assert str(address) == "rtsp://cam.example/s?token=...&x=1"
    assert str(read_address("rtmp://live.example/app/key-1", PUBLIC)) == "rtmp://live.example/app/..."
    said = redacted("cannot open 'rtmp://me:secret@host/live?api_key=9' nor http://a@b/")
    assert "secret" not in said
    assert "me:" not in said
    assert "=9" not in said
    assert said == "cannot open 'rtmp://host/live?api_key=...' nor http://b/"
    with pytest.raises(ConfigError) as refused:
        read_address("http://user:secret@/x", PUBLIC)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.1.1.1", "::1", "fe80::1%eth0", "169.254.169.254", "fd00::1"])
def test_a_name_that_resolves_inwards_is_refused(ip: str) -> None:
    address = read_address("http://innocent.example/", PUBLIC)
    with pytest.raises(AddressRefused):
        resolve(address, PUBLIC, answering(ip))
    with pytest.raises(AddressRefused):  # one good answer does not excuse a bad one
        resolve(address, PUBLIC, answering("8.8.8.8", ip))


def test_a_name_is_resolved_once_and_that_is_connected_to() -> None:
    door = socket.create_server(("127.0.0.1", 0))
    asked = []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return answering("127.0.0.1")(host, port)

    address = read_address(f"http://rebinding.example:{door.getsockname()[1]}/", LOCAL)
    with dial(address, LOCAL, lookup=lookup) as connection:
        assert connection.getpeername() == door.getsockname()
    assert asked == ["rebinding.example"]
    with pytest.raises(AddressRefused):
        dial(address, PUBLIC, lookup=lookup)
    door.close()
    with pytest.raises(ConnectionLost, match=r"rebinding\.example.* cannot be reached"):
        dial(address, LOCAL, lookup=lookup)


def test_an_unknown_name_is_told() -> None:
    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(ConnectionLost, match="not known") as lost:
        resolve(read_address("http://nowhere.example/", PUBLIC), PUBLIC, lookup)
    assert isinstance(lost.value, VitascopeError)
    assert not lost.value.permanent


def test_schemes_can_be_fewer() -> None:
    with pytest.raises(AddressRefused, match="http"):
        read_address("http://8.8.8.8/", Rules(schemes=("rtsp", "rtsps")))
