"""The rules of the grammar: patterns of plain words, and what makes a question's meaning of each.

They are tried in order, and a maker may decline. What no rule takes is unknown: a wrong guess would be worse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from .asked import Asked, Intent
from .subjects import Knows, Subject, subject_of, subjects_of
from .verbs import BE, PLACED, SPEECH, WHO, edged, ordered, without
from .words import ANYTHING

Rule = Callable[[str, re.Match[str], Knows], Asked | None]
"""Takes what the pattern's group "x" holds, or else the whole question."""

_PRONOUNS = ("i", "me", "you", "it", "he", "she", "we", "they", "them", "us", "him", "her", "what", "who")
_TIMES = r"at (?:the same time|once|most|a time|maximum)|simultaneously|maximum|the most"
_TOTAL = r"in total|altogether|overall|all in all|in all|different|distinct|unique"
_GO = r"(?:go|going|gone|went|walk|walked|walking|run|ran|running|drive|move|moved|moving|head|heading)"
_VERB = (
    rf"(?:{BE}|came|come|comes|appeared|arrived|entered|left|leaves|went|goes|passed|disappeared|visited"
    r"|else)"
)


def ruled(text: str, knows: Knows) -> Asked:
    """Return what a question asks, its times aside."""
    for pattern, make in _RULES:
        match = pattern.search(text)
        if match is not None and (found := make(match.groupdict().get("x") or "", match, knows)) is not None:
            return found
    return Asked("unknown", text)


