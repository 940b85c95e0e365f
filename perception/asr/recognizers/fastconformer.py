"""A cache-aware streaming FastConformer as a recogniser: each chunk is heard once, and words only come.

It knows when words were said, to a frame (80 ms for published models), late by up to its look-ahead. The
encoder's memory goes on over the end of an utterance; labels begin anew. Weights and engines are shared by
all streams. None for people's speech come along: a person brings a `.nemo` file, a folder, or the name of a
model in the catalog.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.asr.transcript import Hypothesis
from pipelines.engines.base import Report
from realtime.core.errors import ConfigError, ModelMissing

from .base import RecognizerInfo, Samples

if TYPE_CHECKING:
    from perception.nets.fastconformer.plans import Plan
    from perception.nets.fastconformer.runtime import Runtime, Stream
    from perception.nets.fastconformer.weights import Loaded

ID = "fastconformer"
USUAL_S = 0.56
"""What a chunk takes at most where nobody asks: below it errors grow, above it waiting does."""
HEADS = ("auto", "ctc", "rnnt")


def is_here() -> bool:
    """Tell whether what it needs is installed; the model is the person's own."""
    return importlib.util.find_spec("transformers") is not None


class FastConformerRecognizer:
    """Recognise one stream. Its whole state is one value: `state` may be kept and put back."""

    def __init__(self, runtime: Runtime, loaded: Loaded, lookahead: int, says: str = "") -> None:
        self._runtime, self._pieces = runtime, loaded.pieces
        self._wanted = lookahead
        self.state: Stream = runtime.begin(lookahead)
        chunk_s = runtime.plan.chunk_s(lookahead)
        self.info = RecognizerInfo(
            ID,
            f"{loaded.title}{f', {says}' if says else ''}",
            loaded.licence,
            is_append_only=True,
            update_s=chunk_s,
            step_s=chunk_s,
            has_word_times=True,
        )

    @property
    def lookahead(self) -> int:
        """Encoder frames of the future that each chunk sees now."""
        return self.state.lookahead

    @property
    def lookaheads(self) -> tuple[int, ...]:
        """Those that the model was trained for, the shortest first."""
        return tuple(sorted(self._runtime.plan.lookaheads))

    @property
    def delay_s(self) -> float:
        """Seconds of sound after a frame's beginning that it waits for, at most: chunk and front end."""
        return self._runtime.plan.chunk_s(self.lookahead) + 0.016

    def look(self, lookahead: int) -> None:
        """Take chunks of lookahead + 1 frames once this utterance has ended; makes its engine ready now.

        Raises ConfigError for one that does not fit, EngineError when no engine can run it.
        """
        self._runtime.plan.check(lookahead)
        self._runtime.ready(lookahead)
        self._wanted = lookahead

    def accept(self, samples: Samples) -> None:
        self.state = self._runtime.push(self.state, samples)

    def partial(self) -> Hypothesis:
        return self._hypothesis(self.state)

    def finish(self) -> Hypothesis:
        ended = self._runtime.flushed(self.state)
        found = self._hypothesis(ended)
        _, self.state = self._runtime.finish(self.state, self._wanted, ended)
        return found

    def reset(self) -> None:
        self.state = self._runtime.begin(self._wanted)

    def close(self) -> None:
        self.reset()

    def _hypothesis(self, stream: Stream) -> Hypothesis:
        words = self._pieces.words(stream.said, self._runtime.plan.frame_s, stream.begin)
        sure = [one.confidence for one in words if one.confidence is not None]
        text = " ".join(one.text for one in words)
        return Hypothesis(text, words, sum(sure) / len(sure) if sure else None)


def load_fastconformer(
    model: str,
    shared: Callable[[str, Callable[[], Any]], Any],
    *,
    head: str = "auto",
    lookahead: int | None = None,
    engine: str = "auto",
    precision: str = "auto",
    report: Report = lambda sentence: None,
) -> FastConformerRecognizer:
    """Return the recogniser of one stream, on shared weights and engines.

    `model` is a .nemo file, a folder, "hub:owner/name" or a catalog id; `head` "auto" takes the RNN-T where
    there is one, which errs less; `lookahead` in encoder frames, None for the longest trained one whose chunk
    is at most 0.56 s. Raises ModelMissing, ModelCorrupt or ModelError for what cannot be used, ConfigError
    for a head or look-ahead that the model has not, EngineError when no engine can run it.
    """
    if not model:
        raise ModelMissing(
            "The recogniser fastconformer has no model of its own for people's speech.",
            hint="Name a .nemo file, a folder, or a model of `python -m app models list` in hear.model.",
        )
    if head not in HEADS:
        raise ConfigError(f'There is no head "{head}".', hint=f"Known: {', '.join(HEADS)}.")
    path = located(model)

    def read() -> tuple[Loaded, str]:
        from perception.nets.fastconformer.weights import load, place
        from pipelines.models.checksums import sum_of
        from pipelines.models.store import digest

        found = place(path)
        return load(found), digest(found) if found.is_dir() else sum_of(found).sha256

    loaded, summed = shared(f"hear {path}", read)
    plan = loaded.model.plan
    if head == "auto":
        head = "rnnt" if plan.predictor else "ctc"
    if not (plan.predictor if head == "rnnt" else plan.has_ctc):
        raise ConfigError(f'{loaded.title} has no head "{head}".', hint="Use head = auto.")

    def make() -> Runtime:
        from perception.nets.fastconformer.decode import Ctc, Rnnt
        from perception.nets.fastconformer.networks import example, step_network
        from perception.nets.fastconformer.runtime import Runtime
        from pipelines.engines.choose import choose

        def built(look: int) -> Any:
            network = step_network(loaded.model, summed, look)
            given = example(loaded.model, look)
            return choose(network, wanted=engine, precision=precision, example=given, report=report)

        return Runtime(plan, built, Rnnt(loaded.model) if head == "rnnt" else Ctc(plan.blank))

    runtime: Runtime = shared(f"hear {path} {head} {engine} {precision}", make)
    chosen = usual(plan) if lookahead is None else lookahead
    plan.check(chosen)
    info = runtime.ready(chosen).info
    return FastConformerRecognizer(runtime, loaded, chosen, f"{head}, {info.backend} {info.precision}")


def usual(plan: Plan) -> int:
    """Return the longest trained look-ahead whose chunk is at most `USUAL_S`, or the shortest."""
    short = [one for one in plan.lookaheads if plan.chunk_s(one) <= USUAL_S + 1e-9]
    return max(short) if short else min(plan.lookaheads)


def located(model: str) -> Path:
    """Return the file or folder of a model. Raises ModelMissing or ModelError."""
    from pipelines.models.store import locate

    path = Path(model).expanduser()
    return path.resolve() if path.is_file() else locate(model)
