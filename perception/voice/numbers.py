"""Numbers as they are said: which ones a setting takes, and the rule that hears just those."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from .rules import Means, Rule, either, maybe, seq, word_for

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
UNITS = tuple(_UNITS.split())
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
LISTED_MOST = 100
"""A range of no more whole numbers is said number by number, so that only those are heard."""
FIVES_FROM, THOUSANDS_FROM = 12, 1000
SEEDS_FROM = 1_000_000
DECIMALS_BELOW = 100
"""What may be larger is said in whole numbers from here on."""


def said(number: int) -> str:
    """Return a whole number from 0 to 999 999 in words."""
    if not 0 <= number < 1_000_000:
        raise ValueError(f"from 0 to 999999, got {number}")
    if number >= THOUSANDS_FROM:
        rest = number % 1000
        return f"{said(number // 1000)} thousand" + (f" {said(rest)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{UNITS[number // 100]} hundred" + (f" {said(rest)}" if rest else "")
    if number >= 20:
        rest = number % 10
        return TENS[number // 10 - 2] + (f" {UNITS[rest]}" if rest else "")
    return UNITS[number]


def number(low: float, high: float, *, is_whole: bool, multiple_of: float | None = None) -> Rule:
    """Return the rule of the numbers from `low` to `high`; its meaning is an int or a float.

    Of few numbers each can be said, of many only those that people set: from 12 on fives ("thirteen"
    sounds like "thirty"), from 100 on tens, from 1000 on hundreds. Numbers that have no range, such as a
    seed's, are said one by one up to 99. Decimals have one place, shares (0 to 1) are said in percent as
    well. Of a range with large numbers some that are said may lie outside: who takes the number refuses
    it.
    """
    if multiple_of is not None and is_whole:
        first = -(-int(low) // int(multiple_of)) * int(multiple_of)
        return _listed(range(first, int(high) + 1, int(multiple_of)))
    if is_whole:
        if high - low < LISTED_MOST:
            every = range(int(low), int(high) + 1)
            return _listed([one for one in every if _is_said(one) or one == high])
        return _whole(high, is_coarse=high < SEEDS_FROM)
    return _decimal(low, high)


def _listed(numbers: Sequence[int]) -> Rule:
    rules: list[Rule] = []
    for one in numbers:
        rules.append(word_for(said(one), one))
        if 100 < one < 1000 and one % 100 >= 10:  # as sizes are read: "two fifty six"
            rules.append(word_for(f"{UNITS[one // 100]} {said(one % 100)}", one))
    return either(*rules)


def _is_said(one: int) -> bool:
    return one <= FIVES_FROM or one % 5 == 0


@lru_cache(8)
def _whole(high: float, *, is_coarse: bool) -> Rule:
    """Return the rule of 0 to `high`; coarse: from 12 on in fives."""
    below = either(*(word_for(said(one), one) for one in range(100) if not is_coarse or _is_said(one)))
    tens = either(*(word_for(said(one), one) for one in range(10, 100, 10)))
    digit = either(*(word_for(UNITS[one], one) for one in range(1, 10)))
    hundreds = Means(
        seq(digit, "hundred", maybe(seq(maybe("and"), tens), 0)), lambda count, rest: 100 * count + rest
    )
    if high < THOUSANDS_FROM:
        return either(below, hundreds)
    full = Means(seq(digit, "hundred"), lambda count: 100 * count)
    most = min(LISTED_MOST - 1, int(min(high, 999_999)) // 1000)
    thousands = Means(
        seq(either(*(word_for(said(one), one) for one in range(1, most + 1))), "thousand", maybe(full, 0)),
        lambda count, rest: 1000 * count + rest,
    )
    return either(below, hundreds, thousands)


def _listed_decimals(low: float, high: float) -> Rule:
    """Return the rule of the hundredths in a range that does not begin at nothing: only those are heard."""
    rules: list[Rule] = []
    for count in range(-(-round(low * 1000) // 10), int(high * 100) + 1):
        whole, tenth, hundredth = count // 100, count // 10 % 10, count % 10
        if hundredth and not (low > 0 and count < 10):
            continue
        if not (tenth or hundredth):
            rules.append(word_for(said(whole), float(whole)))
        digits = f"point {UNITS[tenth]}" + (f" {UNITS[hundredth]}" if hundredth else "")
        rules.append(word_for(f"{said(whole)} {digits}", count / 100))
        if not whole:
            rules.append(word_for(digits, count / 100))
    return either(*rules)


def _decimal(low: float, high: float) -> Rule:
    digit = either(*(word_for(UNITS[one], one) for one in range(10)))
    places = Means(seq("point", digit), lambda tenth: tenth / 10)
    if high >= DECIMALS_BELOW:
        return Means(_whole(high, is_coarse=True), float)
    if low > 0 or high != int(high):
        return _listed_decimals(low, high)
    last = int(high)
    wholes = [one for one in range(last + 1) if low <= one <= high and _is_said(one)]
    rules: list[Rule] = [word_for(said(one), float(one)) for one in wholes]
    begun = [one for one in range(last + 1) if one < min(high, FIVES_FROM) and one + 1 > low]
    rules.append(
        Means(
            seq(either(*(word_for(said(one), one) for one in begun)), places),
            lambda whole, part: round(whole + part, 2),
        )
    )
    if low < 1:
        rules.append(Means(places, lambda part: part))
    if high <= 1:
        shares = [one for one in range(5, 101, 5) if low <= one / 100 <= high]
        share = either(*(word_for(said(one), one / 100) for one in shares if one < 100))
        full = [word_for("one hundred", 1.0), word_for("a hundred", 1.0)] if high == 1 else []
        rules.append(seq(either(share, *full), "percent"))
    return either(*rules)
