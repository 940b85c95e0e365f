"""One schema for everything a person can set. It feeds TOML, environment, flags, the page and `config`.

The part `stages` is put together from the registry: a stage's settings are its own pydantic model. Where
values come from, and what is said about a wrong one, is in `layers.py`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .registry import Registry

ENV_PREFIX = "VITASCOPE_"


class Section(BaseModel):
    """A table of the settings: nothing unknown is let in, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 lets other machines in.")
    port: int = Field(7860, ge=1, le=65535, description="TCP port of page and signalling.")
    open_browser: bool = Field(True, description="Open the page in a browser when this is a desktop.")
    warm: bool = Field(True, description="Load the models at start instead of with the first session.")
    max_sessions: int = Field(8, ge=1, le=256, description="Sessions at once; a further one is told to wait.")
    max_sessions_per_visitor: int = Field(
        2, ge=1, le=256, description="Sessions and tickets of one visitor from elsewhere."
    )
    max_waiting: int = Field(
        64, ge=0, le=10_000, description="Visitors that may wait for a place; a further one is sent away."
    )
    turn_s: float = Field(70.0, gt=0, le=600, description="How long a place is kept for one who waited.")
    session_limit_s: float = Field(
        0.0, ge=0, le=604_800, description="A session is ended after this time; 0: never."
    )
    starts_per_minute: int = Field(
        30,
        ge=1,
        le=100_000,
        description="Sessions, offers and files that one address elsewhere may start, of each.",
    )
    workers: int = Field(
        0, ge=0, le=64, description="Worker processes, each with max_sessions; 0 paints in this process."
    )
    connect_timeout_s: float = Field(
        30.0, gt=0, le=600, description="A session that nobody connects to within this time is closed."
    )
    idle_timeout_s: float = Field(
        60.0, gt=0, le=86_400, description="A session from which nothing is heard for this long is closed."
    )
    resume_timeout_s: float = Field(
        20.0,
        ge=0,
        le=600,
        description="How long a session whose links are lost waits for its client.",
    )
    stats_interval_s: float = Field(0.5, ge=0.1, le=10, description="How often the page is told the figures.")
    drain_timeout_s: float = Field(
        5.0, ge=0, le=60, description="How long a closing session may finish what is in flight."
    )
    max_upload_mb: int = Field(512, ge=1, le=16_384, description="Largest video file that may be sent.")
    upload_keep_s: float = Field(
        600.0, gt=0, le=86_400, description="A file that no session plays is deleted after this time."
    )
    sound: bool = Field(
        False, description="Send sound back from the start; each session can turn it on and off."
    )
    max_sound_delay_ms: float = Field(
        1000.0,
        ge=0,
        le=10_000,
        description="Sound waits for its picture at most this long, then goes ahead of it.",
    )
    video_codec: Literal["h264", "vp8", "offer"] = Field(
        "h264", description='Codec preferred both ways; "offer" takes the browser\'s order.'
    )
    video_bits_s: int = Field(
        6_000_000,
        ge=100_000,
        le=20_000_000,
        description="Most bits a second of video sent to one viewer; a line that carries less gets less.",
    )
    video_encoder: Literal["auto", "x264", "nvenc"] = Field(
        "auto",
        description='What encodes H.264; "auto" takes an NVIDIA GPU\'s encoder where one works, else x264.',
    )
    ice_servers: tuple[str, ...] = Field(
        (), description="STUN URLs, such as stun:host:3478. None are asked by default."
    )
    turn_urls: tuple[str, ...] = Field(
        (), description="TURN URLs, such as turn:host:3478?transport=udp; they need a secret or a password."
    )
    turn_secret: SecretStr | None = Field(
        None, description="Secret shared with the TURN server (coturn: use-auth-secret), never shown."
    )
    turn_ttl_s: float = Field(
        600.0, ge=60, le=86_400, description="How long a login made of that secret may be used."
    )
    turn_user: str = Field("", description="TURN user name where there is no shared secret.")
    turn_password: SecretStr | None = Field(None, description="That user's password, never shown.")
    ice_relay_only: bool = Field(
        False, description="Send all media through the TURN server: neither side shows its own address."
    )
    public_address: str = Field(
        "", description="IP address that clients reach this server's UDP ports at, behind NAT that maps 1:1."
    )
    udp_ports: str = Field(
        "", description="UDP ports for media, such as 50000-50100: about two a connection. Empty: any."
    )
    max_viewers: int = Field(
        8, ge=0, le=256, description="WHEP players of one session: each costs the encoding of a picture."
    )
    stream_origins: tuple[str, ...] = Field(
        (),
        description="Origins (https://host) whose pages may publish and play by WHIP and WHEP; * is any.",
    )
    share: bool = Field(
        False, description="Open a public link to this page, through a tunnel of Gradio's share server."
    )
    share_server: str | None = Field(
        None, description="HOST:PORT of a share server of your own (frp, as Gradio's); empty: Gradio's."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names under which the page may be reached; empty: localhost when bound to it."
    )
    password: SecretStr = Field(
        SecretStr(""), description="Word that opens the page; best given as VITASCOPE_SERVER__PASSWORD."
    )
    token: SecretStr = Field(
        SecretStr(""), description="Word that programs send: Authorization: Bearer TOKEN."
    )
    max_input_px: int = Field(
        3840 * 2160,
        ge=256,
        le=8192 * 4320,
        description="Most pixels of a client's picture or video (width x height); larger ones are refused.",
    )


