"""Prompts become embeddings on a thread of their own: the painting lane takes the newest that is ready.

Typing changes a prompt ten times a second and encoding may take longer than a frame. So each session has a
mailbox of one (`Prompter`): what was wanted last wins, what was wanted in between is never encoded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from .blend import BAR, Blend, blended
from .embedding import Embedding, Words


class PromptBook:
    """Encode prompts for the sessions of one model, and remember the newest ones."""

    def __init__(
        self,
        encode: Callable[[str], Embedding],
        capacity: int = 64,
        nothing: Callable[[], Embedding | None] = lambda: None,
    ) -> None:
        """`nothing` returns what stands for an empty negative prompt, if that is not encoded like others."""
        self._encode = encode
        self._nothing = nothing
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, Blend], Embedding] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompts")

    def look_up(self, text: str, how: Blend = "linear") -> Embedding:
        """Return the embedding of `text`, a prompt or a blend of several.

        What is not known is encoded here and now. Raises ConfigError for a blend that cannot be read.
        """
        key = (text, how if BAR in text else "linear")
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        # Parts are remembered too: to turn a weight encodes nothing.
        made = blended(text, how, self.look_up) if BAR in text else self._encode(text)
        with self._lock:
            made = self._known.setdefault(key, made)  # another thread may have been quicker
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return made

    def words(self, prompt: str, negative: str, how: Blend = "linear") -> Words:
        """Return the embeddings of both prompts; encodes them here and now if they are not known."""
        empty = None if negative.strip() else self._nothing()
        return Words(self.look_up(prompt, how), empty or self.look_up(negative, how))

    def later(self, work: Callable[[], None]) -> Future[None]:
        """Run `work` on the book's thread."""
        return self._thread.submit(work)

    def close(self) -> None:
        """End the thread after what it is at. Twice does no harm."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Prompter:
    """Hold the words of one session: those in use, and the ones wanted next."""

    def __init__(self, book: PromptBook, prompt: str, negative: str, how: Blend = "linear") -> None:
        """Encode the first words here and now: a session never paints without a prompt."""
        self._book = book
        self._lock = threading.Lock()
        self._wanted: tuple[str, str, Blend] | None = None
        self._asked: tuple[str, str, Blend] | None = (prompt, negative, how)
        self._working: Future[None] | None = None
        self._ready = book.words(prompt, negative, how)

    def want(self, prompt: str, negative: str, how: Blend = "linear") -> None:
        """Ask for other words. Returns at once; the newest wish replaces one that has not been begun."""
        with self._lock:
            if (prompt, negative, how) == self._asked:
                return
            self._asked = self._wanted = (prompt, negative, how)
            if self._working is None:
                self._working = self._book.later(self._work)

    def newest(self) -> Words:
        """Return the newest words that are ready. Raises what encoding raised, once."""
        with self._lock:
            broken = self._working
            if broken is None or not broken.done() or broken.exception() is None:
                return self._ready
            self._asked = None
            self._working = self._book.later(self._work) if self._wanted is not None else None
        broken.result()
        return self._ready

    def wait(self, timeout_s: float) -> Words:
        """Return the words that were wanted last. Raises TimeoutError, or what encoding raised."""
        with self._lock:
            working = self._working
        if working is not None and not wait((working,), timeout_s).done:
            raise TimeoutError(f"the prompt was not encoded within {timeout_s:g} s")
        return self.newest()

    def _work(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, None
                if wanted is None:
                    self._working = None
                    return
            ready = self._book.words(*wanted)
            with self._lock:
                self._ready = ready
