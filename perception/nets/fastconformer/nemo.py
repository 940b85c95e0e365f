"""Read a `.nemo` file, as NVIDIA publishes models, without NeMo: a tar of config, weights and tokenizer.

Names of weights follow transformers' own converter for Parakeet; those of the subsampling go by their places
in NeMo's Sequential. No published file was at hand when this was written. So all is checked, and whatever
does not fit is an error that names it.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing

from .pieces import Pieces
from .plans import Plan
from .vocabularies import from_sentencepiece, from_words

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"
HELP = (
    "Only cache-aware streaming FastConformers can be used, "
    "such as stt_en_fastconformer_hybrid_large_streaming_multi."
)
SKIPPED = re.compile(r"^preprocessor\.featurizer\.(window|fb)$")
"""Constants of the front end, which is made anew here."""
RENAMES = (
    (r"^encoder\.pre_encode\.out\.", "encoder.subsampling.linear."),
    (r"^encoder\.pre_encode\.conv\.0\.", "encoder.subsampling.conv_in."),
    (r"\.self_attn\.linear_([qkv])\.", r".self_attn.\1_proj."),
    (r"\.self_attn\.linear_out\.", ".self_attn.o_proj."),
    (r"\.self_attn\.linear_pos\.", ".self_attn.relative_k_proj."),
    (r"\.self_attn\.pos_bias_([uv])$", r".self_attn.bias_\1"),
    (r"\.conv\.batch_norm\.", ".conv.norm."),
    (r"^decoder\.prediction\.embed\.", "decoder.embedding."),
    (r"^decoder\.prediction\.dec_rnn\.lstm\.", "decoder.lstm."),
    (r"^joint\.enc\.", "encoder_projector."),
    (r"^joint\.pred\.", "decoder.decoder_projector."),
    (r"^joint\.joint_net\.\d+\.", "joint.head."),
    (r"^(ctc_)?decoder\.decoder_layers\.0\.", "ctc_head."),
)
STAGE = re.compile(r"^encoder\.pre_encode\.conv\.(\d+)\.(weight|bias)$")


def read_nemo(path: Path) -> tuple[Plan, Pieces, dict[str, Tensor]]:
    """Return the plan, the pieces and the weights under the names of `FastConformer`.

    Raises ModelMissing without the file, ModelCorrupt for one that cannot be read, ModelError for a model of
    another kind.
    """
    if not path.is_file():
        raise ModelMissing(f"There is no file {path}.", hint="Give the path of a .nemo file.")
    try:
        with tarfile.open(path) as archive:
            members = {Path(one.name).name: one for one in archive.getmembers() if one.isfile()}
            config = _yaml(_content(archive, members, CONFIG))
            pieces = _pieces(archive, members)
            weights = _weights(_content(archive, members, WEIGHTS))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ModelCorrupt(f"{path} cannot be read: {error}.", hint="Fetch it again.") from error
    plan = plan_of(config, weights, len(pieces))
    return plan, pieces, renamed(weights)


def plan_of(config: Mapping[str, Any], weights: Mapping[str, Tensor], pieces: int) -> Plan:
    """Return the plan that a NeMo config tells. Raises ModelError where it wants what is not built here."""
    sound, encoder = _part(config, "preprocessor"), _part(config, "encoder")
    _want(sound, "preprocessor", "normalize", ("NA", None, "None"))
    _want(sound, "preprocessor", "sample_rate", (16000,), 16000)
    _want(sound, "preprocessor", "window_size", (0.025,), 0.025)
    _want(sound, "preprocessor", "window_stride", (0.01,), 0.01)
    _want(sound, "preprocessor", "n_fft", (512,), 512)
    _want(encoder, "encoder", "subsampling", ("dw_striding",), "striding")
    _want(encoder, "encoder", "causal_downsampling", (True,), False)
    _want(encoder, "encoder", "att_context_style", ("chunked_limited",), "regular")
    _want(encoder, "encoder", "conv_norm_type", ("layer_norm",), "batch_norm")
    _want(encoder, "encoder", "conv_context_size", ("causal",))
    _want(encoder, "encoder", "self_attention_model", ("rel_pos",), "rel_pos")
    lefts, lookaheads = _contexts(encoder.get("att_context_size"))
    width = int(encoder["d_model"])
    channels = int(encoder.get("subsampling_conv_channels", -1))
    has_ctc = any("decoder_layers.0." in name for name in weights)
    has_rnnt = any(name.startswith("joint.") for name in weights)
    prediction = _part(_part(config, "decoder"), "prednet") if has_rnnt else {}
    joint = _part(_part(config, "joint"), "jointnet") if has_rnnt else {}
    if has_rnnt and int(joint["joint_hidden"]) != int(prediction["pred_hidden"]):
        raise ModelError(
            f"Its joint network is {joint['joint_hidden']} wide and its prediction network "
            f"{prediction['pred_hidden']}; transformers' modules want both alike.",
            hint=HELP,
        )
    if has_rnnt:
        _want(joint, "joint.jointnet", "activation", ("relu",), "relu")
    greedy = config.get("decoding", {}).get("greedy", {}) or {}
    bias = bool(encoder.get("use_bias", True))
    return Plan(
        width=width,
        layers=int(encoder["n_layers"]),
        heads=int(encoder["n_heads"]),
        inner=width * int(encoder.get("ff_expansion_factor", 4)),
        kernel=int(encoder.get("conv_kernel_size", 31)),
        factor=int(encoder.get("subsampling_factor", 4)),
        channels=channels if channels > 0 else width,
        mels=int(sound.get("features", encoder.get("feat_in", 80))),
        scales_input=bool(encoder.get("xscaling", True)),
        has_attention_bias=bias,
        has_conv_bias=bias,
        left=lefts,
        lookaheads=lookaheads,
        tokens=pieces + 1,
        blank=pieces,
        has_ctc=has_ctc,
        predictor=int(prediction.get("pred_hidden", 0)),
        predictor_layers=int(prediction.get("pred_rnn_layers", 1)),
        most_symbols=int(greedy.get("max_symbols") or 10),
    )


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names of `FastConformer`; what it has no place for keeps its own."""
    found = {}
    for name, value in weights.items():
        if SKIPPED.match(name):
            continue
        new = _stage(name)
        for pattern, replacement in RENAMES:
            new = re.sub(pattern, replacement, new)
        found[new] = value[..., 0] if new == "ctc_head.weight" and value.ndim == 3 else value
    return found


