"""The stage that hears: sound becomes utterances, and each becomes texts that grow and final words.

No sound is left out to keep up. When recognition is slow, partial texts come more rarely, so that what was
waiting is caught up with; a delay that stays is told of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from realtime.core.clock import NS_PER_S, Clock, MonotonicClock
from realtime.core.errors import ConfigError, EngineError
from realtime.core.frame import AudioChunk
from realtime.core.lane import on_lanes_terms
from realtime.core.stage import Emitted, StageContext, StageSpec

from .config import HearConfig
from .endpoint import Endpointer, Mark
from .intake import Intake, Window
from .recognizers.base import Recognizer
from .transcript import Transcript, Turn
from .utterance import Utterances
from .vad import LoudnessVad, Vad, loudness_db

HELD = 256
"""Windows (8 s) that are kept: the longest pre-roll and the longest pause fit in."""
LATE_S = 0.6
"""So late, partial texts have to wait."""
LAG_TOLD_S = 3.0
LAG_REST_NS = 60 * NS_PER_S
"""So late, a person is told, once a minute."""
LOST_TOLD_S = 0.25

Load = Callable[[str, str, Any], Recognizer]


class HearStage:
    """Give a transcript for each turn of each utterance."""

    spec: ClassVar[StageSpec] = StageSpec(
        name="hear",
        takes=AudioChunk,
        gives=Transcript,
        config=HearConfig,
        lane="hear",
        files=("model",),
        keeps_samples=False,
        says="Writes down what is said, while it is said.",
    )

    def __init__(self, load: Load | None = None, vad: Vad | None = None) -> None:
        """Take what loads a recogniser by name and model, and what tells speech, or else the house's own."""
        self._load = load
        self._vad: Vad = vad or LoudnessVad()
        self._has_vad = vad is not None
        self._config = HearConfig()
        self._clock: Clock = MonotonicClock()
        self._ctx = StageContext()
        self._utterances: Utterances | None = None
        self._info: _Badge | None = None
        self._intake = Intake()
        self._ends = Endpointer(self._config.rules())
        self._windows: deque[Window] = deque(maxlen=HELD)
        self._count = self._fed = 0
        self._unheard_s = 0.0
        self._rest_until_ns = 0
        self._told_nobody = False
        self._told_late_ns = -LAG_REST_NS
        self._may_prepare = False
        """Whether a pause was told of and the final words are not worked on yet."""
        self._lost_s = 0.0

    def engine_info(self) -> Any:
        """Return what the page says of the recogniser; None where there is none."""
        return self._info

    def open(self, ctx: StageContext) -> None:
        """Load the recognisers. Raises ConfigError for a name that is none, ModelError for one not here.

        "auto" where none is installed opens nevertheless and says so: pictures can do without.
        """
        self._ctx, self._clock = ctx, ctx.clock
        if self._utterances is not None:
            return
        on_lanes_terms(self.spec.lane, lambda: self._open(ctx))

    def _open(self, ctx: StageContext) -> None:
        from .recognizers import choose
        from .vad import load_vad

        config = self._config
        name = choose.chosen(config.engine, config.model)
        if not self._has_vad:
            self._vad, self._has_vad = load_vad(ctx.shared, ctx.report), True
        if name is None:
            return
        load = self._load or choose.load
        live = load(name, config.model, ctx.shared)
        finals = choose.finals_for(name, config.finals)
        final = load(finals, "", ctx.shared) if finals is not None else None
        self._utterances = Utterances(live, final)
        self._look(config.lookahead)
        last = f"; {final.info.name} has the last word" if final is not None else ""
        self._info = _Badge(live.info.name, f"{name} hears{last}.")

    def configure(self, config: HearConfig) -> None:
        before, self._config = self._config, config
        self._ends.rules = config.rules()
        if config.lookahead != before.lookahead:
            self._look(config.lookahead)

    def process(self, item: AudioChunk | None) -> Sequence[Emitted]:
        if item is None:
            return ()
        if self._utterances is None:
            self._tell_nobody()
            return ()
        utterances = self._utterances
        said = [told for window in self._intake.take(item) for told in self._listen(utterances, window)]
        self._tell_lag(item)
        return [Emitted(item.stamp, one) for one in said]

    def reset(self) -> None:
        """Forget the stream, also an utterance that goes on."""
        self._intake.reset()
        self._begin_anew()
        if self._utterances is not None:
            self._utterances.forget()

    def close(self) -> None:
        self.reset()
        if self._utterances is not None:
            self._utterances.close()
            self._utterances = None

    def _look(self, lookahead: int) -> None:
        """Look so far ahead, or go on as before and say why not."""
        if self._utterances is not None and lookahead >= 0:
            try:
                self._utterances.look(lookahead)
            except (ConfigError, EngineError) as error:
                self._ctx.report(str(error))

    def _begin_anew(self) -> None:
        self._ends.reset()
        self._vad.reset()
        self._windows.clear()
        self._count = self._fed = 0

    def _listen(self, utterances: Utterances, window: Window) -> Iterator[Transcript]:
        if window.is_first:
            for mark in self._ends.end():
                yield self._turned(utterances, mark)
            self._begin_anew()
        self._windows.append(window)
        self._count += 1
        probability = self._vad.probability(window.samples)
        marked = self._ends.take(probability, loudness_db(window.samples))
        for mark in marked:
            yield self._turned(utterances, mark)
        if not self._ends.is_speaking:
            return
        if self._may_prepare and not marked:  # what was told of the pause is on its way
            self._may_prepare = False
            if not self._is_behind(window):
                utterances.prepare()
        else:
            self._feed(utterances, self._ends.reach)
            if self._may_update(utterances, window) and (news := self._updated(utterances)):
                yield news

    def _turned(self, utterances: Utterances, mark: Mark) -> Transcript:
        if mark.turn is Turn.START:
            said = utterances.begin(self._windows[mark.window - self._count])
            self._fed, self._may_prepare = mark.window, False
            self._feed(utterances, self._ends.reach)
            self._unheard_s = 0.0  # of the first syllable alone, a recogniser makes something up
            return said
        if mark.turn is Turn.END:
            self._feed(utterances, mark.window)
            return utterances.end()
        self._feed(utterances, self._ends.reach)
        self._may_prepare = mark.turn is Turn.EAGER_END
        may_look = self._may_prepare and not self._is_behind(self._windows[-1])
        return utterances.pause(mark.turn, look=may_look)

    def _feed(self, utterances: Utterances, until: int) -> None:
        """Let the recognisers hear the windows up to `until` that they did not hear yet."""
        for at in range(self._fed, until):
            window = self._windows[at - self._count]
            utterances.hear(window)
            self._unheard_s += window.end_s - window.begin_s
        self._fed = max(self._fed, until)

    def _may_update(self, utterances: Utterances, window: Window) -> bool:
        if self._unheard_s < utterances.update_s or self._is_behind(window):
            return False
        return not self._ctx.is_live or self._clock.now_ns() >= self._rest_until_ns

    def _updated(self, utterances: Utterances) -> Transcript | None:
        begin_ns = self._clock.now_ns()
        news = utterances.update()
        self._unheard_s = 0.0
        end_ns = self._clock.now_ns()
        self._rest_until_ns = end_ns + round((end_ns - begin_ns) * (1.0 / self._config.share - 1.0))
        return news

    def _is_behind(self, window: Window) -> bool:
        return self._ctx.is_live and self._lag_s(window.captured_ns) > LATE_S

    def _lag_s(self, captured_ns: int) -> float:
        return (self._clock.now_ns() - captured_ns) / NS_PER_S

    def _tell_lag(self, chunk: AudioChunk) -> None:
        if self._intake.lost_s - self._lost_s > LOST_TOLD_S:
            self._ctx.report(
                f"{self._intake.lost_s - self._lost_s:.1f} s of sound were lost: recognition was too slow."
            )
            self._lost_s = self._intake.lost_s
        if not self._ctx.is_live:
            return
        lag_s = self._lag_s(chunk.stamp.captured_ns)
        if lag_s > LAG_TOLD_S and self._clock.now_ns() - self._told_late_ns >= LAG_REST_NS:
            self._told_late_ns = self._clock.now_ns()
            self._ctx.report(f"What is said is written down {lag_s:.0f} s late: this machine is too busy.")

    def _tell_nobody(self) -> None:
        if not self._told_nobody:
            from .recognizers.choose import NOBODY

            self._told_nobody = True
            self._ctx.report(NOBODY)


class _Badge:
    """What `Wiring.engine` reads."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
