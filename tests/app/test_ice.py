"""ICE servers of the settings: what the server asks, what clients are told, what cannot be set together."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from app.ice import IceWays
from app.settings import ServerSettings
from realtime.core.errors import ConfigError
from realtime.webrtc.ice import IceServer, turn_login

TURN = "turn:turn.example:3478?transport=udp"
STUN = "stun:stun.example"


def ways(**given: Any) -> IceWays:
    return IceWays(ServerSettings(**given), unix_time_s=lambda: 1000.0)


def test_nothing_is_told_where_nothing_is_set() -> None:
    assert ways().told("abcdefghij") == {}
    assert ways().links("abcdefghij") == []
    assert ways().own().servers == ()


def test_a_login_is_made_for_each_who_asks_and_expires() -> None:
    made = ways(ice_servers=(STUN,), turn_urls=(TURN,), turn_secret="swordfish", turn_ttl_s=60)
    username, credential = turn_login("swordfish", "abcdef", 1000.0, 60.0)
    told = made.told("abcdefghij")
    assert username == "1060:abcdef"  # the rest of the id is a secret
    assert told == {
        "ice_servers": [{"urls": STUN}, {"urls": TURN, "username": username, "credential": credential}]
    }
    assert made.links("abcdefghij") == [
        f'<{STUN}>; rel="ice-server"',
        f'<{TURN}>; rel="ice-server"; username="{username}"; credential="{credential}"; '
        'credential-type="password"',
    ]
    own = made.own()
    assert own.servers[0] == IceServer(STUN)
    assert own.servers[1].username.startswith("1060:")
    assert own.servers[1].username != username
    assert not own.relay_only
    assert "swordfish" not in f"{told}{own!r}"


def test_a_user_and_a_password_serve_as_well() -> None:
    made = ways(turn_urls=(TURN,), turn_user='a"b', turn_password="fish", ice_relay_only=True)
    assert made.told("x")["ice_servers"] == [{"urls": TURN, "username": 'a"b', "credential": "fish"}]
    assert made.told("x")["ice_transport_policy"] == "relay"
    assert r'username="a\"b"' in made.links("x")[0]
    assert made.own().relay_only


def test_a_turn_url_among_the_others_is_taken_for_what_it_is() -> None:
    told = ways(ice_servers=(TURN, STUN), turn_secret="s").told("x")["ice_servers"]
    assert [one["urls"] for one in told] == [STUN, TURN]
    assert "credential" in told[1]


def test_ports_and_address_are_passed_on() -> None:
    own = ways(udp_ports="50000-50100", public_address="203.0.113.7").own()
    assert own.udp_ports == range(50_000, 50_101)
    assert own.public_address == "203.0.113.7"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"turn_urls": (TURN,)}, "has no login"),
        ({"turn_urls": (TURN,), "turn_user": "me"}, "has no login"),
        ({"ice_relay_only": True}, "no TURN server"),
        ({"ice_servers": ("http://a",)}, "cannot be read"),
        ({"udp_ports": "5-6"}, "UDP ports"),
        ({"public_address": "my.example"}, "not an IP address"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ways(**given)


def test_more_servers_than_the_library_asks_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ways(ice_servers=(STUN, "stun:second.example"), turn_urls=(TURN,), turn_secret="swordfish")
    assert "second.example" in caplog.text
    assert "swordfish" not in caplog.text
