"""The commands. Nothing heavy is imported here; a command's flags are made from the schema when it is named.

Exit status: 0 done, 1 the work failed, 2 what was typed cannot be, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime.core.errors import ConfigError, VitascopeError

if TYPE_CHECKING:
    from .layers import Read

FAILED, REFUSED, STOPPED = 1, 2, 130
OURS = ("app", "pipelines", "perception", "realtime", "ui")
UNITS = ("_px", "_s", "_ms", "_hz", "_mb")


@dataclass(frozen=True, slots=True)
class Command:
    says: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str]) -> int:
    """Run a command line and return the exit status."""
    first = next(iter(argv), "")
    if first in ("-h", "--help"):
        print(overview())
        return 0
    if first and not first.startswith("-") and first not in COMMANDS:
        from .registry import nearest

        return _told(ConfigError(f'There is no command "{first}".', hint=nearest(first, COMMANDS)))
    name, rest = (first, argv[1:]) if first in COMMANDS else ("serve", argv)
    command = COMMANDS[name]
    debug = "--debug" in rest
    try:
        parser = argparse.ArgumentParser(
            prog=f"python -m app {name}", description=command.says, allow_abbrev=False
        )
        parser.add_argument("--debug", action="store_true", help="log more, and show a traceback on errors")
        command.arguments(parser)
        return command.run(parser.parse_args(list(rest)))
    except VitascopeError as error:
        if debug:
            raise
        return _told(error)
    except ModuleNotFoundError as error:
        if debug or str(error.name).startswith(OURS):
            raise
        return _told(VitascopeError(f"The package {error.name} is missing.", hint="Set up again: make setup"))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return STOPPED


def overview() -> str:
    """Return what `--help` prints."""
    lines = [
        "vitascope: live video, repainted while it happens.",
        "",
        "  python -m app [COMMAND] [flags]",
        "",
    ]
    lines += [f"  {name:8} {command.says}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "python -m app COMMAND --help lists the flags of a command."])


def _told(error: VitascopeError) -> int:
    print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
    return REFUSED if isinstance(error, ConfigError) else FAILED


# Flags made from the schema.


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", help="named graph to start from")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file (default: vitascope.toml here)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="any setting, e.g. --set server.max_sessions=2",
    )
    parser.add_argument("--log-json", action="store_true", help="log one JSON object a line")


def _schema_flags(parser: argparse.ArgumentParser) -> None:
    from .registry import Registry
    from .settings import leaves, settings_type

    group = parser.add_argument_group("settings", "each is also a TOML key and VITASCOPE_SECTION__KEY")
    for path, field in leaves(settings_type(Registry())):
        if len(path) > 1 and path[0] != "graph":
            group.add_argument(
                f"--{'.'.join(path)}", dest="=".join(path), metavar="", default=None, help=_help(field)
            )


def _help(field: Any) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    text = (
        f"{field.description or ''} (default: {default})"
        if default not in (None, "", ())
        else field.description
    )
    return (text or "").replace("%", "%%")


def _read(options: argparse.Namespace, extra: Sequence[tuple[str, Any]] = ()) -> Read:
    """Read the settings with all flags laid over them, and set up the log."""
    from . import logs
    from .layers import read_settings

    flags: list[tuple[str, Any]] = []
    for pair in options.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair} has no value.", hint="Write --set server.port=8000")
        flags.append((key.strip(), value.strip()))
    flags += [
        (key.replace("=", "."), value)
        for key, value in vars(options).items()
        if "=" in key and value is not None
    ]
    flags += [(key, value) for key, value in extra if value is not None]
    if options.preset:
        flags.append(("preset", options.preset))
    if options.log_json:
        flags.append(("log.as_json", True))
    if options.debug:
        flags.append(("log.level", "debug"))
    read = read_settings(file=options.config, flags=flags)
    log = read.settings.log
    logs.set_up(log.level, as_json=log.as_json, hide=log.private)
    return read


# serve


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="TCP port")
    parser.add_argument("--open", action=argparse.BooleanOptionalAction, help="open the page in a browser")
    parser.add_argument(
        "--share", action=argparse.BooleanOptionalAction, help="open a public link to this page"
    )
    parser.add_argument("--file", type=Path, help="video that the page's file source plays when none is sent")
    _common(parser)
    _schema_flags(parser)


def _serve(options: argparse.Namespace) -> int:
    read = _read(
        options,
        [
            ("server.host", options.host),
            ("server.port", options.port),
            ("server.open_browser", options.open),
            ("server.share", options.share),
            ("source.file", options.file),
        ],
    )

    from .serve import serve

    return serve(read)


# paint


def _paint_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help="video file to paint")
    parser.add_argument("output", type=Path, metavar="OUT", help="MP4 file to write")
    parser.add_argument("--force", action="store_true", help="write over OUT if it is there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--look", metavar="ID", help="one of `python -m app looks`; sets the prompt")
    _common(parser)
    group = parser.add_argument_group("painting")
    for name, field in _painter_fields().items():
        if name != "look":
            flag = next((name.removesuffix(unit) for unit in UNITS if name.endswith(unit)), name)
            group.add_argument(
                f"--{flag.replace('_', '-')}",
                dest=f"stages=paint={name}",
                metavar="",
                default=None,
                help=_help(field),
            )


def _painter_fields() -> dict[str, Any]:
    from .registry import Registry

    return dict(Registry().config("paint").model_fields)


def _paint(options: argparse.Namespace) -> int:
    extra: list[tuple[str, Any]] = []
    if options.look:
        if "look" in _painter_fields():
            extra.append(("stages.paint.look", options.look))
        else:
            extra.append(("stages.paint.prompt", _prompt_of(options)))
    read = _read(options, extra)

    from .paint import paint_in_terminal

    return paint_in_terminal(
        read.settings, options.input, options.output, force=options.force, quiet=options.quiet
    )


def _prompt_of(options: argparse.Namespace) -> str:
    """Return the words of the look that was asked for."""
    from .port import looks_of
    from .registry import Registry, nearest

    known = {look.id: look.prompt for look in looks_of(_read(options).settings, Registry()).looks}
    if options.look not in known:
        raise ConfigError(f'There is no look "{options.look}".', hint=nearest(options.look, known))
    return known[options.look]


# replay


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    from .replay import arguments

    arguments(parser)


def _replay(options: argparse.Namespace) -> int:
    from .replay import replay_in_terminal

    return replay_in_terminal(options.journal, options.output)


# The small ones.


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "fetch", "verify"))
    parser.add_argument("ids", nargs="*", metavar="ID", help="models; all that are here for verify")


def _models(options: argparse.Namespace) -> int:
    from .models import models

    return models(options.what, options.ids)


def _engines_arguments(parser: argparse.ArgumentParser) -> None:
    from .engines import arguments

    arguments(parser)


def _engines(options: argparse.Namespace) -> int:
    from .engines import engines

    return engines(options)


def _memories_arguments(parser: argparse.ArgumentParser) -> None:
    from .memories import arguments

    arguments(parser)


def _memories(options: argparse.Namespace) -> int:
    from .memories import memories

    return memories(options)


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import doctor

    return doctor(_read(options).settings)


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _schema_flags(parser)


def _config(options: argparse.Namespace) -> int:
    from .layers import as_toml

    print(as_toml(_read(options)), end="")
    return 0


def _looks(options: argparse.Namespace) -> int:
    from .port import looks_of
    from .registry import Registry

    vocabulary = looks_of(_read(options).settings, Registry())
    if vocabulary.is_open:
        print("This model takes any words; it has no list of looks.")
        return 0
    width = max(len(look.id) for look in vocabulary.looks)
    for look in vocabulary.looks:
        print(f"{look.id:{width}}  {look.prompt:28}  {look.about}")
    for name, words in (("moods", vocabulary.moods), ("strengths", vocabulary.strengths)):
        if words:
            print(f"\n{name}: {', '.join(words)}")
    return 0


COMMANDS = {
    "serve": Command("Open the page on this machine (the default).", _serve_arguments, _serve),
    "paint": Command("Paint a video file, with its sound.", _paint_arguments, _paint),
    "replay": Command("Run a journal of a session again, picture by picture.", _replay_arguments, _replay),
    "looks": Command("List the looks that the painter knows.", _common, _looks),
    "models": Command("List, fetch or verify models.", _models_arguments, _models),
    "engines": Command("List, build or time what runs the networks.", _engines_arguments, _engines),
    "memories": Command("List, ask or delete what is kept of streams.", _memories_arguments, _memories),
    "doctor": Command("Say what this machine can run, and what is missing.", _doctor_arguments, _doctor),
    "config": Command("Print all settings and where each comes from.", _config_arguments, _config),
}
