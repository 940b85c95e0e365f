"""The words that the watcher knows, the form of what it is told and asked, and its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "white")
PLACES = (
    "top-left", "top", "top-right",
    "left", "middle", "right",
    "bottom-left", "bottom", "bottom-right",
)  # fmt: skip
"""Cells of a grid of three by three, row by row."""
NUMBERS = ("none", "one", "two", "three", "four", "five")
"""Numbers count from none, which is also what is said of something that was not seen."""
NONE, YES, NO = "none", "yes", "no"

NOW = ("colour now", "place now", "shape now", "there now", "count now")
PAST = ("colour", "place", "shape", "appear", "count", "order", "leave")
KINDS = (*NOW, *PAST)
"""Kinds of questions. NOW ones are about the newest frame, PAST ones about all that was seen."""

FORMS: dict[str, tuple[str, ...]] = {
    "colour now": ("what colour is the {x} now ?", "what colour is the {x} ?"),
    "place now": ("where is the {x} now ?", "where is the {x} ?"),
    "shape now": ("what shape is the {x} thing now ?", "what is the {x} thing now ?"),
    "there now": ("is there a {x} now ?", "do you see a {x} now ?"),
    "count now": ("how many things are there now ?", "how many things do you see now ?"),
    "colour": ("what colour was the {x} ?", "which colour did the {x} have ?"),
    "place": ("where was the {x} ?", "where did you see the {x} ?"),
    "shape": ("what shape was the {x} thing ?", "what was the {x} thing ?"),
    "appear": ("did a {x} appear ?", "was there a {x} ?"),
    "count": ("how many kinds of {x} appeared ?", "how many kinds of {x} were there ?"),
    "order": ("which came first the {x} or the {y} ?", "what was first the {x} or the {y} ?"),
    "leave": ("did the {x} leave ?", "has the {x} left ?"),
}
"""How a question of each kind may be worded; the first is the plain one."""

PAD, BEGIN, END, UNKNOWN, IMAGE, VIDEO = "<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>"
BEFORE = (BEGIN, "user", ":")
"""What stands before the frames: the sink."""
AFTER = ("assistant", ":")
"""What stands between a question and its answer."""


def _vocabulary() -> tuple[str, ...]:
    words = [PAD, BEGIN, END, UNKNOWN, IMAGE, VIDEO, "user", "assistant", ":", "?", ".", ","]
    words += [*SHAPES, *COLOURS, *PLACES, *NUMBERS, YES, NO]
    for forms in FORMS.values():
        for form in forms:
            words += [word for word in form.split() if "{" not in word]
    return tuple(dict.fromkeys(words))


VOCABULARY = _vocabulary()
NUMBER_OF = {word: number for number, word in enumerate(VOCABULARY)}


def numbers_of(words: Sequence[str]) -> list[int]:
    """Return the tokens of words; one that is not known becomes UNKNOWN."""
    return [NUMBER_OF.get(word, NUMBER_OF[UNKNOWN]) for word in words]


TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'user' %}{{ bos_token }} user : "
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<video>{% endif %} {% endfor %}{% endif %}"
    "{% else %} assistant : {{ message.content }} {{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} assistant :{% endif %}"
)
"""Chat template (jinja): the frames stand where the video is, the question behind them."""


def tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: one word, one token; case does not matter, nor how people spell colour."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel(NUMBER_OF, unk_token=UNKNOWN))
    inner.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace("color", "colour")])
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[?.,:!]"), "isolated")])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, bos_token=BEGIN, eos_token=END, unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, VIDEO], chat_template=TEMPLATE, model_input_names=["input_ids", "attention_mask"],
        model_max_length=1 << 20, clean_up_tokenization_spaces=False,
    )  # fmt: skip
