"""Tokens to words: the pieces of a vocabulary, and how they join."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perception.asr.transcript import Word

MARK = "\u2581"
"""What sentencepiece writes where a word begins."""


@dataclass(frozen=True, slots=True)
class Token:
    """Hold one token that was said."""

    id: int
    frame: int
    """The encoder frame that said it, counted from the stream's beginning."""
    chance: float
    """How sure the head was, 0 to 1."""


class Pieces:
    """Join tokens to words. A word begins where a piece has the mark or a space in front."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = tuple(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def text(self, tokens: Iterable[Token]) -> str:
        """Return the text."""
        return " ".join(said for said, _ in self._grouped(tokens))

    def words(self, tokens: Iterable[Token], frame_s: float, begin_frame: int = 0) -> tuple[Word, ...]:
        """Return the words; times count from `begin_frame`, and are those of the frames that said them.

        So their grain is `frame_s`, and they come late by up to the look-ahead: the network may wait with a
        word until it has heard what follows. Confidence is the mean chance of the word's tokens.
        """
        return tuple(
            Word(
                said,
                (own[0].frame - begin_frame) * frame_s,
                (own[-1].frame + 1 - begin_frame) * frame_s,
                sum(one.chance for one in own) / len(own),
            )
            for said, own in self._grouped(tokens)
        )

    def _grouped(self, tokens: Iterable[Token]) -> list[tuple[str, list[Token]]]:
        found: list[tuple[str, list[Token]]] = []
        is_new = True
        for token in tokens:
            piece = self.pieces[token.id].replace(MARK, " ")
            if _is_special(piece):
                continue
            is_new = is_new or piece.startswith(" ")
            if said := piece.strip():
                if is_new:
                    found.append((said, [token]))
                else:
                    found[-1] = (found[-1][0] + said, [*found[-1][1], token])
                is_new = piece.endswith(" ")
        return found


def _is_special(piece: str) -> bool:
    """Tell whether a piece is a sign between programs, such as "<EOU>" or "<unk>"."""
    return len(piece) > 2 and piece.startswith("<") and piece.endswith(">")
