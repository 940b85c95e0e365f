"""What is kept survives a restart and stays within limits; what is deleted is gone from the bytes."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from datetime import UTC
from pathlib import Path

import pytest

from benchmarks._answer_scenes import Says, Script, Stay, frame_at, play
from perception.qa.events.keeping import Limits, keep_within
from perception.qa.events.memory import EventMemory
from perception.qa.events.records import Record
from perception.qa.events.schema import NAME
from perception.qa.events.store import Store
from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError, EngineError
from tests.perception.qa.events.asking import ANCHOR_NS, asked

HOUR_NS = 3600 * NS_PER_S
SCRIPT = Script((Stay("cup", 1, 6), Stay("dog", 2, 40)), (Says(4, "the xylophone plays"),), lasts_s=9)
LATER = Script((Stay("laptop", 1, 4),), (Says(5, "zebras graze"),), lasts_s=8)


def test_nothing_is_on_disk_unless_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    play(SCRIPT, memory)
    memory.close()
    assert list(tmp_path.iterdir()) == []


def test_it_survives_a_restart_on_another_clock(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path, anchor_ns=ANCHOR_NS)
    play(SCRIPT, memory)
    number = asked(memory, "was there a cup?").moments[0].picture
    memory.close()
    again = EventMemory(
        tmp_path, anchor_ns=ANCHOR_NS + HOUR_NS + 10 * NS_PER_S
    )  # an hour later, from 0 again
    assert asked(again, "was there a cup?").observed
    again.push_frame(frame_at(0))
    answer = asked(again, "was there a cup?")
    assert "until 1 h ago, for 5 s" in answer.text
    assert answer.moments[0].at_ns == pytest.approx(-HOUR_NS - 8 * NS_PER_S, abs=NS_PER_S)
    assert answer.moments[0].picture == number
    assert number is not None
    assert again.picture(number)
    assert '"the xylophone plays"' in asked(again, "what was said about xylophones").text
    assert (
        "Nobody told me what was in the picture in the last 30 min"
        in asked(again, "was there a dog in the last 30 minutes").text
    )
    again.close()


def test_a_sudden_end_loses_at_most_five_seconds_of_what_lasted(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path / "lives", anchor_ns=ANCHOR_NS)
    play(Script((Stay("dog", 1, 100),), lasts_s=30), memory)
    shutil.copytree(tmp_path / "lives", tmp_path / "copy")  # what a kill -9 leaves behind
    memory.close()
    again = EventMemory(tmp_path / "copy", anchor_ns=ANCHOR_NS)
    (moment,) = asked(again, "was there a dog?").moments
    assert 25 < moment.until_ns / NS_PER_S < 31
    again.close()


@pytest.mark.parametrize("fault", ["no data base", "torn in the middle", "another version"])
def test_a_file_that_cannot_be_used_is_set_aside_and_told_of(tmp_path: Path, fault: str) -> None:
    memory = EventMemory(tmp_path, anchor_ns=ANCHOR_NS)
    play(SCRIPT, memory)
    memory.close()
    path = tmp_path / NAME
    if fault == "another version":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE meta SET value = '99'")
        connection.close()
    else:
        data = bytearray(path.read_bytes())
        data[:] = b"scribble" * 2000 if fault == "no data base" else data[: len(data) // 2] + bytes(5000)
        path.write_bytes(data)
    before = path.read_bytes()
    told: list[str] = []
    again = EventMemory(tmp_path, anchor_ns=ANCHOR_NS, report=told.append)
    assert len(told) == 1
    assert "set aside as events.set-aside-1.sqlite" in told[0]
    assert ("version 99" if fault == "another version" else "damaged") in told[0]
    assert (tmp_path / "events.set-aside-1.sqlite").read_bytes() == before
    assert asked(again, "was there a cup?").known_ns == 0
    play(SCRIPT, again)
    assert asked(again, "was there a cup?").observed
    again.close()


def test_two_do_not_write_to_one_file(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path)
    with pytest.raises(ConfigError, match="Somebody else writes"):
        EventMemory(tmp_path)
    memory.close()
    EventMemory(tmp_path).close()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_delete_deletes(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path, anchor_ns=ANCHOR_NS)
    end_ns = play(SCRIPT, memory)
    play(LATER, memory, begin_ns=end_ns + NS_PER_S, seed=1)
    before = memory.snapshot()
    assert b"xylophone" in everything(tmp_path)
    jpegs = memory._store.rows("SELECT id, jpeg FROM pictures WHERE at_ns < ?", (ANCHOR_NS + end_ns,))
    assert jpegs
    assert memory.forget(0, end_ns) >= 3 + len(jpegs)
    left = everything(tmp_path)
    assert b"xylophone" not in left
    assert b"xyloph" not in left  # nor its stem, in the index
    assert all(jpeg[-200:-140] not in left for _, jpeg in jpegs)
    assert memory.picture(jpegs[0][0]) is None
    assert b"zebras" in left
    assert not asked(memory, "what was said about the xylophone").observed
    assert not asked(memory, "was there a dog").observed
    assert asked(memory, "was there a laptop").observed
    assert not asked(memory, "was there a dog", before).observed  # older snapshots answer without it too
    assert memory.forget() > 0
    assert b"zebra" not in everything(tmp_path)
    assert asked(memory, "was there a laptop").known_ns == 0
    play(SCRIPT, memory, begin_ns=end_ns + 100 * NS_PER_S)
    assert asked(memory, "was there a dog").observed
    memory.close()


def test_what_is_still_there_begins_anew_when_all_is_forgotten() -> None:
    memory = EventMemory(anchor_ns=ANCHOR_NS)
    end_ns = play(Script((Stay("dog", 1, 100, colour="brown"),), lasts_s=10), memory)
    before = memory.snapshot()
    memory.forget()
    assert not asked(memory, "is there a dog").observed
    assert not asked(memory, "is there a dog", before).observed
    play(Script((Stay("dog", 0, 100),), lasts_s=5), memory, begin_ns=end_ns + NS_PER_S // 10)
    assert "has been for 5 s" in asked(memory, "is there a dog").text
    memory.forget(end_ns + NS_PER_S, end_ns + 2 * NS_PER_S)
    assert "has been for 3 s" in asked(memory, "is there a dog").text


def test_the_oldest_goes_first() -> None:
    store = Store()
    day_ns = 86_400 * NS_PER_S
    words = "one sentence of some length that somebody said to somebody else "
    for k in range(40):
        at_ns = k * day_ns // 10
        store.write(
            [Record("heard", at_ns, at_ns, text=f"{words}{k}") for _ in range(50)],
            [(at_ns, bytes(4_000))] * 5,
        )
    keep_within(store, Limits(size_mib=100, age_s=2 * 86_400), 39 * day_ns // 10)
    ((oldest_ns, count),) = store.rows("SELECT min(t1_ns), count(*) FROM events")
    assert oldest_ns == 19 * day_ns // 10
    assert count == 21 * 50
    assert store.rows("SELECT min(at_ns) FROM pictures") == [(oldest_ns,)]
    assert store.rows("SELECT count(*) FROM words WHERE words MATCH 'sentence'") == [(count,)]
    keep_within(store, Limits(size_mib=0.4, age_s=2 * 86_400), 39 * day_ns // 10)
    assert store.size_mib() <= 0.4
    ((newest_ns, count),) = store.rows("SELECT max(t1_ns), count(*) FROM events")
    assert newest_ns == 39 * day_ns // 10
    assert 100 < count < 900
    assert store.rows("SELECT count(*) FROM words WHERE words MATCH 'sentence'") == [(count,)]


def test_a_full_disk_is_a_clear_error_and_the_past_can_still_be_asked(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path, anchor_ns=ANCHOR_NS)
    end_ns = play(SCRIPT, memory)
    pages = memory._store._writer.execute("PRAGMA page_count").fetchone()[0]
    memory._store.plainly(f"PRAGMA max_page_count = {pages}")
    said = {"type": "heard", "turn": "end", "text": "word " * 300}
    with pytest.raises(EngineError, match="could not be written"):
        [memory.note(said, end_ns + k * NS_PER_S) for k in range(200)]
    assert asked(memory, "was there a cup?").observed
    memory._store.plainly("PRAGMA max_page_count = 100000")
    memory.note({"type": "heard", "turn": "end", "text": "room again"}, end_ns + 300 * NS_PER_S)
    assert asked(memory, "did anybody say room").observed
    memory.close()


def test_clock_times_are_those_of_the_wall(tmp_path: Path) -> None:
    three_pm_ns = 1_760_021_999 * NS_PER_S  # 9 October 2025, one second to 3 pm UTC
    memory = EventMemory(anchor_ns=three_pm_ns, zone=UTC)
    play(Script((Stay("dog", 10, 20),), lasts_s=40), memory)
    assert asked(memory, "was there a dog since 3 pm?").observed
    assert asked(memory, "was there a dog between 3 pm and 3:05 pm").observed
    assert not asked(memory, "was there a dog between 2:30 and 2:59 pm").observed
    assert "Nobody told me" in asked(memory, "was there a dog yesterday").text
    assert "what will be" in asked(memory, "was there a dog at 5 pm").text


def test_a_delete_deletes_also_while_others_ask(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path, anchor_ns=ANCHOR_NS)
    play(SCRIPT, memory)
    faults: list[Exception] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            try:
                asked(memory, "what was said about the xylophone")
                asked(memory, "what happened")
            except Exception as error:
                faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        memory.forget()
    finally:
        is_over.set()
        for thread in threads:
            thread.join(20)
    assert faults == []
    assert b"xylophone" not in everything(tmp_path)
    memory.close()
