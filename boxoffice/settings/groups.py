"""The settings themselves: their defaults, units, bounds and meanings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

from platformdirs import user_data_path
from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from boxoffice.settings import checks
from boxoffice.settings.fields import ENV_PREFIX, Group, setting
from boxoffice.showing.masking import SecretUrl

KEY_RING: Final = "door-keys.json"


def _documents_folder() -> str:
    """Where documents lie unless somebody says otherwise: no clean-up of anybody's looks there."""
    return (user_data_path("boxoffice").absolute() / "documents").as_uri()


class KafkaSettings(Group):
    """The brokers, how they are reached, and the topics on them."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "KAFKA_")

    bootstrap_servers: Annotated[str, AfterValidator(checks.servers)] = setting(
        "127.0.0.1:9092", "Kafka brokers to ask first, HOST:PORT between commas."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "How connections to Kafka are secured."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "PLAIN", "The SASL mechanism, where the protocol is a SASL one."
    )
    sasl_username: str = setting("", "The SASL user.")
    sasl_password: SecretStr = setting(SecretStr(""), "The SASL password.")
    ssl_cafile: Path | None = setting(None, "PEM file of the authorities that sign the brokers.")
    ssl_certfile: Path | None = setting(None, "PEM file of this client's certificate.")
    ssl_keyfile: Path | None = setting(None, "PEM file of this client's key.")
    ssl_password: SecretStr = setting(SecretStr(""), "The password of the client's key.")
    session_timeout_ms: int = setting(
        10_000, "A worker that is silent for so long loses its partitions.", unit="ms", ge=3_000, le=300_000
    )
    heartbeat_interval_ms: int = setting(
        2_000, "How often a worker tells the group that it lives.", unit="ms", ge=100, le=60_000
    )
    request_timeout_ms: int = setting(
        40_000, "How long one request to Kafka may take.", unit="ms", ge=1_000, le=600_000
    )
    look_timeout_ms: int = setting(
        10_000,
        "The same for a command that only looks, such as `boxoffice doctor`: it says sooner that Kafka hangs.",
        unit="ms",
        ge=1_000,
        le=600_000,
    )
    publish_timeout_ms: int = setting(
        60_000,
        "A publish that takes longer ends the process.",
        unit="ms",
        ge=1_000,
        le=3_600_000,
        variable="PUBLISH_TIMEOUT_MS",
    )
    topic_prefix: Annotated[str, AfterValidator(checks.topic_prefix)] = setting(
        "",
        "Goes before topics, group ids and Redis keys: keeps several box offices apart on one cluster.",
        variable="TOPIC_PREFIX",
    )
    partitions: int = setting(
        12,
        "Partitions of each topic, when they are created; they keep that number.",
        ge=1,
        le=10_000,
        variable="PARTITIONS",
    )
    replication_factor: int = setting(
        -1,
        "Replicas of each topic, when they are created; -1 takes the broker's default.",
        ge=-1,
        le=32,
        variable="REPLICATION_FACTOR",
    )


class RedisSettings(Group):
    """Redis, how it is asked, and when it is given up."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "REDIS_")

    url: Annotated[SecretUrl, AfterValidator(checks.redis_url)] = setting(
        SecretUrl("redis://127.0.0.1:6379/0"),
        "Redis, redis:// or rediss:// (TLS); redis+sentinel://HOST:PORT,HOST:PORT/SERVICE; "
        "redis+cluster://HOST:PORT,HOST:PORT: of a cluster or of Sentinels name several, any of which may be down.",
    )
    timeout_ms: int = setting(250, "A call to Redis that takes longer has failed.", unit="ms", ge=10, le=60_000)
    pool_size: int = setting(16, "Connections to Redis of one process.", ge=2, le=1_000)
    load_chunk_size: int = setting(
        5_000, "Tickets or purchases sent in one step while an event's keys are loaded.", ge=100, le=100_000
    )
    loading_expiry_s: int = setting(
        300, "Keys of a load that was given up disappear after this.", unit="s", ge=10, le=86_400
    )
    check_interval_s: float = setting(
        10.0, "How often the owner compares all of its events' copies in Redis.", unit="s", ge=0.1, le=3_600
    )
    probe_interval_s: float = setting(
        1.0, "How often a worker sees whether Redis takes writes, and what operators ask for.", unit="s", ge=0.1, le=60
    )
    breaker_first_probe_ms: int = setting(
        200,
        "Redis is down: the first probe comes after this, each next after twice as long.",
        unit="ms",
        ge=10,
        le=60_000,
        variable="BREAKER_FIRST_PROBE_MS",
    )
    breaker_longest_probe_ms: int = setting(
        1_000,
        "Redis is down: no two probes are further apart.",
        unit="ms",
        ge=10,
        le=600_000,
        variable="BREAKER_LONGEST_PROBE_MS",
    )
    backlog_limit: int = setting(
        200_000,
        "Facts kept for a Redis that is down; an event that has more is rebuilt.",
        ge=0,
        le=10_000_000,
        variable="BACKLOG_LIMIT",
    )
    replica_url: Annotated[SecretUrl, AfterValidator(checks.replica_url)] = setting(
        SecretUrl(""),
        "Where statistics are read from: a replica of Redis, same forms as REDIS_URL; empty, Redis itself.",
    )
    key_prefix: Annotated[str, AfterValidator(checks.topic_prefix)] = setting(
        "",
        "Goes before topics, group ids and Redis keys: keeps several box offices apart on one cluster.",
        variable="TOPIC_PREFIX",
    )


