"""Each frame's latent out of the stream batch equals that of the frame run alone; wrong knobs are seen."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch

from pipelines.diffusion.guidance import Guidance
from pipelines.diffusion.kits import Row
from pipelines.diffusion.noise import Seeds
from pipelines.diffusion.painter import Painter
from pipelines.diffusion.stream_batch import StreamBatch, tick
from pipelines.diffusion.trajectory import Trajectory
from pipelines.diffusion.wish import Wish
from tests.pipelines.diffusion.vocabulary import ATOL, Oracle, picture, stamp

Load = Callable[..., tuple[Painter, Oracle]]
KINDS = [
    ("painter", {}),
    ("sd", {}),
    ("sd", {"vae": "kl"}),
    ("turbo", {}),
    ("sd", {"prediction_type": "v_prediction", "channels": 16}),
    ("sd", {"prediction_type": "sample"}),
]


@dataclass
class Session:
    """Feed one stream batch and keep what comes out."""

    painter: Painter
    name: str = "one"
    batch: StreamBatch = field(default_factory=StreamBatch)
    out: list[Trajectory] = field(default_factory=list)

    def admit(
        self,
        seq: int,
        *,
        prompt: str = "oil",
        steps: int = 2,
        seed: int = 2,
        strength: float = 0.5,
        scale: float | None = None,
        negative: str = "",
    ) -> None:
        self.batch.admit(
            self.painter.start(
                stamp(seq, self.name),
                self.name,
                self.painter.encode([picture(seq)]),
                self.painter.book.words(prompt, negative),
                Wish(steps, strength, seeds=Seeds(seed)),
                Guidance("none" if scale is None else "full", scale or 1.0),
            )
        )


def run(*sessions: Session) -> None:
    """One tick of all sessions together."""
    for session, finished in zip(
        sessions, tick(sessions[0].painter, [s.batch for s in sessions]), strict=True
    ):
        session.out += finished


def error(one: Trajectory, alone: torch.Tensor) -> float:
    return float((one.latent_1CHW - alone).abs().max())


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize(("kind", "how"), KINDS, ids=lambda x: str(x))
def test_a_stream_equals_each_frame_run_alone(
    painter_of: Load, kind: str, how: dict[str, object], steps: int
) -> None:
    painter, oracle = painter_of(kind, **how)
    session = Session(painter)
    for seq in range(5):
        session.admit(seq, steps=steps)
        run(session)
        assert len(session.out) == max(
            seq + 1 - (steps - 1), 0
        )  # each comes out n - 1 ticks after it came in
    while session.batch:
        run(session)
    assert [one.stamp for one in session.out] == [stamp(seq, "one") for seq in range(5)]
    timesteps = painter.levels.timesteps(steps, 0.5)
    for seq, one in enumerate(session.out):
        assert error(one, oracle.paint(picture(seq), "oil", timesteps)) < ATOL


@pytest.mark.parametrize("kind", ["painter", "sd"])
def test_sessions_mixed_at_random_equal_each_frame_run_alone(painter_of: Load, kind: str) -> None:
    painter, oracle = painter_of(kind)
    draw = random.Random(7)
    sessions = [Session(painter, name) for name in ("ann", "bob", "cyd")]
    asked: dict[tuple[str, int], dict[str, object]] = {}
    for now in range(24):
        for session in sessions:
            if now < 20 and draw.random() < 0.7:
                how: dict[str, object] = {
                    "prompt": draw.choice(["oil", "pencil sketch", "warm cat", ""]),
                    "steps": draw.choice([1, 2, 3, 4]),
                    "seed": draw.choice([2, 9]),
                    "scale": draw.choice([None, None, 1.7]),
                    "negative": draw.choice(["", "dog"]),
                }
                seq = 100 * sessions.index(session) + now
                asked[session.name, seq] = how
                session.admit(seq, **how)  # type: ignore[arg-type]
        run(*sessions)
    assert not any(session.batch for session in sessions)
    seen = [(s.name, one.stamp.seq) for s in sessions for one in s.out]
    assert seen == sorted(asked)  # all came out, each in its session, in order
    for session in sessions:
        for one in session.out:
            how = asked[session.name, one.stamp.seq]
            alone = oracle.paint(
                picture(one.stamp.seq),
                str(how["prompt"]),
                painter.levels.timesteps(int(how["steps"]), 0.5),  # type: ignore[call-overload]
                seed=int(how["seed"]),  # type: ignore[call-overload]
                guidance_scale=how["scale"],  # type: ignore[arg-type]
                negative=str(how["negative"]),
            )
            assert error(one, alone) < ATOL


def test_a_wrong_knob_is_seen(painter_of: Load) -> None:
    painter, oracle = painter_of("sd")
    session = Session(painter)
    for seq in range(3):
        session.admit(seq, prompt="oil", scale=2.0, negative="dog")
        run(session)
    run(session)
    one = session.out[1]
    t = painter.levels.timesteps(2, 0.5)
    right = {"timesteps": t, "guidance_scale": 2.0, "negative": "dog"}

    def alone(seq: int = 1, prompt: str = "oil", **wrong: object) -> torch.Tensor:
        return oracle.paint(picture(seq), prompt, **{**right, **wrong})  # type: ignore[arg-type]

    assert error(one, alone()) < ATOL
    wrong = {
        "seed": alone(seed=3),
        "one frame late": alone(seq=0),
        "t off by one": alone(timesteps=tuple(one_t + 1 for one_t in t)),
        "no noise": alone(no_noise=True),
        "prompt": alone(prompt="cat"),
        "negative prompt": alone(negative="cat"),
        "guidance scale off by 0.1": alone(guidance_scale=2.1),
        "no guidance": alone(guidance_scale=None),
        "one step fewer": alone(timesteps=t[:1]),
    }
    assert {
        name: error(one, latent) for name, latent in wrong.items() if error(one, latent) <= 10 * ATOL
    } == {}


class Counting:
    """Count the rows of each UNet call of a painter."""

    def __init__(self, painter: Painter) -> None:
        self.painter, self.prediction, self.rows = painter, painter.prediction, list[int]()

    def denoise(self, rows: Sequence[Row]) -> torch.Tensor:
        self.rows.append(len(rows))
        return self.painter.denoise(rows)


def test_one_call_serves_all_sessions_and_full_guidance_costs_2n_rows(painter_of: Load) -> None:
    painter, _ = painter_of("sd")
    model = Counting(painter)
    ann, bob = Session(painter, "ann"), Session(painter, "bob")
    for seq in range(4):
        ann.admit(seq, steps=3, scale=2.0)
        bob.admit(seq, steps=1)
        tick(model, [ann.batch, bob.batch])
    assert model.rows == [2 + 1, 4 + 1, 6 + 1, 6 + 1]


def test_latents_of_other_sizes_are_run_in_the_same_tick(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    model = Counting(painter)
    session = Session(painter)
    session.admit(0, steps=1)
    schedule = painter.levels.schedule(1, 0.5)
    large = Trajectory(
        stamp(1), "one", schedule, torch.randn(1, 32, 12, 12), torch.randn(1, 32, 12, 12),
        painter.book.words("oil", ""), Guidance(),
    )  # fmt: skip
    session.batch.admit(large)
    session.admit(2, steps=1)
    assert [one.latent_1CHW.shape[-1] for one in tick(model, [session.batch])[0]] == [8, 12, 8]
    assert model.rows == [2, 1]


def test_a_frame_that_overtakes_waits_for_the_older_ones(painter_of: Load) -> None:
    painter, oracle = painter_of("painter")
    session = Session(painter)
    session.admit(0, steps=4)
    for seq in (1, 2, 3):
        run(session)
        assert session.out == []
        session.admit(seq, steps=1)
    run(session)
    assert [one.stamp.seq for one in session.out] == [0, 1, 2, 3]
    alone = oracle.paint(picture(2), "oil", painter.levels.timesteps(1, 0.5))
    assert error(session.out[2], alone) < ATOL


def test_a_failed_call_leaves_the_frames_as_they_were(painter_of: Load) -> None:
    painter, oracle = painter_of("painter")
    model = Counting(painter)
    session = Session(painter)
    session.admit(0, steps=2)
    model.denoise = lambda rows: (_ for _ in ()).throw(RuntimeError("lost"))  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="lost"):
        tick(model, [session.batch])
    run(session)
    run(session)
    assert error(session.out[0], oracle.paint(picture(0), "oil", painter.levels.timesteps(2, 0.5))) < ATOL


def test_strength_mixes_the_finished_latent_of_a_translator(painter_of: Load) -> None:
    painter, oracle = painter_of("painter")
    own = oracle.latent(picture(5))
    full = oracle.paint(picture(5), "oil", painter.levels.timesteps(2, 0.5))
    for strength, expected in [(0.0, own), (0.25, (own + full) / 2), (0.5, full)]:
        session = Session(painter)
        session.admit(5, strength=strength)
        run(session)
        run(session)
        assert error(session.out[0], expected) < ATOL
    assert float((own - full).abs().max()) > 100 * ATOL


def test_noise_is_one_fixed_set_for_a_seed(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    assert painter.noises.of_seed(2, 4, 8) is painter.noises.of_seed(2, 4, 8)
    assert torch.equal(painter.noises.of_seed(2, 4, 8)[:1], painter.noises.of_seed(2, 1, 8))
    assert (painter.noises.of_seed(2, 4, 8) - painter.noises.of_seed(3, 4, 8)).abs().mean() > 0.5
    assert abs(float(painter.noises.of_seed(2, 4, 8).std()) - 1.0) < 0.05
    assert (painter.noises.of_seed(2, 4, 8)[0] - painter.noises.of_seed(2, 4, 8)[1]).abs().mean() > 0.5


def test_a_trajectory_needs_a_noise_for_each_step(painter_of: Load) -> None:
    painter, _ = painter_of("painter")
    with pytest.raises(ValueError, match="2 steps need as many noises, got 1"):
        Trajectory(
            stamp(0), "one", painter.levels.schedule(2, 0.5), painter.noises.of_seed(2, 1, 8),
            torch.zeros(1, 32, 8, 8), painter.book.words("", ""), Guidance(),
        )  # fmt: skip