class ClusterSettings(Section):
    backend: Literal["local", "ray"] = Field(
        "local", description="What starts the workers: this machine, or a Ray cluster."
    )
    max_workers: int = Field(
        0, ge=0, le=256, description="More workers are started up to this number; 0: never more than workers."
    )
    spare_sessions: int = Field(
        1, ge=0, le=256, description="One more worker is started while fewer places than this are free."
    )
    idle_timeout_s: float = Field(
        300.0, gt=0, le=86_400, description="A further worker without sessions is ended after this time."
    )
    drain_timeout_s: float = Field(
        30.0, ge=1, le=3600, description="How long a worker that is emptied, or a session moved, may take."
    )
    ray_address: str = Field("", description='Ray cluster to join, such as auto; "" starts one here.')
    ray_gpus: float = Field(1.0, ge=0, le=8, description="GPUs that Ray sets aside for each worker.")


class SourceSettings(Section):
    camera: int = Field(0, ge=0, le=63, description="Number of the local camera.")
    rate_hz: float = Field(30.0, ge=1, le=120, description="Pictures a second asked of camera and pattern.")
    pattern_mark: bool = Field(True, description="Draw each pattern picture's number into it.")
    file: Path | None = Field(None, description="Video that the page's file source plays when none is sent.")
    url: str | None = Field(
        None, description="Stream that the page's stream source reads when none is given."
    )
    urls: Literal["local", "all", "off"] = Field(
        "local",
        description='Who may have streams read from an address, or sent to one: "local" visitors at this '
        'machine, "all", or nobody ("off").',
    )
    url_schemes: tuple[str, ...] = Field(
        ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt"),
        description="Kinds of address that are taken.",
    )
    allow_private: bool = Field(
        False,
        description="Let visitors from elsewhere name addresses inside this machine's network; those at this "
        "machine always may.",
    )


class OutputSettings(Section):
    folder: Path | None = Field(None, description="Folder for outputs of the kinds hls and file.")


class RecordingSettings(Section):
    allow: Literal["local", "all", "off"] = Field(
        "local",
        description='Who may have a session recorded: "local" visitors at this machine, "all", or "off".',
    )
    folder: Path | None = Field(
        None, description="Where recordings are kept; without it until the server stops, at most."
    )
    max_minutes: float = Field(30.0, gt=0, le=1440, description="A recording ends after so many minutes.")
    max_mb: int = Field(2048, ge=1, le=1_048_576, description="A recording ends at this size.")
    keep_s: float = Field(
        3600.0, gt=0, le=31_536_000, description="A recording is deleted this long after it has ended."
    )


class NodeSettings(Section):
    stage: str = Field(description="Name of a stage in the registry.")
    input: str = Field("source:video", description='What it reads: a node, "source:video" or "source:sound".')
    watches: tuple[str, ...] = Field((), description="Nodes whose newest result it looks at.")


class GraphSettings(Section):
    nodes: dict[str, NodeSettings] = Field(
        default_factory=lambda: {"paint": NodeSettings(stage="paint")},
        description="The stages and who reads whom.",
    )
    output: str = Field("paint", description="The node whose pictures are shown.")
    steers: str = Field(
        "", description='The node whose settings need no prefix, the page\'s main one; "": the output.'
    )

    @property
    def main(self) -> str:
        """Return the node whose settings are given without its name."""
        return self.steers or self.output


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message to log."
    )
    as_json: bool = Field(False, description="One JSON object a line, for machines.")
    private: bool = Field(True, description="Keep prompts and addresses of clients out of the log.")


class Settings(BaseSettings):
    """All settings but the stages' own; `settings_type` adds those."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__"
    )

    preset: str = Field("paint", description="Named graph to start from: a file in app/presets, or a path.")
    server: ServerSettings = ServerSettings()
    cluster: ClusterSettings = ClusterSettings()
    source: SourceSettings = SourceSettings()
    output: OutputSettings = OutputSettings()
    recording: RecordingSettings = RecordingSettings()
    graph: GraphSettings = GraphSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `layers.read_settings` merged; it has read the environment as one of its layers."""
        return (init_settings,)

    def stage(self, name: str) -> BaseModel:
        """Return the settings of stage `name`."""
        config: BaseModel = getattr(self.stages, name)  # type: ignore[attr-defined]
        return config


@cache
def _settings_type(table: tuple[tuple[str, type[BaseModel]], ...]) -> type[Settings]:
    fields: dict[str, Any] = {name: (config, Field(default_factory=config)) for name, config in table}
    stages = create_model("StageSettings", __base__=Section, **fields)
    return create_model(
        "Settings", __base__=Settings, stages=(Annotated[stages, Field(default_factory=stages)], ...)
    )


def settings_type(registry: Registry) -> type[Settings]:
    """Return the schema with a section `stages.<name>` for each stage of `registry`."""
    return _settings_type(tuple((name, registry.config(name)) for name in registry))


def field_at(schema: type[BaseModel], path: tuple[str, ...]) -> Any:
    """Return the FieldInfo at a dotted path, or None where there is none (a dict's inside counts as none)."""
    field = None
    here: Any = schema
    for key in path:
        fields = getattr(here, "model_fields", None)
        if fields is None or key not in fields:
            return None
        field = fields[key]
        here = field.annotation
    return field


def leaves(schema: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """List (path, FieldInfo) of every single value in the schema, in order."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, field in schema.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += leaves(kind, (*path, name))
        else:
            found.append(((*path, name), field))
    return found
