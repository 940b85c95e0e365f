"""Commands become settings of the moment, in the way a client's do, and can be taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.registry import Registry
from app.settings import Settings, settings_type
from app.steering import Steering
from app.voice import VoiceSteering, painted, shifted
from app.voice_book import book_of, guards
from perception.voice.book import Book, Field
from perception.voice.command import Command
from perception.voice.wishes import Act, Deafen, Paint, Preset, Put, Shift, Step, Undo, Wish
from ui.port import Vocabulary

WORDS = Vocabulary.read(Path(__file__).parents[2] / "models/painter")


class House:
    """Hold the settings of one session, and the events that were told."""

    def __init__(self, **presets: dict[str, Any]) -> None:
        self.registry = Registry()
        self.settings: Settings = settings_type(self.registry)(
            graph={
                "output": "paint",
                "nodes": {
                    "paint": {"stage": "paint", "input": "source:video"},
                    "steer": {"stage": "steer", "input": "source:sound"},
                },
            },
            stages={"steer": {"presets": presets}},
        )
        self.steering = Steering(self.settings, self.registry, {})
        self.told: list[dict[str, Any]] = []
        self.voice = VoiceSteering(
            self, configure=self.steering.change, current=self.steering.values, tell=self.told.append
        )

    def book(self) -> Book:
        return book_of(self.settings, self.registry, WORDS)

    def vocabulary(self) -> Vocabulary:
        return WORDS

    def guards(self) -> set[str]:
        return guards(self.settings, self.registry)

    def say(self, text: str, wish: Wish | None) -> dict[str, Any]:
        """Return the event that is told of a command."""
        outcome = "understood" if wish is not None else "not_understood"
        event = Command(outcome, text, 0.9, 0.0, 1.0, wish).told(0)
        self.voice.take({**event, "node": "steer"})
        return self.told[-1]

    def __getitem__(self, name: str) -> Any:
        return self.steering.values()[name]


def test_a_look_at_night_is_written_into_the_prompt_as_a_click_would() -> None:
    house = House()
    event = house.say("make it a watercolor at night", Paint(look="watercolor", mood="dark"))
    assert house["prompt"] == "watercolor painting, dark"
    assert event["changes"] == {"prompt": "watercolor painting, dark"}
    assert event["can_undo"] is True


def test_undo_puts_back_exactly_what_was_there_one_command_after_the_other() -> None:
    house = House(carnival={"prompt": "cartoon, vivid", "strength": 0.9})
    first = house.steering.values()
    house.say("make it warm", Paint(mood="warm"))
    second = house.steering.values()
    house.say("use the preset carnival", Preset("carnival"))
    assert (house["prompt"], house["strength"]) == ("cartoon, vivid", 0.9)
    event = house.say("undo that", Undo())
    assert house.steering.values() == second
    assert (event["undoes"], event["can_undo"]) == ("use the preset carnival", True)
    house.voice.undo()  # by the page's button
    assert house.steering.values() == first
    assert house.told[-1]["can_undo"] is False
    assert house.say("undo", Undo())["refused"]
    assert house.steering.values() == first


def test_more_and_less_go_from_what_there_is_and_stay_within_bounds() -> None:
    house = House()
    house.say("more strength", Shift("strength", 0.1))
    house.say("more strength", Shift("strength", 0.1))
    assert house["strength"] == pytest.approx(0.7)
    house.say("more steps", Shift("steps", 0.1))
    assert house["steps"] == 2
    for _ in range(9):
        house.say("more steps", Shift("steps", 0.25))
    assert house["steps"] == 4
    house.say("another seed", Step("seed", 1))
    assert house["seed"] == 3
    size = Field("size_px", ("size",), "number", 192, 1024, is_whole=True, multiple_of=64)
    assert shifted(size, 256, 0.1) == 320
    assert shifted(size, 192, -0.1) == 192


def test_what_cannot_be_is_refused_in_words_and_nothing_changes() -> None:
    house = House()
    before = house.steering.values()
    event = house.say("set the still levels to ninety", Put("still_levels", 90.0))
    assert "still_levels" in event["refused"]
    assert "changes" not in event
    assert house.steering.values() == before
    assert house.say("undo", Undo())["refused"]


def test_names_of_files_and_models_are_never_set_even_by_a_preset() -> None:
    house = House(other={"strength": 0.9, "image_prompt": "/etc/passwd"}, third={"model": "hub:some/thing"})
    before = house.steering.values()
    for name in ("other", "third"):
        assert house.say(f"use the preset {name}", Preset(name))["refused"]
    assert house.say("", Put("image_prompt", "/etc/passwd"))["refused"]
    assert house.steering.values() == before


def test_what_only_a_page_can_do_is_told_and_listening_can_be_ended() -> None:
    house = House()
    assert house.say("start recording", Act("start_recording"))["does"] == "start_recording"
    house.say("stop listening", Deafen())
    assert house["steer.mode"] == "off"
    assert "changes" not in house.say("mumble", None)


def test_a_mood_alone_keeps_the_look_and_plain_takes_it_away() -> None:
    assert painted("neon lines, dark", None, "warm", None, WORDS) == "neon lines, warm"
    assert painted("very neon lines, dark", None, "", "", WORDS) == "neon lines"
    assert painted("neon lines, dark", "ink", None, None, WORDS) == "manga ink drawing, dark"
