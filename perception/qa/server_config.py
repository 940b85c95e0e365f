"""What a person may set about a server that answers, and how its address and key are read."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from realtime.core.errors import ConfigError

KEY_VARIABLE = "VITASCOPE_QA_SERVER_KEY"


class ServerConfig(BaseModel):
    """Say which server answers questions, and how many pictures it is sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        "http://127.0.0.1:8000/v1",
        max_length=400,
        description="Address of an OpenAI-compatible server: vLLM, SGLang, llama.cpp.",
    )
    model: str = Field(
        "", max_length=200, description="Model that the server is asked for; its first if empty."
    )
    key: SecretStr = Field(
        SecretStr(""), description=f"Key of the server; better in the environment, as {KEY_VARIABLE}."
    )
    images: int = Field(8, ge=1, le=64, description="Pictures that go with a question, at most.")
    recent: int = Field(2, ge=0, le=64, description="Of these the newest ones that go in any case.")
    size_px: int = Field(512, ge=64, le=2048, description="Longer side of a picture that is sent, in pixels.")
    quality: int = Field(85, ge=30, le=100, description="JPEG quality of a picture that is sent.")
    every_s: float = Field(
        1.0, ge=0.0, le=60.0, description="Seconds between two pictures that are kept, at least."
    )
    keep_mib: float = Field(64.0, gt=0.0, le=4096.0, description="MiB of pictures that are kept in memory.")
    answer_tokens: int = Field(256, ge=1, le=8192, description="Tokens of an answer, at most.")
    silent_s: float = Field(
        60.0, ge=1.0, le=600.0, description="Seconds without a sign after which a server counts as gone."
    )
    answer_s: float = Field(180.0, ge=1.0, le=3600.0, description="Seconds that an answer may take in all.")
    tries: int = Field(3, ge=1, le=10, description="How often a server that is busy or away is asked.")
    frame_ids: bool = Field(
        False, description='Send a "uuid" with each picture, by which vLLM finds it in its cache.'
    )

    def secret(self, environ: Mapping[str, str]) -> str:
        """Return the key: what was set, else what the environment holds; may be empty."""
        return self.key.get_secret_value() or environ.get(KEY_VARIABLE, "")


def base_url(url: str) -> str:
    """Return where the API begins, without a slash at its end; `/v1` where no path was given.

    Raises ConfigError for what is no address of a server, or holds a name and password.
    """
    hint = "Write it like http://127.0.0.1:8000/v1."
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ConfigError("The server's address cannot be read.", hint=hint) from None
    if "@" in parts.netloc:
        raise ConfigError(
            "The server's address holds a name or password.", hint=f"Put the key into {KEY_VARIABLE}."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f'"{url}" is no address of a server.', hint=hint)
    if parts.query or parts.fragment:
        raise ConfigError(f'The server\'s address "{url}" goes on after its path.', hint=hint)
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"
