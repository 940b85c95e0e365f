"""Which detector a name means, what "auto" takes, and what is said when none can be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perception.detectors import choose
from perception.detectors.base import DetectorInfo
from realtime.core.errors import ConfigError, ModelError, ModelMissing


class Found:
    """Stand for a loaded detector; which one, and with what, is what these tests ask."""

    def __init__(self, name: str, engine: str) -> None:
        self.info = DetectorInfo(name, name, ("thing",), engine)


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a store without models."""
    monkeypatch.setenv("VITASCOPE_CACHE_DIR", str(tmp_path))
    return tmp_path / "models"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    def loader(name: str) -> Callable[..., Any]:
        return lambda shared, engine, report: Found(name, engine)

    monkeypatch.setattr(choose, "OWN", {name: loader(name) for name in choose.OWN})


def alone(key: str, make: Callable[[], Any]) -> Any:
    return make()


def put(models: Path, *names: str) -> None:
    for name in names:
        (models / name).mkdir(parents=True)


@pytest.mark.usefixtures("own")
def test_auto_takes_the_first_that_is_here_and_says_why(empty: Path) -> None:
    put(empty, "blazeface")
    found = choose.load("auto", alone, engine="onnx")
    assert (found.info.id, found.info.engine) == ("blazeface", "onnx")
    assert "nanodet-g is not on this machine" in found.info.why
    assert "python -m app models fetch nanodet-g" in found.info.why
    put(empty, "nanodet-g")
    found = choose.load(" auto ", alone)
    assert found.info.id == "nanodet-g"
    assert "first choice" in found.info.why


@pytest.mark.usefixtures("own")
def test_auto_passes_over_a_damaged_one(empty: Path) -> None:
    put(empty, "blazeface", "nanodet-g")
    (empty / "nanodet-g" / "checksums.toml").write_text(
        '"models/nanodet.bin" = { bytes = 3, sha256 = "0" }\n'
    )
    assert "nanodet-g is damaged" in choose.load("auto", alone).info.why


@pytest.mark.usefixtures("empty", "own")
def test_auto_without_any_takes_the_one_that_comes_along_and_says_how_to_get_others() -> None:
    found = choose.load("auto", alone)
    assert found.info.id == "streamnet"
    assert "python -m app models fetch nanodet-g" in found.info.why


@pytest.mark.usefixtures("empty")
def test_auto_without_even_that_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "ORDER", ("nanodet-g", "blazeface"))
    with pytest.raises(ModelMissing, match="nanodet-g is not on this machine") as caught:
        choose.load("auto", alone)
    assert "python -m app models fetch nanodet-g blazeface" in caught.value.hint


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["nanodet-g", "blazeface", "streamnet"])
def test_a_name_is_obeyed(name: str) -> None:
    found = choose.load(name, alone, engine="torch")
    assert (found.info.id, found.info.engine, found.info.why) == (name, "torch", "")


def test_a_name_that_nobody_knows_is_told_its_neighbours() -> None:
    with pytest.raises(ConfigError, match='no detector "nanodet"') as caught:
        choose.load("nanodet", alone)
    assert "Did you mean nanodet-g or" in caught.value.hint
    assert "rtdetr-v2" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        choose.load("", alone)
    assert "Did you mean" not in caught.value.hint
    with pytest.raises(ConfigError, match="painter"):
        choose.load("painter", alone)  # a model, but one that paints


@pytest.mark.usefixtures("empty")
def test_a_model_that_is_not_here_is_told_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        choose.load("rtdetr-v2", alone)
    assert "python -m app models fetch rtdetr-v2" in caught.value.hint
    with pytest.raises(ModelMissing) as caught:
        choose.load("hub:someone/detector", alone)
    assert "hf download someone/detector" in caught.value.hint
    with pytest.raises(ModelMissing, match="There is no folder"):
        choose.load(str(tmp_path / "nowhere"), alone)
    (tmp_path / "config.json").write_text('{"model_type": "yolos"}')
    with pytest.raises(ModelError, match="of the type yolos"):
        choose.load(str(tmp_path), alone)


def test_streams_share_the_engine_and_nothing_else(fetched: Callable[[str], Path]) -> None:
    fetched("blazeface")
    kept: dict[str, Any] = {}

    def shared(key: str, make: Callable[[], Any]) -> Any:
        return kept.setdefault(key, None) or kept.update({key: make()}) or kept[key]

    one, other = (choose.load("blazeface", shared, engine="torch") for _ in range(2))
    assert one is not other
    assert one._net is other._net  # type: ignore[attr-defined]
    assert len(kept) == 1
    choose.load("blazeface", shared, engine="openvino")
    assert len(kept) == 2, "another engine is another thing to share"
