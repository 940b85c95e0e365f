"""An engine in a process of its own does what it does here, and its death is told."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from perception.qa.apart import ApartEngine
from perception.qa.base import Answer
from realtime.core.errors import EngineError
from realtime.core.lane import NICENESS
from tests.perception.qa.notebook import Notebook, frame


def failing() -> Notebook:
    raise EngineError("No such model.", hint="Fetch it.")


class Thinking(Notebook):
    """Begin an answer and never end it."""

    def ask(self, text: str, memory: Any) -> Iterator[Answer]:
        yield Answer("Well,", "notebook", 0, is_final=False)
        threading.Event().wait()


@pytest.fixture(scope="module")
def engine() -> Iterator[ApartEngine]:
    one = ApartEngine(Notebook)
    yield one
    one.close()
    one.close()


def heard(engine: ApartEngine, text: str, at_ns: int) -> None:
    engine.note({"type": "heard", "text": text}, at_ns)


def test_it_watches_and_answers_in_parts_from_the_snapshot(engine: ApartEngine) -> None:
    assert engine.card.name == "notebook"
    engine.push_frame(frame(0))
    heard(engine, "a", 1)
    heard(engine, "cup", 2)
    memory = engine.snapshot()
    heard(engine, "later", 3)
    parts = list(engine.ask("what?", memory))
    assert [one.text for one in parts] == ["a", "a cup"]
    assert parts[-1].is_final
    assert engine.picture(7) == b"jpeg"
    assert engine.picture(8) is None
    assert engine.forget(2, 3) == 1
    assert next(reversed(list(engine.ask("what?", engine.snapshot())))).text == "a later"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads a priority of their own")
def test_what_writes_and_thinks_there_has_what_others_leave_of_a_core(engine: ApartEngine) -> None:
    engine.push_frame(frame(1))
    list(engine.ask("what?", engine.snapshot()))
    reader = engine._child.pid or 0
    threads = [int(name) for name in os.listdir(f"/proc/{reader}/task")]
    policies = {thread: os.sched_getscheduler(thread) for thread in threads}
    assert list(policies.values()).count(os.SCHED_IDLE) >= 2  # the writer, and who was asked
    assert policies[reader] == os.SCHED_OTHER  # or a picture on its way would hold up whoever sends it
    nicer = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS["answer"]
    assert os.getpriority(os.PRIO_PROCESS, reader) == min(nicer, 19)


def test_what_fails_there_is_raised_here_with_its_words(engine: ApartEngine) -> None:
    with pytest.raises(EngineError, match="It failed") as caught:
        list(engine.ask("fail", engine.snapshot()))
    assert caught.value.hint == "Ask otherwise."
    with pytest.raises(EngineError, match="RuntimeError: broken"):
        heard(engine, "break", 0)
    with pytest.raises(EngineError, match="No such model"):
        ApartEngine(failing)


def test_when_its_process_dies_whoever_waits_is_told() -> None:
    engine = ApartEngine(Thinking)
    parts = engine.ask("what?", engine.snapshot())
    assert next(parts).text == "Well,"
    os.kill(engine._child.pid or 0, signal.SIGKILL)
    with pytest.raises(EngineError, match="has ended"):
        next(parts)
    with pytest.raises(EngineError, match=r"exit code -9"):
        engine.push_frame(frame(1))
    engine.close()
