"""An image prompt: a picture file whose content and style the painting takes up, strongly or weakly.

The picture is encoded once, on the builder's thread; frames go on with the picture before it meanwhile. The
adapter and its vision encoder belong to the kit, so sessions share them; the scale is each frame's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.core.errors import ConfigError, VitascopeError

from .config import PaintConfig
from .features import Additions, Draft, Nothing, Report
from .image_encoder import Encoded, encoder_of, parts_of
from .kits import Row

if TYPE_CHECKING:
    from torch import Tensor

    from .painter import Painter

NAME = "image_prompt"
KEPT_PICTURES = 32
NO_MODEL = ConfigError(
    "An image prompt needs an adapter that fits the model.",
    hint="Set image_prompt_model to an IP-Adapter's file; `hf download h94/IP-Adapter` gets some.",
)


class ImagePrompt(Nothing):
    """Give each frame of one session the tokens of its picture."""

    def __init__(self) -> None:
        self._last: Encoded | None = None
        self._told = ""

    def key(self, config: PaintConfig) -> Hashable | None:
        """Return the adapter that is wanted; () when a picture is wanted and no adapter is named."""
        if not config.image_prompt:
            return None
        return (config.image_prompt_model,) if config.image_prompt_model else ()

    def additions(self, painter: Painter, config: PaintConfig, report: Report) -> Additions:
        from .nets.image_prompt import Adapter, ImageTokens

        if not config.image_prompt_model:
            return Additions()
        file, encoder = parts_of(config.image_prompt_model)
        report(f"Reading the image prompt's adapter {file.name}.")
        adapter = Adapter(file)
        album = Album(encoder_of(adapter, encoder), painter.build)
        rows = ImageRows(album, album.now(Path(config.image_prompt)))
        return Additions((ImageTokens(adapter, *rows.shape),), (rows,))

    def draft(self, draft: Draft, config: PaintConfig) -> None:
        if not config.image_prompt:  # switched off a moment ago
            return
        add_ons = draft.kit.add_ons if draft.kit is not None else ()
        rows = next((one for one in add_ons if isinstance(one, ImageRows)), None)
        try:
            if rows is None:
                raise NO_MODEL
            self._last = rows.album.newest(Path(config.image_prompt)) or self._last
            self._told = ""
        except VitascopeError as error:
            if str(error) != self._told:
                self._told = str(error)
                draft.report(self._told)
        if self._last is not None:
            draft.extras[NAME] = (self._last, config.image_prompt_scale)

    def reset(self) -> None:
        self._last = None


class ImageRows:
    """Feed the tokens and scale of each row's picture; a row without one has scale 0."""

    name = NAME

    def __init__(self, album: Album, example: Encoded) -> None:
        self.album = album
        self._blank = example.tokens * 0.0
        self.shape: tuple[int, int] = (int(example.tokens.shape[1]), int(example.tokens.shape[2]))
        """Number of tokens and their width."""

    def before(self, rows: Sequence[Row], named: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        import torch

        given: list[tuple[Encoded | None, float]] = [
            row.trajectory.extras.get(NAME, (None, 0.0)) for row in rows
        ]
        tokens = [
            self._blank if one is None else one.negative if row.is_negative else one.tokens
            for row, (one, _) in zip(rows, given, strict=True)
        ]
        scales = torch.tensor([[scale] for _, scale in given])
        return {"image_tokens": torch.cat(tokens), "image_scale": scales}

    def after(self, rows: Sequence[Row], outputs: Mapping[str, Tensor]) -> None: ...

    def shapes(self, rows: int, side: int) -> Mapping[str, tuple[int, ...]]:
        return {"image_tokens": (rows, *self.shape), "image_scale": (rows, 1)}

    def close(self) -> None: ...


class Album:
    """Encode pictures from files, and remember the newest ones. From any thread."""

    def __init__(
        self, encode: Callable[[Path], Encoded], later: Callable[[Callable[[], Encoded]], Future[Encoded]]
    ) -> None:
        self._encode = encode
        self._later = later
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, int], Future[Encoded]] = {}

    def now(self, path: Path) -> Encoded:
        """Encode on this thread. Raises ConfigError for a file that is no picture."""
        key, made = _key(path), Future[Encoded]()
        made.set_result(self._encode(path))
        self._keep(key, lambda: made)
        return made.result()

    def newest(self, path: Path) -> Encoded | None:
        """Return what was made of the picture; None while it is encoded. Raises what encoding raised."""
        made = self._keep(_key(path), lambda: self._later(lambda: self._encode(path)))
        return made.result() if made.done() else None

    def _keep(self, key: tuple[Path, int], make: Callable[[], Future[Encoded]]) -> Future[Encoded]:
        with self._lock:
            if key not in self._known:
                self._known[key] = make()
                while len(self._known) > KEPT_PICTURES:
                    del self._known[next(iter(self._known))]
            return self._known[key]


def _key(path: Path) -> tuple[Path, int]:
    """Return the path with when it was written, so that a file that is written anew is another picture."""
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"The image prompt {path} cannot be read: {error.strerror or error}.") from error
