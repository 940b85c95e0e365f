"""Which of the two libraries is taken, and what is said when neither works."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipelines.engines.tensorrt_api import Api, Log, load_api
from realtime.core.errors import EngineUnavailable

from .fake_tensorrt import Fake


def importer(**modules):
    def load(name):
        found = modules.get(name, ModuleNotFoundError(f"No module named '{name}'"))
        if isinstance(found, Exception):
            raise found
        return found

    return load


def test_the_enterprise_library_comes_first():
    both = importer(tensorrt=Fake("11.4.0"), tensorrt_rtx=Fake())
    assert load_api(importer=both).name == "tensorrt"
    assert not load_api(importer=both).is_rtx
    assert load_api(("tensorrt_rtx",), importer=both).is_rtx


@pytest.mark.parametrize(
    "broken",
    [
        AssertionError("no GPU"),
        OSError("libnvonnxparser.so.11: cannot open"),
        SimpleNamespace(__version__="11.4"),
        Fake("8.6.1"),
    ],
)
def test_the_second_is_taken_when_the_first_is_broken(broken):
    found = load_api(importer=importer(tensorrt=broken, tensorrt_rtx=Fake()))
    assert (found.name, found.version, found.is_rtx) == ("tensorrt_rtx", "1.7.1", True)


def test_when_neither_works_each_says_why():
    with pytest.raises(EngineUnavailable) as caught:
        load_api(importer=importer(tensorrt=OSError("libnvinfer.so.11: cannot open shared object file")))
    assert "tensorrt: libnvinfer.so.11" in caught.value.message
    assert "tensorrt_rtx: No module named" in caught.value.message
    assert "pip install tensorrt-rtx" in caught.value.hint


def test_targets_are_looked_up_by_name():
    api = Api(Fake(), "tensorrt_rtx", "1.7.1")
    assert api.capability("sm89").name == "SM89"
    with pytest.raises(EngineUnavailable, match="builds for sm86, sm89, sm120, not for sm100"):
        api.capability("sm100")


def test_the_log_keeps_errors_and_leaves_talk():
    log = Log(Fake())
    severities = Fake().ILogger.Severity
    log.logger.log(severities.INFO, "all is well")
    assert log.quote() == "It gave no reason."
    for i in range(6):
        log.logger.log(severities.ERROR, f"fault\n  {i}")
    assert log.quote() == "fault 2 fault 3 fault 4 fault 5"
