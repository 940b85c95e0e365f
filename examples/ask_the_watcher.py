"""Let the small video model watch an hour of drawn shapes, and ask it: python -m examples.ask_the_watcher"""

import sys
import threading
from fractions import Fraction

import numpy as np

from perception.qa.config import AnswerConfig
from perception.qa.stage import AnswerStage
from realtime.core.frame import Frame, Stamp
from realtime.core.stage import StageContext

COLOURS = {"red": (214, 44, 40), "blue": (50, 80, 220), "green": (60, 170, 70), "yellow": (235, 205, 50)}
SHOWN = ["red", "blue", "green", "yellow"]
"""The square has these colours in turn, far apart in time; in between there is nothing."""


def frame(seq: int, every: int) -> Frame:
    """Return a noisy grey picture, with a square in it for ten frames out of `every`."""
    pixels = np.random.default_rng(seq).integers(55, 75, (48, 48, 3), np.uint8)
    turn, at = divmod(seq, every)
    if at < 10 and turn < len(SHOWN):
        pixels[18:30, 18:30] = COLOURS[SHOWN[turn]]
    return Frame(Stamp("drawn", seq, seq, Fraction(1), (seq + 1) * 1_000_000_000), pixels)


def ask(stage: AnswerStage, question: str) -> str:
    """Return the answer, with the seconds into the stream that it rests on."""
    done, replies = threading.Event(), []
    stage.desk.ask(question, lambda reply: (replies.append(reply), reply.is_final and done.set()))
    done.wait(60)
    answer = replies[-1].answer
    seconds = [moment.at_ns // 1_000_000_000 for moment in answer.moments]
    return f"{answer.text}  (seen at {', '.join(map(str, seconds))} s)" if seconds else answer.text


def main(seconds: int = 3600) -> dict[str, str]:
    """Watch so many seconds of stream, a frame each, and answer questions about all of it."""
    stage = AnswerStage()
    stage.configure(AnswerConfig(engine="watcher", apart=False))
    stage.open(StageContext())
    for seq in range(seconds):
        stage.process(frame(seq, seconds // len(SHOWN)))
    asked = [f"did a {colour} square appear ?" for colour in (*SHOWN, "purple")]
    answers = {question: ask(stage, question) for question in asked}
    stage.close()
    return answers


if __name__ == "__main__":
    for question, answer in main(*map(int, sys.argv[1:])).items():
        print(f"{question:32} {answer}")
