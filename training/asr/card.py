"""The model card, written from the figures of an evaluation: no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.asr.words import PATTERNS, WORDS

HEAD = """# Small FastConformer of this program's words

**It understands synthetic voices that say {words} words, not people.** It is here so that the whole way of streamed
speech, from samples to words with times, is tested with words that mean something, with no download. It is not offered as a
recogniser: name it yourself, by `hear.engine = "fastconformer"` and `hear.model = "fastconformer-words"`, to see words
come chunk by chunk.

It is a cache-aware streaming FastConformer (Noroozi et al. 2023, arXiv:2312.17279) of transformers' own modules, written down
letter by letter with CTC, trained by this project ([recipe](../../training/asr/README.md)) on what flite and espeak-ng of
Debian say: {steps} steps of 16 utterances. An encoder frame is 40 ms, where published models have 80: letters come faster than that.

Licence: Apache-2.0. No recording of a person was used.

## What it hears

Errors in percent of the words, and of the letters, of {count} new sentences a voice, streamed in packets of 20 ms, noise at
{noise:.0f} dB. Greedy, no language model. Remade by `python -m training.asr.evaluate --write`.

| look-ahead | chunk | {names} |
|---|---|{rules}|
"""

FOOT = """
*{known}*: three voices of flite and the variants of espeak-ng, other sentences than in training. The others were never
heard in training: `slt` is a recorded voice of flite, `en-us+f5` a formant voice of espeak-ng.

## What it cannot do

Real people's voices were never heard, and it is of no use for them. Words outside its list come out as letters that sound alike.
Training was short: of the sentences of voices that it knows, {whole:.0f} of 100 come out without a fault.

Sentences are rows of any of its words, or made by {patterns} patterns such as "{pattern}"; see `training/asr/words.py`.
"""


def card(figures: Mapping[str, Any]) -> str:
    """Return the text of the card."""
    voices = figures["voices"]
    names = list(voices)
    head = HEAD.format(
        words=len(WORDS), steps=figures["training"]["steps"], count=figures["utterances"], noise=figures["noise_db"],
        names=" | ".join(names), rules="|".join("---" for _ in names))  # fmt: skip
    rows = []
    for lookahead in next(iter(voices.values())):
        cells = [f"{voices[name][lookahead]['wer']:.1f} / {voices[name][lookahead]['cer']:.1f}" for name in names]
        rows.append(f"| {lookahead} frames | {(int(lookahead) + 1) * 40} ms | {' | '.join(cells)} |\n")
    return (
        head
        + "".join(rows)
        + FOOT.format(known=names[0], whole=next(iter(voices[names[0]].values()))["whole"], patterns=len(PATTERNS), pattern=PATTERNS[5])
    )