def _about(intent: Intent) -> Rule:
    """Return a rule for a question about things."""

    def make(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
        rest, which = ordered(text)
        rest, edge = edged(without(rest))
        subjects, joined = subjects_of(without(rest), knows)
        if edged(rest)[1] or (edge == "moved" and intent not in ("was", "when")):
            return None  # two verbs, or one that this cannot answer
        if intent == "was" and edge == "moved":
            return Asked("moved", subjects=subjects, edge=edge)
        if intent == "was" and (which or _says_nothing(rest, subjects)):
            return None  # which was first or last is not what "was there" can tell
        return Asked(intent, subjects=subjects, joined=joined, which=which, edge=edge)  # type: ignore[arg-type]

    return make


def _says_nothing(text: str, subjects: tuple[Subject, ...]) -> bool:
    """Tell whether words name nothing to look for: neither a thing nor "anything"."""
    if text.split()[:1] and text.split()[0] in _PRONOUNS:
        return True
    one = subjects[0]
    if one.unknown.split()[:1] and (
        one.unknown.split()[0] in _PRONOUNS or one.unknown.split()[0].endswith("ing")
    ):
        return True
    is_bare = one.is_anything and not one.colour and not one.place
    return is_bare and not any(word in ANYTHING for word in text.split())


def _named(intent: Intent) -> Rule:
    """Return a rule for a question about things that must be named."""
    make = _about(intent)

    def declining(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
        found = make(text, match, knows)
        named = found and not _says_nothing(text, found.subjects)
        return found if named else None

    return declining


def _plainly(intent: Intent) -> Rule:
    return lambda text, match, knows: Asked(intent)


def _bare(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    """Take a thing's name alone for "was there one?"."""
    subjects, joined = subjects_of(text, knows)
    is_plain = all((one.labels or one.colour) and not (one.leftover or one.unknown) for one in subjects)
    return Asked("was", subjects=subjects, joined=joined) if is_plain else None


def _counted(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    peak = re.search(rf"\b(?:{_TIMES}|together)\b", text)
    total = re.search(rf"\b(?:{_TOTAL})\b", text)
    text, edge = edged(without(re.sub(rf"\b(?:{_TIMES}|{_TOTAL}|together)\b", " ", text)))
    subjects, joined = subjects_of(without(re.sub(rf"\b(?:{BE})", " ", text)), knows)
    intent: Intent = "visits" if (edge or total) and not peak else "count"
    if edge == "moved" or _says_nothing(text, subjects):
        return None
    return Asked(intent, subjects=subjects, joined=joined, is_peak=bool(peak), edge=edge)


def _often(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    rest, edge = edged(without(text))
    return None if edge == "moved" else Asked("visits", subjects=(subject_of(rest, knows),), edge=edge)


def _things(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    """Take "who was there", "what did you see on the left"."""
    who = "person" if match.group("q") in ("who", "whom") else "thing"
    rest, edge = edged(without(re.sub(r"^else\b", " ", text).strip()))
    if edge == "moved":
        return None
    subject = subject_of(f"{who} {without(rest)}", knows)
    if subject.unknown or (who == "thing" and subject.labels):
        words = without(rest)
        subject = replace(subject, labels=(), leftover=words, unknown="", said="thing", is_known=True)
    if subject.leftover and not _ABOUT_A_THING.search(rest):
        return None  # "what is the meaning of life" asks for no thing that was seen
    return Asked("which things", subjects=(subject,), edge=edge)


def _kinds(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    """Take "which animals did you see": a group, and what of it there was."""
    rest, edge = edged(without(text))
    subject = subject_of(without(rest), knows)
    return Asked("which things", subjects=(subject,), edge=edge) if subject.labels else None


def _spoken(which: str = "") -> Rule:
    """Return a rule for what was said."""

    def make(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
        topic = re.sub(r"^(?:(?:some|any)?thing )?(?:about|of|on|regarding|the words?)\b", "", text.strip())
        topic = re.sub(r"\bto (?:me|you|us)$|^(?:any|some)thing$|^anything$", "", topic.strip())
        return Asked("said", topic=topic.strip(), which=which)  # type: ignore[arg-type]

    return make


def _long(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    ago = re.search(r"^ago (?:was|did|were|is|has|have) (?P<x>.+)$", text)
    if ago:
        return _named("when")(ago.group("x"), ago, knows)
    text = re.sub(r"\b(?:stay(?:ed)?|last(?:ed)?|remain(?:ed)?|for|long)\b", " ", text)
    return _named("how long")(" ".join(text.split()), match, knows)


def _directed(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    rest, _ = edged(without(text))
    subjects, joined = subjects_of(without(rest), knows)
    if _says_nothing(rest, subjects):
        return None
    return Asked("moved", subjects=subjects, joined=joined, edge="moved", which="last")


def _happening(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    return Asked("summary" if " was " in match.string else "now")


def _summed(text: str, match: re.Match[str], knows: Knows) -> Asked | None:
    rest = match.string[match.end() :].strip()
    empty = (
        "of|to|for|in|the|it|what|happened|everything|all|that|me|here|there|please|i|missed|so|far|stream"
    )
    left = [word for word in rest.split() if word not in empty.split("|")]
    return Asked("summary") if not left else None


def _of(pattern: str, make: Rule) -> tuple[re.Pattern[str], Rule]:
    return re.compile(pattern), make


_ABOUT_A_THING = re.compile(
    r"^(?:\w+ing\b|on|in|at|near|next to|behind|under|below|above|over|beside|by|with|inside|between)\b"
)
_WHEN = r"(?:when|at what time|at which time|what time)"
_RULES: tuple[tuple[re.Pattern[str], Rule], ...] = (
    _of(r"^help$|^what (?:can|could|may) (?:you|i) (?:do|ask|answer|tell)\b", _plainly("help")),
    _of(r"^what do you know$|^(?:who|what) are you$|^how do you work$", _plainly("help")),
    _of(rf"^when\b.*\b{SPEECH} (?P<x>.+)$", _spoken("last")),
    _of(
        rf"^(?:what|anything|words?)\b.*\b{SPEECH}(?: about| (?:about|of|on|regarding) (?P<x>.+))?$",
        _spoken(),
    ),
    _of(rf"^who (?:was |is )?{SPEECH}(?: (?P<x>.+))?$", _spoken("who")),
    _of(
        rf"^what (?:was|were) (?:the )?(?:very )?(?P<o>last|first) (?:words?|sentence|thing)(?: that)?"
        rf"(?: was| were)?(?: {SPEECH})?$",
        lambda text, match, knows: Asked("said", which="first" if match.group("o") == "first" else "last"),
    ),
    _of(
        rf"^what (?:was|did) .*\b{SPEECH} (?P<o>last|first)$",
        lambda text, match, knows: Asked("said", which="first" if match.group("o") == "first" else "last"),
    ),
    _of(rf"^how (?:often|many times) (?:{BE}) (?P<x>.+) {SPEECH}$", _spoken("often")),
    _of(rf"^how (?:often|many times) (?:{BE}) (?:{WHO}|\w+|the \w+) {SPEECH} (?P<x>.+)$", _spoken("often")),
    _of(r"^anything (?:about|on) (?P<x>.+)$", _spoken()),
    _of(rf"^(?:was|were|is) (?P<x>.+) {SPEECH}$", _spoken("whether")),
    _of(
        rf"^(?:{BE}) (?:{WHO}|anything|people|a person|the \w+|\w+) (?:ever )?{SPEECH}(?: (?P<x>.+))?$",
        _spoken("whether"),
    ),
    _of(r"^(?:what|which) (?:is|was|are|were) the colours? of (?P<x>.+)$", _named("colour")),
    _of(
        r"^(?:what|which) colours? (?:is|was|are|were|did|does|do|has|had|of)?(?P<x>.+?)(?: have| had)?$",
        _named("colour"),
    ),
    _of(r"^how (?:many (?:times|visits)|often)(?P<x>.+)$", _often),
    _of(
        r"^(?:for )?how (?:long|much time|many (?:seconds|minutes|hours|days)(?= (?:was|were|is|did|has))) ?"
        r"(?P<x>.+)$",
        _long,
    ),
    _of(
        r"^(?:how many|(?:what (?:is|was) )?the (?:number|count) of|count|number of)(?: of)?(?: the)? "
        r"(?P<x>.+)$",
        _counted,
    ),
    _of(r"^(?:since|until) when (?P<x>.+)$", _named("when")),
    _of(
        rf"^(?:{_WHEN}(?: was| is| did)?|did|has|was|is)(?: the| there a)? (?:scene|shot|picture)? ?"
        r"(?:change[ds]?|cuts?)$|^(?:scene changes?|cuts?)$",
        _plainly("cut"),
    ),
    _of(
        rf"^(?:{_WHEN} )?(?:did|has|was|is) the camera (?:move|moved|moving|shake|shaking|pan|panning)$",
        _plainly("camera"),
    ),
    _of(rf"^{_WHEN} ?(?P<x>.+)$", _named("when")),
    _of(
        r"^(?:what|which|in what|in which)(?: was| is)? (?:the )?(?:way|direction) "
        rf"(?:did |has |does |is |was )?(?P<x>.+?)(?: {_GO})?(?: to| in)?$",
        _directed,
    ),
    _of(rf"^where (?:did|has|does|is) (?P<x>.+) {_GO}(?: to)?$", _directed),
    _of(
        rf"^where (?:(?:did|have|had|do) {WHO} (?:last |first |ever )?{PLACED}(?: down)?|{BE}|can i find) ?"
        rf"(?P<x>.+?)(?: {PLACED}| located| lying)?$",
        _named("where"),
    ),
    _of(r"^(?:find|locate|where) (?P<x>.+)$", _named("where")),
    _of(
        r"^what (?:is|was) (?:happening|going on)$|^what (?:do|can) you (?:see|notice)$"
        r"|^what is (?:there|visible|it|here|on|up)$|^describe\b|^who is (?:there|here)$",
        _happening,
    ),
    _of(
        r"^(?:give me )?(?:a |the )?(?:short )?(?:summar(?:y|ise|ize)|recap|overview)\b"
        r"|^what (?:has |did |have |all )?(?:happened|happen|went on|i miss|i missed)\b"
        r"|^(?:did|has|was) (?:anything|something) (?:happen|happened|new|going on)$"
        r"|^anything (?:new|happened)$|^what is new$|^what (?:has |have )?changed$|^tell me everything$",
        _summed,
    ),
    _of(
        r"^(?:what|which)(?: settings?| commands?)? (?:did|was|were|has|have)? ?"
        r"(?:i|we|been|anybody|somebody) ?"
        r"(?:change|changed|set|command|commanded|adjust|adjusted)$|^(?:what|which) (?:settings|commands)\b",
        _plainly("changed"),
    ),
    _of(
        r"^(?:what|which things?|who) (?:was |were |has |have |is |are )?(?:been )?(?:moved|moving|moves)$",
        lambda text, match, knows: Asked("moved", edge="moved"),
    ),
    _of(
        rf"^(?P<q>what|who|whom|(?:what|which) (?:things?|objects?)) (?P<x>{_VERB}\b.*)$",
        _things,
    ),
    _of(r"^(?:which|what|list|name)(?: kinds? of)?(?: all)?(?: the)? (?P<x>.+)$", _kinds),
    _of(rf"^(?:{BE}) (?P<x>.+)$", _about("was")),
    _of(r"^there (?:is|are|was|were) (?P<x>.+?)(?: , (?:is|are|was|were) not there)?$", _about("was")),
    _of(r"^(?:show(?: me)?|(?:tell me )?about|any (?:sign|trace) of) (?P<x>.+)$", _named("was")),
    _of(r"^(?P<x>.+)$", _bare),
)
