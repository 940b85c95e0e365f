"""Write perception/voice/sounds.txt, how the words of our grammars sound: python -m scripts.voice_sounds

Each word has the spelling that the network was taught with (by the package hama, about 0.1 s a word), and
those of the CMU dictionary where the package pocketsphinx is installed. Words that are in the file already
are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.port import OPEN
from app.registry import Registry
from app.settings import settings_type
from app.voice_book import book_of, sayable
from perception.voice.grammar import grammar_of
from perception.voice.phones import TABLE, table
from perception.voice.pronounce import spoken
from perception.voice.rules import vocabulary
from ui.port import Vocabulary

HEAD = "# How words sound, in the phones of hama's network: made by python -m scripts.voice_sounds\n"
WAKE_WORDS = "hey okay hello painter vitascope computer listen please"
_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_IPA = (
    "AA=ɑ AE=æ AH=ə AO=ɔ AW=aʊ AY=aɪ B=b CH=t͡ʃ D=d DH=ð EH=ɛ ER=ɝ EY=eɪ F=f G=g HH=h IH=ɪ IY=i JH=d͡ʒ K=k "
    "L=l M=m N=n NG=ŋ OW=oʊ OY=ɔɪ P=p R=ɹ S=s SH=ʃ T=t TH=θ UH=ʊ UW=u V=v W=w Y=j Z=z ZH=ʒ"
)
VOWELS = frozenset(_VOWELS.split())
IPA = dict(pair.split("=") for pair in _IPA.split())


def words() -> list[str]:
    """Return every word of the grammars of all stages, of the embedded painter, and of an open one."""
    registry = Registry()
    nodes = {name: {"stage": name, "input": "source:video"} for name in registry}
    settings = settings_type(registry)(graph={"output": "paint", "steers": "paint", "nodes": nodes})
    painter = Vocabulary.read(Path(__file__).resolve().parent.parent / "models" / "painter")
    found = {word for text in WAKE_WORDS.split() for word in spoken(text) or ()}
    for known in (painter, sayable(OPEN)):
        found |= vocabulary(grammar_of(book_of(settings, registry, known)).rule)
    return sorted(found)


def cmu() -> dict[str, list[str]]:
    """Return the CMU dictionary's spellings in IPA; nothing where it is not installed."""
    try:
        from pocketsphinx import get_model_path
    except ImportError:
        return {}
    found: dict[str, list[str]] = {}
    for line in Path(get_model_path(), "en-us", "cmudict-en-us.dict").read_text().splitlines():
        name, *arpa = line.split()
        word = name.partition("(")[0]
        is_stressed = sum(one in VOWELS for one in arpa) == 1 and word not in ("the", "a", "an")
        ways = found.setdefault(word, [])
        ways.append(" ".join("ʌ" if one == "AH" and is_stressed else IPA[one] for one in arpa))
        if arpa[0] == "AH" and not is_stressed and len(arpa) > 1:
            ways.append(" ".join(["ʌ", *(IPA[one] for one in arpa[1:])]))  # "undo", "until"
    return found


def main() -> None:
    from hama.inference import G2PModel

    speller: Any = None
    known = table() if TABLE.exists() else {}
    spelt = cmu()
    lines = []
    for word in words():
        if word in known:
            first = known[word][0]
        else:
            speller = speller or G2PModel()
            first = speller.predict(word).ipa
        lines.append("\t".join(dict.fromkeys((first, *spelt.get(word, known.get(word, ())[1:])))))
        lines[-1] = f"{word}\t{lines[-1]}"
    TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
