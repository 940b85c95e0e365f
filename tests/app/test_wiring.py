"""The wiring: from settings to a graph that paints, and settings that change while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.wiring import House, Wiring
from realtime.core.channel import Channel
from realtime.core.clock import ManualClock
from realtime.core.errors import ChannelClosed, ConfigError, ModelMissing, StageError, VitascopeError
from realtime.core.frame import VIDEO_CLOCK, Frame, Stamp
from realtime.core.stage import StageContext
from tests.app import stages


def picture(seq: int, level: int = 10) -> Frame:
    return Frame(Stamp("test", seq, seq * 3000, VIDEO_CLOCK, 0), np.full((64, 64, 3), level, np.uint8))


@pytest.fixture
def house() -> Iterator[House]:
    one = House()
    yield one
    one.close()


def wired(house: House, stage: str = "Invert", **options: Any) -> Wiring:
    table = stages.registry(stage)
    context = StageContext("test", shared=house.shared)
    return listened(Wiring(stages.settings(table), table, house, context, **options))


def listened(wiring: Wiring) -> Wiring:
    """Subscribe to its output before anything goes in."""
    assert wiring.output is not None
    return wiring


def test_a_picture_goes_in_and_comes_out_painted(house: House) -> None:
    wiring = wired(house)
    assert wiring.engine() is None
    wiring.open()
    wiring.put(picture(0))
    result = wiring.output.get(timeout_s=5)
    assert (result.value.pixels == 245).all()
    assert result.stamp == picture(0).stamp
    assert wiring.engine() == {"name": "numpy", "why": "it is only a subtraction"}
    assert wiring.size_px() == 64
    figures = wiring.figures()
    assert set(figures) == {"age_p50_ms", "age_p95_ms", "fps", "repeated", "dropped", "wait_ms", "work_ms"}
    assert figures["age_p95_ms"] > 0
    wiring.close()
    with pytest.raises(ChannelClosed):
        wiring.put(picture(1))


def test_live_settings_act_on_the_next_picture(house: House) -> None:
    wiring = wired(house, changes={"strength": 0.0})
    wiring.open()
    wiring.put(picture(0))
    assert (wiring.output.get(timeout_s=5).value.pixels == 10).all()
    wiring.configure({"strength": 1, "prompt": "a fox"})
    wiring.put(picture(1))
    assert (wiring.output.get(timeout_s=5).value.pixels == 245).all()
    assert wiring.settings()["strength"] == 1.0
    assert wiring.settings()["prompt"] == "a fox"
    wiring.close()


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"strenght": 0.5}, "strenght", '"strength"'),
        ({"strength": 2}, "strength = 2", "inverts"),
        ({"strength": "much"}, "strength", "inverts"),
        ({"strength": float("nan")}, "strength", "inverts"),
        ({"strength": None}, "strength", "inverts"),
        ({"prompt": "x" * 10_000}, "prompt", "Words"),
        ({"prompt": 7}, "prompt", "Words"),
        ({"strength": 0.5, "size_px": 128}, "size_px applies after restart", "new session"),
    ],
)
def test_a_wrong_setting_is_a_sentence_and_changes_nothing(
    house: House, changes: dict[str, Any], message: str, hint: str
) -> None:
    wiring = wired(house)
    before = wiring.settings()
    with pytest.raises(ConfigError) as caught:
        wiring.configure({"prompt": "a fox", **changes})
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert len(caught.value.message) < 250
    assert wiring.settings() == before
    wiring.close()


def test_what_is_held_stays_while_it_runs_and_the_rest_may_change(house: House) -> None:
    wiring = wired(house, "Chooses", changes={"mask": "own.png"}, is_guest=True)
    wiring.configure({"strength": 0.5, "mask": "own.png"})
    with pytest.raises(ConfigError, match="at the server's own machine may set mask"):
        wiring.configure({"strength": 0.1, "mask": "/etc/other.png"})
    assert wiring.settings()["mask"] == "own.png"
    assert wiring.settings()["strength"] == 0.5
    free = wired(house, "Chooses")
    free.configure({"mask": "/etc/other.png"})
    assert free.settings()["mask"] == "/etc/other.png"


def test_a_setting_that_needs_a_restart_may_be_given_at_the_start(house: House) -> None:
    wiring = wired(house, changes={"size_px": 128})
    assert wiring.size_px() == 128
    wiring.configure({"size_px": 128, "strength": 0.25})  # the value that it has is no change
    assert wiring.settings()["strength"] == 0.25
    with pytest.raises(ConfigError, match="size_px"):
        wired(house, changes={"size_px": 10_000})
    wiring.close()


def test_the_output_must_give_pictures(house: House) -> None:
    with pytest.raises(ConfigError, match="gives str, not pictures"):
        wired(house, "Reads")


def test_two_nodes_in_a_row_undo_each_other(house: House) -> None:
    table = stages.registry("Invert", again="Invert")
    nodes = {
        "first": {"stage": "paint", "input": "source:video"},
        "second": {"stage": "again", "input": "first"},
    }
    settings = stages.settings(table, graph__nodes=nodes, graph__output="second")
    wiring = listened(Wiring(settings, table, house, StageContext("test", shared=house.shared)))
    wiring.open()
    wiring.put(picture(0))
    assert (wiring.output.get(timeout_s=5).value.pixels == 10).all()
    assert set(wiring.snapshot()) == {"first", "second"}
    wiring.close()


def test_pictures_that_come_while_it_paints_are_forgotten_but_the_newest(house: House) -> None:
    stages.Slow.gate = stages.Gate()
    wiring = wired(house, "Slow")
    wiring.open()
    wiring.put(picture(0))
    assert stages.Slow.gate.arrived.wait(5)
    for seq in range(1, 6):
        wiring.put(picture(seq))
    stages.Slow.gate.release.set()
    seqs = [wiring.output.get(timeout_s=5).stamp.seq]
    while seqs[-1] != 5:
        seqs.append(wiring.output.get(timeout_s=5).stamp.seq)
    assert seqs in ([0, 5], [5])
    assert wiring.figures()["dropped"] >= 4
    wiring.close()


def test_closing_lets_what_is_in_flight_come_out(house: House) -> None:
    wiring = wired(house, "Delayed", live=False)
    wiring.open()
    for seq in range(2):
        wiring.put(picture(seq))
    seqs: list[int] = []
    reader = threading.Thread(target=lambda: seqs.extend(r.stamp.seq for r in taken(wiring.output)))
    reader.start()
    assert wiring.close(5.0)
    reader.join(5)
    assert seqs == [0, 1]


def taken(channel: Channel[Any]) -> Iterator[Any]:
    while True:
        try:
            yield channel.get(timeout_s=10)
        except ChannelClosed:
            return


def test_closing_while_it_opens_does_not_wait_and_leaves_nothing(house: House) -> None:
    stages.OpensSlowly.gate = stages.Gate()
    stages.OpensSlowly.closed.clear()
    wiring = wired(house, "OpensSlowly")
    opener = threading.Thread(target=wiring.open)
    opener.start()
    assert stages.OpensSlowly.gate.arrived.wait(5)
    wiring.close(5.0)
    assert opener.is_alive()
    stages.OpensSlowly.gate.release.set()
    opener.join(5)
    assert not opener.is_alive()
    assert stages.OpensSlowly.closed.is_set()
    with pytest.raises(ChannelClosed):
        wiring.output.get(timeout_s=1)


def test_a_missing_model_comes_out_of_open_with_its_command(house: House) -> None:
    wiring = wired(house, "NoModel")
    with pytest.raises(ModelMissing, match="models fetch fox"):
        wiring.open()
    wiring.close()


def test_trying_out_raises_what_the_stage_raises(house: House) -> None:
    good, bad = wired(house), wired(house, "Fails")
    good.open()
    good.try_out()
    bad.open()
    bad.try_out()  # its first picture is not the third
    bad.put(picture(3))
    assert isinstance(bad.output.get(timeout_s=5).error, StageError)
    good.close()
    bad.close()


# The house ------------------------------------------------------------------------------------------------


def test_two_who_ask_at_once_get_one_object() -> None:
    house = House(ManualClock())
    gate, made, got = stages.Gate(), [], []

    def make() -> object:
        gate()
        made.append(object())
        return made[-1]

    threads = [threading.Thread(target=lambda: got.append(house.shared("engine", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert gate.arrived.wait(5)
    gate.release.set()
    for thread in threads:
        thread.join(5)
    assert len(made) == 1
    assert got == made * 4
    house.close()


def test_a_failed_make_is_not_kept() -> None:
    house = House()

    def fail() -> None:
        raise ModelMissing("not here")

    with pytest.raises(ModelMissing):
        house.shared("engine", fail)
    assert house.shared("engine", lambda: "engine") == "engine"
    assert house.shared("engine", fail) == "engine"
    house.close()


def test_making_one_may_ask_for_another_and_all_are_closed_newest_first() -> None:
    closed: list[str] = []

    class Engine:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

    house = House()
    house.shared("vae", lambda: Engine("vae"))
    house.shared("painter", lambda: (house.shared("unet", lambda: Engine("unet")), Engine("painter"))[1])
    house.close()
    house.close()
    assert closed == ["painter", "unet", "vae"]
    with pytest.raises(VitascopeError):
        house.shared("late", lambda: 1)
