"""The error tree: as drawn in its file; a sentence, a hint, and whether trying again can help."""

import re

import pytest

from realtime.core import errors
from realtime.core.errors import ConfigError, ModelMissing, SourceClosed, StageError, VitascopeError
from tests.vocabulary import make_stamp

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VitascopeError)]


def test_message_and_hint_read_as_one() -> None:
    error = ModelMissing("The model is not here.", hint="Fetch it.")
    assert str(error) == "The model is not here. Fetch it."
    assert str(SourceClosed("It ended.")) == "It ended."


def test_permanence_is_the_kind_s_unless_said() -> None:
    assert ConfigError("no").permanent
    assert not SourceClosed("no").permanent
    assert SourceClosed("no", permanent=True).permanent
    assert not ConfigError("no", permanent=False).permanent
    assert ConfigError("no").permanent  # the other one did not change the class


def test_a_config_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no"):
        raise ConfigError("no")


def test_a_stage_error_knows_stage_and_sample() -> None:
    error = StageError("It failed.", stage="paint", stamp=make_stamp(4), hint="Wait.")
    assert (error.stage, error.stamp, error.permanent) == ("paint", make_stamp(4), False)
    assert str(error) == "It failed. Wait."


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_the_drawing_shows_each_error_under_its_parent(kind: type[VitascopeError]) -> None:
    depth = {}
    for number, line in enumerate((errors.__doc__ or "").splitlines()):
        found = re.match(r"[\s│├└─]*(\w+)", line)
        if found and found.group(1) in vars(errors):
            depth[found.group(1)] = (number, found.start(1))
    number, column = depth[kind.__name__]
    above = [(n, name) for name, (n, c) in depth.items() if n < number and c < column]
    assert kind.__base__.__name__ == (max(above)[1] if above else "Exception")


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_each_error_says_what_it_is_for(kind: type[VitascopeError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")
