"""What holds for all tests: no cache of this person is touched, no hub is asked, no core is spun on.

Set while this file is imported, before any test module imports a library that reads its environment once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

# Workers of a parallel run inherit what this file has changed: the first one notes what the person has.
_PERSONS = os.environ.setdefault("VITASCOPE_PERSONS_CACHE", os.environ.get("VITASCOPE_CACHE_DIR", ""))
_CACHE = Path(tempfile.mkdtemp(prefix="vitascope-tests-"))
os.environ["VITASCOPE_CACHE_DIR"] = str(_CACHE)
os.environ["VITASCOPE_MEMORY_DIR"] = str(_CACHE / "memories")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that brings a catalog model from this person's store to the tests', or skips."""
    from pipelines.engines.key import cache_folder

    def fetch(model: str) -> Path:
        with monkeypatch.context() as patch:
            patch.delenv("VITASCOPE_CACHE_DIR")
            if _PERSONS:
                patch.setenv("VITASCOPE_CACHE_DIR", _PERSONS)
            here = cache_folder() / "models" / model
        if not here.is_dir():
            pytest.skip(f"{model} is not on this machine: python -m app models fetch {model}")
        place = _CACHE / "models" / model
        if not place.is_dir():
            shutil.copytree(here, place)
        return place

    return fetch


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)
