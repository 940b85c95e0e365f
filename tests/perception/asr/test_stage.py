"""Sound goes in, turns come out: all of the speech is heard once, late or not, and nothing that is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from perception.asr.config import HearConfig
from perception.asr.recognizers import choose
from perception.asr.stage import HearStage
from perception.asr.transcript import Transcript, Turn
from realtime.core.clock import ManualClock
from realtime.core.errors import ConfigError
from realtime.core.frame import AudioChunk
from realtime.core.stage import StageContext
from tests.perception.asr.speech import Reader, Sure, chunks, script


def stage_with(
    live: Reader, final: Reader | None = None, ctx: StageContext | None = None, **settings: Any
) -> HearStage:
    made = {"moonshine": live, "whisper": final}
    stage = HearStage(lambda name, model, shared: made[name], Sure())  # type: ignore[return-value,arg-type]
    finals = "same" if final is None else "whisper"
    stage.configure(HearConfig(engine="moonshine", finals=finals, **settings))
    stage.open(ctx or StageContext())
    return stage


def told(stage: HearStage, sound: Iterable[AudioChunk]) -> list[Transcript]:
    return [one.value for chunk in sound for one in stage.process(chunk)]


def finals(found: list[Transcript]) -> list[str]:
    return [one.text for one in found if one.is_final]


def test_an_utterance_begins_grows_and_ends() -> None:
    found = told(stage_with(Reader()), chunks(script(1.0, "a", "b", "c", 1.5)))
    assert (found[0].turn, found[-1].turn, found[-1].text) == (Turn.START, Turn.END, "a b c")
    assert Turn.EAGER_END in {one.turn for one in found}
    assert found[0].begin_s == pytest.approx(1.0 - 0.4, abs=0.04)
    assert found[-1].end_s == pytest.approx(4.0 + 0.2, abs=0.07)
    stands = [one.text for one in found if not one.is_final]
    assert all(after.startswith(before) for before, after in pairwise(stands))
    assert {one.text for one in found if one.turn is Turn.UPDATE} >= {"a", "a b"}
    assert all(one.utterance == 0 and one.engine == "reader" for one in found)


def test_the_same_word_on_both_sides_of_an_end_is_heard_twice_and_a_sound_never() -> None:
    reader = Reader()
    found = told(stage_with(reader), chunks(script(0.5, "a", "b", 1.0, "b", "c", 0.9, "c", 1.0)))
    assert finals(found) == ["a b", "b c", "c"]
    assert [one.before for one in found if one.turn is Turn.START] == ["", "a b", "b c"]
    assert sum((part > 0.05).sum() for part in reader.heard) == len(script("a", "b", "b", "c", "c")) * 512


def test_the_first_sound_after_a_silence_is_heard_whole() -> None:
    reader = Reader()
    told(stage_with(reader), chunks(script(5.0, "a", 1.0)))
    (heard,) = reader.heard
    assert (heard > 0.05).sum() == len(script("a")) * 512
    assert (heard[:4096] == 0).all()  # and what came just before it


def test_speech_without_a_pause_is_cut_and_nothing_is_lost_or_doubled() -> None:
    reader = Reader()
    text = script(*"abcdefghijklmnopqrst", 1.0)
    found = told(stage_with(reader, max_s=6.0), chunks(text))
    assert len(finals(found)) >= 3
    heard = np.concatenate(reader.heard)
    assert (heard > 0.05).sum() == sum(one != "." for one in text) * 512
    assert all(len(part) <= 6.1 * 16_000 for part in reader.heard)


def test_the_last_word_is_the_better_recogniser_s_and_is_ready_when_the_end_comes() -> None:
    live, final = Reader("quick"), Reader("sure", say=str.upper)
    stage = stage_with(live, final)
    found = told(stage, chunks(script("a", "b", 1.0)))
    assert (found[-1].text, found[-1].engine) == ("A B", "sure")
    assert all(one.engine == "quick" and one.text.islower() for one in found[1:-1] if one.text)
    assert final.decodings == 1  # in the pause, before the end
    assert "Sure has the last word" in stage.engine_info().why


def test_slow_recognition_loses_no_sound_says_so_and_catches_up() -> None:
    clock, said = ManualClock(), list[str]()
    ctx = StageContext(clock=clock, report=said.append, is_live=True)
    slow = Reader(spend=lambda seconds: clock.advance(ms=600 + 400 * seconds))
    stage = stage_with(slow, ctx=ctx, share=1.0)
    found, worst_s = [], 0.0
    text = script(0.5, *"abcdefgh", 1.0, *"ijklmnop", 9.0)
    for chunk in chunks(text):  # a chunk is taken when it is there and the lane is free
        clock.advance(ms=max(0.0, (chunk.stamp.captured_ns - clock.now_ns()) / 1e6 + 20))
        found += told(stage, [chunk])
        worst_s = max(worst_s, (clock.now_ns() - chunk.stamp.captured_ns) / 1e9)
    assert finals(found) == ["a b c d e f g h", "i j k l m n o p"]
    assert sum((part > 0.05).sum() for part in slow.heard) == 16 * 31 * 512
    assert worst_s < 8.0  # a text that grows, and the final one; 10 s may wait before the stage
    assert len(said) == 1
    assert "s late" in said[0]
    assert (clock.now_ns() - chunk.stamp.captured_ns) / 1e9 < 0.5


def test_sound_that_never_got_here_is_told_of_and_ends_the_utterance() -> None:
    said: list[str] = []
    stage = stage_with(Reader(), ctx=StageContext(report=said.append))
    found = told(stage, chunks(script("a", "b")))
    found += told(stage, chunks(script("c", 1.0), first=300))
    assert finals(found) == ["a b", "c"]
    assert said == ["4.0 s of sound were lost: recognition was too slow."]


def test_another_source_begins_anew_and_reset_forgets_what_goes_on() -> None:
    stage = stage_with(Reader())
    found = told(stage, chunks(script("a"))) + told(stage, chunks(script("b", 0.2), source="file"))
    assert finals(found) == ["a"]
    stage.reset()
    assert finals(told(stage, chunks(script("c", 1.0)))) == ["c"]


def test_settings_act_while_it_runs() -> None:
    stage = stage_with(Reader())
    assert finals(told(stage, chunks(script("a", 0.5, "b", 0.5)))) == []
    stage.configure(HearConfig(engine="moonshine", finals="same", end_ms=300))
    assert finals(told(stage, chunks(script("c", 0.5, "d", 0.5), first=151))) == ["a b c", "d"]


def test_where_nobody_understands_speech_pictures_go_on_and_a_person_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose, "is_here", lambda name: False)
    said: list[str] = []
    stage = HearStage(vad=Sure())
    stage.open(StageContext(report=said.append))
    assert told(stage, chunks(script("a", 1.0))) == []
    assert len(said) == 1
    assert "pip install moonshine-voice" in said[0]
    assert stage.engine_info() is None


def test_a_name_that_is_none_is_refused_when_it_opens() -> None:
    stage = HearStage(vad=Sure())
    stage.configure(HearConfig(engine="moonshein"))
    with pytest.raises(ConfigError, match="moonshein") as refused:
        stage.open(StageContext())
    assert '"moonshine"' in refused.value.hint


def test_words_have_the_stream_s_times_and_events_say_how_late_they_are() -> None:
    found = told(stage_with(Reader()), chunks(script(1.0, "a", 1.0)))
    event = replace(found[-1], captured_ns=0).told(2_000_000)
    assert event["type"] == "heard"
    assert event["turn"] == "end"
    assert event["delay_ms"] == 2.0
    assert [one.is_news for one in found if one.turn is Turn.UPDATE] == [False] * sum(
        one.turn is Turn.UPDATE for one in found
    )


def test_how_far_it_looks_ahead_changes_live_and_what_does_not_fit_is_told() -> None:
    class Patient(Reader):
        def look(self, lookahead: int) -> None:
            if lookahead == 5:
                raise ConfigError("5 does not fit.", hint="Take 6.")
            looks.append(lookahead)

    said, looks, live = list[str](), list[int](), Patient()
    stage = stage_with(live, ctx=StageContext(report=said.append), lookahead=1)
    for frames in (1, 6, 5, -1):
        stage.configure(HearConfig(engine="moonshine", finals="same", lookahead=frames))
    assert looks == [1, 6]
    assert said == ["5 does not fit. Take 6."]
    assert finals(told(stage, chunks(script(0.5, "a", 1.0)))) == ["a"]
