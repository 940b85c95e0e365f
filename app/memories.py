"""`python -m app memories list|ask|delete`: what is kept of streams here, asked without a session."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from realtime.core.errors import ConfigError

from .models import size


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("what", choices=("list", "ask", "delete"))
    parser.add_argument("name", nargs="?", default="", help="of the memory: the setting answer.keep")
    parser.add_argument("question", nargs="*", help="for ask")


def memories(options: argparse.Namespace) -> int:
    """Do it and return the exit status."""
    from perception.qa import kept

    if options.what == "list":
        for one in kept.held():
            changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.changed_s))
            print(f"{one.name:24} {size(one.bytes):>8}  {changed}")
        print(f"They lie in {kept.folder()}.")
        return 0
    if not options.name:
        raise ConfigError("Which memory?", hint="python -m app memories list shows them.")
    if options.what == "delete":
        kept.delete(options.name)
        print(f'The memory "{options.name}" is deleted.')
        return 0
    question = " ".join(options.question)
    if not question:
        raise ConfigError(
            "Nothing was asked.", hint=f'python -m app memories ask {options.name} "What happened?"'
        )
    kept.check_held(options.name)
    with kept.taken(options.name) as folder:
        print(answered(folder, question))
    return 0


def answered(folder: Path, question: str) -> str:
    """Return what the memory in `folder` answers."""
    from perception.qa.events.memory import EventMemory

    memory = EventMemory(folder)
    try:
        *_, final = memory.ask(question, memory.snapshot())
    finally:
        memory.close()
    return final.text
