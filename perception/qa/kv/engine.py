"""A video model that watches a stream and is asked about it: frames go in once, questions come at any time.

Frames come on their own cadence and are passed over while nothing changes. A question sees the snapshot of
the moment it was asked. Nobody waits for anybody: a frame's pass and questions' passes run on the same
weights at once, each with a cache of its own (see `perception/qa/kv/attention.py`), and no lock is held over
either.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.qa.base import Answer, EngineCard, EngineKind, Moment
from realtime.core.clock import NS_PER_S
from realtime.core.errors import EngineError
from realtime.core.similarity import SimilarityGate

from .ask import Reply, is_empty, replies
from .kvmemory import KVMemory
from .moments import stretches
from .options import INSTRUCT, VideoModelOptions
from .remember import memory_for
from .strategies import ColourEmbedder
from .thumbnails import Thumbnails

if TYPE_CHECKING:
    from realtime.core.frame import Frame

    from .families.base import VideoModel
    from .families.load import DType, Source
    from .memory import Memory, Pick
    from .strategies import Embedder

SHOWN = 4
"""Moments that an answer points to."""
MOST_CHARACTERS = 1000
"""Of a question; what is beyond is not read."""
NOT_SEEN = re.compile(
    r"^\W*(none|nothing|unanswerable|unknown)\W*$"
    r"|(\bnot|n't|\bnever|\bcannot) (be |been |clearly )?(visible|shown|seen|see|mentioned|present|appear)"
    r"|\b(no|not any) (such|sign of|evidence)\b|did not see",
    re.IGNORECASE,
)
"""How models say that they did not see something."""
NO = re.compile(r"^\W*no\b(?! one)", re.IGNORECASE)
PRESENCE = re.compile(
    r"\b(is|are|was|were) there\b|\bappear|\b(you|anybody|anyone) (see|seen)\b", re.IGNORECASE
)
"""To such a question "no" says that something was not seen."""
COUNTED = re.compile(r"\bhow many\b", re.IGNORECASE)
"""To such a question "none" is a number."""
NOTHING_YET = "I have not seen anything yet."
NOT_ASKED = "Ask something about the stream."


def is_seen(question: str, answer: str) -> bool:
    """Tell from a model's words whether what was asked about was there."""
    if COUNTED.search(question):
        return True
    if PRESENCE.search(question) and NO.search(answer):
        return False
    return NOT_SEEN.search(answer) is None


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Hold what was seen up to a moment."""

    memory: Any
    known_ns: int
    """When the newest picture came, whether or not it was encoded."""


class VideoModelEngine:
    """Answer from a video model's memory. Satisfies `QAEngine[Seen]`."""

    def __init__(
        self,
        model: VideoModel,
        source: Source,
        options: VideoModelOptions | None = None,
        *,
        name: str = "video model",
        kind: EngineKind = "video model",
        says: str = "",
        memory: Memory[Any] | None = None,
        embedder: Embedder | None = None,
        epoch_ns: int = 0,
    ) -> None:
        """Watch with a loaded model. `memory` stands in for the one that `options.strategy` names.

        `epoch_ns`: the wall clock's time minus that of stamps, for what is kept on disk.
        """
        self.options = options = options or VideoModelOptions()
        self.model = model
        revision = f"{source.name}@{source.revision}" if source.revision else source.name
        self._card = EngineCard(
            name=name,
            kind=kind,
            says=says
            or f"Watches with {Path(source.name).name}, a frame each {options.every_s:g} s; it may be wrong.",
            model=revision,
            licence=source.licence,
        )
        tokenizer = model.tokenizer
        added = (str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values())
        self._marks = {mark for mark in (*tokenizer.all_special_tokens, *added) if mark.strip()}
        if embedder is None and options.strategy == "external":
            embedder = ColourEmbedder()
        self._embedder = embedder
        said = options.instruct
        self._instruct = said if said is not None else INSTRUCT if kind == "video model" else ""
        self.memory = memory or memory_for(
            model, options, revision=revision, epoch_ns=epoch_ns, embedder=embedder
        )
        self._thumbnails = Thumbnails(options.pictures_mib)
        self._gate = SimilarityGate()
        self._asks = threading.BoundedSemaphore(options.most_asks)
        self._encoded_ns: int | None = None
        self._encoded = 0
        kept = self.memory.snapshot()
        self._snapshot = Seen(kept, int(getattr(kept, "known_ns", 0)))

    @classmethod
    def load(
        cls,
        model: str,
        options: VideoModelOptions | None = None,
        *,
        device: str = "auto",
        dtype: DType = "auto",
        **more: Any,
    ) -> VideoModelEngine:
        """Load a model by name, see `families.load.load`, and watch with it; `more` as for the class.

        Raises what `load` raises: ModelMissing with the command that fetches the weights, and others.
        """
        from .families.load import load

        loaded, source = load(model, device=device, dtype=dtype)
        return cls(loaded, source, options, **more)

    @property
    def card(self) -> EngineCard:
        """Say which model answers, of which revision and licence."""
        return self._card

    @property
    def encoded(self) -> int:
        """How many frames were encoded so far; the others were passed over."""
        return self._encoded

    def push_frame(self, frame: Frame) -> None:
        """Encode a picture, unless it comes too soon or looks like the last one."""
        at_ns = frame.stamp.captured_ns
        if self._is_wanted(frame, at_ns):
            self._encoded_ns = at_ns
            seen = self.model.features(frame.pixels)
            if isinstance(self.memory, KVMemory):
                embedding = None if self._embedder is None else self._embedder.picture(frame.pixels)
                self.memory.push(seen.tokens_TC, at_ns, deep_DTC=seen.deep_DTC, embedding_E=embedding)
            else:
                self.memory.push(seen.tokens_TC, at_ns)
            self._thumbnails.add(frame.pixels, at_ns)
            self._encoded += 1
        self._snapshot = Seen(self.memory.snapshot(), at_ns)

    def note(self, event: Mapping[str, Any], at_ns: int) -> None:
        """Ignore what a session tells: a video model has its own eyes."""

    def snapshot(self) -> Seen:
        """Return the memory of this moment."""
        return self._snapshot

    def ask(self, text: str, memory: Seen) -> Iterator[Answer]:
        """Answer word by word; the moments are there from the first on. Raises EngineError."""
        question = self._cleaned(text)
        if not question:
            yield self._nothing(NOT_ASKED, memory)
            return
        told = f"{question} {self._instruct}".strip()
        with self._asks:
            try:
                context = self.memory.context(self.model.query(question), memory.memory)
                if is_empty(context):
                    yield self._nothing(NOTHING_YET, memory)
                    return
                moments, reply, said = self._moments(context.picks), Reply(context), ""
                for reply in replies(self.model, context, told, self.options.most_tokens):
                    if reply.text != said:
                        said = reply.text
                        yield self._answer(reply, memory, moments, question, is_final=False)
            except RuntimeError as error:  # torch: out of memory, a device that is gone
                raise EngineError(f"The model failed while answering: {error}") from error
        yield self._answer(reply, memory, moments, question, is_final=True)

    def picture(self, number: int) -> bytes | None:
        """Return the JPEG of a kept picture; None when it was forgotten."""
        return self._thumbnails.get(number)

    def forget(self, begin_ns: int = 0, end_ns: int | None = None) -> int:
        """Delete frames and their pictures, on disk too; return how many frames or summaries went."""
        end = (1 << 63) - 1 if end_ns is None else end_ns
        gone = self.memory.forget(begin_ns, end)
        self._thumbnails.forget(begin_ns, end)
        self._gate.reset()
        self._encoded_ns = None
        self._snapshot = Seen(self.memory.snapshot(), self._snapshot.known_ns)
        return gone

    def close(self) -> None:
        """Let go of the memory; the model belongs to whoever loaded it."""
        self.memory.close()

    def _is_wanted(self, frame: Frame, at_ns: int) -> bool:
        if self._encoded_ns is not None and at_ns - self._encoded_ns < self.options.every_s * NS_PER_S:
            return False
        verdict = self._gate.look(
            frame.pixels, threshold_levels=self.options.change_levels, max_skips=self.options.most_still
        )
        if verdict.skip:
            self._encoded_ns = at_ns  # the next look is a cadence later, too
        return not verdict.skip

    def _cleaned(self, text: str) -> str:
        """Return a question without marks that mean something to the model, and not too long."""
        short = " ".join(text[:MOST_CHARACTERS].split())
        for mark in self._marks:
            short = short.replace(mark, " ")
        return " ".join(short.split())

    def _nothing(self, says: str, memory: Seen) -> Answer:
        return Answer(says, self._card.name, memory.known_ns, observed=False)

    def _moments(self, picks: Sequence[Pick]) -> tuple[Moment, ...]:
        """Return the moments that had most to do with the question, in the order of time."""
        gap_ns = int(2 * self.options.every_s * NS_PER_S)
        best = stretches(picks, gap_ns, SHOWN)
        judged = len({pick.score for stretch in best for pick in stretch}) > 1
        return tuple(self._moment(stretch, judged) for stretch in best)

    def _moment(self, stretch: Sequence[Pick], judged: bool) -> Moment:
        best = max(stretch, key=lambda pick: pick.score)
        says = f"fits by {best.score:.0%}" if judged else ""
        until_ns = stretch[-1].at_ns if len(stretch) > 1 else 0
        return Moment(stretch[0].at_ns, says, until_ns, self._thumbnails.at(best.at_ns))

    def _answer(
        self, reply: Reply, memory: Seen, moments: tuple[Moment, ...], question: str, *, is_final: bool
    ) -> Answer:
        text = reply.text.strip()
        observed = bool(text) and is_seen(question, text)
        return Answer(
            text=text or ("I did not see that." if is_final else ""),
            engine=self._card.name,
            known_ns=memory.known_ns,
            moments=moments if observed or not is_final else (),
            observed=observed or not is_final,
            confidence=round(reply.confidence, 3),
            is_final=is_final,
        )
