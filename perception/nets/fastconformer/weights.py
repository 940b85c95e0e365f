"""Read a FastConformer from wherever a person has it: a folder of ours, of transformers, or a .nemo file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from realtime.core.errors import ModelCorrupt, ModelError

from .model import FastConformer
from .nemo import read_nemo
from .pieces import Pieces
from .plans import Plan
from .vocabularies import from_tokenizer

CONFIG, WEIGHTS = "config.json", "model.safetensors"
AGAIN = "Fetch the model again."
OURS, THEIRS = "FastConformer", "nemotron_asr_streaming"
"""What a config calls itself: "architecture" of ours, "model_type" of transformers'."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Hold a network and its words."""

    model: FastConformer
    pieces: Pieces
    title: str
    licence: str


def place(path: Path) -> Path:
    """Return what to read: a folder that has a config, or the .nemo file within one that has none."""
    if path.is_dir() and not (path / CONFIG).is_file() and (found := sorted(path.glob("*.nemo"))):
        return found[0]
    return path


def load(path: Path) -> Loaded:
    """Return the network in a folder or a .nemo file, its weights in full precision, put to inference.

    Raises ModelMissing, ModelCorrupt for what cannot be read, ModelError for weights that do not fit.
    """
    path = place(path)
    if not path.is_dir():
        plan, pieces, state = read_nemo(path)
        return _filled(plan, pieces, state, path, path.stem, "see its model card")
    config = _json(path / CONFIG)
    if config.get("architecture") == OURS:
        plan, pieces = Plan.read(config["plan"]), Pieces(config["pieces"])
        return _filled(plan, pieces, _state(path), path, config["title"], config["licence"])
    if config.get("model_type") == THEIRS:
        plan = transformers_plan(config, path)
        pieces = Pieces(from_tokenizer(path / "tokenizer.json", plan.blank))
        return _filled(plan, pieces, _state(path), path, path.name, "see its model card")
    kind = config.get("model_type") or config.get("architecture") or "nothing"
    raise ModelError(
        f"{path} holds no streaming FastConformer: its config names {kind}.",
        hint=f'Usable are a .nemo file, a folder with model_type "{THEIRS}", and the one of this program.',
    )


def transformers_plan(config: Mapping[str, Any], folder: Path) -> Plan:
    """Return the plan that a config of transformers tells, with the look-aheads of its processor."""
    from transformers import NemotronAsrStreamingConfig

    whole = NemotronAsrStreamingConfig(**{k: v for k, v in config.items() if k != "model_type"})
    encoder: Any = whole.encoder_config
    usual = int(encoder.default_num_lookahead_tokens)
    told: list[int] = []
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            told = told or _json(folder / name).get("supported_num_lookahead_tokens") or []
    return Plan(
        width=encoder.hidden_size,
        layers=encoder.num_hidden_layers,
        heads=encoder.num_attention_heads,
        inner=encoder.intermediate_size,
        kernel=encoder.conv_kernel_size,
        factor=encoder.subsampling_factor,
        channels=encoder.subsampling_conv_channels,
        mels=encoder.num_mel_bins,
        scales_input=encoder.scale_input,
        has_attention_bias=encoder.attention_bias,
        has_conv_bias=encoder.convolution_bias,
        left=encoder.sliding_window - 1,
        lookaheads=tuple(dict.fromkeys([usual, *told])),
        tokens=whole.vocab_size,
        blank=whole.blank_token_id,
        has_ctc=False,
        predictor=whole.decoder_hidden_size,
        predictor_layers=whole.num_decoder_layers,
        most_symbols=whole.max_symbols_per_step,
    )


def save(
    model: FastConformer, pieces: Pieces, folder: Path, *, title: str, licence: str, **more: Any
) -> None:
    """Write a folder of ours, matrices in half precision; what `load` reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    told = {"title": title, "licence": licence, "architecture": OURS, "plan": model.plan.told(), **more}
    text = json.dumps({**told, "pieces": list(pieces.pieces)}, indent=1, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    state = {
        name: (value.half() if value.ndim > 1 else value).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(state, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)


def _filled(
    plan: Plan, pieces: Pieces, state: Mapping[str, Tensor], where: Path, title: str, licence: str
) -> Loaded:
    """Return the network with these weights: all of them, and nothing else."""
    model = FastConformer(plan)
    wanted = model.state_dict()
    absent, strange = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    odd = [name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape]
    faults = [
        f"{len(names)} {said}, such as {names[0]}"
        for names, said in ((absent, "are missing"), (strange, "are not known"))
        if names
    ]
    faults += [
        f"{one} is {tuple(state[one].shape)}, not {tuple(wanted[one].shape)}" for one in sorted(odd)[:1]
    ]
    if faults:
        raise ModelError(
            f"The weights in {where} do not fit a streaming FastConformer: {'; '.join(faults)}.",
            hint="Check that it is one; if so, please tell us its name, so that it can be made to load.",
        )
    model.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    return Loaded(model.eval().requires_grad_(False), pieces, title, licence)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{path} cannot be read: {error}.", hint=AGAIN) from error
    if not isinstance(found, dict):
        raise ModelCorrupt(f"{path} is no JSON object.", hint=AGAIN)
    return found


def _state(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    try:
        state = {name: value for path in files for name, value in load_file(path).items()}
    except Exception as error:  # safetensors has errors of its own for what it cannot read
        raise ModelCorrupt(
            f"The weights in {folder} cannot be read: {error}.", hint="Fetch it again."
        ) from error
    if not state:
        raise ModelCorrupt(f"{folder} holds no .safetensors.", hint=AGAIN)
    return state
