"""The Hugging Face hub, as far as `store.fetch` needs it: what a repository holds, and one file of it.

Its errors become ours here, with what a person can do about each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from realtime.core.errors import ModelError, ModelMissing

ON = {"1", "on", "yes", "true"}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Hold what the server tells of a file."""

    bytes: int | None
    sha256: str | None
    """Known for large files only."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Hold what a repository has at one commit."""

    commit: str
    files: Mapping[str, RemoteFile]


class Remote(Protocol):
    """Give files of repositories; tests stand a folder in for it."""

    def listing(self, repo: str, revision: str) -> Listing: ...

    def download(self, repo: str, commit: str, file: str, folder: Path) -> Path:
        """Put one file below `folder` under its own path, going on where an earlier try stopped."""


class HuggingFaceHub:
    """Give files from the hub, with the token and proxy that huggingface_hub finds."""

    def listing(self, repo: str, revision: str) -> Listing:
        from huggingface_hub import HfApi

        with _in_our_words(repo):
            info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        files = {
            one.rfilename: RemoteFile(one.size, one.lfs.sha256 if one.lfs is not None else None)
            for one in info.siblings or ()
        }
        return Listing(info.sha or revision, files)

    def download(self, repo: str, commit: str, file: str, folder: Path) -> Path:
        from huggingface_hub import hf_hub_download

        with _in_our_words(repo):
            return Path(hf_hub_download(repo, file, revision=commit, local_dir=folder))


def is_offline() -> bool:
    """Tell whether a person has forbidden the network to huggingface_hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ON


def cached(repo: str) -> Path | None:
    """Return a model that lies in huggingface_hub's own cache, of diffusers or transformers; None without."""
    from huggingface_hub import try_to_load_from_cache

    for config in ("unet/config.json", "config.json"):
        found = try_to_load_from_cache(repo, config)
        if isinstance(found, str):
            return Path(found).parents[config.count("/")]
    return None


@contextmanager
def _in_our_words(repo: str) -> Iterator[None]:
    """Raise ModelMissing or ModelError for what goes wrong on the way to the hub."""
    if is_offline():
        raise ModelMissing(
            f"{repo} cannot be fetched: HF_HUB_OFFLINE is set.",
            hint="Unset it, or copy the model's folder here and give its path as the model.",
        )
    import httpx
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        yield
    except GatedRepoError as error:
        hint = f"Accept its licence on https://huggingface.co/{repo}, then `hf auth login`."
        raise ModelError(
            f"{repo} is given out only to people who accepted its licence.", hint=hint
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        hint = (
            "Try again later." if status == 429 or str(status).startswith("5") else "Check the catalog entry."
        )
        raise ModelMissing(f"The hub refused {repo}: {status}.", hint=hint, permanent=False) from error
    except (httpx.HTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelMissing(
            f"{repo} cannot be fetched: {reason[0]}.",
            hint="Check the network and run the command again: it goes on where it stopped.",
            permanent=False,
        ) from error
