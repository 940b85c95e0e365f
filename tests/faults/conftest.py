"""Two machines and a cable between them for tests of faults, with the preset "mirror" served on one.

Root is needed for the namespaces; without it, or without iptables, these tests are skipped with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks._netns import Cable, cable, why_not
from benchmarks._processes import Server, serving


@pytest.fixture(scope="session")
def line() -> Iterator[Cable]:
    """Lay the cable once; `healthy` undoes what each test did to it."""
    if reason := why_not():
        pytest.skip(reason)
    with cable() as one:
        yield one


@pytest.fixture(scope="session")
def mirror(line: Cable) -> Iterator[Server]:
    """Serve at the cable's far end."""
    arguments = ["--no-open", "--preset", "mirror"]
    with serving(
        "app serve", arguments, host=line.server_address, inside=line.at_server, within=line.at_client
    ) as server:
        yield server


@pytest.fixture
def healthy(line: Cable) -> Iterator[Cable]:
    """Give the cable whole, and mend it afterwards."""
    line.heal()
    yield line
    line.heal()