class SellingSettings(Group):
    """How commands are taken and decided."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    batch_size: int = setting(1_000, "Commands decided at once, at most.", ge=1, le=10_000)
    tail_interval_s: float = setting(
        30.0,
        "How often a worker looks whether its ledgers have lost their tails, and where nothing comes, whether there "
        "are offsets that need no answer, such as the markers of transactions.",
        unit="s",
        ge=0.1,
        le=3_600,
    )
    buffer_size: int = setting(20_000, "Commands held for a partition before its fetching pauses.", ge=1, le=1_000_000)
    buffer_bytes: int = setting(
        32 * 1024 * 1024,
        "Memory that the commands of all partitions may take, until they are answered, before all fetching pauses.",
        unit="bytes",
        ge=1024 * 1024,
        le=64 * 1024**3,
    )
    accept_loss: Annotated[str, AfterValidator(checks.loss)] = setting(
        "", "Commands known to be lost, PARTITION:FROM-TO between commas, or more than those: go on after them."
    )


class DocumentsSettings(Group):
    """The PDF tickets: how they are drawn, and where they are kept."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "DOCUMENTS_")

    url: Annotated[str, AfterValidator(checks.documents_url)] = setting(
        _documents_folder(),
        "Where the PDF tickets are stored: file:///FOLDER, s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or "
        "az://CONTAINER/FOLDER; credentials as the store's own tools find them.",
        default_text="`documents` in the user's data folder, on Linux `~/.local/share/boxoffice`",
    )
    fonts: Annotated[str, AfterValidator(checks.paths)] = setting(
        "", "Font files, between commas, to take characters from that Fira Sans does not have, before Noto is asked."
    )
    language: Annotated[str, AfterValidator(checks.language)] = setting(
        "en",
        "The language of the words, dates and prices on tickets: ar, de, en, es, fr, it, ja or pl; with a country if "
        "dates and prices are to be written as there: de-AT.",
    )
    processes: int = setting(0, "Processes that draw tickets; 0 takes as many as cores.", ge=0, le=1_000)
    drawing_timeout_ms: int = setting(
        10_000, "A ticket that takes longer to draw has failed, and its process is ended.", unit="ms", ge=10, le=600_000
    )
    attempts: int = setting(3, "Failures to draw a ticket before it becomes a dead letter.", ge=1, le=100)
    first_retry_ms: int = setting(
        200,
        "The first retry, of drawing or storing, comes about after this, each next after twice as long.",
        unit="ms",
        ge=1,
        le=60_000,
    )
    longest_retry_ms: int = setting(5_000, "No two retries are much further apart.", unit="ms", ge=1, le=600_000)
    store_timeout_ms: int = setting(
        30_000, "A call to the store that takes longer has failed, and is tried again.", unit="ms", ge=10, le=600_000
    )
    queue_size: int = setting(
        2_000, "Sales whose documents wait, of a partition, before its fetching pauses.", ge=1, le=1_000_000
    )
    cache_size: int = setting(
        10_000, "Events whose name, venue, time and price are kept in memory.", ge=1, le=10_000_000
    )
    renewal_rate: float = setting(
        200,
        "Tickets a second that one process draws again, at most, when an event was changed.",
        ge=0.1,
        le=100_000,
    )
    kept_after_event_days: float = setting(
        0, "Documents are removed so long after their event began; 0 keeps them.", unit="days", ge=0, le=36_500
    )
    cleaning_interval_s: float = setting(
        3_600, "How often old documents, and what crashes left half written, are removed.", unit="s", ge=1, le=604_800
    )


