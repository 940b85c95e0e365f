"""A server is sent the right pictures in the right order; what it says is told as it comes, faults too."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from perception.qa.base import Answer, Moment
from perception.qa.server import ServerEngine
from perception.qa.server_chat import Chat
from perception.qa.server_config import KEY_VARIABLE, ServerConfig, base_url
from perception.qa.server_frames import Kept
from perception.qa.server_pick import pick
from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError, EngineError
from realtime.core.frame import Frame
from tests.perception.qa.stub_server import KEY, Stub, event, serving
from tests.vocabulary import make_stamp


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


@pytest.fixture
def stub(server: Stub) -> Iterator[Stub]:
    fresh = Stub(server.url)
    for name in ("asked", "keys", "statuses", "pieces", "kind", "models"):
        setattr(server, name, getattr(fresh, name))
    server.go_on.set()
    return server


def frame(second: float, level: int) -> Frame:
    pixels = np.full((48, 64, 3), level, np.uint8)
    return Frame(make_stamp(int(second * 10), captured_ns=int((100 + second) * NS_PER_S)), pixels)


def engine_of(
    url: str, levels: Sequence[int] = (), *, waits: list[float] | None = None, tries: int = 3, **more: Any
) -> ServerEngine:
    """Return an engine that saw a plain picture of each level, a second apart; it only notes its waits."""
    settings = {"model": "tiny-vl", **more.pop("settings", {})}
    config = ServerConfig(url=url, **settings)
    slept: Callable[[float], object] = (waits if waits is not None else []).append
    chat = Chat(base_url(url), KEY, config.silent_s, config.answer_s, tries, sleep=slept)
    engine = ServerEngine(config, chat=chat, environ={}, **more)
    for second, level in enumerate(levels):
        engine.push_frame(frame(second, level))
    return engine


def answers(engine: ServerEngine, text: str = "What is there?") -> list[Answer]:
    return list(engine.ask(text, engine.snapshot()))


LEVELS = [20, 60, 100, 140, 180, 220]


def test_a_question_goes_out_with_pictures_in_order_and_comes_back_piece_by_piece(stub: Stub) -> None:
    engine = engine_of(stub.url, LEVELS)
    stub.go_on.clear()
    coming = engine.ask("What is there?", engine.snapshot())
    first = next(coming)
    assert (first.text, first.is_final, first.engine) == (
        "A blue sq",
        False,
        "server",
    )  # the rest is not sent yet
    stub.go_on.set()
    *_, last = coming
    assert last == Answer(
        "A blue squäre [2].", "server", 105 * NS_PER_S,
        (Moment(102 * NS_PER_S, until_ns=102 * NS_PER_S, picture=2),), True, 0.5,
    )  # fmt: skip
    asked = stub.asked[0]
    assert (asked["model"], asked["stream"], asked["temperature"]) == ("tiny-vl", True, 0)
    assert "I did not see that" in asked["messages"][0]["content"]
    assert stub.pictures() == LEVELS
    assert stub.words() == [
        *(f"Picture {n}, at 0:00:0{n}:" for n in range(6)), "It is now 0:00:05. What is there?"
    ]  # fmt: skip
    assert stub.keys == [f"Bearer {KEY}"]
    assert engine.picture(2) is not None
    assert engine.card.model == "tiny-vl"
    engine.close()
    engine.close()


def test_the_same_picture_is_the_same_bytes_in_another_question(stub: Stub) -> None:
    engine = engine_of(stub.url, LEVELS, settings={"images": 4, "frame_ids": True})
    answers(engine)
    engine.push_frame(frame(9, 250))
    answers(engine, "And now?\ud800")
    first, second = (
        {part["uuid"]: part["image_url"]["url"] for part in body["messages"][1]["content"] if "uuid" in part}
        for body in stub.asked
    )
    assert len(first) == len(second) == 4
    assert set(first) & set(second)
    assert all(first[name] == second[name] for name in set(first) & set(second))
    assert stub.pictures(1)[-1] == 250
    assert stub.words(1)[-1] == "It is now 0:00:09. And now??"


def test_what_looks_alike_is_kept_once_and_lasts_and_too_many_leave(stub: Stub) -> None:
    engine = engine_of(stub.url, [50] * 10 + [200] * 5)
    before = engine.snapshot()
    engine.push_frame(frame(15, 200))
    answers(engine)
    assert stub.pictures() == [50, 200]
    stub.pieces = [event("No picture helps.", "stop")]
    *_, last = engine.ask("?", before)
    spans = [(one.at_ns // NS_PER_S - 100, one.until_ns // NS_PER_S - 100) for one in last.moments]
    assert spans == [(0, 9), (10, 14)]  # as of the moment it was asked about
    random = np.random.default_rng(0)
    small = engine_of(stub.url, settings={"keep_mib": 0.05, "every_s": 0.0})
    for number in range(60):
        pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        small.push_frame(Frame(make_stamp(number), pixels))
    kept = small.snapshot().kept
    assert 5 < len(kept) < 40
    assert sum(len(one.jpeg) for one in kept) <= 0.05 * 2**20
    assert kept[-1].number == 59


class Sees:
    """Embed plain pictures by their level, and a question that names one by that."""

    def picture(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        angle = float(pixels.mean()) / 100
        return np.array([np.cos(angle), np.sin(angle)])

    def words(self, text: str) -> np.ndarray[Any, Any]:
        return self.picture(np.array([float(text)])) if text.isdigit() else np.zeros(2)


def test_pictures_are_found_by_words_by_known_moments_and_by_being_new(stub: Stub) -> None:
    levels = [10, 30] * 20 + [90] + [10, 30] * 20 + [200] + [10, 30] * 20
    settings = {"images": 4, "recent": 1}
    by_words = engine_of(stub.url, levels, settings=settings, embedder=Sees())
    answers(by_words, "90")
    assert 90 in stub.pictures()
    assert 200 not in stub.pictures()
    assert stub.pictures()[-1] == 30
    known = [Moment(at_ns=181 * NS_PER_S), Moment(at_ns=999 * NS_PER_S)]  # the second: later than is known
    by_moments = engine_of(stub.url, levels, settings={**settings, "images": 2}, moments=lambda text: known)
    answers(by_moments)
    assert stub.pictures() == [200, 30]
    by_news = engine_of(stub.url, levels, settings={"images": 6, "recent": 1}, embedder=Sees())
    answers(by_news, "no number, so no embedding")
    assert {90, 200} <= set(stub.pictures())
    answers(by_news, "no number, so no embedding")
    assert stub.asked[-1] == stub.asked[-2]


def test_the_choice_is_bounded_in_order_of_time_and_spread_where_nothing_is_known() -> None:
    kept = [Kept(n, n, n, b"x", 1.0) for n in range(100)]
    assert [one.number for one in pick(kept, 1, 5)] == [99]
    assert pick([], 4, 2) == []
    for count in (3, 8, 64):
        numbers = [one.number for one in pick(kept, count, 2)]
        assert len(numbers) == count
        assert numbers == sorted(numbers)
    flat = [Kept(n, n, n, b"x", 0.0) for n in range(9)]
    assert [one.number for one in pick(flat, 20, 0)] == list(range(9))


def test_forgotten_pictures_are_sent_no_more_also_for_an_older_snapshot(stub: Stub) -> None:
    engine = engine_of(stub.url, LEVELS)
    before = engine.snapshot()
    assert engine.forget(101 * NS_PER_S, 103 * NS_PER_S) == 2
    assert engine.picture(1) is None
    list(engine.ask("?", before))
    assert stub.pictures() == [20, 140, 180, 220]
    assert engine.forget() == 4
    asked = len(stub.asked)
    for memory in (before, engine.snapshot()):
        (only,) = engine.ask("?", memory)
        assert (only.observed, only.is_final, only.moments) == (False, True, ())
        assert "I did not see that" in only.text
    assert len(stub.asked) == asked  # nothing was sent


def test_not_seen_and_how_sure_are_read_from_the_answer(stub: Stub) -> None:
    stub.pieces = [event("I did not see that.", "stop"), b"data: [DONE]\n\n"]
    *_, last = answers(engine_of(stub.url, LEVELS))
    assert (last.observed, last.moments) == (False, ())
    stub.kind = "application/json"
    stub.pieces = [
        b'{"choices": [{"message": {"content": "Red."}, "finish_reason": "length", "logprobs": {"content": '
        b'[{"logprob": -0.1}, {"logprob": -0.3}]}}]}'
    ]
    *_, last = answers(engine_of(stub.url, LEVELS))
    assert last.text == "Red. …"
    assert last.confidence == pytest.approx(np.exp(-0.2))
    assert len(last.moments) == 6


REFUSALS = [
    (401, f'{{"error": {{"message": "Incorrect key {KEY}"}}}}', "refused the key", True),
    (404, '{"error": {"message": "no tiny-vl here"}}', r"no tiny-vl here.*It serves: tiny-vl, other", True),
    (400, '{"message": "too many images"}', "refused the question .400: too many images", True),
    (307, "", "sends on elsewhere", True),
    (429, '{"detail": "slow down"}', "too busy .429: slow down", False),
    (503, "<html>bad\ngateway</html>", "failed .503: <html>bad gateway", False),
]


@pytest.mark.parametrize(("status", "text", "told", "permanent"), REFUSALS)
def test_a_refusal_is_told_in_words_and_only_what_may_pass_is_tried_again(
    stub: Stub, status: int, text: str, told: str, permanent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    engine = engine_of(stub.url, LEVELS[:1], waits=waits)
    stub.statuses = [(status, {}, text)] * 3
    with caplog.at_level(logging.DEBUG), pytest.raises(EngineError, match=told) as caught:
        answers(engine)
    assert caught.value.permanent is permanent
    assert caught.value.hint
    assert waits == ([] if permanent else [0.5, 1.0])
    assert len(stub.asked) == (1 if permanent else 3)
    everything = f"{caught.value} {caught.value!r} {caught.value.args} {caplog.text} {engine._chat!r}"
    assert KEY not in everything


def test_a_busy_server_is_asked_again_when_it_says(stub: Stub) -> None:
    waits: list[float] = []
    stub.statuses = [(429, {"retry-after": "2"}, ""), (503, {}, "")]
    *_, last = answers(engine_of(stub.url, LEVELS, waits=waits))
    assert last.text.startswith("A blue")
    assert waits == [2.0, 1.0]
    stub.statuses = [(429, {"retry-after": "3600"}, "")]
    with pytest.raises(EngineError, match="busy"):
        answers(engine_of(stub.url, LEVELS, waits=waits))
    assert len(waits) == 2


BROKEN = [
    ([event("A bl"), b"data: {nonsense\n\n", b"\n", b"\n"], "cannot be read"),
    ([event("A bl"), event("ue"), b"\n", b"\n"], "broke off after 6 characters"),
    ([event("A"), f'data: {{"error": "no memory {KEY}"}}\n\n'.encode(), b"\n", b"\n"], "no memory …"),
    ([b'data: {"choices": [7]}\n\n', b"\n", b"\n"], "cannot be read"),
    ([b"data: [DONE]\n\n"], "answered nothing"),
    ([b"x" * 3_000_000], "without end"),
]


@pytest.mark.parametrize(("pieces", "told"), BROKEN)
def test_a_stream_that_breaks_is_told_and_not_tried_again(stub: Stub, pieces: list[bytes], told: str) -> None:
    stub.pieces = pieces
    with pytest.raises(EngineError, match=told) as caught:
        answers(engine_of(stub.url, LEVELS))
    assert len(stub.asked) == 1
    assert KEY not in f"{caught.value!r} {caught.value.args}"


def test_a_server_that_is_away_silent_or_too_slow_is_told(stub: Stub) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # but nobody listens
        away = engine_of(f"http://127.0.0.1:{taken.getsockname()[1]}", LEVELS, waits=(waits := []))
        with pytest.raises(EngineError, match="cannot be reached"):
            answers(away)
    assert waits == [0.5, 1.0]
    stub.go_on.clear()
    silent = engine_of(stub.url, LEVELS)
    silent._chat.silent_s = 0.05
    with pytest.raises(EngineError, match=r"broke off in its answer .ReadTimeout"):
        answers(silent)
    stub.go_on.set()
    slow = engine_of(stub.url, LEVELS)
    times = iter([0.0, 1.0, 200.0, 400.0])
    slow._chat.clock_s = lambda: next(times)
    with pytest.raises(EngineError, match="longer than 180 s"):
        answers(slow)
    slow.close()
    with pytest.raises(EngineError, match="closed"):
        list(slow._chat.ask({}))


def test_the_first_model_is_taken_where_none_is_named(stub: Stub) -> None:
    engine = engine_of(stub.url, LEVELS, settings={"model": ""})
    answers(engine)
    assert stub.asked[0]["model"] == "tiny-vl"
    stub.models = ()
    with pytest.raises(EngineError, match="no model"):
        answers(engine_of(stub.url, LEVELS, settings={"model": ""}))


def test_the_address_is_checked_and_the_key_comes_from_settings_or_environment() -> None:
    assert base_url("http://host:8000") == base_url("http://host:8000/v1/") == "http://host:8000/v1"
    assert base_url("https://a.b/x/chat/completions") == "https://a.b/x"
    for wrong in ("host:8000", "ftp://host", "http://", "http://h/v1?x=1", "http://h:99999", "http://h/#a"):
        with pytest.raises(ConfigError):
            base_url(wrong)
    with pytest.raises(ConfigError, match=KEY_VARIABLE) as caught:
        base_url("http://me:secret@host")
    assert "secret" not in str(caught.value)
    assert ServerConfig().secret({KEY_VARIABLE: "a"}) == "a"
    assert ServerConfig(key="b").secret({KEY_VARIABLE: "a"}) == "b"  # type: ignore[arg-type]
    assert "b-key" not in repr(ServerConfig(key="b-key"))  # type: ignore[arg-type]
