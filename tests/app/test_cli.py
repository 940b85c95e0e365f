"""The command line: quick to answer, each command explains itself, a wrong one is told so with status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app import cli

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = (
    "torch",
    "gradio",
    "diffusers",
    "transformers",
    "openvino",
    "av",
    "aiortc",
    "fastapi",
    "cv2",
    "numpy",
)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_help_answers_at_once_for_it_imports_nothing_heavy() -> None:
    done = run_python(
        "import sys; from app.cli import main; code = main(['--help']);"
        f"print('IMPORTED', [name for name in {HEAVY!r} if name in sys.modules]); sys.exit(code)"
    )
    assert done.returncode == 0, done.stderr
    assert "IMPORTED []" in done.stdout
    for name in cli.COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"python -m app {command}" in said
    assert "--debug" in said


def test_help_of_a_command_loads_no_model_library() -> None:
    heavy = [name for name in HEAVY if name not in ("numpy", "cv2")]
    done = run_python(
        "import sys\nfrom app.cli import main\n"
        "try: main(['serve', '--help'])\nexcept SystemExit: pass\n"
        f"print('IMPORTED', [name for name in {heavy!r} if name in sys.modules])"
    )
    assert "IMPORTED []" in done.stdout, done.stderr


def test_a_wrong_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pant"]) == cli.REFUSED
    assert capsys.readouterr().err == 'There is no command "pant".\nDid you mean "paint"?\n'


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["config", "--set", "server.prot=8000"], 'Did you mean "port"'),
        (["config", "--set", "server.port"], "has no value"),
        (["config", "--preset", "pant"], 'Did you mean "paint"'),
        (["config", "--config", "no-such.toml"], "cannot be read"),
        (["serve", "--port", "70000"], "65535"),
        (["paint", "no-such-film.mp4", "out.mp4"], "There is no file no-such-film.mp4"),
        (["paint", "a.mp4", "b.mp4", "--strength", "7"], "strength"),
        (["looks", "--set", "stages.paint.modle=x"], 'Did you mean "model"'),
    ],
)
def test_what_cannot_be_is_a_sentence_without_a_traceback(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == cli.REFUSED
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_config_prints_values_and_their_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "--set", "server.port=8123"]) == 0
    said = capsys.readouterr().out
    assert "port = 8123  # flag server.port" in said
    assert "max_sessions = 8  # default" in said


def test_looks_lists_what_the_painter_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["looks"]) == 0
    said = capsys.readouterr().out
    assert "watercolor" in said
    assert "moods:" in said


def test_ctrl_c_is_a_word_and_a_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "looks", cli.Command("", lambda parser: None, interrupted))
    assert cli.main(["looks"]) == cli.STOPPED
    assert capsys.readouterr().err == "Stopped.\n"
