"""Cut a chat template in two: what stands before the pictures, and what follows with the question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from realtime.core.errors import ModelError

MARK = "QUESTIONGOESHERE"


@dataclass(frozen=True, slots=True)
class Template:
    """Hold the text around the frames and the question."""

    before: str
    """From the first token to the first picture: system prompt, the user's header."""
    between: str
    """From the last picture to the question."""
    end: str
    """From the question to where the answer begins."""

    def after(self, question: str) -> str:
        """Return what follows the frames."""
        return self.between + question + self.end

    @classmethod
    def of(cls, tokenizer: Any, template: str | None, placeholder: str, fallback: str) -> Template:
        """Read a tokenizer's template, or `template`; without any use `fallback`.

        `placeholder` is a regular expression for all that a template writes for one picture. Raises
        ModelError for a template that shows no picture or does not repeat the question once.
        """
        chat = template or getattr(tokenizer, "chat_template", None)
        if chat is None:
            text = fallback.format(picture="\0", question=MARK)
        else:
            text = _filled(tokenizer, chat)
            text, found = re.subn(placeholder, "\0", text, count=1)
            if not found:  # a template for text alone: pictures go before the question
                text = text.replace(MARK, "\0" + MARK, 1)
        if text.count("\0") != 1 or text.count(MARK) != 1:
            raise ModelError(f"This model's chat template cannot be used: it gives {text!r:.200}.")
        before, after = text.split("\0")
        if MARK not in after:
            raise ModelError("This model's chat template puts the question before the picture.")
        between, end = after.split(MARK)
        return cls(before, between, end)


def _filled(tokenizer: Any, chat: str) -> str:
    """Render a template with one picture, where it takes one, and a mark for the question."""
    parts = [{"type": "image"}, {"type": "text", "text": MARK}]
    for content in (parts, MARK):
        try:
            text: str = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=chat,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception:  # whatever a template raises for content that it does not expect
            continue
        if text.count(MARK) == 1:
            return text
    raise ModelError("This model's chat template cannot be filled with a question.")
