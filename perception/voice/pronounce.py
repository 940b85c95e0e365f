"""Words as they are said: numbers in words, letters one by one. What a dictionary lacks is respelt or cut.

A decoder that sounds any word out needs no dictionary; one that has only a dictionary gives `is_known`. Only
what surely sounds like the word is taken; else the wording is left out of the grammar, and that is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain

from .numbers import said

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|\d+")
LETTERS_MOST = 4
"""So many letters without a vowel between them are spelt out: "lcm"."""
PART_LEAST = 3
"""Letters of each half of a word that is cut in two."""
SPELT = frozenset(("ddim",))
"""Names that look like words and are said letter by letter."""
_BRITISH = (("our", "or"), ("ise", "ize"), ("isation", "ization"), ("grey", "gray"))


def can_be_sounded_out(word: str) -> bool:
    """Tell whether a word looks like one, so that its sounds can be guessed from its letters."""
    return len(word) > 1 and re.search("[aeiouy]", word) is not None and word not in SPELT


def spoken(text: str, is_known: Callable[[str], bool] = can_be_sounded_out) -> tuple[str, ...] | None:
    """Return `text` in words that the decoder can say; None where one cannot be had."""
    found = [_word(word, is_known) for word in _WORD.findall(text.lower())]
    if not found or None in found:
        return None
    return tuple(chain.from_iterable(words for words in found if words is not None))


def _word(word: str, is_known: Callable[[str], bool]) -> tuple[str, ...] | None:
    if word.isdigit():
        return tuple(said(int(word)).split()) if len(word) <= 4 else None
    if is_known(word) or len(word) == 1:
        return (word,)
    for british, american in _BRITISH:
        other = word.replace(british, american)
        if other != word and (words := _word(other, is_known)):
            return words
    cuts = sorted(range(PART_LEAST, len(word) - PART_LEAST + 1), key=lambda at: abs(2 * at - len(word)))
    for at in cuts:
        if is_known(word[:at]) and is_known(word[at:]):
            return word[:at], word[at:]
    if len(word) <= LETTERS_MOST and (word in SPELT or not re.search("[aeiouy]", word)):
        return tuple(word)
    return None
