"""Where each setting comes from: defaults < preset < TOML file < environment < flags, and who is told off.

Each layer is read on its own and remembers where each of its values stands, so that `config` can print the
origin of a value and an error names the file and line.
"""

from __future__ import annotations

import copy
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from realtime.core.errors import ConfigError

from .registry import Registry, nearest
from .settings import ENV_PREFIX, Settings, field_at, leaves, settings_type

PRESETS = FilePath(__file__).parent / "presets"
DEFAULT_FILE = "vitascope.toml"
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """Hold the values that one place gave, nested, and say where each stands."""

    name: str
    values: dict[str, Any]
    where: Callable[[Path], str]

    def has(self, path: Path) -> bool:
        here: Any = self.values
        for key in path:
            if not isinstance(here, Mapping) or key not in here:
                return False
            here = here[key]
        return True


@dataclass(frozen=True, slots=True)
class Read:
    """Hold the effective settings and the layers that they come from."""

    settings: Settings
    layers: tuple[Layer, ...]
    """Weakest first."""
    files: tuple[str, ...] = field(default=())

    def origin(self, path: Path) -> str:
        """Say where the value at `path` comes from."""
        for layer in reversed(self.layers):
            if layer.has(path):
                return layer.where(path)
        return "default"


def toml_line(text: str, path: Path) -> int | None:
    """Return the line (from 1) at which the key `path` is set, or that of its nearest enclosing table."""
    table: Path = ()
    best: tuple[int, int] | None = None  # (keys matched, line)
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[{1,2}([^\]]+)\]{1,2}", line)
        setting = re.match(r"\s*([A-Za-z0-9_\"'.\- ]+?)\s*=", line)
        if header:
            table = _keys(header.group(1))
            here = table
        elif setting:
            here = table + _keys(setting.group(1))
        else:
            continue
        common = len(here) if path[: len(here)] == here else len(path) if here[: len(path)] == path else 0
        if common and (best is None or common > best[0]):
            best = (common, number)
    return best[1] if best else None


def _keys(dotted: str) -> Path:
    return tuple(key.strip().strip("\"'") for key in dotted.split("."))


