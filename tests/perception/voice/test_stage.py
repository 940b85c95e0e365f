"""Which utterances count in which mode, and what is told of them: scripted sound, a scripted ear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perception.asr.intake import Samples
from perception.voice.command import Command
from perception.voice.config import SteerConfig
from perception.voice.ear import Understood
from perception.voice.stage import SteerStage
from perception.voice.wishes import Undo
from realtime.core.stage import StageContext
from tests.perception.asr.speech import LEAST, Sure, chunks, script


class Ear:
    """Take each letter of a script for what `means` says: a text, and how sure it is."""

    can_wake = True

    def __init__(self, **means: tuple[str, float]) -> None:
        self.means = means
        self.heard: list[str] = []

    def understand(self, samples: Samples, *, needs_wake: bool = False) -> Understood | None:
        loud = samples[np.abs(samples) > LEAST / 2]
        letters = "".join(sorted({chr(round((float(one) - LEAST) * 100) + ord("a")) for one in set(loud)}))
        self.heard.append(letters)
        text, sure = self.means.get(letters[:1], ("", 0.0))
        if needs_wake and not text.startswith("wake"):
            sure = 0.0
        text = text.removeprefix("wake").strip() if needs_wake else text
        return Understood(text, Undo() if text else None, sure, needs_wake)


def stage(ear: Ear, **settings: Any) -> SteerStage:
    made = SteerStage(ear, Sure())  # type: ignore[arg-type]
    made.configure(SteerConfig(**settings))
    made.open(StageContext())
    return made


def told(stage: SteerStage, text: str, turns: dict[float, Any] | None = None) -> Sequence[Command]:
    """Return what is told of a script; `turns` are settings to take at times in seconds."""
    found: list[Command] = []
    waiting = sorted((turns or {}).items())
    for chunk in chunks(text):
        while waiting and chunk.stamp.time_s >= waiting[0][0]:
            stage.configure(waiting.pop(0)[1])
        found += [one.value for one in stage.process(chunk)]
    return found


def test_only_what_is_said_while_the_button_is_held_counts() -> None:
    ear = Ear(a=("undo", 0.9), b=("undo", 0.9), c=("undo", 0.9))
    begun = SteerConfig()
    made = stage(ear)
    held = replace_talk(begun, True)
    said = told(made, script(1.0, "a", 1.0, "b", 1.0, "c", 2.0), {2.9: held, 4.1: begun})
    assert ear.heard == ["b"]
    assert [(one.outcome, one.text) for one in said] == [("understood", "undo")]
    assert said[0].wish == Undo()


def replace_talk(config: SteerConfig, is_held: bool) -> SteerConfig:
    return config.model_copy(update={"talk": is_held})


def test_letting_go_ends_a_command_at_once_and_the_end_of_it_is_heard() -> None:
    ear = Ear(a=("undo", 0.9))
    made = stage(ear)
    begun = SteerConfig()
    said = told(made, script(1.0, "a", "a", 3.0), {0.9: replace_talk(begun, True), 2.9: begun})
    assert [one.outcome for one in said] == ["understood"]
    assert 2.9 <= said[0].end_s <= 3.6


def test_what_is_not_sure_does_nothing_but_is_told_while_the_button_is_held() -> None:
    ear = Ear(a=("undo", 0.3))
    made = stage(ear, talk=True)
    said = told(made, script(0.5, "a", 1.0))
    assert [(one.outcome, one.wish) for one in said] == [("not_understood", None)]
    sure_enough = stage(ear, talk=True, floor=0.2)
    assert [one.outcome for one in told(sure_enough, script(0.5, "a", 1.0))] == ["understood"]


def test_with_a_wake_phrase_nothing_else_is_even_told() -> None:
    ear = Ear(a=("undo", 0.99), b=("wake undo", 0.9), c=("wake undo", 0.2))
    made = stage(ear, mode="wake")
    said = told(made, script(0.5, "a", 1.0, "b", 1.0, "c", 1.0, "a", 1.0))
    assert [(one.outcome, one.text) for one in said] == [("understood", "undo")]
    assert 2.0 < said[0].begin_s < 3.0


def test_a_command_may_follow_the_wake_phrase_after_a_pause_but_not_for_ever() -> None:
    ear = Ear(a=("undo", 0.9), b=("wake", 0.9))
    made = stage(ear, mode="wake", patience_s=2.0)
    said = told(made, script(0.5, "b", 1.5, "a", 1.0, "a", 1.0))
    assert [one.outcome for one in said] == ["listening", "understood"]
    late = stage(ear, mode="wake", patience_s=2.0)
    assert [one.outcome for one in told(late, script(0.5, "b", 4.0, "a", 1.0))] == ["listening"]


def test_a_long_speech_is_no_command_and_off_hears_nothing() -> None:
    ear = Ear(a=("wake undo", 0.9))
    assert told(stage(ear, mode="wake"), script(0.5, *("a" * 11), 0.2)) == []
    assert told(stage(ear, mode="off"), script(0.5, "a", 1.0)) == []


def test_an_event_is_plain_json_and_tells_how_long_it_took() -> None:
    command = Command("understood", "undo", 0.87654, 1.0, 2.0, Undo(), captured_ns=2_000_000_000)
    event = command.told(2_400_000_000)
    assert event["wish"] == {"kind": "undo"}
    assert (event["type"], event["delay_ms"], event["confidence"]) == ("command", 400.0, 0.877)
    assert replace(command, wish=None).told(0)["wish"] is None