class DoorSettings(Group):
    """The keys that sign the codes on tickets."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "DOOR_")

    keys: Path | None = setting(
        None, "The file of the key ring that signs tickets; door-keys.json in the user's data folder unless given."
    )

    @property
    def ring_path(self) -> Path:
        """Where the key ring lies."""
        return self.keys or user_data_path("boxoffice") / KEY_RING


class StatisticsSettings(Group):
    """What is counted, and how often it is published."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "STATS_")

    batch_size: int = setting(5_000, "Facts counted at once, at most.", ge=1, le=100_000)
    interval_ms: int = setting(
        500, "An event's statistics are published at most once in this time.", unit="ms", ge=10, le=600_000
    )
    stalled_after_s: int = setting(
        60, "A statistics process that gets nowhere for so long, though facts wait, ends.", unit="s", ge=5, le=3_600
    )
    most_events: int = setting(
        100_000,
        "Events whose figures a gateway and a live process keep in memory, 1.5 KiB each; of more they show none.",
        ge=1,
        le=10_000_000,
    )


class ClockSettings(Group):
    """How holds that are due are asked about."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "CLOCK_")

    rate: float = setting(
        25_000, "Holds a second that one clock asks about, of all partitions together.", ge=1, le=1_000_000
    )
    most_unanswered: int = setting(
        5_000,
        "Holds of a partition that are asked about and not answered: so many others' commands wait behind at most.",
        ge=1,
        le=100_000,
    )
    margin_ms: int = setting(
        250,
        "So long after a hold is due by the clock of its own machine it is asked about, since that may be fast; by the "
        "broker's time, where that is known, at once.",
        unit="ms",
        ge=0,
        le=60_000,
    )


class GatewaySettings(Group):
    """The front door: where it listens, and how much it takes in."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "GATEWAY_")

    host: str = setting("127.0.0.1", "Address on which the gateway listens.")
    port: int = setting(8080, "Port of the gateway.", ge=1, le=65_535)
    most_connections: int = setting(
        10_000, "Connections that are open at once; those beyond are refused.", ge=1, le=1_000_000
    )
    most_waiting: int = setting(
        5_000, "Commands of one instance that wait for their answers; more are refused.", ge=1, le=1_000_000
    )
    most_waiting_of_one: int = setting(
        2_500, "Commands of one key that wait, of one instance; more are refused.", ge=1, le=1_000_000
    )
    patience_s: float = setting(
        5.0,
        "A partition whose oldest command has waited so long for the broker takes no more.",
        unit="s",
        ge=0.1,
        le=3_600,
    )
    rate: float = setting(
        1_000, "Requests a second of one key, of one instance, on the average.", ge=0.001, le=1_000_000
    )
    burst: int = setting(2_000, "Requests of one key that may come at once.", ge=1, le=1_000_000)
    address_rate: float = setting(
        5_000,
        "Requests a second of one address, of one instance, on the average, whoever asks; of IPv6 a whole /64 is one.",
        ge=0.001,
        le=1_000_000,
    )
    address_burst: int = setting(
        10_000,
        "Requests of one address that may come at once; a key that is not known counts as a hundred.",
        ge=1,
        le=1_000_000,
    )
    trusted_proxies: Annotated[str, AfterValidator(checks.networks)] = setting(
        "",
        "Networks, between commas, of the proxies before the gateway: what they add to X-Forwarded-For is believed.",
    )
    origins: Annotated[str, AfterValidator(checks.origins)] = setting(
        "", "Origins, SCHEME://HOST[:PORT] between commas, whose pages may ask from a browser (CORS)."
    )
    most_reading: int = setting(
        1_000,
        "GETs that are answered at once; more are refused, and all are while commands take half of their room.",
        ge=1,
        le=1_000_000,
    )
    recent: int = setting(
        20_000, "Requests of one instance whose answers it remembers for who asks again.", ge=1, le=10_000_000
    )
    recent_bytes: int = setting(
        32 * 1024 * 1024,
        "Memory that these answers may take; the oldest are forgotten first.",
        unit="bytes",
        ge=1024 * 1024,
        le=64 * 1024**3,
    )

    @property
    def networks(self) -> Sequence[IPv4Network | IPv6Network]:
        """The networks of trusted proxies."""
        return [ip_network(text) for text in checks.listed(self.trusted_proxies)]

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins whose pages may ask."""
        return frozenset(checks.listed(self.origins))


class LiveSettings(Group):
    """The live page: where it is served, whom it streams to, and what its pages are told."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "LIVE_")

    host: str = setting("127.0.0.1", "Address on which the live process listens.")
    port: int = setting(8081, "Port of the live process.", ge=1, le=65_535)
    interval_ms: int = setting(
        1_000, "A spectator is told of an event at most once in this time.", unit="ms", ge=10, le=60_000
    )
    most_streams: int = setting(
        20_000, "Streams that are open at once; more are refused. Each needs a file of the system.", ge=1, le=1_000_000
    )
    most_streams_of_one: int = setting(
        500, "Streams of one address, or of one /64 network of IPv6; more are refused.", ge=1, le=1_000_000
    )
    most_buffered_bytes: int = setting(
        262_144,
        "A spectator who has not taken so much of what was sent is cut off; he comes again, to the newest figures.",
        unit="bytes",
        ge=4_096,
        le=64 * 1024 * 1024,
    )
    trusted_proxies: Annotated[str, AfterValidator(checks.networks)] = setting(
        "", "Addresses or networks, between commas, of proxies whose X-Forwarded-For is believed."
    )
    gateway_url: Annotated[str, AfterValidator(checks.origin)] = setting(
        "", "The gateway as browsers reach it, http://HOST:PORT or https://HOST; empty, where the pages come from."
    )
    shop_key: SecretStr = setting(
        SecretStr(""),
        "The API key with which the shop's page buys: everybody may see it, so it must have the scope buy alone.",
    )

    @property
    def networks(self) -> Sequence[IPv4Network | IPv6Network]:
        """The networks of trusted proxies."""
        return [ip_network(text) for text in checks.listed(self.trusted_proxies)]


