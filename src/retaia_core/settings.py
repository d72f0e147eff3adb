"""Settings: one TOML file plus ``RETAIA_*`` variables, validated whole.

A variable is named ``RETAIA_{SECTION}_{KEY}`` (``RETAIA_STORE_URL``); it wins over the file. Every
problem is reported at once, each with its source, key, value and what is allowed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from .domain.custom_fields import DECLARABLE, declared
from .domain.features import AI, BULK_DECISIONS
from .domain.pacing import DEFAULT_RATE
from .domain.purge_policy import AFTER_DAYS
from .errors import SettingsError

PREFIX = "RETAIA_"
COMMAND_LINE = "command line"
VARIABLE = "variable "
"""How a source is named that is no file."""

_SECRET = {"holds": "secret"}
"""Never shown: an address of a database may have its password in it."""

_PLACE = {"holds": "place"}
"""A file or folder of this machine, which no other is told."""


def _positive(allowed: str = "a number above 0") -> dict[str, Any]:
    return {"allowed": allowed, "check": lambda value: value > 0}


def _not_negative() -> dict[str, Any]:
    return {"allowed": "a number of at least 0", "check": lambda value: value >= 0}


def _one_of(*texts: str) -> dict[str, Any]:
    return {"allowed": " or ".join(texts), "check": lambda value: value in texts}


@frozen(kw_only=True)
class ServerSettings:
    """``[server]``: where to listen. ``port`` 0 takes a free one.

    ``public_url`` is where people reach the server, where that is not its own address (behind a proxy).
    ``trusted_proxies`` are the addresses or networks whose ``X-Forwarded-For`` and ``-Proto`` are believed.
    """

    host: str = "127.0.0.1"
    port: int = field(
        default=8420,
        metadata={"allowed": "0 to 65535", "check": lambda value: 0 <= value <= 65535},
    )
    provider: str = "http"
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    authenticator: str = "builtin"
    min_poll_interval: float = field(default=1.0, metadata=_positive())
    max_parallel_jobs: int = field(default=4, metadata=_positive())


@frozen(kw_only=True)
class StoreSettings:
    """``[store]``: the database, ``sqlite:///PATH`` or ``postgresql://…``; empty is the default file."""

    url: str = field(default="", metadata=_SECRET)
    provider: str = "sql"


@frozen(kw_only=True)
class StorageSettings:
    """``[storage]``: who opens originals and derived files, and when a storage counts as offline.

    It has to answer a look within ``answer_within`` seconds. With less than ``reserve`` MiB of free space
    a disk counts as full.
    """

    originals: str = "files"
    derived: str = "files"
    answer_within: float = field(default=30.0, metadata=_positive())
    reserve: int = field(default=64, metadata=_not_negative())


@frozen(kw_only=True)
class ScanSettings:
    """``[scan]``: seconds between scans, and how long a file must be left alone to be stable."""

    interval: float = field(default=60.0, metadata=_positive())
    quiet_period: float = field(default=300.0, metadata=_not_negative())
    video_legacy_sidecars: bool = False


def _is_place(named: tuple[str, str]) -> bool:
    name, folder = named
    return (
        bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)) and Path(folder).is_absolute()
    )


@frozen(kw_only=True)
class PurgeSettings:
    """``[purge]``: on which proof rejected files are deleted, and whether any go by themselves.

    With ``require_proof`` ``copy``, a file goes only when another copy of it was found equal in one of
    the places ``copies`` (folders by name), or a person waived that by name. With ``policy`` ``on``,
    what was rejected ``after_days`` days ago is purged as if a person had asked for it.
    """

    require_proof: str = field(default="none", metadata=_one_of("none", "copy"))
    copies: Mapping[str, str] = field(
        factory=dict,
        metadata={
            **_PLACE,
            "allowed": "a table of names (letters, digits, . _ -) and absolute folders",
            "check": lambda value: all(map(_is_place, value.items())),
        },
    )
    provider: str = "files"
    policy: str = field(default="off", metadata=_one_of("off", "on"))
    after_days: int = field(
        default=AFTER_DAYS,
        metadata={"allowed": "1 to 36500", "check": lambda value: 1 <= value <= 36500},
    )


@frozen(kw_only=True)
class ProcessingSettings:
    """``[processing]``: later job types that are switched on, and hooks that may hold an asset back.

    ``profiles`` are given to assets that are found from now on, each instead of the usual one of its media
    type: ``["video_storyboard"]`` has ten pictures made of every video.
    """

    enabled: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    blocking_hooks: tuple[str, ...] = ()


@frozen(kw_only=True)
class FixitySettings:
    """``[fixity]``: digests of whole files, which tell whether their content is still what it was.

    With ``fingerprint`` agents take them once a file is prepared for review. They, and ``retaia verify``,
    read ``bytes_per_second`` at most (0: no limit). A server verifies by itself what was not verified for
    ``scrub_after_days`` (0: never), ``scrub_bytes_per_day`` at most.
    """

    fingerprint: bool = True
    bytes_per_second: int = field(default=DEFAULT_RATE, metadata=_not_negative())
    scrub_after_days: int = field(default=0, metadata=_not_negative())
    scrub_bytes_per_day: int = field(default=100_000_000_000, metadata=_positive())


