"""Which pictures a question is sent with: few of many, the same for the same question.

The newest go in any case. The others come from a list of wishes, first come first served: what an embedder
finds close to the words, what the event memory knows a moment of, what was new when it came, and then
pictures spread over all of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

from perception.qa.base import Moment

from .server_frames import Kept


def pick(
    kept: Sequence[Kept], count: int, recent: int, words: Any = None, moments: Sequence[Moment] = ()
) -> list[Kept]:
    """Return at most `count` pictures in order of time, of them `recent` newest ones.

    `words` is the question's embedding, None or of length 0 without one.
    """
    recent = min(recent, count, len(kept))
    chosen = {one.number: one for one in (kept[-recent:] if recent else ())}
    for one in _wished(kept, words, moments, count):
        if len(chosen) >= count:
            break
        chosen.setdefault(one.number, one)
    return [chosen[number] for number in sorted(chosen)]


def _wished(kept: Sequence[Kept], words: Any, moments: Sequence[Moment], count: int) -> Iterator[Kept]:
    close, known = list(_closest(kept, words)), list(_shown(kept, moments))
    ways = [close[:count], known] if close else [known]
    if not close:
        ways.append(sorted(kept, key=lambda one: (-one.novelty, one.number))[: max(1, count // 2)])
    yield from (one for one in chain.from_iterable(zip_longest(*ways)) if one is not None)
    yield from _spread(kept, count)


def _closest(kept: Sequence[Kept], words: Any) -> Iterator[Kept]:
    if words is None or not bool((words != 0).any()):
        return
    alike = {one.number: float(one.embedding @ words) for one in kept if one.embedding is not None}
    yield from sorted(
        (one for one in kept if one.number in alike), key=lambda one: (-alike[one.number], one.number)
    )


def _shown(kept: Sequence[Kept], moments: Sequence[Moment]) -> Iterator[Kept]:
    """Yield the picture that was the sight at each moment: the last one kept before its end."""
    for moment in moments:
        until_ns = max(moment.at_ns, moment.until_ns)
        before = [one for one in kept if one.at_ns <= until_ns]
        if before:
            yield before[-1]


def _spread(kept: Sequence[Kept], count: int) -> Iterator[Kept]:
    """Yield pictures at even steps through all, first few and then between them."""
    seen: set[int] = set()
    parts = 1
    while parts < 2 * max(1, count) and len(seen) < len(kept):
        for k in range(parts + 1):
            index = round(k * (len(kept) - 1) / parts)
            if index not in seen:
                seen.add(index)
                yield kept[index]
        parts *= 2
