"""What holds for all tests: no cache of this person is touched, no hub is asked, no core is spun on.

Set while this file is imported, before any test module imports a library that reads its environment once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_CACHE = Path(tempfile.mkdtemp(prefix="vitascope-tests-"))
os.environ["VITASCOPE_CACHE_DIR"] = str(_CACHE)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)
