"""Times as people say them: "in the last ten minutes", "two minutes ago", "between 3 and 4 pm"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from realtime.core.clock import NS_PER_S

WORDS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40,
    "fortyfive": 45, "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100, "couple of": 2, "a couple of": 2,
    "few": 5, "a few": 5, "half": 0.5, "half a": 0.5, "half an": 0.5, "several": 5,
}  # fmt: skip
UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
UNITS |= {"day": 86_400, "week": 604_800}
_NUMBER = r"(?P<n>\d+(?:\.\d+)?|" + "|".join(sorted(WORDS, key=len, reverse=True)) + ")"
_UNIT = r"(?P<u>seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|weeks?)"
_CLOCK = r"(\d{1,2}(?::\d\d)?(?: ?(?:am|pm|oclock))?|noon|midnight)"
_SURE_CLOCK = r"(\d{1,2}:\d\d(?: ?(?:am|pm))?|\d{1,2} ?(?:am|pm|oclock)|noon|midnight)"
FUTURE = re.compile(
    r"^(?:(?:what|who|when|where|which|how)\b(?: \w+){0,4}? )?(?:will|shall|would)\b"
    r"|\b(?:is|are|am) \w+ going to\b"
    r"|\bgoing to (?:happen|be|come|appear|leave|rain|do|go)\b|\babout to\b|\btomorrow\b"
    r"|\b(?:in|within|over) the (?:next|coming) (?:\w+ )?(?:seconds?|minutes?|hours?|days?|weeks?|time)\b"
    r"|\bnext (?:\w+ )?(?:seconds?|minutes?|hours?|days?|weeks?)\b|\bin the future\b"
    r"|\bin (?:\d+|two|three|five|ten|an|a) (?:seconds?|minutes?|hours?|days?|weeks?)(?: time)?$"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Hold a span of time that was asked about."""

    begin_ns: int = 0
    end_ns: int = 1 << 62
    says: str = ""
    """As a sentence has it, with a blank before: " in the last 10 minutes"; "" for all of the time."""
    is_now: bool = False
    is_future: bool = False
    at_ns: int = 0
    """The moment that is meant where the span is what lies around it; else 0."""

    @property
    def is_all(self) -> bool:
        return not self.says and not self.is_now


@dataclass(frozen=True, slots=True)
class When:
    """Say what times in a question refer to."""

    now_ns: int
    start_ns: int = 0
    """Since when anything is remembered."""
    zone: tzinfo | None = None
    """None: the machine's own."""

    def local(self, at_ns: int) -> datetime:
        return datetime.fromtimestamp(at_ns / NS_PER_S, self.zone)


@dataclass(slots=True)
class _Found:
    text: str
    when: When
    day: datetime | None = None
    spans: list[Span] = field(default_factory=list)

    def take(self, pattern: str, make: Callable[[re.Match[str]], Span | None]) -> None:
        """Cut out what matches, if a span can be made of it."""
        match = re.search(pattern, self.text)
        if match is not None and (span := make(match)) is not None:
            self.spans.append(span)
            self.text = " ".join((self.text[: match.start()] + " " + self.text[match.end() :]).split())


