"""Does a command that is said change the right setting, and other speech none? A part of `hear`, alone."""

from __future__ import annotations

from ._hear_voice import add_arguments, run

__all__ = ["add_arguments", "run"]