def file_layer(file: FilePath, name: str) -> Layer:
    """Read a TOML file. Raises ConfigError with the line when it is not TOML."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{file} cannot be read: {reason}.", hint="Check the path given.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.", hint="See https://toml.io.") from error
    values.pop("says", None)

    def where(path: Path) -> str:
        line = toml_line(text, path)
        return f"{_short(file)}:{line}" if line else _short(file)

    return Layer(name, values, where)


def _short(file: FilePath) -> str:
    try:
        return str(file.resolve().relative_to(FilePath.cwd()))
    except ValueError:
        return str(file)


def preset_file(name: str) -> FilePath:
    """Return the file of a preset given by name or path."""
    if name.endswith(".toml"):
        return FilePath(name)
    known = [file.stem for file in PRESETS.glob("*.toml")]
    if name not in known:
        raise ConfigError(f'There is no preset "{name}".', hint=nearest(name, known))
    return PRESETS / f"{name}.toml"


def env_layer(schema: type[Settings], environ: Mapping[str, str]) -> Layer:
    """Read VITASCOPE_SECTION__KEY variables. Those without "__" are for others, except VITASCOPE_PRESET."""
    for name in environ:
        section = name.upper().removeprefix(ENV_PREFIX).split("__")[0].lower()
        if name.upper().startswith(ENV_PREFIX) and "__" in name and section not in schema.model_fields:
            raise ConfigError(
                f"The environment variable {name} names no setting: there is no section {section}.",
                hint=nearest(section, list(schema.model_fields)),
            )
    source = EnvSettingsSource(schema)
    source.env_vars = {name.lower(): value for name, value in environ.items()}
    try:
        values = source()
    except SettingsError as error:
        raise ConfigError(f"The environment cannot be used: {error}.", hint="Lists are JSON.") from error
    return Layer("environment", values, lambda path: f"environment {ENV_PREFIX}{'__'.join(path).upper()}")


def flag_layer(schema: type[Settings], flags: Sequence[tuple[str, Any]]) -> Layer:
    """Take (dotted path, value) pairs; text is read as the field wants it."""
    values: dict[str, Any] = {}
    for dotted, raw in flags:
        path = _keys(dotted)
        here = values
        for key in path[:-1]:
            here = here.setdefault(key, {})
            if not isinstance(here, dict):
                raise ConfigError(f"{dotted} cannot be set: a part of its path is a value already.")
        here[path[-1]] = coerced(schema, path, raw) if isinstance(raw, str) else raw
    return Layer("flags", values, lambda path: f"flag {'.'.join(path)}")


def coerced(schema: type[BaseModel], path: Path, raw: str) -> Any:
    """Read `raw` as TOML unless the field at `path` is text; a list may be written as a, b."""
    found = field_at(schema, path)
    if found is not None and get_origin(found.annotation) is tuple and not raw.startswith("["):
        return [part.strip() for part in raw.split(",") if part.strip()]
    kinds = _kinds(found)
    if SecretStr in kinds:
        return raw
    if found is not None and (get_origin(found.annotation) is tuple or str not in kinds):
        try:
            return tomllib.loads(f"value = {raw}")["value"]
        except tomllib.TOMLDecodeError:
            if raw.lower() in ("none", "null"):
                return None
    return raw


def _kinds(found: Any) -> tuple[Any, ...]:
    return () if found is None else (found.annotation, *get_args(found.annotation))


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """Lay the layers over each other, tables key by key; `graph` is one thing and replaced whole."""
    result: dict[str, Any] = {}
    for layer in layers:
        _lay_over(result, layer.values)
    return result


def _lay_over(under: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(under.get(key), dict) and key != "nodes":
            _lay_over(under[key], value)
        else:
            under[key] = copy.deepcopy(value)


def read_settings(
    registry: Registry | None = None,
    *,
    file: FilePath | None = None,
    flags: Sequence[tuple[str, Any]] = (),
    environ: Mapping[str, str] | None = None,
) -> Read:
    """Return the effective settings. `file` defaults to vitascope.toml in the current folder, if it is there.

    Raises ConfigError: what is wrong, where it stands, and the nearest right name.
    """
    registry = registry or Registry()
    schema = settings_type(registry)
    upper: list[Layer] = []
    if file is None and FilePath(DEFAULT_FILE).is_file():
        file = FilePath(DEFAULT_FILE)
    if file is not None:
        upper.append(file_layer(file, "file"))
    upper += [env_layer(schema, os.environ if environ is None else environ), flag_layer(schema, flags)]
    preset = next((layer.values["preset"] for layer in reversed(upper) if "preset" in layer.values), None)
    chosen = preset if isinstance(preset, str) else schema.model_fields["preset"].default
    layers = (file_layer(preset_file(chosen), "preset"), *upper)
    values = merged(layers)
    values.setdefault("preset", chosen)
    try:
        settings = schema(**values)
    except ValidationError as error:
        raise _told(error, schema, layers) from error
    _check_graph(settings, registry)
    return Read(settings, layers, tuple(_short(file) for file in [file] if file is not None))


def _told(error: ValidationError, schema: type[BaseModel], layers: Sequence[Layer]) -> ConfigError:
    first = error.errors()[0]
    path = tuple(str(part) for part in first["loc"])
    layer = next((one for one in reversed(layers) if one.has(path)), None)
    place = f" in {layer.where(path)}" if layer else ""
    if not path:  # names that are no text, such as half of a surrogate pair
        return ConfigError(f"The settings cannot be used: {first['msg']}.", hint="Send names and values.")
    *parents, key = path
    if first["type"] == "extra_forbidden":
        parent = field_at(schema, tuple(parents)) if parents else None
        known = (parent.annotation if parent is not None else schema).model_fields
        table = f" [{'.'.join(parents)}]" if parents else ""
        return ConfigError(f"Unknown setting{table} {key}{place}.", hint=nearest(key, list(known)))
    is_secret = SecretStr in _kinds(field_at(schema, path))
    seen = "..." if is_secret else json.dumps(first.get("input"), default=str)[:80]
    return ConfigError(
        f"{'.'.join(path)} = {seen} cannot be used{place}: {_decapitalised(first['msg'])}.",
        hint=_field_hint(schema, path),
    )


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]


def _field_hint(schema: type[BaseModel], path: Path) -> str:
    found = field_at(schema, path)
    return str(found.description or "") if found is not None else ""


def sentence(error: ValidationError, schema: type[BaseModel]) -> ConfigError:
    """Turn what pydantic says about a request body or live settings into one sentence."""
    return _told(error, schema, ())


def _check_graph(settings: Settings, registry: Registry) -> None:
    graph = settings.graph
    for key, node_name in (("output", graph.output), ("steers", graph.main)):
        if node_name not in graph.nodes:
            raise ConfigError(
                f'graph.{key} = "{node_name}" names no node.', hint=nearest(node_name, list(graph.nodes))
            )
    for name, node in graph.nodes.items():
        if node.stage not in registry:
            raise ConfigError(
                f'graph.nodes.{name} wants a stage "{node.stage}", which there is not.',
                hint=nearest(node.stage, list(registry)),
            )


def as_toml(read: Read) -> str:
    """Write the effective settings as TOML with the origin of each value."""
    lines: list[str] = []
    table: Path = ()
    schema = type(read.settings)
    for path, _ in leaves(schema):
        if path[:-1] != table:
            table = path[:-1]
            lines += ["", f"[{'.'.join(table)}]"]
        value: Any = read.settings
        for key in path:
            value = getattr(value, key)
        if isinstance(value, dict):
            for name, node in value.items():
                items = node if isinstance(node, dict) else node.model_dump()
                inner = ", ".join(f"{k} = {_toml_value(v)}" for k, v in items.items())
                lines.append(f"{path[-1]}.{name} = {{ {inner} }}  # {read.origin((*path, name))}")
            continue
        text = f"{path[-1]} = {_toml_value(value)}" if value is not None else f"# {path[-1]} is not set"
        if isinstance(value, SecretStr):  # what is printed is often saved and read again
            text = f"# {path[-1]} is set, and not shown"
        lines.append(f"{text}  # {read.origin(path)}")
    return "\n".join(lines).strip() + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(str(getattr(value, "value", value)), ensure_ascii=False)
