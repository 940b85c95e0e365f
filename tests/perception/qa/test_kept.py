"""What is kept on disk: only where it is named, found again, in use by one, and deleted for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli import main
from perception.asr.transcript import Transcript, Turn
from perception.qa import kept
from perception.qa.config import AnswerConfig
from perception.qa.stage import AnswerStage
from realtime.core.clock import MonotonicClock
from realtime.core.errors import ConfigError, SessionError
from realtime.core.stage import StageContext
from tests.perception.qa.notebook import PATIENCE_S


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path / "memories"))
    return tmp_path / "memories"


def opened(keep: str, session: str = "one") -> tuple[AnswerStage, list[str]]:
    told: list[str] = []
    stage = AnswerStage()
    stage.configure(AnswerConfig(keep=keep))
    stage.open(StageContext(session, report=told.append))
    return stage, told


def say(stage: AnswerStage, text: str) -> None:
    now_ns = MonotonicClock().now_ns()
    assert stage.desk is not None
    stage.desk.note(Transcript(Turn.END, 0, text, "", 0.0, 1.0, captured_ns=now_ns).told(now_ns))
    assert stage.desk.settle(PATIENCE_S)


def heard(stage: AnswerStage) -> str:
    assert stage.desk is not None
    engine = stage.desk.engine
    return next(iter(engine.ask("What was said?", engine.snapshot()))).text


def test_nothing_is_written_unless_a_memory_is_named(place: Path) -> None:
    stage, _ = opened("")
    say(stage, "the keys are on the table")
    stage.close()
    assert not place.exists()
    assert kept.held() == []


def test_a_named_memory_is_found_again_asked_from_the_command_line_and_deleted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, _ = opened("office")
    say(stage, "the keys are on the table")
    stage.close()
    again, told = opened("office")
    assert "the keys are on the table" in heard(again)
    assert told == []
    again.close()

    assert [one.name for one in kept.held()] == ["office"]
    assert main(["memories", "list"]) == 0
    assert main(["memories", "ask", "office", "What", "was", "said", "about", "keys?"]) == 0
    said = capsys.readouterr().out
    assert "office" in said
    assert "the keys are on the table" in said
    assert main(["memories", "ask", "office"]) == 2
    assert main(["memories", "delete", "offices"]) == 2
    assert "There are: office." in capsys.readouterr().err
    assert main(["memories", "delete", "office"]) == 0
    assert kept.held() == []
    assert not (place / "office").exists()


def test_one_session_at_a_time_has_it_and_others_are_told(place: Path) -> None:
    stage, _ = opened("office")
    other, told = opened("office", "two")
    assert "Another session uses" in told[0]
    say(other, "nobody keeps this")
    other.close()
    with pytest.raises(SessionError, match="Another session"):
        kept.delete("office")
    warming, told = opened("office", "warm")
    warming.close()
    assert told == []
    assert "nobody keeps this" not in heard(stage)
    stage.close()
    kept.delete("office")
    with pytest.raises(ConfigError, match="There is none"):
        kept.check_held("office")


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "."])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ValueError):
        AnswerConfig(keep=name)
