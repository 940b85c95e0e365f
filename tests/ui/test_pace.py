"""The page's pace decides as the server's does: both are played the same story."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from realtime.core.clock import NS_PER_MS
from realtime.websocket.pace import Pace

PLAYER = """
const story = JSON.parse(require("fs").readFileSync(0));
const pace = new Pace();
for (const [what, now, seq, size, isKey] of story) {
  if (what === "sent") pace.sent(seq, size, isKey, now);
  if (what === "acked") pace.acked(seq, now);
  if (what === "resize") pace.resize(size);
  const room = pace.hasRoom(now);
  console.log(JSON.stringify([pace.bitrate, pace.scale, pace.window(now), pace.flight.length, room]));
}
"""


def story(seed: int) -> list[tuple[str, int, int, int, bool]]:
    """Return what happens to a stream whose path has good and bad times."""
    dice = random.Random(seed)
    events: list[tuple[str, int, int, int, bool]] = []
    for seq in range(900):
        now = seq * 33
        delay = 20 + (150 if 300 < seq < 400 else 0) + dice.randrange(15) + (seed % 3) * 60
        events.append(("sent", now, seq, dice.randrange(2000, 9000), seq % 200 == 0))
        events.append(("acked", now + delay, seq, 0, False))
        if seq % 10 == 0:
            events.append(("resize", now, 0, 640 * 480, False))
    return sorted(events, key=lambda event: event[1])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_paces_decide_alike(seed: int, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    events = story(seed)
    twin = Path(__file__).parents[2] / "ui/assets/pace.js"
    (tmp_path / "play.js").write_text(twin.read_text(encoding="utf-8") + PLAYER, encoding="utf-8")
    told = subprocess.run(
        [node, str(tmp_path / "play.js")],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = [json.loads(line) for line in told.stdout.splitlines()]
    pace, ours = Pace(), []
    for what, now, seq, size, is_key in events:
        now_ns = now * NS_PER_MS
        if what == "sent":
            pace.sent(seq, size, is_key, now_ns)
        elif what == "acked":
            pace.acked(seq, now_ns)
        else:
            pace.resize(size)
        room = pace.has_room(now_ns)
        ours.append([pace.bitrate_bps, pace.scale, pace.window(now_ns), pace.in_flight, room])
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[0] == pytest.approx(other[0], abs=2)  # the two languages round halves differently
        assert mine[1:] == other[1:]
    assert len({mine[0] for mine in ours}) > 5, "the story should move the rate"
