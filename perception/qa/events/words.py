"""What things are called: by detectors, by people, one and many."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

_SYNONYMS = {
    "person": "people human humans somebody someone anybody anyone man men woman women boy girl child "
    "children kid lady gentleman guy guys nobody individual persons folks adult adults everybody "
    "everyone",
    "cell phone": "phone telephone cellphone smartphone mobile iphone mobile_phone handset",
    "tv": "television telly screen monitor tv_set",
    "couch": "sofa settee",
    "bicycle": "bike cycle pushbike",
    "motorcycle": "motorbike moped scooter",
    "airplane": "plane aeroplane aircraft jet",
    "car": "automobile auto cab taxi",
    "truck": "lorry",
    "boat": "ship",
    "cup": "mug teacup",
    "potted plant": "plant houseplant flowerpot",
    "dining table": "table desk",
    "refrigerator": "fridge",
    "backpack": "rucksack",
    "handbag": "purse bag",
    "suitcase": "luggage",
    "laptop": "notebook_computer",
    "sports ball": "ball football basketball",
    "remote": "remote_control",
    "hair drier": "hairdryer hair_dryer",
    "donut": "doughnut",
    "teddy bear": "teddy",
    "dog": "puppy doggy",
    "cat": "kitten kitty",
    "cow": "cattle",
    "traffic light": "stoplight",
    "wine glass": "wineglass",
    "tie": "necktie",
    "box": "square",
    "ball": "circle disc",
    "ring": "annulus",
    "face": "person people human humans somebody someone anybody anyone man men woman women nobody persons "
    "everybody everyone",
    "book": "novel",
    "clock": "wall_clock",
}
GROUPS = {
    "animal": "bird cat dog horse sheep cow elephant bear zebra giraffe",
    "pet": "cat dog bird",
    "vehicle": "bicycle car motorcycle airplane bus train truck boat",
    "fruit": "banana apple orange",
    "food": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake",
    "furniture": "chair couch bed dining_table bench",
}
ANYTHING = [
    "anything",
    "something",
    "thing",
    "things",
    "object",
    "objects",
    "everything",
    "nothing",
    "item",
    "items",
]
UNTOLD = [
    "man",
    "men",
    "woman",
    "women",
    "boy",
    "girl",
    "child",
    "children",
    "kid",
    "lady",
    "gentleman",
    "guy",
    "guys",
    "adult",
    "adults",
]
"""Words for people that say more than a detector does."""
_MANY = {
    "person": "people", "knife": "knives", "mouse": "mice", "sheep": "sheep", "skis": "skis",
    "scissors": "scissors", "broccoli": "broccoli",
}  # fmt: skip
_ONE = {
    "people": "person",
    "mice": "mouse",
    "knives": "knife",
    "shelves": "shelf",
    "geese": "goose",
    "skis": "skis",
}
_ONE |= {"scissors": "scissors", "glasses": "glass", "buses": "bus", "benches": "bench", "couches": "couch"}
COLOURS = {
    "black": "black", "white": "white", "grey": "grey", "gray": "grey", "silver": "grey", "red": "red",
    "orange": "orange", "yellow": "yellow", "golden": "yellow", "green": "green", "blue": "blue",
    "purple": "purple", "violet": "purple", "pink": "pink", "magenta": "pink", "brown": "brown",
    "turquoise": "blue", "cyan": "blue", "beige": "brown", "crimson": "red", "scarlet": "red",
}  # fmt: skip


def many(label: str) -> str:
    """Return the plural of a label: "people", "cups", "teddy bears"."""
    if label in _MANY:
        return _MANY[label]
    if label.endswith(("s", "x", "ch", "sh")):
        return f"{label}es"
    return label[:-1] + "ies" if label.endswith("y") and label[-2:-1] not in "aeiou" else f"{label}s"


def number_of(label: str, number: int) -> str:
    """Return "1 cup", "3 cups", "no cups"."""
    return f"{number or 'no'} {label if number == 1 else many(label)}"


def a(name: str) -> str:
    """Return a name with its article."""
    if name.split()[-1:] and name.split()[-1] in ("scissors", "skis", "broccoli", "people"):
        return f"some {name}" if name.split()[-1] != "people" else name
    return (
        f"an {name}"
        if name[:1] in "aeiou" and not name.startswith(("uni", "eu", "one", "use"))
        else f"a {name}"
    )


def one(word: str) -> list[str]:
    """Return what a word may be the plural of, itself first."""
    found = [word]
    if word in _ONE:
        return [_ONE[word], word]
    if word.endswith("ies") and len(word) > 4:
        found.append(word[:-3] + "y")
    if word.endswith("es") and len(word) > 3:
        found.append(word[:-2])
    if word.endswith("s") and not word.endswith("ss") and len(word) > 2:
        found.append(word[:-1])
    return found


@lru_cache(1)
def synonyms() -> dict[str, tuple[str, ...]]:
    """Return the labels that each word or group of words may mean."""
    found: dict[str, list[str]] = {}
    for label, words in _SYNONYMS.items():
        for word in words.split():
            found.setdefault(word.replace("_", " "), []).append(label)
    for word, labels in GROUPS.items():
        found[word] = [label.replace("_", " ") for label in labels.split()]
    return {word: tuple(labels) for word, labels in found.items()}


@lru_cache(8)
def names_of(detector: str) -> tuple[str, ...]:
    """Return what a detector can tell apart; () where that is not known."""
    if detector in ("nanodet-g",):
        from perception.detectors.coco import NAMES

        return NAMES
    if detector == "blazeface":
        return ("face",)
    if detector == "streamnet":
        path = Path(__file__).parents[3] / "models" / "streamnet" / "config.json"
        if path.exists():
            return tuple(json.loads(path.read_text(encoding="utf-8"))["names"])
    return ()


@lru_cache(1)
def lexicon() -> frozenset[str]:
    """Return the words for things that a wrong spelling may have meant."""
    from perception.detectors.coco import NAMES

    words = {word for name in (*NAMES, *_SYNONYMS, *synonyms()) for word in name.split()}
    return frozenset({*words, *map(many, words), *COLOURS})