def _stage(name: str) -> str:
    """Rename a layer of the subsampling: after the first convolution and its ReLU, three entries a stage."""
    found = STAGE.match(name)
    if found is None or found[1] == "0":
        return name
    stage, entry = divmod(int(found[1]) - 2, 3)
    if entry > 1:
        return name
    kind = ("depthwise_conv", "pointwise_conv")[entry]
    return f"encoder.subsampling.layers.{stage}.{kind}.{found[2]}"


def _contexts(told: Any) -> tuple[int, tuple[int, ...]]:
    """Return the past and the look-aheads of [70, 13] or [[70, 13], [70, 6]]."""
    pairs = told if told and isinstance(told[0], list | tuple) else [told]
    if not told or len({pair[0] for pair in pairs}) > 1 or int(pairs[0][0]) < 0 or int(pairs[0][1]) < 0:
        raise ModelError(f"Its att_context_size is {told}: it does not stream with a fixed past.", hint=HELP)
    return int(pairs[0][0]), tuple(int(pair[1]) for pair in pairs)


def _want(part: Mapping[str, Any], where: str, name: str, good: tuple[Any, ...], usual: Any = None) -> None:
    value = part.get(name, usual)
    if value not in good:
        raise ModelError(f"Its {where}.{name} is {value!r}; what runs here has {good[0]!r}.", hint=HELP)


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    if not isinstance(part, Mapping):
        raise ModelError(f'Its config has no "{name}".', hint=HELP)
    return part


def _content(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    found = members.get(name)
    opened = archive.extractfile(found) if found is not None else None
    if opened is None:
        raise ModelCorrupt(
            f"It holds no {name}, only {', '.join(sorted(members))}.", hint="Is it a .nemo file?"
        )
    return opened.read()


def _yaml(content: bytes) -> Mapping[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ModelCorrupt(f"Its {CONFIG} cannot be read: {error}.", hint="Fetch it again.") from error
    if not isinstance(found, Mapping):
        raise ModelCorrupt(f"Its {CONFIG} is no mapping.", hint="Fetch it again.")
    return found


def _pieces(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]) -> Pieces:
    for name in sorted(members):
        if name.endswith("tokenizer.model"):
            return Pieces(from_sentencepiece(_content(archive, members, name)))
    for name in sorted(members):
        if name.endswith("vocab.txt"):
            return Pieces(from_words(_content(archive, members, name).decode("utf-8")))
    raise ModelCorrupt(f"It holds no tokenizer, only {', '.join(sorted(members))}.", hint=HELP)


def _weights(content: bytes) -> dict[str, Tensor]:
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling raises for a file that is none
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelCorrupt(f"Its {WEIGHTS} cannot be read: {first[0]}.", hint="Fetch it again.") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelCorrupt(f"Its {WEIGHTS} holds no weights by name.", hint="Fetch it again.")
    return {name: value.float() if value.is_floating_point() else value for name, value in found.items()}
