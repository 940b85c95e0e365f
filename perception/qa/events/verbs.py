"""The verbs of questions: which only make one, and which say that something came, left or moved."""

from __future__ import annotations

import re

from .asked import Edge

BE = r"(?:is|are|was|were|has|have|had|did|do|does|can|could)(?: not)?\b"
SEE = (
    r"(?:see|sees|saw|seen|notice|noticed|spot|spotted|detect|detected|find|found|recognise|recognised"
    r"|recognize|watch)"
)
WHO = r"(?:you|i|we|they|it|he|she|the camera|anybody|anyone|somebody|someone)"
SPEECH = (
    r"(?:say|says|said|saying|speak|spoke|spoken|speaking|mention(?:s|ed)?|talk(?:s|ed|ing)?|tell|told"
    r"|hear|heard|utter(?:ed)?)"
)
PLACED = (
    r"(?:put|leave|left|lay|laid|place|placed|lose|lost|drop|dropped|set|forget|forgot|keep|kept|seen|see)\b"
)
_APPEAR = (
    r"\b(?:appear(?:s|ed|ing)?|arrive[sd]?|arriving"
    r"|(?:come|comes|came|coming)(?: (?:in|by|back|along|over|into view))?"
    r"|enter(?:s|ed|ing)?|(?:show|turn)(?:s|ed|n)? up|pass(?:es|ed)?(?: by)?|visit(?:s|ed)?"
    r"|drop(?:ped)? by)\b"
)
_LEAVE = (
    r"\b(?:leave|leaves|leaving|left|(?:go|goes|going|gone|went)(?: (?:away|out|off))?"
    r"|disappear(?:s|ed|ing)?|vanish(?:es|ed)?|exit(?:s|ed)?|depart(?:s|ed)?)\b"
)
_MOVE = r"\b(?:move[sd]?|moving|stopped moving|put down|displaced|shift(?:ed|s)?)\b"
_BEFORE_PLACE = re.compile(r"\b(?:on|at|to|in|upper|lower|top|bottom) (?:the |my )?(?:upper |lower )?$")


def without(text: str) -> str:
    """Return words without those that only make a question of them: "did you see a dog" is "a dog"."""
    text = re.sub(rf"^(?:{BE}) ", " ", text.strip())
    text = re.sub(rf"\b(?:{BE} )?{WHO} (?:ever |also |already |last |first )?{SEE}\b", " ", text)
    text = re.sub(rf"\b(?:was|were|been|is|are) {SEE}\b", " ", text)
    text = re.sub(rf"^\s*(?:there|ever|been)\b|\b{SEE}$|\b(?:there|been|not|no|being|be)\b", " ", text)
    return " ".join(text.split())


def edged(text: str) -> tuple[str, Edge]:
    """Cut a verb of moving, coming or leaving out, and say which it was."""
    edges: tuple[tuple[str, Edge], ...] = ((_MOVE, "moved"), (_APPEAR, "appeared"), (_LEAVE, "left"))
    for pattern, edge in edges:
        match = re.search(pattern, text)
        if match and not _BEFORE_PLACE.search(text[: match.start()]):
            rest = " ".join((text[: match.start()] + " " + text[match.end() :]).split())
            return re.sub(r"\b(?:has|have|had|did|is|was|to)$", "", rest).strip(), edge
    return text, ""


def ordered(text: str) -> tuple[str, str]:
    """Cut "first" or "last" out, and say which it was."""
    match = re.search(r"\b(?:the )?(first|last|latest|earliest|most recent)(?: time)?\b", text)
    if match is None:
        return text, ""
    which = "first" if match.group(1) in ("first", "earliest") else "last"
    return " ".join((text[: match.start()] + " " + text[match.end() :]).split()), which
