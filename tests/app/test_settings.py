"""Settings: which layer wins, where each value says it comes from, and the sentence for a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.layers import as_toml, read_settings, toml_line
from app.registry import Registry
from app.settings import leaves, settings_type
from realtime.core.errors import ConfigError
from tests.app import stages


def read(tmp_path: Path, text: str = "", **given: Any):
    file = tmp_path / "my.toml"
    file.write_text(text, encoding="utf-8")
    return read_settings(stages.registry(), file=file, **{"environ": {}, **given})


def test_each_layer_covers_the_one_below(tmp_path: Path) -> None:
    preset = tmp_path / "preset.toml"
    preset.write_text(
        'says = "For tests."\n[server]\nport = 1001\nmax_sessions = 11\n'
        "idle_timeout_s = 111.0\nconnect_timeout_s = 11.0\n"
    )
    seen = read(
        tmp_path,
        f'preset = "{preset.as_posix()}"\n[server]\nport = 1002\nmax_sessions = 12\nidle_timeout_s = 112.0\n',
        environ={"VITASCOPE_SERVER__PORT": "1003", "VITASCOPE_SERVER__MAX_SESSIONS": "13"},
        flags=[("server.port", "1004")],
    )
    server = seen.settings.server
    assert (server.port, server.max_sessions) == (1004, 13)
    assert (server.idle_timeout_s, server.connect_timeout_s) == (112.0, 11.0)
    assert server.stats_interval_s == 0.5
    origins = [
        seen.origin(("server", key))
        for key in ("port", "max_sessions", "idle_timeout_s", "connect_timeout_s", "stats_interval_s")
    ]
    assert origins[0] == "flag server.port"
    assert origins[1] == "environment VITASCOPE_SERVER__MAX_SESSIONS"
    assert origins[2].endswith("my.toml:5")
    assert origins[3].endswith("preset.toml:6")
    assert origins[4] == "default"


def test_a_stage_s_settings_are_part_of_the_schema(tmp_path: Path) -> None:
    seen = read(tmp_path, '[stages.paint]\nstrength = 0.25\nprompt = "a fox"\n')
    assert seen.settings.stage("paint") == stages.InvertConfig(strength=0.25, prompt="a fox")
    with pytest.raises(ConfigError, match=r"my\.toml:2"):
        read(tmp_path, "[stages.paint]\nstrength = 25\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nhost = '::1'\nprot = 8000\n", ["[server] prot", "my.toml:3", 'Did you mean "port"?']),
        ("\n[sever]\nport = 8000\n", ["sever", "my.toml:2", 'Did you mean "server"?']),
        ("[server]\nport = 80000\n", ["server.port = 80000", "my.toml:2", "65535", "TCP port"]),
        ("[server]\nport = 'many'\n", ["server.port", "my.toml:2", "integer"]),
        ("[stages.paint]\n\nstrenght = 1\n", ["strenght", "my.toml:3", 'Did you mean "strength"?']),
        ("[graph]\noutput = 'pain'\n", ['"pain"', 'Did you mean "paint"?']),
        ("graph.nodes.paint = { stage = 'pant' }\n", ['"pant"', 'Did you mean "paint"?']),
        ("[server\n", ["my.toml", "not valid TOML", "line 1"]),
        ("preset = 'pant'\n", ['no preset "pant"', 'Did you mean "paint"?']),
    ],
)
def test_a_wrong_file_is_told_by_line_and_nearest_name(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    for part in said:
        assert part in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_settings(stages.registry(), file=tmp_path / "none.toml", environ={})
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'says = "caf\xe9"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_settings(stages.registry(), file=latin, environ={})


def test_environment_variables_of_no_section_are_told_and_others_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='Did you mean "server"'):
        read(tmp_path, environ={"VITASCOPE_SEVER__PORT": "8000"})
    with pytest.raises(ConfigError, match="environment VITASCOPE_SERVER__PORT"):
        read(tmp_path, environ={"VITASCOPE_SERVER__PORT": "many"})
    assert read(tmp_path, environ={"VITASCOPE_RELAUNCHED": "1"}).settings.server.port == 7860


def test_flags_are_read_as_the_field_wants_them(tmp_path: Path) -> None:
    seen = read(
        tmp_path,
        flags=[
            ("server.allowed_hosts", '["a.example"]'),
            ("stages.paint.prompt", "7"),
            ("server.ice_servers", "stun:a:3478, turn:b:3478"),
            ("server.warm", "false"),
            ("source.file", "film.mp4"),
        ],
    ).settings
    assert seen.server.allowed_hosts == ("a.example",)
    assert seen.server.ice_servers == ("stun:a:3478", "turn:b:3478")
    assert seen.stage("paint").prompt == "7"
    assert seen.server.warm is False
    assert seen.source.file == Path("film.mp4")
    with pytest.raises(ConfigError, match=r'flag server\.prot.*"port"'):
        read(tmp_path, flags=[("server.prot", "8000")])


def test_what_config_prints_is_toml_that_gives_the_same_settings(tmp_path: Path) -> None:
    first = read(tmp_path, '[server]\nport = 8000\n[stages.paint]\nprompt = "fox \\"and\\" hen"\n')
    text = as_toml(first)
    assert tomllib.loads(text)["server"]["port"] == 8000
    again = read(tmp_path, text)
    assert again.settings.model_dump() == first.settings.model_dump()


def test_a_secret_is_read_and_never_shown(tmp_path: Path) -> None:
    for given in (
        read(tmp_path, '[server]\nturn_secret = "swordfish"\n'),
        read(tmp_path, environ={"VITASCOPE_SERVER__TURN_SECRET": "swordfish"}),
        read(tmp_path, flags=[("server.turn_secret", "swordfish")]),
    ):
        secret = given.settings.server.turn_secret
        assert secret is not None
        assert secret.get_secret_value() == "swordfish"
        text = as_toml(given)
        assert "# turn_secret is set, and not shown" in text
        assert "swordfish" not in f"{text}{given.settings!r}{given.settings.model_dump_json()}"
        tomllib.loads(text)
    number = read(tmp_path, flags=[("server.turn_secret", "12345")]).settings.server.turn_secret
    assert number is not None
    assert number.get_secret_value() == "12345"
    with pytest.raises(ConfigError, match=r"server\.turn_password") as refused:
        read(tmp_path, "[server]\nturn_password = 12345\n")
    assert "12345" not in str(refused.value)


def test_every_setting_has_a_sentence() -> None:
    for path, described in leaves(settings_type(stages.registry())):
        assert (described.description or "").endswith((".", "?")), ".".join(path)


def test_toml_line_finds_keys_however_they_are_written() -> None:
    text = 'a.b = 1\n[c]\n"d" = 2\n[c.e]\nf = 3\n'
    assert toml_line(text, ("a", "b")) == 1
    assert toml_line(text, ("c", "d")) == 3
    assert toml_line(text, ("c", "e", "f")) == 5
    assert toml_line(text, ("c", "e", "g")) == 4
    assert toml_line(text, ("x",)) is None


def test_the_registry_names_the_nearest_stage() -> None:
    with pytest.raises(ConfigError, match='Did you mean "paint"'):
        Registry({"paint": "a:b"}).stage("pant")
