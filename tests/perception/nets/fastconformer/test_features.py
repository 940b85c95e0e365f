"""Log-mel of a stream: transformers' own numbers, and the same bits however the sound was cut."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import NemotronAsrStreamingFeatureExtractor

from perception.nets.fastconformer.features import RATE_HZ, LogMel

SOUND = np.random.default_rng(0).normal(size=RATE_HZ + 77).astype(np.float32) * 0.1


@pytest.mark.parametrize("mels", [80, 128])
def test_it_is_the_front_end_of_transformers(mels: int) -> None:
    theirs = NemotronAsrStreamingFeatureExtractor(feature_size=mels)(
        SOUND, sampling_rate=RATE_HZ, return_tensors="pt"
    )
    wanted = theirs["input_features"][0][theirs["attention_mask"][0].bool()].numpy()
    found = LogMel(mels).whole(SOUND)
    assert found.shape == wanted.shape == (len(SOUND) // 160, mels)
    apart = np.abs(found - wanted)  # in bands where nothing is heard, rounding alone is more than the sound
    assert (float(apart.max()) < 2e-3, float(apart.mean()) < 1e-5) == (True, True)


def test_packets_of_any_size_give_the_same_bits() -> None:
    front, draw = LogMel(80), np.random.default_rng(1)
    whole = front.whole(SOUND)
    for longest in (3, 700, 9000):
        heard, rows, at = front.begin(), [], 0
        while at < len(SOUND):
            count = int(draw.integers(0, longest))
            heard, made = front.push(heard, SOUND[at : at + count])
            rows.append(made)
            at += count
            assert len(heard.samples) < 512 + 8 * 160
        assert np.array_equal(np.concatenate([*rows, front.end(heard)]), whole)


def test_a_frame_comes_as_soon_as_its_sound_is_there() -> None:
    """Frame 0, and each eighth after it, ends a block: 16 ms after its middle it is there."""
    front = LogMel(80)
    heard, made = front.push(front.begin(), SOUND[:255])
    assert len(made) == 0
    heard, made = front.push(heard, SOUND[255:256])
    assert len(made) == 1
    heard, made = front.push(heard, SOUND[256 : 8 * 160 + 255])
    assert len(made) == 0
    assert len(front.push(heard, SOUND[8 * 160 + 255 : 8 * 160 + 256])[1]) == 8


def test_what_was_heard_is_a_value() -> None:
    front = LogMel(80)
    held, _ = front.push(front.begin(), SOUND[:5000])
    one = front.push(held, SOUND[5000:])[1]
    front.push(held, -SOUND)
    assert np.array_equal(front.push(held, SOUND[5000:])[1], one)