class ProcessSettings(Group):
    """How a process shows itself and ends."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX)

    stop_timeout_ms: int = setting(
        20_000,
        "A process that was told to stop and has not ended in order after this ends at once, and commits no more.",
        unit="ms",
        ge=100,
        le=3_600_000,
    )
    health_host: str = setting("127.0.0.1", "Address on which each process serves its health and metrics.")
    health_port: int = setting(
        9464,
        "Port of a process' health and metrics; where it is taken, a free one. 0 takes a free one.",
        ge=0,
        le=65_535,
    )
    health_stuck_after_s: int = setting(
        60, "A process that leaves waiting records alone for so long is not alive.", unit="s", ge=1, le=3_600
    )
    presence_interval_s: float = setting(
        3.0, "How often each process says in Redis that it is there, and how it is.", unit="s", ge=0.1, le=600
    )
    failpoints: Annotated[str, AfterValidator(checks.failpoints)] = setting(
        "", "For tests: NAME=kill@N between commas; a process kills itself when it passes that point the Nth time."
    )


class TracingSettings(Group):
    """How many traces are written, where OpenTelemetry's own variables (OTEL_...) say that any are."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "TRACING_")

    begun_rate: float = setting(
        10, "Traces that one gateway begins a second; those that callers have begun come on top.", ge=0, le=100_000
    )
    most_rate: float = setting(
        100,
        "Requests, commands or documents a second of which one process writes spans, whoever began the trace.",
        ge=0,
        le=100_000,
    )


class LogSettings(Group):
    """What is logged, and how it looks."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX + "LOG_")

    format: Literal["auto", "json", "console"] = setting(
        "auto", "How log lines look; auto is console on a terminal, else json."
    )
    level: Literal["debug", "info", "warning", "error"] = setting("info", "The least level that is logged.")


@dataclass(frozen=True)
class Settings:
    """The settings of every process and of the command line, by group."""

    kafka: KafkaSettings
    redis: RedisSettings
    selling: SellingSettings
    documents: DocumentsSettings
    door: DoorSettings
    statistics: StatisticsSettings
    clock: ClockSettings
    gateway: GatewaySettings
    live: LiveSettings
    process: ProcessSettings
    tracing: TracingSettings
    logs: LogSettings


GROUPS: Final[Mapping[str, type[BaseSettings]]] = {
    "kafka": KafkaSettings,
    "redis": RedisSettings,
    "selling": SellingSettings,
    "documents": DocumentsSettings,
    "door": DoorSettings,
    "statistics": StatisticsSettings,
    "clock": ClockSettings,
    "gateway": GatewaySettings,
    "live": LiveSettings,
    "process": ProcessSettings,
    "tracing": TracingSettings,
    "logs": LogSettings,
}
