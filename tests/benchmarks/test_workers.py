"""The benchmark of workers runs through and measures what it says: local back end, short turns."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import workers


@pytest.mark.nightly
def test_ages_and_times_to_resume_are_measured() -> None:
    parser = argparse.ArgumentParser()
    workers.add_arguments(parser)
    short = ["--rounds", "1", "--seconds", "1", "--kills", "1", "--no-ray"]
    figures = workers.run(parser.parse_args(short))
    assert 0 < figures["plain_age_p50_ms"] < 1000
    assert 0 < figures["local_age_p50_ms"] < 1000
    assert figures["local_sessions_resumed"] == 2
    assert 0 < figures["local_resume_worst_s"] < 5
    assert not [name for name in figures if name.startswith("ray")]
