"""Free wording to the words that a model has learnt, for a model with a small vocabulary.

`vitascope.json` lists the wordings it knows (looks, moods, strengths) and synonyms for what else people
type. A prompt is cut into wordings, the longest first, as the page does it; a known wording stays, a
synonym becomes the known words behind it, save those of a kind that the prompt already says plainly ("van
gogh cartoon" is a cartoon).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*", re.UNICODE)
Key = tuple[str, ...]


def _key(wording: str) -> Key:
    return tuple(match.group().lower() for match in _WORD.finditer(wording))


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold a vocabulary; the empty one changes nothing."""

    kinds: Mapping[Key, str] = field(default_factory=dict)
    """Known wording to "look", "mood" or "strength"."""
    synonyms: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    """Other wording to the known wordings behind it."""

    @classmethod
    def read(cls, folder_json: Mapping[str, Any]) -> Wording:
        """Take looks, moods, strengths and synonyms of a `vitascope.json`."""
        kinds = {_key(word): "strength" for word in folder_json.get("strengths", ())}
        for words in folder_json.get("moods", {}).values():
            kinds.update((_key(word), "mood") for word in words)
        for look in folder_json.get("looks", ()):
            kinds.update((_key(word), "look") for word in (look["prompt"], *look.get("words", ())))
        behind = folder_json.get("synonyms", {}).items()
        synonyms = {_key(free): tuple(part.strip() for part in known.split(",")) for free, known in behind}
        return cls(kinds, {key: known for key, known in synonyms.items() if key not in kinds})

    def known(self, prompt: str) -> str:
        """Return `prompt` with its synonyms replaced; all else is kept as it was typed."""
        if not self.synonyms:
            return prompt
        spans = self._spans(prompt)
        said = {self.kinds[key] for _, _, key in spans if key in self.kinds}
        pieces: list[str] = []
        at = 0
        for start, stop, key in spans:
            if key in self.synonyms:
                parts = [part for part in self.synonyms[key] if self.kinds.get(_key(part), "") not in said]
                said.update(self.kinds.get(_key(part), "") for part in parts)
                pieces += [prompt[at:start], ", ".join(parts)]
                at = stop
        return " ".join("".join([*pieces, prompt[at:]]).split()).strip(" ,")

    def _spans(self, prompt: str) -> list[tuple[int, int, Key]]:
        """Cut into (start, stop, wording): the longest wording that is known or a synonym, else one word."""
        longest = max(len(key) for key in (*self.kinds, *self.synonyms))
        words = list(_WORD.finditer(prompt))
        spans: list[tuple[int, int, Key]] = []
        at = 0
        while at < len(words):
            count = min(longest, len(words) - at)
            key = tuple(word.group().lower() for word in words[at : at + count])
            while count > 1 and key not in self.kinds and key not in self.synonyms:
                count -= 1
                key = key[:count]
            spans.append((words[at].start(), words[at + count - 1].end(), key))
            at += count
        return spans
