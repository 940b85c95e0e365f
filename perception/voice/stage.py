"""The stage that hears commands: sound becomes utterances, and sentences of the grammar become wishes.

It changes nothing itself. What a wish comes to depends on what is set now, and who may set it, which the
application knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from perception.asr.intake import Intake
from perception.asr.vad import LoudnessVad, Vad
from realtime.core.errors import ConfigError, ModelError
from realtime.core.frame import AudioChunk
from realtime.core.stage import Emitted, StageContext, StageSpec

from .book import Book
from .command import Command
from .config import SteerConfig
from .ear import Ear, Understood, shared_ear
from .gate import Gate, Utterance


class SteerStage:
    """Give a command for each utterance that counts."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="steer",
        takes=AudioChunk,
        gives=Command,
        config=SteerConfig,
        lane="hear",
        says="Hears commands, which change settings while it runs.",
    )

    def __init__(self, ear: Ear | None = None, vad: Vad | None = None) -> None:
        """Take what understands and what tells speech from silence, or else the house's own."""
        self._ear = ear
        self._vad = vad
        self._config = SteerConfig()
        self._ctx = StageContext()
        self._intake = Intake()
        self._gate = Gate(vad or LoudnessVad())
        self._found: Understood | None = None
        """What the newest utterance was taken for, perhaps before it was sure to be over."""
        self._awake_until_s = float("-inf")

    def open(self, ctx: StageContext) -> None:
        """Make the grammar and its network.

        Without the package that hears phones it opens nevertheless and says so: pictures can do without.
        Raises ConfigError for a wake phrase that cannot be said.
        """
        self._ctx = ctx
        if self._vad is None:
            from perception.asr.vad import load_vad

            self._vad = load_vad(ctx.shared, ctx.report)
            self._gate = Gate(self._vad)
            self._configure_gate()
        if self._ear is None:
            book = ctx.book() or Book()
            try:
                self._ear, left_out = shared_ear(book, self._config.wake, ctx.shared)
            except ModelError as error:
                ctx.report(f"{error.message} {error.hint}")
                return
            if left_out:
                ctx.report(f"Cannot be said aloud: {', '.join(left_out)}.")
        if not self._ear.can_wake:
            raise ConfigError(
                f'"{self._config.wake}" cannot be said.', hint="Choose a phrase of plain words."
            )

    def configure(self, config: SteerConfig) -> None:
        if config.mode != self._config.mode:
            self._awake_until_s = float("-inf")
        self._config = config
        self._configure_gate()

    def process(self, item: AudioChunk | None) -> Sequence[Emitted]:
        if item is None or self._ear is None or self._is_deaf():
            return ()
        ear = self._ear
        return [
            Emitted(item.stamp, command)
            for window in self._intake.take(item)
            for utterance in self._gate.take(window)
            for command in self._understood(ear, utterance)
        ]

    def reset(self) -> None:
        """Forget the stream."""
        self._intake.reset()
        self._gate.reset()
        self._awake_until_s = float("-inf")

    def close(self) -> None:
        self.reset()

    def _is_deaf(self) -> bool:
        return self._config.mode == "off"

    def _configure_gate(self) -> None:
        config = self._config
        self._gate.configure(config.mode, config.talk, config.end_ms)

    def _understood(self, ear: Ear, said: Utterance) -> Iterator[Command]:
        needs_wake = self._config.mode == "wake"
        if not said.was_told:
            self._found = ear.understand(said.samples, needs_wake=needs_wake)
        if not said.is_over:
            return
        found = self._found
        if not needs_wake:
            yield _command("understood" if self._is_sure(found) else "not_understood", found, said)
        elif self._is_sure(found):
            assert found is not None
            is_alone = found.wish is None
            self._awake_until_s = said.end_s + self._config.patience_s if is_alone else float("-inf")
            yield _command("listening" if is_alone else "understood", found, said)
        elif said.begin_s <= self._awake_until_s:
            found = ear.understand(said.samples)
            sure = self._is_sure(found)
            if sure:
                self._awake_until_s = float("-inf")
            yield _command("understood" if sure else "not_understood", found, said)

    def _is_sure(self, found: Understood | None) -> bool:
        return (
            found is not None
            and found.confidence >= self._config.floor
            and (found.wish is not None or found.is_summons)
        )


def _command(outcome: Any, found: Understood | None, said: Utterance) -> Command:
    is_wish = outcome == "understood" and found is not None
    return Command(
        outcome,
        found.text if found is not None else "",
        found.confidence if found is not None else 0.0,
        said.begin_s,
        said.end_s,
        found.wish if is_wish and found is not None else None,
        said.captured_ns,
    )
