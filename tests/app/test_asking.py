"""What a session is asked: by message, HTTP and voice; wishes; what goes into its memory and out of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app import events, taps
from app.asking import REPLIES_HELD, Asking
from app.bodies import FromClient
from app.manager import SessionManager
from app.server import build_app
from perception.asr.transcript import Transcript, Turn
from perception.qa.config import AnswerConfig
from perception.qa.desk import Desk
from perception.qa.events.memory import EventMemory
from perception.qa.wishes import HELD
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError, SessionError
from tests.app import stages
from tests.app.test_server import HOME
from tests.perception.qa.notebook import PATIENCE_S, Notebook

NODES = {"paint": {"stage": "paint"}, "answer": {"stage": "answer"}}


class Room:
    """Hold one desk, and what was told."""

    def __init__(self, events: EventMemory | None = None, **how: Any) -> None:
        self.clock = ManualClock(10**9)
        self._desk = Desk(Notebook(), self.clock, events=events)
        self._how = AnswerConfig(**how)
        self.told: list[events.Event] = []
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.asking = Asking(self, self._tell, self.clock)
        self.asking.begin()

    def desk(self) -> Desk:
        return self._desk

    def asked_how(self) -> AnswerConfig:
        return self._how

    def detected(self) -> tuple[str, ...]:
        return ("dog", "person")

    def _tell(self, event: events.Event) -> None:
        self.told.append(event)
        self._loop.call_soon_threadsafe(self._news.set)

    def hear(self, text: str) -> None:
        self.clock.advance(ms=1000)
        said = Transcript(Turn.END, 0, text, "", 0.0, 1.0, captured_ns=self.clock.now_ns())
        self.asking.note("heard", said.told(self.clock.now_ns()))
        assert self._desk.settle(PATIENCE_S)

    async def until(self, is_it: Callable[[events.Event], bool]) -> events.Event:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := [one for one in self.told if is_it(one)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def answer(self, question: str) -> events.Event:
        return await self.until(lambda one: one.get("final") is True and one["question"] == question)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    one = Room()
    yield one
    one.desk().close()


async def test_a_message_is_answered_and_what_is_wrong_with_it_is_told(room: Room) -> None:
    room.hear("hello")
    room.asking.take({"type": "ask", "question": "what was said?"})
    told = await room.answer("what was said?")
    assert (told["type"], told["text"], told["engine"]) == ("answer", "hello", "notebook")
    assert room.asking.replies()[-1]["text"] == "hello"
    room.asking.take({"type": "ask", "question": " "})
    assert room.told[-1]["error"] == "Nothing was asked."
    room.asking.take({"type": "cancel", "id": "x"})
    assert "cannot be read" in room.told[-1]["error"]


async def test_events_that_were_lost_are_among_the_figures(room: Room) -> None:
    room.hear("hello")
    assert room.asking.figures() == {}
    room.hear("break")
    assert room.asking.figures() == {"events_lost": 1}


async def test_what_is_said_after_the_phrase_is_asked_and_not_noted(room: Room) -> None:
    room.hear("One.")
    room.hear("Question, how many were there?")
    assert (await room.answer("how many were there?"))["text"] == "One."
    room.hear("Questionable.")
    room.hear("question")
    room.asking.take({"type": "ask", "question": "again"})
    assert (await room.answer("again"))["text"] == "One. Questionable. question"


async def test_after_the_button_the_next_words_are_the_question_for_a_while(room: Room) -> None:
    room.asking.take({"type": "ask-aloud"})
    room.hear("What is it?")
    await room.answer("What is it?")
    room.hear("This is told.")
    room.asking.take({"type": "ask-aloud"})
    room.clock.advance(ms=30_000)
    room.hear("This too.")
    room.asking.take({"type": "ask", "question": "all"})
    assert (await room.answer("all"))["text"] == "This is told. This too."


async def test_spoken_questions_can_be_switched_off() -> None:
    room = Room(spoken=False)
    room.hear("question what is it?")
    room.asking.take({"type": "ask", "question": "all"})
    assert (await room.answer("all"))["text"] == "question what is it?"
    room.desk().close()


async def test_a_wish_is_told_of_whenever_it_comes_true_until_it_is_taken_back() -> None:
    room = Room(EventMemory())
    wish = room.asking.ask("Tell me when somebody says fire")
    assert (wish["type"], wish["on"]) == ("wish", True)
    room.hear("The weather is fine.")
    room.hear("Fire in the hall!")
    alert = await room.until(lambda one: one["type"] == "alert")
    assert alert["id"] == wish["id"]
    assert "Fire in the hall!" in alert["says"]
    assert [one["id"] for one in room.asking.wishes()] == [wish["id"]]
    room.asking.take({"type": "unwatch", "id": wish["id"]})
    assert room.asking.wishes() == []
    room.clock.advance(ms=3_600_000)
    room.hear("Fire again!")
    assert sum(one["type"] == "alert" for one in room.told) == 1
    with pytest.raises(ConfigError):
        room.asking.ask("tell me when the stock market falls")
    for _ in range(HELD):
        room.asking.ask("tell me when somebody says fire")
    with pytest.raises(ConfigError, match="kept already"):
        room.asking.ask("tell me when somebody says fire")
    room.desk().close()


async def test_a_question_about_the_past_is_no_wish(room: Room) -> None:
    assert room.asking.ask("Tell me when the dog appeared")["type"] == "answer"
    with pytest.raises(ConfigError, match="Nothing watches"):
        room.asking.ask("let me know if a dog appears")


async def test_only_the_newest_replies_are_kept_and_forgetting_takes_them_too(room: Room) -> None:
    for k in range(REPLIES_HELD + 5):
        room.asking.ask(f"question {k}")
    await room.answer(f"question {REPLIES_HELD + 4}")
    assert len(room.asking.replies()) == REPLIES_HELD
    room.hear("hello")
    assert room.asking.forget() == 1
    assert room.asking.replies() == []


async def test_forgetting_the_last_hour_of_a_machine_that_just_started_leaves_what_is_older() -> None:
    memory = EventMemory()
    room = Room(memory)
    room.hear("Before the machine was started anew.")
    memory.note(Transcript(Turn.END, 0, "Yesterday.", "", 0.0, 1.0).told(0), -86_400 * 10**9)
    room.asking.forget(3600.0)
    said = next(iter(memory.ask("What was said?", memory.snapshot()))).text
    assert "machine" not in said
    assert "Yesterday" in said
    room.desk().close()


def test_where_nothing_answers_that_is_said() -> None:
    class Nothing:
        def desk(self) -> None: ...

        def asked_how(self) -> AnswerConfig:
            return AnswerConfig()

        def detected(self) -> tuple[str, ...]:
            return ()

    told: list[events.Event] = []
    asking = Asking(Nothing(), told.append, ManualClock())
    asking.begin()
    with pytest.raises(SessionError, match="Nothing answers"):
        asking.ask("what?")
    asking.note("heard", {"text": "question what?", "turn": "end"})
    assert told == []
    assert asking.card() is None


def test_growing_answers_are_momentary_and_final_ones_belong_into_a_record() -> None:
    noted: list[bool] = []
    tap = taps.Taps()
    tap.listen(event=lambda kind, what: noted.append(what["final"]))
    for final in (False, True):
        event = {"type": "answer", "final": final}
        assert events.is_momentary(event) == (not final)
        tap.hear(event)
    assert noted == [True]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with serving("Asks") as client:
        yield client


@asynccontextmanager
async def serving(answers: str) -> AsyncIterator[httpx.AsyncClient]:
    table = stages.registry("Invert", answer=answers)
    app = build_app(stages.settings(table, graph__nodes=NODES), table, page=False)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 5000))
        async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
            client.manager = app.state.studio.manager  # type: ignore[attr-defined]
            yield client


async def opened(http: httpx.AsyncClient) -> str:
    """Return the path of a session that is open."""
    body = {"source": {"kind": "pattern", "width_px": 64, "height_px": 64}}
    made: str = (await http.post("/api/sessions", json=body)).json()["id"]
    manager: SessionManager = http.manager  # type: ignore[attr-defined]
    is_ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    detach = manager.get(made).outbox.attach(
        lambda event: loop.call_soon_threadsafe(is_ready.set) if event["type"] == "ready" else None
    )
    async with asyncio.timeout(PATIENCE_S):
        await is_ready.wait()
    detach()
    return f"/api/sessions/{made}"


async def test_over_http_one_asks_waits_streams_watches_and_forgets(http: httpx.AsyncClient) -> None:
    path = await opened(http)
    session = http.manager.get(path.rpartition("/")[2])  # type: ignore[attr-defined]
    for word in ("a", "cup"):
        session.outbox.put({"type": "heard", "turn": "end", "text": word})
    assert session.wiring.desk().settle(PATIENCE_S)
    answer = await http.post(f"{path}/questions", json={"question": "what?"})
    assert answer.status_code == 200
    assert (answer.json()["text"], answer.json()["final"]) == ("a cup", True)
    streamed = await http.post(f"{path}/questions", json={"question": "what?", "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    parts = [json.loads(line[6:]) for line in streamed.text.splitlines() if line]
    assert [one["text"] for one in parts] == ["", "a", "a cup"]
    listed = (await http.get(f"{path}/questions")).json()
    assert [one["text"] for one in listed["answers"]] == ["a cup", "a cup"]
    assert listed["engine"]["name"] == "notebook"

    picture = await http.get(f"{path}/pictures/7")
    assert (picture.headers["content-type"], picture.content) == ("image/jpeg", b"jpeg")
    assert (await http.get(f"{path}/pictures/8")).status_code == 404
    assert (await http.delete(f"{path}/memory")).json() == {"forgotten": 2}
    assert (await http.get(f"{path}/questions")).json()["answers"] == []
    assert (await http.post(f"{path}/questions", json={"question": " "})).status_code == 422


async def test_over_http_one_wishes_and_takes_it_back() -> None:
    async with serving("Watches") as http:
        path = await opened(http)
        wish = (await http.post(f"{path}/questions", json={"question": "tell me when a dog appears"})).json()
        assert "a dog" in wish["says"]
        assert [one["id"] for one in (await http.get(f"{path}/questions")).json()["wishes"]] == [wish["id"]]
        assert (await http.delete(f"{path}/wishes/{wish['id']}")).status_code == 204
        assert (await http.delete(f"{path}/wishes/{wish['id']}")).status_code == 404
        told = await http.post(f"{path}/questions", json={"question": "tell me when a unicorn appears"})
        assert told.status_code == 422
        assert "unicorn" in told.json()["error"]["message"]


async def test_one_who_does_not_wait_gets_the_answer_later(http: httpx.AsyncClient) -> None:
    path = await opened(http)
    session = http.manager.get(path.rpartition("/")[2])  # type: ignore[attr-defined]
    notebook = session.wiring.desk().engine
    notebook.may_answer.clear()
    begun = (await http.post(f"{path}/questions", json={"question": "what?", "wait_s": 0})).json()
    assert (begun["final"], begun["text"]) == (False, "")
    is_told, loop = asyncio.Event(), asyncio.get_running_loop()
    session.outbox.attach(
        lambda event: loop.call_soon_threadsafe(is_told.set) if event.get("final") else None
    )
    notebook.may_answer.set()
    async with asyncio.timeout(PATIENCE_S):
        await is_told.wait()
    assert (await http.get(f"{path}/questions")).json()["answers"][0]["observed"] is False


async def test_a_graph_that_answers_keeps_painting_and_ends_in_order() -> None:
    table = stages.registry("Invert", answer="Asks")
    manager = SessionManager(stages.settings(table, graph__nodes=NODES), table)
    session = await manager.create(FromClient(), is_local=True)
    await manager.close_all()
    assert session.wiring.desk() is None
    with pytest.raises(SessionError):
        session.asking.ask("what?")