def _are_types(types: Mapping[str, str]) -> bool:
    try:
        declared(types)
    except ValueError:
        return False
    return True


@frozen(kw_only=True)
class FieldsSettings:
    """``[fields]``: custom fields that people fill asset by asset.

    ``types`` says what each takes; ``labels`` what it is called where its name is not enough.
    """

    types: Mapping[str, str] = field(
        factory=dict,
        metadata={
            "allowed": f"a table of names (a-z, 0-9, _) and types: {DECLARABLE}",
            "check": _are_types,
        },
    )
    labels: Mapping[str, str] = field(
        factory=dict,
        metadata={
            "allowed": "a table of names and labels that are not empty",
            "check": lambda value: all(label.strip() for label in value.values()),
        },
    )


_SWITCHABLE = (BULK_DECISIONS, AI)


@frozen(kw_only=True)
class FeatureSettings:
    """``[features]``: optional features that this server offers; those of AI jobs go with the jobs."""

    enabled: tuple[str, ...] = field(
        default=(),
        metadata={
            "allowed": f"a list of {' and '.join(_SWITCHABLE)}",
            "check": lambda value: set(value) <= set(_SWITCHABLE),
        },
    )


@frozen(kw_only=True)
class AgentSettings:
    """``[agent]``: how an agent on this machine works. Memory in MiB (0: no limit), times in seconds.

    ``poll_interval`` is for an agent of its own; one that is embedded asks as often as the server allows.
    """

    name: str = ""
    server: str = ""
    credentials: str = field(default="", metadata=_PLACE)
    provider: str = "default"
    transport: str = "http"
    parallel: int = field(default=1, metadata=_positive())
    memory_limit: int = field(default=8192, metadata=_not_negative())
    time_limit: float = field(default=3600.0, metadata=_positive())
    poll_interval: float = field(default=5.0, metadata=_positive())
    workspace: str = field(default="", metadata=_PLACE)
    mounts: Mapping[str, str] = field(factory=dict, metadata=_PLACE)


@frozen(kw_only=True)
class NotifySettings:
    """``[notify]``: how people get messages: on the terminal, in a folder, or by a mail server.

    ``folder`` (for ``file``) is by default ``messages`` beside the database; the other keys are for
    ``smtp``, whose password lies in a file of its own.
    """

    provider: str = "console"
    folder: str = field(default="", metadata=_PLACE)
    host: str = ""
    port: int = field(
        default=587,
        metadata={"allowed": "1 to 65535", "check": lambda value: 1 <= value <= 65535},
    )
    security: str = field(default="starttls", metadata=_one_of("starttls", "tls", "none"))
    username: str = ""
    password_file: str = field(default="", metadata=_PLACE)
    sender: str = ""


@frozen(kw_only=True)
class LogSettings:
    """``[log]``: how server and agent write their log; ``auto`` is text on a terminal, else JSON."""

    format: str = field(default="auto", metadata=_one_of("auto", "json", "text"))
    provider: str = "structlog"


@frozen(kw_only=True)
class ObserveSettings:
    """``[observe]``: who may read ``/metrics``: nobody, this machine, or whoever reaches the address."""

    metrics: str = field(default="local", metadata=_one_of("off", "local", "on"))
    provider: str = "default"


@frozen(kw_only=True)
class PluginSettings:
    """``[plugins]``: names of plugins that are not loaded."""

    disabled: tuple[str, ...] = ()


@frozen(kw_only=True)
class Settings:
    """All settings. ``data_dir`` is where the database and local credentials lie.

    ``sources`` says, by section and key, where each comes from that is not the default.
    """

    data_dir: Path
    server: ServerSettings = field(factory=ServerSettings)
    store: StoreSettings = field(factory=StoreSettings)
    storage: StorageSettings = field(factory=StorageSettings)
    scan: ScanSettings = field(factory=ScanSettings)
    processing: ProcessingSettings = field(factory=ProcessingSettings)
    purge: PurgeSettings = field(factory=PurgeSettings)
    fixity: FixitySettings = field(factory=FixitySettings)
    features: FeatureSettings = field(factory=FeatureSettings)
    fields: FieldsSettings = field(factory=FieldsSettings)
    agent: AgentSettings = field(factory=AgentSettings)
    notify: NotifySettings = field(factory=NotifySettings)
    log: LogSettings = field(factory=LogSettings)
    observe: ObserveSettings = field(factory=ObserveSettings)
    plugins: PluginSettings = field(factory=PluginSettings)
    sources: Mapping[tuple[str, str], str] = field(factory=dict, eq=False, repr=False)

    @property
    def store_url(self) -> str:
        """The database's URL, with the default filled in."""
        return self.store.url or f"sqlite:///{self.data_dir / 'retaia.db'}"


