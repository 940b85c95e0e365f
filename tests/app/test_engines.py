"""`python -m app engines`: what runs here and why not, what is put on the shelf, and figures that add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import cli
from app.engines import age, described, table
from pipelines.engines.choose import BUILT_IN, PRECISIONS
from pipelines.engines.key import Kept
from tests import tiny


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty shelf."""
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with a tiny painter."""
    return str(tiny.make_folder(tmp_path_factory.mktemp("model") / "tiny", "painter"))


def test_list_says_of_each_back_end_and_precision_whether_it_runs(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["engines", "list"]) == 0
    said = capsys.readouterr().out
    rows = [line.split(maxsplit=3) for line in said.partition("\n\n")[0].splitlines()]
    assert [tuple(row[:2]) for row in rows] == [(name, one) for name in BUILT_IN for one in PRECISIONS[1:]]
    standing = {(name, precision): (mark, says) for name, precision, mark, says in rows}
    assert standing["torch", "fp32"][0] == standing["openvino", "fp32"][0] == "yes"
    mark, says = standing["torch", "int8"]
    assert (mark, "not int8" in says) == ("no", True)
    assert all(says for _, says in standing.values())
    assert f"{shelf}: 0 engines, 0 B" in said


def test_what_is_built_is_on_the_shelf_and_built_once(
    shelf: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["engines", "build", model, "--precision", "fp32", "--size", "64"]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert [line.split()[1:4] for line in sorted(said.out.splitlines(), key=lambda x: x.split()[1])] == [
        [name, "openvino", "fp32"] for name in ("decoder", "encoder", "unet")
    ]
    assert "1 by 64 by 64 by 3" in said.out
    assert "2 of 3: unet for openvino" in said.err
    assert len(list(shelf.glob("*.bin"))) == 3
    assert cli.main(words) == 0
    assert capsys.readouterr().out == "All of it was there already.\n"
    assert cli.main(["engines", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["recipe"]["network"] for one in listed["shelf"]} == {"decoder", "encoder", "unet"}


def test_bench_compares_with_torch_in_full_precision(
    shelf: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["engines", "bench", model, "--size", "64", "--rows", "1", "2", "--rounds", "2", "--json"]
    assert cli.main([*words, "--engine", "openvino:fp32", "--engine", "openvino:fp16"]) == 0
    found = json.loads(capsys.readouterr().out)
    seen = [(one["network"], one["rows"], one["backend"]) for one in found["figures"]]
    assert seen == [
        (network, rows, backend)
        for network in ("encoder", "decoder", "unet")
        for rows in (1, 2)
        for backend in ("torch", "openvino")
    ]
    reference = {
        (one["network"], one["rows"]): one["ms"] for one in found["figures"] if one["backend"] == "torch"
    }
    for one in found["figures"]:
        levels = one["network"] == "decoder"  # a level rounded the other way is 1 of 127.5
        assert one["relative_error"] < (2e-3 if levels else 1e-4)
        assert one["ratio"] == pytest.approx(reference[one["network"], one["rows"]] / one["ms"])
    assert {(one["precision"], one["network"]) for one in found["refused"]} == {
        ("fp16", network) for network in ("encoder", "decoder", "unet")
    }
    assert all("not fp16" in one["reason"] for one in found["refused"])


def test_bench_prints_a_table_with_what_was_not_timed(
    shelf: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["engines", "bench", model, "--size", "64", "--rounds", "1", "--engine", "torch:fp16"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["network", "rows", "engine"]
    assert lines[1].split()[:4] == ["encoder", "1", "torch", "fp32"]
    assert lines[1].split()[5] == "1.00"
    assert "Not timed:" in lines


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["build", "--engine", "torch"], cli.REFUSED, "keeps nothing on the shelf"),
        (["build", "--engine", "openvin"], cli.REFUSED, 'Did you mean "openvino"'),
        (["build", "--precision", "fp4"], cli.REFUSED, 'no precision "fp4"'),
        (["bench", "--engine", "torch:fp3"], cli.REFUSED, 'no precision "fp3"'),
        (["bench", "--engine", "tensort"], cli.REFUSED, 'Did you mean "tensorrt"'),
        (["build", "--size", "250"], cli.REFUSED, "must be a multiple of"),
        (["build", "pianter"], cli.FAILED, 'Did you mean "painter"'),
        (["build", "--precision", "fp16"], cli.FAILED, "not fp16"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    shelf: Path, words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["engines", *words]) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("words", [[], ["build", "--rows", "0"], ["list", "--size", "256"]])
def test_a_command_line_that_does_not_parse_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["engines", *words])
    assert ended.value.code == 2


def test_engines_are_described_for_people() -> None:
    recipe = {"network": "unet", "backend": "openvino", "precision": "bf16", "streams": 2}
    kept = Kept("0123456789abcdef", recipe | {"shapes": [["latent", [1, 4, 32, 32]]]}, 26_000_000, 1000.0)
    assert described(kept, now_s=1000.0 + 3 * 86_400) == (
        "01234567",
        "unet",
        "openvino",
        "bf16",
        "1 by 4 by 32 by 32, 2 streams",
        "26.0 MB",
        "3 days ago",
    )
    assert "any size" in described(Kept("k", {"shapes": []}, 1, 0.0), 0.0)
    assert [age(s) for s in (5, 60, 7300, 90_000)] == ["just now", "1 minute ago", "2 hours ago", "1 day ago"]
    assert list(table([("a", "bcd", "e"), ("fgh", "i", "j")])) == ["a    bcd  e", "fgh  i    j"]
    assert list(table([])) == []