def cut_out(text: str, when: When) -> tuple[str, Span]:
    """Return a question (small letters, no punctuation but colons) without its times, and their span."""
    found, now_ns = _Found(text, when), when.now_ns

    def last(match: re.Match[str]) -> Span:
        amount, says = _amount(match)
        return Span(now_ns - amount, now_ns, f" in the last {says}")

    def ago(match: re.Match[str]) -> Span:
        amount, says = _amount(match)
        at_ns, some = now_ns - amount, max(10 * NS_PER_S, amount * 3 // 20)
        bound = match.group("bound") or ""
        if "more" in bound or "longer" in bound:
            return Span(0, at_ns, f" more than {says} ago")
        if "less" in bound or "since" in bound or "within" in bound:
            return Span(at_ns, now_ns, f" in the last {says}")
        if "until" in bound or "before" in bound:
            return Span(0, at_ns, f" until {says} ago")
        return Span(at_ns - some, min(at_ns + some, now_ns), f" about {says} ago", at_ns=at_ns)

    def between(match: re.Match[str]) -> Span:
        longer, says = _amount(match, unit=match.group("u") or match.group("u2"))
        shorter, until = _amount(match, "n2", match.group("u2"))
        longer, shorter = max(longer, shorter), min(longer, shorter)
        return Span(now_ns - longer, now_ns - shorter, f" between {says} and {until} ago")

    def first(match: re.Match[str]) -> Span:
        amount, says = _amount(match)
        return Span(when.start_ns, when.start_ns + amount, f" in the first {says}")

    number = f"(?:{_NUMBER} )?"
    found.take(
        rf"\b(?:in|within|during|over|for|of|from)? ?(?:the )?(?:last|past|previous) {number}{_UNIT}\b", last
    )
    found.take(rf"\bsince {_NUMBER} {_UNIT}\b(?! ago)", last)
    found.take(
        rf"\b(?:between|from) {_NUMBER}(?: {_UNIT})? (?:and|to|until) "
        rf"{_NUMBER.replace('<n>', '<n2>')} {_UNIT.replace('<u>', '<u2>')} ago\b",
        between,
    )
    found.take(
        r"(?P<bound>\b(?:more than|longer than|less than|since|until|before|within|about|around|like|from)"
        r"\b)? ?"
        rf"\b{_NUMBER} ?{_UNIT} ago\b",
        ago,
    )
    found.take(rf"\b(?:in|within|during) the first {number}{_UNIT}\b", first)
    _take_days(found)
    _take_clocks(found)
    _take_vague(found)
    return found.text, _joined(found.spans)


def _take_vague(found: _Found) -> None:
    now_ns, start_ns = found.when.now_ns, found.when.start_ns
    found.take(
        r"\b(?:just now|a moment ago|a second ago|this minute)\b",
        lambda _: Span(now_ns - 30 * NS_PER_S, now_ns, " in the last 30 s"),
    )
    found.take(
        r"\b(?:recently|lately)\b", lambda _: Span(now_ns - 300 * NS_PER_S, now_ns, " in the last 5 min")
    )
    found.take(
        r"\bat the (?:very )?(?:beginning|start)\b",
        lambda _: Span(start_ns, start_ns + 30 * NS_PER_S, " in the first 30 s"),
    )
    found.take(
        r"\b(?:(?<!on the )(?<!to the )right now|now|at the moment"
        r"|at this moment|currently|at present|presently|still)\b",
        lambda _: Span(now_ns, now_ns, is_now=True),
    )
    found.take(
        r"\b(?:so far|until now|up to now|since the (?:start|beginning)"
        r")\b",
        lambda _: Span(),
    )


def _take_days(found: _Found) -> None:
    """Take out days and their parts; a clock time beside one is of that day."""
    today = found.when.local(found.when.now_ns).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    parts = {"morning": (0, 12), "afternoon": (12, 18), "evening": (17, 24), "night": (18, 30)}

    def part(match: re.Match[str]) -> Span | None:
        word = match.group(0)
        day = days["yesterday"] if "yesterday" in word or "last" in word else today
        begin, end = parts["night" if "night" in word else match.group(1)]
        said = word if word.startswith(("this", "last", "yesterday")) else f"this {word}"
        return _clock_span(day + timedelta(hours=begin), day + timedelta(hours=end), f" {said}")

    found.take(r"\b(?:this|yesterday) (morning|afternoon|evening)\b|\blast (night)\b|\bto(night)\b", part)
    match = re.search(r"\b(today|yesterday)\b", found.text)
    if match:
        found.day = days[match.group(1)]
        whole = _clock_span(found.day, found.day + timedelta(days=1), f" {match.group(1)}")
        found.take(r"\b(?:of |on )?(?:today|yesterday)\b", lambda _: whole)


def _take_clocks(found: _Found) -> None:
    def at(text: str, like: str = "") -> datetime:
        return _moment(text, found.when, found.day, like)

    def between(match: re.Match[str]) -> Span:
        begin, end = at(match.group(1), match.group(2)), at(match.group(2))
        if begin > end:
            begin -= timedelta(days=1)
        return _clock_span(begin, end, f" between {match.group(1)} and {match.group(2)}")

    def one(match: re.Match[str]) -> Span:
        word, moment = match.group(1), at(match.group(2))
        at_ns = round(moment.timestamp() * NS_PER_S)
        says = f" {word} {match.group(2)}"
        if word in ("since", "after", "from"):
            return Span(
                at_ns, found.when.now_ns, f" since {match.group(2)}", is_future=at_ns > found.when.now_ns
            )
        if word in ("before", "until", "till", "by"):
            return Span(0, at_ns, says)
        some, is_future = 300 * NS_PER_S, at_ns > found.when.now_ns
        return Span(at_ns - some, at_ns + some, f" around {match.group(2)}", is_future=is_future, at_ns=at_ns)

    found.take(rf"\b(?:between|from) {_CLOCK} (?:and|to|until|till) {_SURE_CLOCK}(?: oclock)?\b", between)
    found.take(rf"\b(since|after|from|before|until|till|by|at|around|about) {_SURE_CLOCK}\b", one)
    found.take(r"\b(since|before|until|at) (\d{1,2})$", one)


def _amount(match: re.Match[str], name: str = "n", unit: str = "") -> tuple[int, str]:
    said, unit = match.group(name) or "1", unit or match.group("u")
    number = float(said) if said[0].isdigit() else float(WORDS[said])
    seconds = UNITS[unit if unit in UNITS else unit.rstrip("s")]
    amount = min(round(number * seconds * NS_PER_S), 1 << 61)
    return amount, lasting(amount / NS_PER_S)


def _moment(text: str, when: When, day: datetime | None, like: str) -> datetime:
    """Return the day's moment, or the newest one before now, that a clock time names."""
    now = when.local(when.now_ns)
    half = next((one for one in ("am", "pm") if text.endswith(one)), None)
    if half is None and like:
        half = next((one for one in ("am", "pm") if like.endswith(one)), None)
    digits = re.findall(r"\d+", text) or [{"noon": "12", "midnight": "0"}[text]]
    hour, minute = int(digits[0]), int(digits[1]) if len(digits) > 1 else 0
    if half is not None:
        hour = hour % 12 + (12 if half == "pm" else 0)
    base = (day or now).replace(hour=hour % 24, minute=minute % 60, second=0, microsecond=0)
    if day is not None or base <= now:
        ambiguous = half is None and hour <= 12 and digits and text[0].isdigit()
        later = base + timedelta(hours=12)
        return later if ambiguous and ":" not in text and later <= now and day is None else base
    return base if half is not None and base - now < timedelta(hours=6) else base - timedelta(days=1)


def _clock_span(begin: datetime, end: datetime, says: str) -> Span:
    return Span(round(begin.timestamp() * NS_PER_S), round(end.timestamp() * NS_PER_S), says)


def _joined(spans: list[Span]) -> Span:
    """Return what all of the spans have in common."""
    if not spans:
        return Span()
    said = sorted((one for one in spans if one.says), key=lambda one: one.end_ns - one.begin_ns)
    return Span(
        max(one.begin_ns for one in spans if not one.is_now or len(spans) == 1),
        min(one.end_ns for one in spans),
        said[0].says if said else "",
        is_now=any(one.is_now for one in spans) and not said,
        is_future=any(one.is_future for one in spans),
        at_ns=max(one.at_ns for one in spans),
    )


def lasting(seconds: float) -> str:
    """Return a length of time in words: "14 s", "2 min 10 s", "3 h 5 min", "2 d 4 h"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s" if seconds >= 0.95 or whole else "less than 1 s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    if whole < 86_400:
        hours, rest = divmod(whole // 60, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, rest = divmod(whole // 3600, 24)
    return f"{days} d {rest} h" if rest else f"{days} d"