SECTIONS: Mapping[str, type[Any]] = {
    "server": ServerSettings,
    "store": StoreSettings,
    "storage": StorageSettings,
    "scan": ScanSettings,
    "processing": ProcessingSettings,
    "purge": PurgeSettings,
    "fixity": FixitySettings,
    "features": FeatureSettings,
    "fields": FieldsSettings,
    "agent": AgentSettings,
    "notify": NotifySettings,
    "log": LogSettings,
    "observe": ObserveSettings,
    "plugins": PluginSettings,
}

_SAID = {
    "str": "a text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "tuple[str, ...]": "a list of texts",
    "Mapping[str, str]": "a table of texts",
}


@frozen(kw_only=True)
class _Problem:
    source: str
    key: str
    value: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.source}: {self.key} = {self.value!r} is refused; allowed: {self.allowed}"


def _from_text(kind: str, text: str) -> object:
    """Read a variable's text as the type of its key; the text itself where it does not fit."""
    readers: Mapping[str, Callable[[str], object]] = {
        "int": int,
        "float": float,
        "bool": lambda t: {"true": True, "1": True, "false": False, "0": False}[t.lower()],
        "tuple[str, ...]": lambda t: [part for part in t.split(",") if part],
        "Mapping[str, str]": lambda t: dict(p.split("=", 1) for p in t.split(",") if p),
    }
    try:
        return readers[kind](text) if kind in readers else text
    except (ValueError, KeyError):
        return text


def _fits(kind: str, value: object) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind in ("int", "float"):
        accepted: tuple[type, ...] = (int,) if kind == "int" else (int, float)
        return isinstance(value, accepted) and not isinstance(value, bool)
    if kind == "tuple[str, ...]":
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    if kind == "Mapping[str, str]":
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    return isinstance(value, str)


def allowed_of(attribute: attrs.Attribute[Any]) -> str:
    """What a key accepts, in words."""
    return str(attribute.metadata.get("allowed", _SAID[str(attribute.type)]))


def _value(
    attribute: attrs.Attribute[Any], source: str, key: str, value: object
) -> tuple[object, _Problem | None]:
    kind = str(attribute.type)
    if not _fits(kind, value):
        return None, _Problem(source=source, key=key, value=value, allowed=_SAID[kind])
    check = attribute.metadata.get("check")
    if check is not None and not check(value):
        return None, _Problem(source=source, key=key, value=value, allowed=allowed_of(attribute))
    if isinstance(value, list):
        return tuple(value), None
    return float(value) if kind == "float" and isinstance(value, int) else value, None


Given = dict[tuple[str, str], tuple[str, object]]


def _from_file(path: Path, problems: list[_Problem]) -> Given:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such settings file", source=str(path)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}", source=str(path)) from error
    given: Given = {}
    for section, content in document.items():
        cls = SECTIONS.get(section)
        if cls is None or not isinstance(content, dict):
            allowed = "the sections " + ", ".join(SECTIONS)
            problems.append(_Problem(source=str(path), key=section, value=content, allowed=allowed))
            continue
        names = {a.name for a in attrs.fields(cls)}
        for key, value in content.items():
            if key in names:
                given[section, key] = (str(path), value)
            else:
                allowed = "the keys " + ", ".join(sorted(names))
                problem = _Problem(
                    source=str(path), key=f"{section}.{key}", value=value, allowed=allowed
                )
                problems.append(problem)
    return given


def _from_environment(environ: Mapping[str, str]) -> Given:
    given: Given = {}
    for section, cls in SECTIONS.items():
        for attribute in attrs.fields(cls):
            name = f"{PREFIX}{section}_{attribute.name}".upper()
            if name in environ:
                value = _from_text(str(attribute.type), environ[name])
                given[section, attribute.name] = (f"{VARIABLE}{name}", value)
    return given


def load_settings(
    *,
    data_dir: Path,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[tuple[str, str], object] | None = None,
) -> Settings:
    """Read and check all settings; ``overrides`` (from the command line) win over everything.

    Raises:
        SettingsError: one or more are wrong; ``details["problems"]`` has them all.
    """
    problems: list[_Problem] = []
    given = _from_file(file, problems) if file is not None else {}
    given |= _from_environment(os.environ if environ is None else environ)
    given |= {at: (COMMAND_LINE, value) for at, value in (overrides or {}).items()}
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for (section, key), (source, raw) in given.items():
        attribute = getattr(attrs.fields(SECTIONS[section]), key)
        value, problem = _value(attribute, source, f"{section}.{key}", raw)
        if problem:
            problems.append(problem)
        else:
            values[section][key] = value
    if problems:
        raise SettingsError(
            "\n".join(str(problem) for problem in problems),
            problems=[attrs.asdict(problem) for problem in problems],
        )
    sections = {name: cls(**values[name]) for name, cls in SECTIONS.items()}
    sources = {at: source for at, (source, _) in given.items()}
    return Settings(data_dir=data_dir, sources=sources, **sections)
