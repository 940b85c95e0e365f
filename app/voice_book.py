"""What may be said to a session: the settings of its graph that are anybody's, and its painter's words.

What names models or files of this machine is never among it, and free text is not either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from perception.voice.book import Book, Field, Wording, fields_of, told_apart
from realtime.core.errors import ModelError
from ui.port import Look, Vocabulary
from ui.words import read

from .registry import Registry
from .settings import Settings
from .steering import guarded

VOICE = "steer"
"""The stage that hears commands."""
SCENES: Mapping[str, str] = {
    "at night": "dark",
    "by night": "dark",
    "in the dark": "dark",
    "by day": "bright",
    "in daylight": "bright",
    "in the sun": "bright",
    "at sunset": "warm",
    "in autumn": "warm",
    "in winter": "cool",
    "in moonlight": "cool",
}
"""How people say a mood; those of moods that the painter does not have are left out."""
HARD = frozenset(
    ("aquarelle", "aquarell", "linocut", "klimt", "ghibli", "durer", "synthwave", "inked manga page")
)
"""Wordings whose sounds nothing here knows; the looks that they mean have others."""
LEAST_LETTERS = 6
"""Of a wording of one word: "ink" and "clay" sound like too much else; "manga ink drawing" does not."""
ANY_WORDS = Vocabulary(
    looks=tuple(
        Look(name.replace(" ", "_"), name, name)
        for name in (
            "watercolor painting", "oil painting", "pencil sketch", "charcoal drawing", "ink drawing",
            "comic", "pixel art", "pop art", "stained glass", "mosaic", "woodcut", "origami", "clay figure",
            "marble statue", "neon lines", "cyberpunk city", "photograph",
        )
    ),
    moods={mood: (mood,) for mood in ("warm", "cool", "dark", "bright", "vivid")},
)  # fmt: skip
"""What can be said to a painter that takes any words: a grammar has to end somewhere."""


def vocabulary_of(settings: Settings, registry: Registry) -> Vocabulary:
    """Return the words that can be said to the painter of `settings`."""
    from .port import OPEN, looks_of  # which stands on the wiring, and that on this

    try:
        return sayable(looks_of(settings, registry))
    except ModelError:
        return sayable(OPEN)  # a session says why it cannot paint


def sayable(vocabulary: Vocabulary) -> Vocabulary:
    """Return the words that can be said to a painter of `vocabulary`."""
    return ANY_WORDS if vocabulary.is_open else vocabulary


def book_of(settings: Settings, registry: Registry, vocabulary: Vocabulary) -> Book:
    """Return what may be said to a session of `settings`; the settings of the stage that listens are not."""
    graph = settings.graph
    held = guarded(registry, graph)
    fields: list[Field] = []
    presets: Mapping[str, Mapping[str, Any]] = {}
    for name, node in graph.nodes.items():
        if node.stage == VOICE:
            presets = getattr(settings.stage(VOICE), "presets", {})
        else:
            schema = registry.config(node.stage)
            fields += fields_of(schema, "" if name == graph.main else name, without=held[name])
    main = registry.config(graph.nodes[graph.main].stage)
    if "prompt" not in main.model_fields:
        return Book(told_apart(fields), presets=presets)
    return Book(
        told_apart(fields),
        tuple(_looks(vocabulary)),
        tuple(Wording(wording, mood=mood) for mood, some in vocabulary.moods.items() for wording in some),
        tuple(Wording(scene, mood=mood) for scene, mood in SCENES.items() if mood in vocabulary.moods),
        tuple(vocabulary.strengths),
        presets,
    )


def _looks(words: Vocabulary) -> Iterator[Wording]:
    for look in words.looks:
        for wording in dict.fromkeys((look.prompt, *look.words)):
            if _can_be_told_apart(wording):
                yield Wording(wording, look=look.id)
    plain = replace(words, synonyms={})
    for wording, means in words.synonyms.items():
        seen = read(means, plain)
        if seen.look and " " in wording and wording not in HARD:
            yield Wording(wording, seen.look, seen.mood or None)


def _can_be_told_apart(wording: str) -> bool:
    return wording not in HARD and (" " in wording or len(wording) >= LEAST_LETTERS)


def guards(settings: Settings, registry: Registry) -> set[str]:
    """Return the names of the settings that nobody's voice may change."""
    graph = settings.graph
    found: set[Any] = set()
    for node, keys in guarded(registry, graph).items():
        found |= {key if node == graph.main else f"{node}.{key}" for key in keys}
    return found
