"""The desk: questions neither wait for pictures nor hold them up, and each gets an answer or a reason."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from perception.qa.desk import MAX_CHARS, Desk, Reply
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, SessionError
from tests.perception.qa.notebook import PATIENCE_S, Notebook, frame


class Ear:
    """Hear the parts of replies, and wait for the final ones."""

    def __init__(self) -> None:
        self.parts: list[Reply] = []
        self._changed = threading.Condition()

    def __call__(self, reply: Reply) -> None:
        with self._changed:
            self.parts.append(reply)
            self._changed.notify_all()

    def finals(self, count: int = 1) -> list[Reply]:
        def found() -> list[Reply]:
            return [one for one in self.parts if one.is_final]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, PATIENCE_S)
            return found()


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000_000)


@pytest.fixture
def desk(notebook: Notebook, clock: ManualClock) -> Iterator[Desk]:
    one = Desk(notebook, clock, at_once=2)
    yield one
    notebook.may_push.set()
    notebook.may_answer.set()
    one.close()


def note(desk: Desk, *words: str) -> None:
    for word in words:
        desk.note({"type": "heard", "text": word})
    assert desk.settle(PATIENCE_S)


def test_an_answer_grows_and_carries_engine_time_and_moments(desk: Desk) -> None:
    ear = Ear()
    note(desk, "a", "cup")
    reply = desk.ask("  what \n was it? ", ear)
    assert reply.question == "what was it?"
    assert not reply.is_final
    (final,) = ear.finals()
    assert [one.answer.text for one in ear.parts if one.answer] == ["a", "a cup"]
    told = final.told(3_000_000_000)
    assert told["engine"] == "notebook"
    assert told["text"] == "a cup"
    assert told["known_ago_s"] == 2.0
    assert [one["says"] for one in told["moments"]] == ["a", "cup"]
    assert [one["ago_s"] for one in told["moments"]] == [2.0, 2.0]
    assert desk.waiting == 0


def test_a_question_sees_the_moment_that_it_was_asked_in(desk: Desk, notebook: Notebook) -> None:
    ear = Ear()
    note(desk, "before")
    notebook.may_answer.clear()
    desk.ask("what?", ear)
    note(desk, "after")
    notebook.may_answer.set()
    assert ear.finals()[0].answer.text == "before"  # type: ignore[union-attr]


def test_a_question_does_not_wait_for_a_picture(desk: Desk, notebook: Notebook) -> None:
    ear = Ear()
    note(desk, "word")
    notebook.may_push.clear()
    pushing = threading.Thread(target=desk.push, args=(frame(0),))
    pushing.start()
    assert notebook.pushing.wait(PATIENCE_S)
    desk.ask("what?", ear)
    assert ear.finals()[0].answer.text == "word"  # type: ignore[union-attr]
    assert pushing.is_alive()
    notebook.may_push.set()
    pushing.join(PATIENCE_S)
    assert notebook.frames == (0,)


def test_pictures_and_events_do_not_wait_for_answers_and_several_are_worked_on_at_once(
    desk: Desk, notebook: Notebook
) -> None:
    ear = Ear()
    notebook.may_answer.clear()
    for _ in range(2):
        desk.ask("what?", ear)
    for _ in range(2):
        assert notebook.answering.acquire(timeout=PATIENCE_S)
    desk.push(frame(0))
    note(desk, "word")
    assert notebook.frames == (0,)
    assert [word for word, _ in notebook.words] == ["word"]
    assert not any(one.answer for one in ear.parts)
    notebook.may_answer.set()
    ear.finals(2)


def test_a_thousand_questions_wait_and_the_one_too_many_is_told_so(notebook: Notebook) -> None:
    desk = Desk(notebook, ManualClock(), at_once=1, waiting=1000)
    ear = Ear()
    notebook.may_answer.clear()
    desk.ask("first", ear)
    assert notebook.answering.acquire(timeout=PATIENCE_S)
    for _ in range(1000):
        desk.ask("what?", ear)
    with pytest.raises(SessionError, match="1000 questions wait already"):
        desk.ask("one too many", ear)
    notebook.may_answer.set()
    replies = ear.finals(1002)
    assert len({one.id for one in replies}) == 1002
    assert [one.question for one in replies if one.answer is None] == ["one too many"]
    desk.close()


def test_what_fails_or_breaks_is_told_and_the_next_question_is_answered(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    note(desk, "break", "word")  # an event that cannot be noted is lost, and counted
    assert desk.lost == 1
    desk.ask("fail", ear)
    assert ear.finals(1)[0].told(0)["error"] == "It failed."
    desk.ask("break", ear)
    broken = ear.finals(2)[1].told(0)
    assert "RuntimeError" in broken["error"]
    assert "log" in broken["hint"]
    desk.ask("what?", ear)
    assert ear.finals(3)[2].answer.text == "word"  # type: ignore[union-attr]
    assert "could not be answered" in caplog.text


def test_what_cannot_be_a_question_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="Nothing was asked"):
        desk.ask(" \n", Ear())
    with pytest.raises(ConfigError, match=str(MAX_CHARS + 1)):
        desk.ask("x" * (MAX_CHARS + 1), Ear())


def test_a_question_can_be_taken_back(desk: Desk, notebook: Notebook) -> None:
    ear = Ear()
    note(desk, "a", "b")
    notebook.may_answer.clear()
    reply = desk.ask("what?", ear)
    assert desk.cancel(reply.id)
    notebook.may_answer.set()
    assert ear.finals()[0].cancelled
    assert not desk.cancel(reply.id)


def test_forgetting_deletes_the_span_and_what_waits_to_be_noted(
    desk: Desk, notebook: Notebook, clock: ManualClock
) -> None:
    for at_s in (1, 2, 3):
        note(desk, str(at_s))
        clock.advance(ms=1000)
    assert desk.forget(2 * 10**9, 3 * 10**9) == 1
    assert [word for word, _ in notebook.words] == ["1", "3"]
    notebook.may_push.clear()
    pushing = threading.Thread(target=desk.push, args=(frame(0),))
    pushing.start()
    assert notebook.pushing.wait(PATIENCE_S)
    desk.note({"type": "heard", "text": "secret"})
    forgetting = threading.Thread(target=desk.forget)
    forgetting.start()
    assert desk.settle(PATIENCE_S)  # it waits no more, also if its turn had come
    notebook.may_push.set()
    for thread in (pushing, forgetting):
        thread.join(PATIENCE_S)
    assert desk.settle(PATIENCE_S)
    assert notebook.words == ()


def test_at_the_end_those_who_wait_are_told(notebook: Notebook) -> None:
    desk = Desk(notebook, ManualClock(), at_once=1)
    ear = Ear()
    note(desk, "word")
    notebook.may_answer.clear()
    for _ in range(3):
        desk.ask("what?", ear)
    closing = threading.Thread(target=desk.close)
    closing.start()
    notebook.may_answer.set()
    closing.join(PATIENCE_S)
    assert all(one.cancelled or one.answer for one in ear.finals(3))
    assert notebook.is_closed
    with pytest.raises(SessionError, match="has ended"):
        desk.ask("what?", ear)
    desk.close()
