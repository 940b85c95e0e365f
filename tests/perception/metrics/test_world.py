"""The made world: the same from the same seed, as fast as it says, and seen as badly as it says."""

from __future__ import annotations

import numpy as np

from perception.metrics.world import SeenBy, World, WorldSettings, detections


def test_the_seed_makes_the_world_and_what_is_seen_of_it() -> None:
    one, same, other = World(4), World(4), World(5)
    assert one.annotations() == same.annotations() != other.annotations()
    assert np.array_equal(detections(one, 1, 7).xyxy_N4, detections(same, 1, 7).xyxy_N4)
    assert not np.array_equal(detections(one, 1, 7).scores_N, detections(one, 1, 8).scores_N)


def test_things_stay_inside_and_keep_to_the_speed() -> None:
    given = WorldSettings()
    for sequence in World(0, given).sequences:
        boxes = np.stack([sequence.xyxy_N4(k) for k in range(given.frames)])
        middles = (boxes[..., :2] + boxes[..., 2:]) / 2
        speed = np.linalg.norm(np.diff(middles, axis=0), axis=-1)
        assert 10 < speed.max() <= given.fastest_px + 1e-6
        assert boxes[..., :2].min() >= 0
        assert (boxes[..., 2:] <= np.array(given.size_px)).all()
        assert len(sequence.kinds_N) == 14


def test_the_detector_is_as_bad_as_it_says() -> None:
    world = World(1, WorldSettings(sequences=1, frames=200))
    sequence, width, height = world.sequences[0], *world.settings.size_px
    off, seen = [], 0
    for k in range(200):
        found = detections(world, 0, k)
        seen += len(found)
        boxes = found.xyxy_N4.astype(np.float64) * np.array([width, height, width, height])
        truth = sequence.xyxy_N4(k)
        nearest = np.abs(boxes[:, None] - truth[None]).sum(axis=2).argmin(axis=1)
        off.append(boxes - truth[nearest])
        assert (np.diff(found.scores_N) <= 0).all()
    assert abs(np.concatenate(off).std() - 1.5) < 0.1
    assert abs(seen / (200 * 14) - 0.95) < 0.02
    assert len(detections(world, 0, 0, SeenBy(missed=1.0))) == 0
    strays = sum(len(detections(world, 0, k, SeenBy(missed=1.0, strays=2.0))) for k in range(100))
    assert 150 < strays < 250


def test_ids_count_from_one_as_coco_wants() -> None:
    truth = World(0, WorldSettings(sequences=2, frames=3)).annotations()
    assert [one["id"] for one in truth["annotations"]] == list(range(1, 2 * 3 * 14 + 1))
    assert {(one["sid"], one["fid"]) for one in truth["images"]} == {(s, f) for s in (0, 1) for f in range(3)}
    assert len(truth["sequences"]) == 2
