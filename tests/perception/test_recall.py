"""A picture meets the scene of its own time, whichever came last."""

from __future__ import annotations

from perception.recall import KEPT, Recall
from perception.scene import Scene
from realtime.core.clock import NS_PER_MS
from tests.perception.overlay.scenes import Node, make_scene, make_things
from tests.vocabulary import make_stamp


def scene(at_ms: int, source: str = "test") -> Scene:
    return make_scene(make_things([], at_ns=at_ms * NS_PER_MS), source=source)


def found(recall: Recall, at_ms: int, stale_ms: float = 1000.0) -> list[Scene]:
    return [one for _, one in recall.nearest(make_stamp(captured_ns=at_ms * NS_PER_MS), stale_ms)]


def test_the_nearest_scene_tells_before_and_after() -> None:
    recall, node = Recall(), Node()
    scenes = [scene(at_ms) for at_ms in (0, 100, 200, 300)]
    for one in scenes:
        node.newest = one
        assert recall.look({"see": node}) == [("see", one)]
        assert recall.look({"see": node}) == []
    for at_ms, which in ((-40, 0), (0, 0), (49, 0), (51, 1), (160, 2), (300, 3), (900, 3)):
        assert found(recall, at_ms) == [scenes[which]]
    assert found(recall, 900, stale_ms=500.0) == []


def test_scenes_of_another_source_do_not_count() -> None:
    recall, node = Recall(), Node(scene(0))
    recall.look({"see": node})
    node.newest = scene(100, "other")
    recall.look({"see": node})
    assert [one.stamp.source for one in found(recall, 100)] == ["test"]


def test_each_node_has_its_own_and_old_ones_are_forgotten() -> None:
    recall, left, right = Recall(), Node(), Node(scene(0))
    for k in range(3 * KEPT):
        left.newest = scene(10 * k)
        recall.look({"left": left, "right": right})
    assert len(found(recall, 0, stale_ms=10.0)) == 1  # only the right one still knows of it
    assert len(found(recall, 30 * KEPT, stale_ms=60_000.0)) == 2


def test_reset_forgets_what_a_node_still_holds() -> None:
    recall, node = Recall(), Node(scene(0))
    recall.look({"see": node})
    recall.reset()
    assert recall.look({"see": node}) == []
    assert found(recall, 0) == []
    node.newest = scene(0)
    assert len(recall.look({"see": node})) == 1
