"""The pieces of a tokenizer, read from its file: sentencepiece's, a list of words, a tokenizer.json.

To say what was heard, a list of pieces is all it takes; sentencepiece itself is for splitting text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from realtime.core.errors import ModelError

from .pieces import MARK

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""
PIECES, PIECE = 1, 1
"""Fields of sentencepiece_model.proto: ModelProto.pieces, and its SentencePiece.piece."""
CONTINUES = "##"
"""What stands before a piece that is no word's first, in word lists."""


def from_sentencepiece(content: bytes) -> tuple[str, ...]:
    """Return the pieces of a sentencepiece model. Raises ModelError for what is none."""
    try:
        found = tuple(
            bytes(value).decode("utf-8")
            for number, entry in _fields(memoryview(content))
            if number == PIECES
            for inner, value in _fields(entry)
            if inner == PIECE
        )
    except (IndexError, ValueError, struct.error) as error:
        raise ModelError(f"The tokenizer is no sentencepiece model: {error}.") from error
    if not found:
        raise ModelError("The tokenizer is no sentencepiece model: it holds no pieces.")
    return found


def from_words(text: str) -> tuple[str, ...]:
    """Return the pieces of a list, one a line, where "##" marks what continues a word."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(
        line.removeprefix(CONTINUES) if line.startswith((CONTINUES, MARK)) else MARK + line for line in lines
    )


def from_tokenizer(path: Path, count: int) -> tuple[str, ...]:
    """Return the first `count` pieces of a tokenizer.json. Raises ModelError where it has fewer."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    found = [tokenizer.id_to_token(k) for k in range(count)]
    if None in found:
        raise ModelError(f"{path} has {found.index(None)} tokens; the network says {count}.")
    return tuple(str(piece) for piece in found)


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field that is a string or a message; others are passed over."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == VARINT:
            _, at = _varint(content, at)
        elif kind in (FIXED64, FIXED32):
            at += 8 if kind == FIXED64 else 4
        elif kind == BYTES:
            length, at = _varint(content, at)
            if at + length > len(content):
                raise ValueError("it ends within a field")
            yield key >> 3, content[at : at + length]
            at += length
        else:
            raise ValueError(f"it has a field of the kind {kind}")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
