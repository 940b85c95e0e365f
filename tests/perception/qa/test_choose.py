"""The engine that settings name is the one that answers, or it is said what is missing."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest

from perception.qa.config import AnswerConfig
from perception.qa.desk import Desk, Reply
from perception.qa.events.memory import EventMemory
from perception.qa.kv.options import TOKEN_MEMORIES
from perception.qa.kv.strategies import NAMES
from perception.qa.stage import AnswerStage
from realtime.core.errors import ConfigError, ModelMissing
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext
from tests.perception.qa.notebook import PATIENCE_S

TICK_NS = 250_000_000
RED, GREY = np.array([214, 44, 40], np.uint8), np.uint8(60)


def opened(**how: object) -> AnswerStage:
    stage = AnswerStage()
    stage.configure(AnswerConfig(**how))  # type: ignore[arg-type]
    stage.open(StageContext("test"))
    return stage


def answered(desk: Desk, question: str) -> Reply:
    is_final, heard = threading.Event(), list[Reply]()

    def hear(reply: Reply) -> None:
        heard.append(reply)
        if reply.is_final:
            is_final.set()

    desk.ask(question, hear)
    assert is_final.wait(PATIENCE_S)
    return heard[-1]


def square(seq: int) -> Frame:
    """Return a picture of a red square on grey while `seq` is 4 to 9, of grey at all other times."""
    pixels = np.full((48, 48, 3), GREY, np.uint8)
    pixels += np.random.default_rng(seq).integers(0, 16, pixels.shape, np.uint8)
    if 4 <= seq < 10:
        pixels[18:30, 18:30] = RED
    return Frame(Stamp("drawn", seq, seq, Fraction(1, 4), (seq + 1) * TICK_NS), pixels)


def test_every_way_of_remembering_can_be_named() -> None:
    for name in (*NAMES, *TOKEN_MEMORIES):
        assert AnswerConfig(memory=name).memory == name  # type: ignore[arg-type]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ConfigError, match="No server is named"):
        opened(engine="server")
    with pytest.raises(ConfigError, match="No video model is named"):
        opened(engine="model")
    with pytest.raises(ModelMissing) as caught:
        opened(engine="model", model="hub:nobody/nothing", apart=False)
    assert caught.value.hint


def test_a_server_gets_what_the_events_know_beside_it() -> None:
    stage = opened(engine="server", url="http://127.0.0.1:9/v1")
    assert stage.desk is not None
    assert stage.desk.engine.card.kind == "server"
    assert isinstance(stage.desk.events, EventMemory)
    stage.desk.push(square(0))
    told = answered(stage.desk, "what is there?").told(0)  # nobody listens on that port
    assert "127.0.0.1:9" in told["error"]
    assert told["hint"]
    stage.close()


def test_the_watcher_sees_what_was_there_and_names_the_moment() -> None:
    stage = opened(engine="watcher", apart=False)
    desk = stage.desk
    assert desk is not None
    assert desk.engine.card.kind == "demo model"
    for seq in range(16):
        stage.process(square(seq))
    reply = answered(desk, "what colour was the square ?")
    assert reply.answer is not None, reply.error
    assert (reply.answer.text, reply.answer.engine) == ("red", "watcher")
    shown = [moment.at_ns // TICK_NS - 1 for moment in reply.answer.moments]
    assert any(4 <= seq < 10 for seq in shown)
    assert all(desk.picture(moment.picture) for moment in reply.answer.moments if moment.picture is not None)
    absent = answered(desk, "what colour was the star ?").answer
    assert absent is not None
    assert (absent.text, absent.observed) == ("none", False)
    desk.forget()
    assert answered(desk, "what colour was the square ?").answer.observed is False  # type: ignore[union-attr]
    stage.close()
