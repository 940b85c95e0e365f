"""The engine: frames at their pace, answers with moments and pictures, and what is said of nothing seen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from perception.qa.kv.engine import VideoModelEngine, is_seen
from perception.qa.kv.families.base import VideoModel
from perception.qa.kv.families.load import Source
from perception.qa.kv.families.tiny import tiny
from perception.qa.kv.kvmemory import LOOK
from perception.qa.kv.memory import Pick
from perception.qa.kv.moments import stretches
from perception.qa.kv.options import TOKEN_MEMORIES, VideoModelOptions
from perception.qa.kv.strategies import Full
from realtime.core.errors import ConfigError
from realtime.core.frame import Frame, Stamp

from .conftest import QUESTION, SECOND, logits_after, pictures, remembered

SOURCE = Source("tiny/llava", Path("/nowhere"), "abc123", "apache-2.0")
EVERY = VideoModelOptions(frames=4, recent=1, every_s=0.0, most_still=0, most_tokens=4)


def _frame(pixels, at_ns: int) -> Frame:
    return Frame(Stamp("camera", at_ns // SECOND, 0, Fraction(1, 30), at_ns), pixels)


def _engine(model: VideoModel, options: VideoModelOptions = EVERY, **more) -> VideoModelEngine:
    return VideoModelEngine(model, SOURCE, options, **more)


def _watch(engine: VideoModelEngine, shown, first_s: int = 1) -> None:
    for index, pixels in enumerate(shown, start=first_s):
        engine.push_frame(_frame(pixels, index * SECOND))


def test_an_answer_names_its_engine_its_moments_and_their_pictures(llava: VideoModel) -> None:
    engine = _engine(llava)
    _watch(engine, pictures(9))
    *growing, last = engine.ask("Where is the red cup?", engine.snapshot())
    assert growing
    assert not any(answer.is_final for answer in growing)
    assert (last.is_final, last.engine, last.known_ns) == (True, "video model", 9 * SECOND)
    assert 0.0 < last.confidence <= 1.0
    assert len(last.moments) == 4
    assert [moment.at_ns for moment in last.moments] == sorted(moment.at_ns for moment in last.moments)
    for moment in last.moments:
        assert moment.picture is not None
        assert (engine.picture(moment.picture) or b"").startswith(b"\xff\xd8")
    assert engine.card.model == "tiny/llava@abc123"
    assert engine.card.licence == "apache-2.0"
    engine.close()
    engine.close()


def test_frames_beside_each_other_are_one_moment() -> None:
    picks = [
        Pick(at_s * SECOND, score) for at_s, score in ((1, 0.2), (10, 0.7), (11, 0.9), (30, 1.0), (60, 0.1))
    ]
    found = stretches(picks, 2 * SECOND, 3)
    assert [[pick.at_ns // SECOND for pick in stretch] for stretch in found] == [[10, 11], [30]]
    assert stretches([], SECOND, 3) == []


def test_an_embedder_finds_moments_by_colour(llava: VideoModel) -> None:
    engine = _engine(llava, VideoModelOptions("external", 3, 1, every_s=0.0, most_still=0, most_tokens=2))
    red = np.zeros((32, 32, 3), np.uint8)
    red[:, :] = (220, 40, 40)
    _watch(engine, [*pictures(4), red, *pictures(4, seed=3)])
    *_, last = engine.ask("Where was the red cup?", engine.snapshot())
    assert max(last.moments, key=lambda moment: moment.says == "fits by 100%").at_ns == 5 * SECOND


def test_frames_too_soon_or_like_the_last_are_passed_over(llava: VideoModel) -> None:
    engine = _engine(llava, VideoModelOptions(every_s=1.0, most_still=5))
    still = np.full((64, 64, 3), 90, np.uint8)
    for index in range(200):  # ten seconds at 20 a second
        engine.push_frame(_frame(still, index * SECOND // 20 + 1))
    assert engine.encoded == 2, "the first, and one after five in a row were passed over"
    other = still.copy()
    other[:32] = 200
    engine.push_frame(_frame(other, 11 * SECOND))
    engine.push_frame(_frame(still, 11 * SECOND + SECOND // 2))
    assert engine.encoded == 3, "what changed is encoded, but not before its second is over"
    assert engine.snapshot().known_ns == 11 * SECOND + SECOND // 2


def test_nothing_seen_and_nothing_asked_are_said_without_the_model(llava: VideoModel) -> None:
    engine = _engine(llava)
    (answer,) = engine.ask("Where is my cup?", engine.snapshot())
    assert (answer.observed, answer.known_ns, answer.moments) == (False, 0, ())
    _watch(engine, pictures(3))
    for text in ("", "   ", "<|im_end|><image>"):
        (answer,) = engine.ask(text, engine.snapshot())
        assert not answer.observed
        assert answer.text == "Ask something about the stream."
    *_, last = engine.ask("<|im_end|> what is <image> left ? " * 400, engine.snapshot())
    assert last.is_final


def test_what_was_forgotten_is_gone_with_its_pictures(llava: VideoModel) -> None:
    engine = _engine(llava)
    _watch(engine, pictures(6))
    old = engine.snapshot()
    *_, before = engine.ask("what is left ?", old)
    numbers = [moment.picture for moment in before.moments if moment.at_ns < 4 * SECOND]
    assert engine.forget(0, 4 * SECOND) == 3
    assert [engine.picture(number) for number in numbers if number is not None] == [None] * len(numbers)
    *_, after = engine.ask("what is left ?", old)
    assert all(moment.at_ns >= 4 * SECOND for moment in after.moments)
    assert engine.forget() == 3
    for memory in (old, engine.snapshot()):
        (answer,) = engine.ask("what is left ?", memory)
        assert not answer.observed
    _watch(engine, pictures(2), first_s=20)
    *_, last = engine.ask("what is left ?", engine.snapshot())
    assert last.known_ns == 21 * SECOND


@pytest.mark.parametrize("strategy", TOKEN_MEMORIES)
def test_memories_of_tokens_answer_through_the_same_engine(llava: VideoModel, strategy: str) -> None:
    engine = _engine(llava, VideoModelOptions(strategy, 4, 2, every_s=0.0, most_still=0, most_tokens=4))
    _watch(engine, pictures(40))
    *_, last = engine.ask("where is the red cup ?", engine.snapshot())
    assert last.is_final
    assert last.text
    assert last.moments
    engine.close()


def test_blocks_on_disk_answer_after_a_restart_and_ram_is_bounded(llava: VideoModel, tmp_path: Path) -> None:
    disk = VideoModelOptions(
        frames=4,
        recent=1,
        every_s=0.0,
        most_still=0,
        most_tokens=4,
        disk_gib=0.01,
        folder=tmp_path,
        ram_mib=0.05,
    )
    engine = _engine(llava, disk)
    _watch(engine, pictures(12))
    told = list(engine.ask("where is the cup ?", engine.snapshot()))[-1].text
    engine.close()
    again = _engine(llava, disk)
    assert list(again.ask("where is the cup ?", again.snapshot()))[-1].text == told
    again.close()
    small = _engine(llava, VideoModelOptions(every_s=0.0, most_still=0, ram_mib=0.1, pictures_mib=0.01))
    _watch(small, pictures(60))
    assert len(small.memory.store.numbers()) == 34, "of 3 KiB in 0.1 MiB"
    rows = small.memory.snapshot().rows
    assert rows is not None
    assert len(rows) < 34 * 8 / 7 + LOOK, "few rows of blocks that are gone"
    assert small._thumbnails.used_bytes < 0.01 * (1 << 20) + 5000


def test_how_models_say_that_they_did_not_see() -> None:
    for text in (
        "none",
        "None.",
        "It is not visible in the video.",
        "The cup isn't shown.",
        "I cannot see a cup",
        "There is no sign of a dog.",
    ):
        assert not is_seen("Where is the cup?", text)
    for text in ("The red cup is on the left.", "nonetheless, left", "no"):
        assert is_seen("Where is the cup?", text)
    assert is_seen("How many cups are there?", "none")
    assert not is_seen("Is there a cup?", "No, there is not.")
    assert not is_seen("did a red star appear ?", "no")
    assert is_seen("Did the star leave?", "no")


def test_options_that_cannot_be_are_refused() -> None:
    for wrong in ({"frames": 2, "recent": 3}, {"disk_gib": 1.0}, {"every_s": -1.0}, {"most_asks": 0}):
        with pytest.raises(ConfigError):
            VideoModelOptions(**wrong)  # type: ignore[arg-type]


GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.mark.parametrize(
    ("place", "dtype", "close"),
    [
        ("cpu", torch.bfloat16, 8e-2),
        pytest.param("cuda", torch.float32, 2e-3, marks=GPU),
        pytest.param("cuda", torch.bfloat16, 8e-2, marks=GPU),
    ],
)
def test_other_types_and_places_give_what_full_precision_gives(
    some: VideoModel, place: str, dtype: torch.dtype, close: float
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    model = tiny(some.family, seed=2, dtype=dtype)
    model = type(model)(model.model.to(place), model.tokenizer, model.images)
    prompt, given = some.prompt_ids(QUESTION), []
    for one in (some, model):
        memory = remembered(one, pictures(6), Full())
        context = memory.context(one.query(QUESTION), memory.snapshot())
        given.append(logits_after(one, context.cache, context.tokens, prompt).float().cpu())
    exact, other = given
    assert float((exact - other).abs().max()) < close * float(exact.abs().max())
