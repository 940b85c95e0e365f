"""The page as it is served: it builds, every field has a control, it asks no other machine for anything."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from pipelines.diffusion.config import PaintConfig
from realtime.core.stage import Live
from tests.ui.studio import StudioPort, vocabulary
from ui import panels
from ui.page import MAIN_KNOBS, build, mount
from ui.port import Fold, Vocabulary

ELSEWHERE = re.compile(r"""(?:https?:)?//(?!www\.w3\.org/)[a-z0-9-]+\.[a-z]{2,}""", re.IGNORECASE)


class PaintPort(StudioPort):
    """The page for the painter's real settings."""

    def schema(self) -> type[BaseModel]:
        return PaintConfig

    def defaults(self) -> Mapping[str, Any]:
        return PaintConfig().model_dump()


def ids(page: Any) -> dict[str, Any]:
    return {block.elem_id: block for block in page.blocks.values() if getattr(block, "elem_id", None)}


@pytest.mark.parametrize("port", [StudioPort(), PaintPort()], ids=["studio", "painter"])
def test_every_field_of_the_schema_has_a_control_with_its_default(port: StudioPort) -> None:
    found = ids(build(port))
    for name, value in port.defaults().items():
        control = found["vs-prompt" if name == "prompt" else f"knob-{name.replace('_', '-')}"]
        assert control.value == value, name


def test_advanced_fields_are_behind_the_fold_and_the_main_ones_are_not() -> None:
    port = PaintPort()
    found = ids(build(port))

    def is_folded(block: Any) -> bool:
        while block.parent is not None:
            if block.elem_id == "vs-more":
                return True
            block = block.parent
        return False

    for name, field in PaintConfig.model_fields.items():
        if name == "prompt":
            continue
        knob = found[f"knob-{name.replace('_', '-')}"]
        assert is_folded(knob) == (name not in MAIN_KNOBS), name
        extra = field.json_schema_extra or {}
        assert not (extra.get("advanced") and name in MAIN_KNOBS), name  # type: ignore[union-attr]


def test_fields_of_a_group_share_a_fold_and_those_without_one_come_first() -> None:
    found = ids(build(PaintPort()))
    folds = [name for name in found if name.startswith("vs-group-")]
    named = ("blending", "guidance", "noise", "pace", "lora", "consistency", "steering", "model")
    assert folds == [f"vs-group-{name}" for name in named]
    for name, field in PaintConfig.model_fields.items():
        extra = field.json_schema_extra or {}
        if "group" in extra:
            fold = found[f"vs-group-{extra['group'].lower()}"]  # type: ignore[index, union-attr]
            assert found[f"knob-{name.replace('_', '-')}"].parent in (fold, *fold.children), name
    assert not [name for name in ids(build(StudioPort())) if name.startswith("vs-group-")]


def test_open_vocabulary_shows_neither_looks_nor_words() -> None:
    found = ids(build(StudioPort(Vocabulary(is_open=True))))
    assert not found["vs-strip"].visible
    assert not found["vs-moods"].visible
    assert "vs-known" not in found
    closed = ids(build(StudioPort(vocabulary())))
    assert closed["vs-strip"].visible
    assert "vs-known" in closed


def test_live_fields_steer_the_session_and_the_others_do_not() -> None:
    page = build(StudioPort())
    found = ids(page)
    live = found["vs-live"]._id

    def steering(name: str) -> bool:
        control = found[f"knob-{name}"]._id
        return any(
            [block._id for block in fn.inputs] == [live, control]
            for fn in page.fns.values()
            if fn.fn is not None
        )

    assert steering("strength")
    assert steering("seed")
    assert not steering("size-px")
    assert not steering("engine")


def test_no_event_waits_in_a_queue_or_is_part_of_a_public_api() -> None:
    page = build(StudioPort())
    assert page.fns
    for fn in page.fns.values():
        assert fn.queue is False
        assert fn.api_visibility == "private"


def test_own_files_name_no_other_machine() -> None:
    for path in panels.ASSETS.iterdir():
        assert not ELSEWHERE.search(path.read_text(encoding="utf-8")), path.name


def test_scripts_are_short_and_all_listed() -> None:
    scripts = {path.name: path.read_text(encoding="utf-8") for path in panels.ASSETS.glob("*.js")}
    assert set(scripts) == {*panels.SCRIPTS, "masthead.js"}
    for name, text in scripts.items():
        assert text.count("\n") < 200, name
        assert text.startswith("//"), f"{name} does not open with why it exists"
    assert {path.name for path in panels.ASSETS.glob("*.css")} == set(panels.STYLES)


def test_served_page_loads_nothing_from_elsewhere() -> None:
    with TestClient(mount(FastAPI(), StudioPort())) as client:
        page = client.get("/")
        assert page.status_code == 200
        loads = re.findall(r"""<(?:script|link|img|iframe)[^>]*?(?:src|href)=["']([^"']+)""", page.text)
        assert loads
        assert not [url for url in loads if ELSEWHERE.search(url)]
        styles = client.get("/theme.css").text
        assert "--vs-lamp" in styles + page.text
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", styles)
        config = client.get("/config").json()
    assert config["stylesheets"] == []
    assert config["analytics_enabled"] is False


def test_routes_added_before_keep_their_paths() -> None:
    app = FastAPI()

    @app.get("/api/here")
    def here() -> str:
        return "ours"

    with TestClient(mount(app, StudioPort())) as client:
        assert client.get("/api/here").json() == "ours"


class Silent(BaseModel):
    """Settings of something that takes no words."""

    strength: float = Field(0.5, ge=0, le=1, description="How much.")


class SilentPort(StudioPort):
    def schema(self) -> type[BaseModel]:
        return Silent

    def defaults(self) -> Mapping[str, Any]:
        return Silent().model_dump()

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(is_open=True)


def test_what_takes_no_words_has_a_page_without_a_box_for_them() -> None:
    found = ids(build(SilentPort()))
    assert "vs-prompt" not in found
    assert found["knob-strength"].value == 0.5


class Eye(BaseModel):
    share: Annotated[float, Live()] = Field(0.2, ge=0, le=1, description="How much of a core it takes.")
    detector: str = Field("auto", description="What finds things.")


def test_the_other_nodes_have_a_fold_each_and_their_knobs_reach_the_session_by_node() -> None:
    port = StudioPort()
    port.beside = [Fold("detect", "Detect", Eye, {"share": 0.3, "detector": "faces"})]
    page = build(port)
    found = ids(page)
    assert found["vs-fold-detect"].label == "Detect"
    assert found["knob-detect-share"].value == 0.3
    assert found["knob-detect-detector"].value == "faces"
    turned = [one for one in page.fns.values() if found["knob-detect-share"] in one.inputs and one.fn]
    assert turned[0].fn("s1", 0.4) == ""
    assert port.configured == [("s1", {"detect.share": 0.4})]
    begun = next(one for one in turned if len(one.inputs) > 2)
    values = [None if block is not found["knob-detect-share"] else 0.1 for block in begun.inputs[1:]]
    assert begun.fn("s1", *values) == ""
    assert port.configured[-1] == ("s1", {"detect.share": 0.1})


def test_the_page_does_not_keep_the_processor_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("ui.page.build", lambda port: made.append(build(port)) or made[0])
    mount(FastAPI(), StudioPort())
    queue = made[0]._queue
    assert min(queue.sleep_when_free, queue.progress_update_sleep_when_free) >= 0.1
