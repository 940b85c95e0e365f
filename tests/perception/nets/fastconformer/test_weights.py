"""Reading a network from a .nemo file, from transformers' folder and from ours: all of it, or an error."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import yaml
from transformers import NemotronAsrStreamingForRNNT

from perception.nets.fastconformer.model import FastConformer
from perception.nets.fastconformer.pieces import MARK, Pieces, Token
from perception.nets.fastconformer.vocabularies import from_sentencepiece, from_words
from perception.nets.fastconformer.weights import load, save
from realtime.core.errors import ModelCorrupt, ModelError, ModelMissing
from tests.perception.nets.fastconformer.tiny import PLAN, sound, tiny

TEXT = ["make it look like a painting", "more of the same", "undo the last look", "paint a cat"] * 5


@pytest.fixture(scope="module")
def tokenizer() -> bytes:
    """Return a sentencepiece model as its own library writes it."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_writer=made, vocab_size=40, model_type="bpe", minloglevel=2
    )
    return made.getvalue()


@pytest.fixture(scope="module")
def model(tokenizer: bytes) -> FastConformer:
    count = len(from_sentencepiece(tokenizer))
    return tiny(replace(PLAN, tokens=count + 1, blank=count, mel_shift=0.0, mel_scale=1.0, mels=80))


def test_a_nemo_file_gives_the_network_that_was_written(
    model: FastConformer, tokenizer: bytes, tmp_path: Path
) -> None:
    path = nemo(tmp_path / "streaming.nemo", model, tokenizer)
    found = load(path)
    assert found.model.plan == model.plan
    assert found.title == "streaming"
    wanted = model.state_dict()
    assert found.model.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in found.model.state_dict().items())
    library = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    assert list(found.pieces.pieces) == [library.id_to_piece(k) for k in range(len(library))]
    said = [Token(token, k, 0.5) for k, token in enumerate(library.encode("undo the painting"))]
    assert found.pieces.text(said) == "undo the painting"
    assert load(tmp_path).title == "streaming"  # the folder of the file does as well


@pytest.mark.parametrize(
    ("config", "weights", "says"),
    [
        ({"preprocessor": {"normalize": "per_feature"}}, {}, "preprocessor.normalize is 'per_feature'"),
        ({"encoder": {"att_context_style": "regular"}}, {}, "att_context_style is 'regular'"),
        ({"encoder": {"att_context_size": [-1, -1]}}, {}, "does not stream with a fixed past"),
        ({"encoder": {"conv_norm_type": "batch_norm"}}, {}, "conv_norm_type is 'batch_norm'"),
        ({}, {"encoder.adapter.weight": torch.ones(2)}, "1 are not known, such as encoder.adapter.weight"),
        ({"encoder": {"n_layers": 3}}, {}, "are missing, such as encoder.layers.2"),
        ({"encoder": {"ff_expansion_factor": 3}}, {}, r"linear1.bias is \(64,\), not \(96,\)"),
    ],
)
def test_what_does_not_fit_is_named(
    model: FastConformer, tokenizer: bytes, tmp_path: Path, config: Any, weights: Any, says: str
) -> None:
    path = nemo(tmp_path / "odd.nemo", model, tokenizer, config, weights)
    with pytest.raises(ModelError, match=says) as caught:
        load(path)
    assert caught.value.hint


def test_what_is_no_model_is_an_error_that_helps(tmp_path: Path, tokenizer: bytes) -> None:
    (tmp_path / "no.nemo").write_bytes(b"something else")
    with pytest.raises(ModelCorrupt, match=r"no\.nemo cannot be read"):
        load(tmp_path / "no.nemo")
    with pytest.raises(ModelMissing):
        load(tmp_path / "absent.nemo")
    with pytest.raises(ModelError, match="no sentencepiece model"):
        from_sentencepiece(b"\x0f\xff")
    with pytest.raises(ModelError, match="ends within a field"):
        from_sentencepiece(tokenizer[:-3])


def test_weights_are_read_as_numbers_only(model: FastConformer, tokenizer: bytes, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harmed",))

    path = nemo(tmp_path / "harm.nemo", model, tokenizer, {}, {"x": Harm()})
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        load(path)
    assert not (tmp_path / "harmed").exists()


def test_a_folder_of_transformers_gives_the_same_tokens_as_its_own_class(
    model: FastConformer, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, models

    from tests.perception.nets.fastconformer.tiny import offline, runtime_of

    plan = replace(model.plan, has_ctc=False, most_symbols=10)
    config = plan.whole_config()
    config.decoder_start_token_id = plan.blank
    theirs = NemotronAsrStreamingForRNNT(config)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("ctc_head")}
    theirs.load_state_dict(state, strict=True)
    theirs.save_pretrained(tmp_path)
    words = {f"{MARK}w{k}": k for k in range(plan.blank)} | {"<blank>": plan.blank}
    Tokenizer(models.WordLevel(words, unk_token="<blank>")).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "processor_config.json").write_text('{"supported_num_lookahead_tokens": [6, 1]}')
    found = load(tmp_path)
    assert found.model.plan.lookaheads == (13, 6, 1)
    assert found.model.plan.predictor == 16
    samples = sound(2.0)
    _, wanted = offline(model, "rnnt", samples, 6)
    runtime = runtime_of(found.model, "rnnt")
    said, _ = runtime.finish(runtime.push(runtime.begin(6), samples))
    assert len(said) > 3
    assert found.pieces.text(said) == " ".join(f"w{one.id}" for one in said)
    assert wanted[0][0] == said[0].id


