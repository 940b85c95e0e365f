"""The phone network says what the package's own program says, and what was learnt on top changes it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from perception.nets.phones.weights import DOWN, UP, network
from perception.voice.phones import LEARNT, is_here
from realtime.core.errors import ModelCorrupt

pytestmark = pytest.mark.skipif(not is_here(), reason="needs the package hama")


def packed() -> bytes:
    return resources.files("hama.assets").joinpath("asr_waveform.hama").read_bytes()


def test_it_says_what_the_packages_own_program_says(tmp_path: Path) -> None:
    from hama.asr import ASRModel

    sound = np.random.default_rng(0).normal(0, 0.05, 9_001).astype(np.float32)
    (theirs,) = ASRModel().session.run(["log_probs"], {"waveform": sound})
    wanted = theirs[0] - np.logaddexp.reduce(theirs[0], axis=1, keepdims=True)
    with torch.inference_mode():
        given = torch.from_numpy(sound)[None]
        found = network(packed())(given)[0].numpy()
        assert np.abs(np.exp(found) - np.exp(wanted)).max() < 1e-3
        ours = network(packed(), LEARNT)(given)[0].numpy()
        assert np.abs(np.exp(ours) - np.exp(wanted)).max() > 1e-2
        name = "blocks.2.told.weight"
        up, down = torch.ones(144, 1), torch.full((1, 144), 0.5)
        save_file({name + UP: up, name + DOWN: down}, tmp_path / "own")
        before, after = (network(packed(), one).blocks[2].told.weight for one in (None, tmp_path / "own"))
        assert torch.equal(after, before + 0.5)


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match="begins with"):
        network(b"PK\x03\x04 something else")
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        network(packed()[:2000])
    (tmp_path / "own").write_bytes(b"nothing")
    with pytest.raises(ModelCorrupt, match="own cannot be read"):
        network(packed(), tmp_path / "own")
