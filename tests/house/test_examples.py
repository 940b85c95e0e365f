"""Each example is a program of 60 lines or less that a stranger can run."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.house.paths import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_short_and_says_what_it_does(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith('"""')


def test_own_stage_inverts_every_picture() -> None:
    from examples.own_stage import main

    assert main(12) == list(range(12))


def test_the_stage_in_the_docs_is_the_one_that_runs() -> None:
    text = (ROOT / "docs/add-a-stage.md").read_text()
    shown = text[text.index("class InvertConfig") : text.index("```\n\nThe line")]
    assert shown.strip() in (ROOT / "examples/own_stage.py").read_text()


@pytest.mark.nightly
def test_paint_a_picture_writes_a_sheet_of_all_looks(tmp_path: Path) -> None:
    from skimage.data import astronaut

    from examples.paint_a_picture import main

    source, target = tmp_path / "in.png", tmp_path / "out.jpg"
    cv2.imwrite(str(source), astronaut()[..., ::-1])
    count = main(source, target)
    sheet = cv2.imread(str(target))
    assert count >= 13
    assert sheet.shape[1] == 5 * 256
    assert sheet.shape[0] == -(-count // 5) * 256


@pytest.mark.nightly
def test_the_watcher_knows_what_appeared_and_what_did_not() -> None:
    from examples.ask_the_watcher import main

    said = [answer.split()[0] for answer in main(400).values()]
    assert said == ["yes", "yes", "yes", "yes", "no"]