def test_our_own_folder_comes_back(model: FastConformer, tmp_path: Path) -> None:
    save(model, Pieces(["a"] * model.plan.blank), tmp_path, title="Tiny", licence="Apache-2.0", more=1)
    found = load(tmp_path)
    assert (found.title, found.licence, found.model.plan) == ("Tiny", "Apache-2.0", model.plan)
    wanted = model.state_dict()
    for name, value in found.model.state_dict().items():
        assert torch.allclose(value, wanted[name], atol=2e-3, rtol=1e-3), name


def test_a_list_of_words_marks_where_words_begin() -> None:
    assert from_words("the\n##re\nis\n") == (f"{MARK}the", "re", f"{MARK}is")


def nemo(
    path: Path,
    model: FastConformer,
    tokenizer: bytes,
    config: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Path:
    """Write a .nemo file as NeMo would: its names, its config, its members."""
    plan = model.plan
    told: dict[str, Any] = {
        "preprocessor": {"normalize": "NA", "features": plan.mels, "sample_rate": 16000, "dither": 1e-5},
        "encoder": {
            "feat_in": plan.mels,
            "n_layers": plan.layers,
            "d_model": plan.width,
            "n_heads": plan.heads,
            "ff_expansion_factor": plan.inner // plan.width,
            "subsampling": "dw_striding",
            "subsampling_factor": plan.factor,
            "subsampling_conv_channels": plan.channels,
            "causal_downsampling": True,
            "conv_kernel_size": plan.kernel,
            "conv_norm_type": "layer_norm",
            "conv_context_size": "causal",
            "att_context_size": [[plan.left, look] for look in plan.lookaheads],
            "att_context_style": "chunked_limited",
            "xscaling": plan.scales_input,
        },
        "decoder": {"prednet": {"pred_hidden": plan.predictor, "pred_rnn_layers": plan.predictor_layers}},
        "joint": {"jointnet": {"joint_hidden": plan.predictor, "activation": "relu"}},
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": plan.most_symbols}},
    }
    for part, change in (config or {}).items():
        told[part].update(change)
    state = {_nemo_name(name): value.clone() for name, value in model.state_dict().items()}
    state["ctc_decoder.decoder_layers.0.weight"] = state["ctc_decoder.decoder_layers.0.weight"][..., None]
    state |= {"preprocessor.featurizer.window": torch.ones(400), "preprocessor.featurizer.fb": torch.ones(1)}
    packed = io.BytesIO()
    torch.save({**state, **(weights or {})}, packed)
    members = {
        "./model_config.yaml": yaml.safe_dump(told).encode(),
        "./model_weights.ckpt": packed.getvalue(),
        "./0123abcd_tokenizer.model": tokenizer,
    }
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def _nemo_name(name: str) -> str:
    """Return NeMo's name of a weight, written down apart from the reader's table."""
    if name.startswith("ctc_head"):
        return name.replace("ctc_head", "ctc_decoder.decoder_layers.0")
    if name.startswith("encoder_projector"):
        return name.replace("encoder_projector", "joint.enc")
    if name.startswith("joint.head"):
        return name.replace("joint.head", "joint.joint_net.2")
    if name.startswith("decoder."):
        inner = {"embedding": "prediction.embed", "lstm": "prediction.dec_rnn.lstm"}
        head, rest = name.removeprefix("decoder.").split(".", 1)
        return f"joint.pred.{rest}" if head == "decoder_projector" else f"decoder.{inner[head]}.{rest}"
    places = {
        "encoder.subsampling.conv_in.": "encoder.pre_encode.conv.0.",
        "encoder.subsampling.layers.0.depthwise_conv.": "encoder.pre_encode.conv.2.",
        "encoder.subsampling.layers.0.pointwise_conv.": "encoder.pre_encode.conv.3.",
        "encoder.subsampling.layers.1.depthwise_conv.": "encoder.pre_encode.conv.5.",
        "encoder.subsampling.layers.1.pointwise_conv.": "encoder.pre_encode.conv.6.",
        "encoder.subsampling.linear.": "encoder.pre_encode.out.",
    }
    for ours, theirs in places.items():
        name = name.replace(ours, theirs)
    for letter in "qkv":
        name = name.replace(f"self_attn.{letter}_proj", f"self_attn.linear_{letter}")
    name = name.replace("self_attn.o_proj", "self_attn.linear_out").replace(
        "self_attn.bias_", "self_attn.pos_bias_"
    )
    return name.replace("self_attn.relative_k_proj", "self_attn.linear_pos").replace(
        "conv.norm", "conv.batch_norm"
    )
