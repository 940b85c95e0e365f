"""Bring what was typed to plain words: small letters, no short forms, usual slips of fingers undone."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from .words import lexicon

MAX_CHARS = 400
"""Of a question that are read."""
_SHORT = tuple(
    (re.compile(pattern), full)
    for pattern, full in (
        (r"\b(what|who|where|when|there|it|that)'?s\b", r"\1 is"),
        (r"\b(is|are|was|were|did|do|does|has|have|had)n'?t\b", r"\1 not"),
        (r"\bcan'?t\b", "can not"),
        (r"\bwon'?t\b", "will not"),
        (r"\bi'?m\b", "i am"),
        (r"\b(\w+)'ll\b", r"\1 will"),
        (r"\b(\w+)'re\b", r"\1 are"),
        (r"\b(\w+)'ve\b", r"\1 have"),
        (r"\bo'clock\b", "oclock"),
        (r"\b([ap])\.m\b\.?", r"\1m"),
        (r"'s\b", ""),
        (r"\bcolor(s?)\b", r"colour\1"),
        (r"\bgray\b", "grey"),
        (r"\b(?:teh|hte)\b", "the"),
        (r"\bwsa\b", "was"),
        (r"\b(?:u|yuo)\b", "you"),
        (r"\bppl\b", "people"),
        (r"\b(?:plz|pls)\b", "please"),
        (r"\bhowmany\b", "how many"),
        (r"\bforty five\b", "fortyfive"),
        (r"\bhalf an? (hour|minute|day)\b", r"half \1"),
        (r"\bcell ?phones?\b", "cell phone"),
        (r"\b(move[sd]?|moving|go|goes|going|went) (left|right)\b", r"\1 to the \2"),
    )
)
_ASKING = frozenset(
    re.findall(
        r"\w+",
        "what where when which many much long often colour colours there happened happening appeared "
        "appear first last before after during while said heard anybody somebody anything something "
        "everything minute minutes hour hours second seconds summary summarise person people left right "
        "middle moved moving seen visible today yesterday since between about could would leave arrive "
        "arrived come came enter entered two three four five seven eight nine from form then than were "
        "these those some same time times late later words word sound thing things world third",
    )
)
"""Words that are right as they are, or are meant by a slip."""
_COURTESY = re.compile(
    r"^(?:(?:hey|hi|hello|ok|okay|please|so|and|well|um|uh|excuse me|vitascope|computer) )+"
    r"|^(?:(?:can|could|would|will) you (?:please )?(?:tell me|say|show me)|(?:please )?(?:tell|show) me"
    r"|do you (?:know|remember)|i (?:want|would like) to know|i wonder|say|repeat) "
    r"(?=what|who|where|when|which|how|if|whether|was|is|did)"
    r"|(?: please| thanks| thank you)+$"
)


def plain(text: str) -> str:
    """Return a question as the grammar reads it, at most 400 letters of it."""
    text = unicodedata.normalize("NFKC", text[: 2 * MAX_CHARS]).casefold()
    text = re.sub("[\u2018\u2019\u00b4`\u02bc]", "'", text)[:MAX_CHARS]
    for short, full in _SHORT:
        text = short.sub(full, text)
    text = re.sub(r"(?<=\d)[.](?=\d\d\b)|(?<=\d):(?=\d\d\b)", ":", text)
    text = re.sub(r"[^\w\s:,]|_", " ", text)
    text = re.sub(r"(?<!\d):|:(?!\d)", " ", text)
    text = re.sub(r",(?!\s*\w)|(?<!\w)\s*,", " ", text)
    words = " ".join(text.replace(",", " , ").split()).split()
    text = " ".join(_mended(word) for word in words).strip(" ,")
    for _ in range(2):
        text = _COURTESY.sub("", text).strip(" ,")
    text = re.sub(r"^what (?:all )?(?:you|i|they|we) (?:saw|have seen|had seen)\b", "what did you see", text)
    return re.sub(r"^(?:if|whether) ", "", text)


@lru_cache(4096)
def _mended(word: str) -> str:
    """Return the word that was meant, if two letters are swapped, one is missing or one is doubled."""
    known = _known()
    if len(word) < 4 or not word.isalpha() or word in known:
        return word
    swapped = (word[:k] + word[k + 1] + word[k] + word[k + 2 :] for k in range(len(word) - 1))
    found = next((one for one in swapped if one in known), None)
    if found is None and len(word) >= 6:
        fewer = (word[:k] + word[k + 1 :] for k in range(1, len(word)) if word[k] == word[k - 1])
        found = next((one for one in fewer if one in known), None)
        more = (word[:k] + c + word[k:] for k in range(1, len(word)) for c in "abcdefghijklmnopqrstuvwxyz")
        found = found or next((one for one in more if one in known), None)
    return found or word


@lru_cache(1)
def _known() -> frozenset[str]:
    return lexicon() | _ASKING
