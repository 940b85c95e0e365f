"""Teaching noise begins at the teacher, ends nearer to it, and what is written is what was learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.func import functional_call

from perception.nets.phones.model import PhoneConformer
from perception.nets.phones.weights import changed
from training.voice.noise import LENGTH, Pairs
from training.voice.train import learnable, loss_of, pupil, write


def test_a_few_steps_bring_noisy_speech_nearer_to_what_it_is_without(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = PhoneConformer()
    (
        torch.nn.init.normal_(model.real),
        torch.nn.init.normal_(model.imaginary),
        torch.nn.init.uniform_(model.bank),
    )
    model.requires_grad_(False)
    held, learnt = dict(model.named_parameters()), learnable(model)
    tone = np.sin(np.arange(8000) / 9).astype(np.float32) * np.hanning(8000).astype(np.float32)
    clean, noisy = Pairs([tone], []).draw()
    assert clean.shape == noisy.shape == (LENGTH,)
    assert clean.dtype == noisy.dtype == np.float32
    given, wanted = torch.from_numpy(noisy[None, :8_000]), model(torch.from_numpy(clean[None, :8_000]))
    assert torch.equal(functional_call(model, pupil(held, learnt), (given,)), model(given))
    losses = []
    for _ in range(3):
        loss = loss_of(wanted, functional_call(model, pupil(held, learnt), (given,)))
        gradients = torch.autograd.grad(loss, list(learnt.values()))
        with torch.no_grad():
            for value, gradient in zip(learnt.values(), gradients, strict=True):
                value -= 0.05 * gradient
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    write(learnt, tmp_path / "own" / "model.safetensors")
    from safetensors.torch import load_file

    state = changed(model.state_dict(), load_file(tmp_path / "own" / "model.safetensors"))
    for name, value in pupil(held, learnt).items():
        assert torch.allclose(state[name], value, atol=2e-3)
