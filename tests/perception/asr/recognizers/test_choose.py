"""The recogniser that a name stands for, and what is said where it is not here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perception.asr.recognizers import choose, moonshine, sherpa, whisper
from perception.asr.recognizers.base import RecognizerInfo
from perception.asr.recognizers.redecoding import Redecoding
from perception.asr.transcript import Hypothesis
from realtime.core.errors import ConfigError, ModelMissing


def alone(key: str, make: Any) -> Any:
    return make()


@pytest.mark.parametrize(
    ("here", "engine", "model", "name", "final"),
    [
        ({"moonshine", "whisper"}, "auto", "", "moonshine", "whisper"),
        ({"moonshine"}, "auto", "", "moonshine", None),
        ({"whisper"}, "auto", "", "whisper", None),
        (set(), "auto", "", None, None),
        ({"moonshine", "whisper"}, "auto", "mine.nemo", "fastconformer", None),
        ({"moonshine"}, "whisper", "", "whisper", None),
        ({"whisper"}, "sherpa", "folder", "sherpa", None),
    ],
)
def test_auto_takes_the_best_that_is_here(
    monkeypatch: pytest.MonkeyPatch, here: set[str], engine: str, model: str, name: str, final: str
) -> None:
    monkeypatch.setattr(choose, "is_here", here.__contains__)
    assert choose.chosen(engine, model) == name
    assert name is None or choose.finals_for(name, "auto") == final


@pytest.mark.parametrize("module", [moonshine, whisper, sherpa])
def test_what_is_not_installed_says_which_command_brings_it(
    monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not module.is_here()
    load = getattr(module, choose.MAKERS[module.ID].load)
    with pytest.raises(ModelMissing) as missing:
        load("", alone)
    assert missing.value.hint == choose.MAKERS[module.ID].install


def test_a_folder_without_a_model_is_told_apart(tmp_path: Path) -> None:
    for module in (moonshine, whisper, sherpa):
        if module.is_here():
            with pytest.raises(ConfigError, match=str(tmp_path.name)):
                choose.load(module.ID, str(tmp_path), alone)


def test_a_folder_of_sherpa_s_is_read_by_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens\.txt|no streaming model"):
        sherpa.files_of(tmp_path)
    for name in ("tokens.txt", "encoder.onnx", "encoder.int8.onnx", "decoder.onnx", "joiner.onnx"):
        (tmp_path / name).touch()
    kind, files = sherpa.files_of(tmp_path)
    assert kind == "from_transducer"
    assert Path(files["encoder"]).name == "encoder.int8.onnx"
    nemo = tmp_path / "sherpa-nemo-ctc"
    nemo.mkdir()
    for name in ("tokens.txt", "model.onnx"):
        (nemo / name).touch()
    assert sherpa.files_of(nemo)[0] == "from_nemo_ctc"


def test_tokens_become_words_with_their_times() -> None:
    words = sherpa.words_of([" hel", "lo", " the", "re", "\u2581you"], [0.1, 0.3, 0.9, 1.0, 1.6])
    assert [(one.text, one.begin_s, one.end_s) for one in words] == [
        ("hello", 0.1, 0.3), ("there", 0.9, 1.0), ("you", 1.6, 1.6),
    ]  # fmt: skip


class SherpaNet:
    """Stand for sherpa's recogniser: a token for each 100 ms, the last one only once nothing follows."""

    def create_stream(self) -> Any:
        class Stream:
            count, given, is_over = 0, 0, False

            def accept_waveform(self, rate_hz: int, samples: np.ndarray) -> None:
                assert rate_hz == 16_000
                self.count += len(samples)

            def input_finished(self) -> None:
                self.is_over = True

        return Stream()

    def is_ready(self, stream: Any) -> bool:
        return stream.given < stream.count // 1600 - (not stream.is_over)

    def decode_stream(self, stream: Any) -> None:
        stream.given += 1

    def get_result_all(self, stream: Any) -> SimpleNamespace:
        tokens = [f" w{k}" for k in range(stream.given)]
        return SimpleNamespace(
            text="".join(tokens), tokens=tokens, timestamps=[k / 10 for k in range(stream.given)]
        )


def test_sherpa_s_streams_are_driven_as_a_recogniser() -> None:
    one = sherpa.SherpaRecognizer(SherpaNet(), "model")
    assert one.info.is_append_only
    for _ in range(10):
        one.accept(np.zeros(512, np.float32))  # 320 ms
    assert one.partial().text == "w0 w1"
    assert [word.begin_s for word in one.partial().words] == [0.0, 0.1]
    assert one.finish().text.split() == [f"w{k}" for k in range(9)]  # 320 ms and the tail of 600
    assert one.partial().text == ""
    one.accept(np.zeros(8000, np.float32))
    one.reset()
    assert one.partial().text == ""


def test_the_same_sound_is_decoded_once_and_too_little_of_it_never() -> None:
    asked: list[int] = []

    def decode(samples: np.ndarray) -> Hypothesis:
        asked.append(len(samples))
        return Hypothesis("yes")

    one = Redecoding(RecognizerInfo("x", "X", "MIT", is_append_only=False, update_s=0.1), decode)
    one.accept(np.zeros(1600, np.float32))
    assert one.partial().text == ""
    one.accept(np.zeros(8000, np.float32))
    assert one.partial().text == one.finish().text == "yes"
    assert asked == [9600]
    assert one.finish().text == ""


def test_whisper_s_words_for_silence_are_not_believed() -> None:
    def segment(text: str, silence: float, probability: float) -> SimpleNamespace:
        word = SimpleNamespace(word=f" {text}", start=0.5, end=1.0, probability=0.9)
        return SimpleNamespace(text=f" {text}", words=[word], no_speech_prob=silence, avg_logprob=probability)

    class Net:
        model = SimpleNamespace(is_multilingual=False)

        def transcribe(self, samples: np.ndarray, **options: Any) -> Any:
            return iter([segment("Hello.", 0.1, -0.3), segment("Thank you.", 0.9, -1.4)]), None

    found = whisper._heard(Net(), np.zeros(16_000, np.float32))
    assert found.text == "Hello."
    assert [(one.text, one.begin_s) for one in found.words] == [("Hello.", 0.5)]
