"""A stream says what the whole recording says: frames within 1e-4, tokens exactly, in any company."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from perception.nets.fastconformer import state
from perception.nets.fastconformer.decode import Ctc
from perception.nets.fastconformer.model import FastConformer
from perception.nets.fastconformer.runtime import Runtime, Stream
from realtime.core.errors import ConfigError
from tests.perception.nets.fastconformer.tiny import PLAN, decoder_of, offline, runtime_of, sound, tiny

LOOKAHEADS = sorted(PLAN.lookaheads)


@pytest.fixture(scope="module")
def model() -> FastConformer:
    return tiny()


def test_frames_and_tokens_are_those_of_the_whole_recording(model: FastConformer) -> None:
    """Each look-ahead, both heads, random packets, lengths that end anywhere within a chunk."""
    draw = np.random.default_rng(0)
    kinds: set[int] = set()
    for lookahead in LOOKAHEADS:
        runtimes = {kind: runtime_of(model, kind) for kind in ("ctc", "rnnt")}
        for length in (1.12 + 0.12 * lookahead, 1.2 + 0.0837 * lookahead, 0.03):
            samples = sound(length, lookahead)
            for kind, runtime in runtimes.items():
                frames, wanted = offline(model, kind, samples, lookahead)
                seen = _listened(runtime)
                stream = _pushed(runtime, runtime.begin(lookahead), samples, draw)
                said, after = runtime.finish(stream)
                found = torch.cat(seen)[: len(frames)]
                assert float((found - frames).abs().max()) < 1e-4, (lookahead, length)
                assert [(one.id, one.frame) for one in said] == wanted, (lookahead, length, kind)
                assert after.begin == len(frames)
                assert after.said == ()
                kinds.update(one.id for one in said)
                assert length < 1 or len(said) > 1
    assert len(kinds) > 5


def test_without_its_gate_the_first_chunk_is_wrong(
    model: FastConformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = sound(3.0)
    wanted, _ = offline(model, "ctc", samples, 6)
    good = state.spans

    def open_gate(*given: object) -> torch.Tensor:
        found = good(*given)  # type: ignore[arg-type]
        found[:, 1:, 0] = 0.0  # the empty mel frames alone, as if every bias were zero
        return found

    monkeypatch.setattr(state, "spans", open_gate)
    runtime = runtime_of(model)
    seen = _listened(runtime)
    runtime.finish(runtime.push(runtime.begin(6), samples))
    assert float((torch.cat(seen)[: len(wanted)] - wanted).abs().max()) > 1e-2


@pytest.mark.parametrize("kind", ["ctc", "rnnt"])
def test_streams_that_take_turns_do_not_hear_each_other(model: FastConformer, kind: str) -> None:
    runtime = runtime_of(model, kind)
    sounds, looks = [sound(4.0, 1), sound(4.0, 2)], (6, 0)
    streams = [runtime.begin(look) for look in looks]
    for at in range(0, 64_000, 1000):
        streams = [
            runtime.push(one, samples[at : at + 1000]) for one, samples in zip(streams, sounds, strict=True)
        ]
    for stream, samples, look in zip(streams, sounds, looks, strict=True):
        wanted = offline(model, kind, samples, look)[1]
        assert [(one.id, one.frame) for one in runtime.finish(stream)[0]] == wanted


@pytest.mark.parametrize("kind", ["ctc", "rnnt"])
def test_a_stream_that_was_kept_goes_on_twice_alike(model: FastConformer, kind: str) -> None:
    runtime, samples = runtime_of(model, kind), sound(5.0, 3)
    kept = runtime.push(runtime.begin(1), samples[:37_777])
    runtime.finish(runtime.push(kept, sound(2.0, 4)))
    first, second = (runtime.finish(runtime.push(kept, samples[37_777:]))[0] for _ in range(2))
    assert first == second
    assert [(one.id, one.frame) for one in first] == offline(model, kind, samples, 1)[1]


def test_an_end_within_a_chunk_says_nothing_twice_and_keeps_the_context(model: FastConformer) -> None:
    """Cut anywhere, the frames are still those of the whole recording; labels begin anew."""
    runtime, samples = runtime_of(model), sound(6.0, 5)
    frames, _ = offline(model, "ctc", samples, 13)
    seen, stream, said, begins = _listened(runtime), runtime.begin(13), [], []
    for piece in np.split(samples, [20_001, 47_000, 48_100]):
        stream = runtime.push(stream, piece)
        begins.append(stream.begin)
        ended, stream = runtime.finish(stream)
        said += [one.frame for one in ended]
    assert said == sorted(set(said))
    assert begins == sorted(set(begins))
    kept = [one for one in seen if len(one)]
    matched = sum(any(torch.allclose(one, part, atol=1e-4) for one in kept) for part in frames.split(14)[:-1])
    assert matched == len(frames) // 14


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_chunk_is_heard_as_soon_as_its_sound_is_there(model: FastConformer, lookahead: int) -> None:
    """The first wants 16 ms beyond the middle of its last mel frame, each other a chunk more."""
    runtime = runtime_of(model)
    first, chunk = 8 * lookahead * 160 + 256, (lookahead + 1) * 8 * 160
    stream = runtime.push(runtime.begin(lookahead), np.zeros(first - 1, np.float32))
    assert stream.cached.frames == 0
    stream = runtime.push(stream, np.zeros(1, np.float32))
    assert stream.cached.frames == lookahead + 1
    stream = runtime.push(stream, np.zeros(chunk - 1, np.float32))
    assert stream.cached.frames == lookahead + 1
    assert runtime.push(stream, np.zeros(1, np.float32)).cached.frames == 2 * (lookahead + 1)


def test_a_token_on_both_sides_of_an_end_is_said_twice() -> None:
    decoder = Ctc(blank=2)
    rows = torch.log_softmax(torch.eye(3)[[0, 0, 2]] * 9, -1)
    first, carried = decoder.decode(rows[:2], 0, decoder.begin())
    more, _ = decoder.decode(rows[:1], 2, carried)
    anew, _ = decoder.decode(rows[:1], 2, decoder.begin())
    assert [len(first), len(more), len(anew)] == [1, 0, 1]


@pytest.mark.parametrize("kind", ["ctc", "rnnt"])
def test_decoding_can_stop_after_any_frame(model: FastConformer, kind: str) -> None:
    decoder, draw = decoder_of(model, kind), np.random.default_rng(0)
    made = runtime_of(model, kind)
    width = PLAN.tokens if kind == "ctc" else PLAN.predictor
    rows = torch.from_numpy(draw.normal(size=(60, width)).astype(np.float32) * 3)
    rows = rows.log_softmax(-1) if kind == "ctc" else rows
    wanted, _ = decoder.decode(rows, 0, decoder.begin())
    assert len(wanted) > 10
    for _ in range(4):
        cuts = sorted(draw.integers(0, 60, size=5).tolist())
        found, carried = [], decoder.begin()
        for low, high in zip([0, *cuts], [*cuts, 60], strict=True):
            said, carried = decoder.decode(rows[low:high], low, carried)
            found += said
        assert [(one.id, one.frame) for one in found] == [(one.id, one.frame) for one in wanted]
    made.close()


def test_the_lookahead_changes_when_an_utterance_ends(model: FastConformer) -> None:
    runtime, samples = runtime_of(model), sound(4.0, 6)
    stream = runtime.push(runtime.begin(13), samples[:30_000])
    with pytest.raises(ConfigError, match=r"look-ahead of 4.*28 frames.*Take one of 0, 1, 3, 6, 13"):
        runtime.finish(stream, 4)
    _, stream = runtime.finish(stream, 1)
    assert stream.lookahead == 1
    before = stream.cached.frames
    after = runtime.push(stream, samples[30_000:])
    assert (after.cached.frames - before) % 2 == 0
    assert after.cached.frames > before + 14
    with pytest.raises(ConfigError, match="look-ahead of 2"):
        runtime.begin(2)


@pytest.mark.nightly
def test_ten_minutes_are_exact_and_cost_no_more_memory() -> None:
    model = tiny(replace(PLAN, heads=1))  # the whole recording's attention takes gigabytes a head
    runtime, samples = runtime_of(model, "rnnt"), sound(600.7, 7)
    _, wanted = offline(model, "rnnt", samples, 6)
    stream = runtime.begin(6)
    for at in range(0, len(samples), 16_000):
        stream = runtime.push(stream, samples[at : at + 16_000])
    assert [(one.id, one.frame) for one in runtime.finish(stream)[0]] == wanted
    runtime = runtime_of(model)
    process, stream, held = psutil.Process(), runtime.begin(6), []
    for minute in range(15):  # an hour: `python -m benchmarks hear_former`
        for at in range(0, 60 * 16_000, 16_000):
            stream = runtime.push(stream, samples[at : at + 16_000])
        _, stream = runtime.finish(stream)
        if minute in (3, 14):
            gc.collect()
            held.append(process.memory_info().rss)
    assert held[1] - held[0] < 2e6


def _listened(runtime: Runtime) -> list[torch.Tensor]:
    """Return a list that fills with the frames that each step gives."""
    seen: list[torch.Tensor] = []
    step = Runtime.step

    def heard(*given: object) -> object:
        made, after = step(runtime, *given)  # type: ignore[arg-type]
        seen.append(made["frames"])
        return made, after

    runtime.step = heard  # type: ignore[method-assign,assignment]
    return seen


def _pushed(runtime: Runtime, stream: Stream, samples: np.ndarray, draw: np.random.Generator) -> Stream:
    at = 0
    while at < len(samples):
        count = int(draw.integers(1, 6000))
        stream = runtime.push(stream, samples[at : at + count])
        at += count
    return replace(stream)
