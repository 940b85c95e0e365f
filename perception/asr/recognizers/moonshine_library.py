"""Moonshine's C library, of which one function is needed: what is said in a piece of sound.

The library and a small English model come in the `moonshine-voice` package (MIT). Its Python half is left
alone: importing it needs a sound card's library, and it turns each sample into a Python object. Here the
sound's memory is handed over as it is, and Python's lock is free while the library works.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from realtime.core.errors import ModelError
from realtime.core.frame import SPEECH_RATE_HZ

from .base import Samples

PACKAGE = "moonshine_voice"
INSTALL = "python -m pip install moonshine-voice==0.1.0"
TINY = "assets/tiny-en"
LIBRARIES = {"linux": "libmoonshine.so", "darwin": "libmoonshine.dylib", "win32": "moonshine.dll"}
HEADER_VERSION = 30_000
"""The interface that the structures below are those of."""
OPTIONS = {"vad_threshold": "0", "return_audio_data": "false"}
"""Its own search for speech is off: what it is given is speech."""


class _Line(ctypes.Structure):
    """transcript_line_t of moonshine-c-api.h; only the text is read."""

    _fields_ = (
        ("text", ctypes.c_char_p),
        ("audio_data", ctypes.c_void_p),
        ("audio_data_count", ctypes.c_size_t),
        ("start_time", ctypes.c_float),
        ("duration", ctypes.c_float),
        ("id", ctypes.c_uint64),
        ("flags", ctypes.c_int8 * 5),
        ("speaker_spans", ctypes.c_void_p),
        ("speaker_span_count", ctypes.c_uint64),
        ("last_transcription_latency_ms", ctypes.c_uint32),
        ("words", ctypes.c_void_p),
        ("word_count", ctypes.c_uint64),
    )


class _Transcript(ctypes.Structure):
    _fields_ = (("lines", ctypes.POINTER(_Line)), ("line_count", ctypes.c_uint64))


class _Option(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_char_p))


def package_folder() -> Path | None:
    """Return where the package lies; None where it is not installed. Imports nothing of it."""
    spec = importlib.util.find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


class MoonshineLibrary:
    """Hold one model, shared by all streams. From any thread; one call at a time."""

    def __init__(self, package: Path, model: Path, size: int = 0) -> None:
        """Load the model of a folder; `size` is 0 for tiny, 1 for base. Raises ModelError."""
        path = package / LIBRARIES.get(sys.platform, LIBRARIES["linux"])
        try:
            self._library: Any = ctypes.CDLL(str(path))
        except OSError as error:
            raise ModelError(f"Moonshine's library does not load: {error}.", hint=INSTALL) from error
        self._library.moonshine_error_to_string.restype = ctypes.c_char_p
        options = (_Option * len(OPTIONS))(*(_Option(k.encode(), v.encode()) for k, v in OPTIONS.items()))
        self._lock = threading.Lock()
        self._handle = self._library.moonshine_load_transcriber_from_files(
            str(model).encode(), size, options, len(options), HEADER_VERSION
        )
        if self._handle < 0:
            said = self._said(self._handle)
            raise ModelError(f"Moonshine cannot read the model in {model}: {said}.", hint=INSTALL)

    def text(self, samples: Samples) -> str:
        """Return what is said in some seconds of sound, (n,) at 16 kHz. Raises ModelError."""
        sound = np.ascontiguousarray(samples, np.float32)
        found = ctypes.POINTER(_Transcript)()
        with self._lock:
            if self._handle < 0:
                return ""
            fault = self._library.moonshine_transcribe_without_streaming(
                self._handle,
                sound.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                ctypes.c_uint64(len(sound)),
                SPEECH_RATE_HZ,
                0,
                ctypes.byref(found),
            )
            if fault:
                raise ModelError(f"Moonshine failed: {self._said(fault)}.")
            lines = [found.contents.lines[at].text or b"" for at in range(found.contents.line_count)]
        return " ".join(line.decode("utf-8", "ignore").strip() for line in lines)

    def close(self) -> None:
        """Let the model go. Twice does no harm."""
        with self._lock:
            handle, self._handle = self._handle, -1
            if handle >= 0:
                self._library.moonshine_free_transcriber(handle)

    def _said(self, fault: int) -> str:
        said: bytes | None = self._library.moonshine_error_to_string(fault)
        return (said or b"unknown error").decode("utf-8", "ignore").rstrip(".")
