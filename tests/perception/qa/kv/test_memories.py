"""Memories of tokens: of one size however long the stream, always the same, and true about what they hold.

Features are analytic: channel s of all tokens of a frame tells which scene it shows, the last channel which
token it is, and a little of the frame's number is in the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.nets.summariser import SummariserNet, SummariserPlan, load_summariser, save_summariser
from perception.qa.kv.memories.clips import ClipConfig, ClipMemory
from perception.qa.kv.memories.flash import FlashMemory
from perception.qa.kv.memories.flash_config import PUBLISHED, SMALL, FlashConfig, published_2
from perception.qa.kv.memories.kmeans import weighted_kmeans
from perception.qa.kv.memories.last import LastFrames
from perception.qa.kv.memories.summary import MeanPool, best_summariser
from perception.qa.kv.memory import Memory, Query, TokenContext
from realtime.core.clock import NS_PER_S
from realtime.core.errors import ConfigError, ModelCorrupt

GRID, C = (3, 3), 8
PLAN = SummariserPlan(C, heads=2, layers=1, memory=8)
SCENES = C - 2


def frame(number: int, scene: int) -> torch.Tensor:
    """Return features (9, C)."""
    features = torch.zeros(9, C)
    features[:, scene] = 4.0
    features[:, -2] = number / 5000
    features[:, -1] = torch.arange(9) / 9
    return features


def asks_for(scene: int) -> Query:
    """Return a question whose words point to a scene."""
    words = torch.zeros(3, C)
    words[:, scene] = 1.0
    return Query("", (1, 2, 3), words)


def context(memory: Memory[Any], query: Query | None = None) -> TokenContext:
    found = memory.context(query or asks_for(0), memory.snapshot())
    assert isinstance(found, TokenContext)
    assert found.embeddings_NC.shape == (len(found.times_ns), C)
    return found


def flash(config: FlashConfig | None = None) -> FlashMemory:
    return FlashMemory(GRID, config)


def clips(config: ClipConfig | None = None) -> ClipMemory:
    return ClipMemory(GRID, MeanPool(GRID, moments=2, to=(2, 2)), config or ClipConfig(clip_frames=8))


def net_clips() -> ClipMemory:
    torch.manual_seed(3)
    return ClipMemory(GRID, SummariserNet(PLAN).eval(), ClipConfig(chain_clips=4))


def last() -> LastFrames:
    return LastFrames(GRID, 4)


MEMORIES = [flash, clips, net_clips, last]


def two_scenes(number: int) -> int:
    return number // 40 % 2


def play(memory: Memory[Any], count: int, scene: Callable[[int], int] = two_scenes, first: int = 0) -> None:
    for number in range(first, first + count):
        memory.push(frame(number, scene(number)), number * NS_PER_S)


SIZES = [(flash, 171, 171), (clips, 41, 104), (net_clips, 41, 104), (last, 36, 36)]
"""Tokens at least and at most: frames since the last whole clip are one to eight."""


def sizes(memory: Memory[Any], first: int) -> set[int]:
    """Push sixteen frames and return how many tokens there were after each."""
    found = set()
    for number in range(first, first + 16):
        play(memory, 1, first=number)
        found.add(len(context(memory).embeddings_NC))
    return found


@pytest.mark.parametrize(("make", "least", "most"), SIZES)
def test_it_is_of_one_size_always_the_same_and_snapshots_stay(
    make: Callable[[], Any], least: int, most: int
) -> None:
    memory, again = make(), make()
    nothing = memory.snapshot()
    assert context(memory).embeddings_NC.shape == (0, C)
    play(memory, 300)
    play(again, 300)
    then, before, same = memory.snapshot(), context(memory), context(again)
    assert torch.equal(before.embeddings_NC, same.embeddings_NC)
    assert (before.times_ns, before.picks) == (same.times_ns, same.picks)
    early = sizes(memory, 300)
    play(memory, 1668, first=316)
    assert early == sizes(memory, 1984)
    assert (min(early), max(early)) == (least, most)
    now = context(memory)
    assert not torch.equal(now.embeddings_NC, before.embeddings_NC)
    was = memory.context(asks_for(0), then)
    assert torch.equal(was.embeddings_NC, before.embeddings_NC)
    assert was.times_ns == before.times_ns
    assert memory.context(asks_for(0), nothing).times_ns == ()
    assert max(now.times_ns) == 1999 * NS_PER_S  # the newest frame is there in full
    assert torch.equal(now.embeddings_NC[-9:], frame(1999, 1999 // 40 % 2))


@pytest.mark.parametrize("make", MEMORIES)
def test_what_is_forgotten_is_in_no_context_any_more(make: Callable[[], Any]) -> None:
    memory = make()
    play(memory, 200)
    then = memory.snapshot()
    assert memory.forget(150 * NS_PER_S, 190 * NS_PER_S) >= (0 if make is last else 1)
    assert memory.forget(195 * NS_PER_S, 10**18) > 0
    for one in (memory.snapshot(), then):
        times = memory.context(asks_for(1), one).times_ns
        assert not [at for at in times if 150 <= at / NS_PER_S < 190 or at / NS_PER_S >= 195]
    play(memory, 40, first=200)
    assert max(context(memory).times_ns) == 239 * NS_PER_S
    memory.close()
    memory.close()
    assert context(memory).times_ns == ()


@pytest.mark.parametrize("make", MEMORIES)
def test_a_frame_of_another_grid_is_refused_and_pushed_frames_may_be_changed(make: Callable[[], Any]) -> None:
    memory = make()
    with pytest.raises(ConfigError, match="3 by 3"):
        memory.push(torch.zeros(16, C), 0)
    mine = frame(7, 2)
    memory.push(mine, 7)
    mine.zero_()
    assert torch.equal(context(memory).embeddings_NC[-9:], frame(7, 2))


# Flash-VStream.


def test_published_sizes_are_those_of_the_papers() -> None:
    assert PUBLISHED.tokens((14, 14)) == 681
    assert SMALL.tokens(GRID) == 171
    second = published_2((12, 20))
    assert second.tokens((12, 20)) == 30 * 240 + 60 * 60 == 10_800
    memory = FlashMemory((14, 14))
    for number in range(40):
        memory.push(torch.full((196, C), float(number % 30)), number)
    assert len(context(memory).embeddings_NC) == 681


def test_centroids_hold_the_number_of_their_frames_and_the_means_of_tokens_and_times() -> None:
    memory = flash(FlashConfig(temporal_frames=3, temporal_grid=(1, 1), abstract_tokens=0, key_frames=2))
    play(memory, 400, lambda n: (0, 1, 0, 2)[n // 100])
    snapshot = memory.snapshot()
    assert snapshot.frames == 400
    held = {0: [*range(100), *range(200, 300)], 1: [*range(100, 200)], 2: [*range(300, 400)]}
    assert sorted(c.weight for c in snapshot.temporal) == [100, 100, 200]
    for centroid in snapshot.temporal:
        of = int(centroid.mean.tokens_TC[0, :SCENES].argmax())
        assert centroid.weight == len(held[of])
        assert centroid.time_ns == sum(held[of]) / len(held[of]) * NS_PER_S
        mean = torch.stack([frame(n, of).mean(0) for n in held[of]]).mean(0)
        assert torch.allclose(centroid.mean.tokens_TC[0], mean, atol=1e-4)


def test_key_frames_are_the_very_frames_of_their_times_and_a_distinct_one_is_kept() -> None:
    def planted(number: int) -> int:
        return 4 if number == 377 else 5 if 600 <= number < 800 else two_scenes(number)

    memory = flash()
    play(memory, 1000, planted)
    for centroid in memory.snapshot().temporal:
        number = centroid.key.at_ns // NS_PER_S
        assert torch.equal(centroid.key.tokens_TC, frame(number, planted(number)))
        assert centroid.mean.begin_ns <= centroid.key.at_ns <= centroid.mean.end_ns
    assert any(600 <= pick.at_ns // NS_PER_S < 800 for pick in context(memory).picks)
    seldom = flash(replace(SMALL, key_rule="distinct")).context(asks_for(0), memory.snapshot())
    assert 377 * NS_PER_S in [pick.at_ns for pick in seldom.picks]
    rows = [row for row, at in enumerate(seldom.times_ns) if at == 377 * NS_PER_S]
    assert torch.equal(seldom.embeddings_NC[rows[-9:]], frame(377, 4))
    assert len(rows) == 9 + 9  # its centroid, of one frame, and the frame itself


def test_k_means_parts_what_is_apart_and_a_heavy_point_holds_its_centre() -> None:
    points = np.array([[0.0], [1.0], [10.0], [11.0], [5.2]])
    products, ones = points @ points.T, np.ones(5)
    assert weighted_kmeans(products, ones, 2) == [[0, 1, 4], [2, 3]]
    assert weighted_kmeans(products, np.array([1, 1, 1, 1, 50.0]), 3) == [[0, 1], [2, 3], [4]]
    assert weighted_kmeans(products, ones, 9) == [[0], [1], [2], [3], [4]]
    alike = weighted_kmeans(np.ones((4, 4)), np.ones(4), 2)
    assert sorted(i for members in alike for i in members) == [0, 1, 2, 3]


# VideoStreaming.


@pytest.mark.parametrize("scene", [2, 3])
def test_a_question_brings_the_clips_that_show_what_it_asks_for(scene: int) -> None:
    memory = clips()
    play(memory, 1000, lambda n: {10: 2, 70: 2, 120: 3}.get(n // 8, two_scenes(n)))
    found = context(memory, asks_for(scene))
    shown = {pick.at_ns // NS_PER_S // 8: pick.score for pick in found.picks if pick.score < 1}
    wanted = {2: {10, 70}, 3: {120}}[scene]
    assert wanted <= set(shown)
    assert 123 in shown  # the newest whole clip
    assert min(shown[k] for k in wanted) > max(v for k, v in shown.items() if k not in wanted)
    assert list(found.times_ns) == sorted(found.times_ns)


def test_old_clips_go_when_there_are_too_many() -> None:
    memory = clips(ClipConfig(clip_frames=8, most_clips=5))
    play(memory, 201)
    kept = memory.snapshot().clips
    assert [clip.memory.begin_ns // NS_PER_S for clip in kept] == [160, 168, 176, 184, 192]
    assert kept[0].memory.at_ns == 163.5 * NS_PER_S


def test_a_clip_that_took_in_a_forgotten_one_goes_too_and_a_chain_ends() -> None:
    memory = net_clips()
    play(memory, 8 * 10 + 1)
    memory.forget(8 * 5 * NS_PER_S, 8 * 5 * NS_PER_S + 1)  # clip 5, of the chain 4 5 6 7
    starts = [clip.memory.at_ns // NS_PER_S // 8 for clip in memory.snapshot().clips]
    assert starts == [0, 1, 2, 3, 4, 8, 9]


def test_trained_weights_are_taken_where_they_fit_and_untrained_ones_are_named_so(tmp_path: Path) -> None:
    assert best_summariser(C, GRID, tmp_path).name == "mean pool (untrained)"
    torch.manual_seed(5)
    net = SummariserNet(PLAN)
    torch.nn.init.normal_(net.write.weight)  # as if trained: untrained it writes means alone
    net = net.half().float().eval()  # as it is stored
    clip = torch.stack([frame(n, 1) for n in range(8)])
    before, about = net.clip(None, clip)
    save_summariser(net, tmp_path)
    again = best_summariser(C, GRID, tmp_path)
    assert again.name == f"summariser trained with {tmp_path.name}"
    assert (before.shape, about.shape, again.memory_tokens, again.clip_frames) == ((8, C), (C,), 8, 8)
    carried, indicator = again.clip(before, clip)
    assert torch.equal(carried, net.clip(before, clip)[0])
    assert torch.equal(indicator, net.clip(before, clip)[1])
    assert not torch.allclose(carried, before, atol=1e-3)  # the memory before counts
    words = torch.randn(4, C)
    assert torch.equal(again.question(words), net.question(words))
    assert best_summariser(C + 1, GRID, tmp_path).name == "mean pool (untrained)"
    (tmp_path / "summariser.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelCorrupt, match="no summariser"):
        load_summariser(tmp_path)
