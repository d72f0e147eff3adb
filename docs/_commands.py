"""The reference pages of the command line and of the settings, read from the code that obeys them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs
from cyclopts import App
from cyclopts.argument import Argument

from retaia_adapters.cli.app import build_app
from retaia_adapters.demo.command import HELP as DEMO_HELP
from retaia_adapters.demo.command import demo
from retaia_adapters.http_client.remote import build_app as build_remote
from retaia_core.hooks.exits import Exit
from retaia_core.settings import PREFIX, SECTIONS, allowed_of

EXITS = {
    Exit.OK: "Done.",
    Exit.FAILED: "Refused, or it failed: a decision that is not open, a preview that no longer holds, a file "
    "that could not be moved, a second server on one SQLite file.",
    Exit.USAGE: "Wrong usage or settings; or a person must choose first: `up` on a folder whose layout is "
    "not clear, `batch apply` without `--yes` where nobody can be asked.",
    Exit.UNAVAILABLE: "The storage, the server or the database is not there now.",
    Exit.NOT_FOUND: "No asset, batch or storage is known under that name.",
    Exit.INTERRUPTED: "Interrupted, by Ctrl-C for example. `up` and `serve` stop cleanly on it, with 0.",
}

MEANINGS = {
    "server.host": "the address to listen on; by default this machine only; `0.0.0.0` is every network",
    "server.port": "the port; 0 takes a free one",
    "server.provider": "the plugin that serves",
    "server.trusted_proxies": "addresses or networks of proxies whose `X-Forwarded-For` is believed",
    "server.public_url": "where people reach the server; empty is the address that a request came to",
    "server.authenticator": "the plugin that hashes passwords and signs tokens",
    "server.min_poll_interval": "seconds between two questions of an agent, at least",
    "server.max_parallel_jobs": "assets that one agent may hold at once",
    "store.url": "`sqlite:///PATH` or `postgresql://…`; empty is `retaia.db` in the data folder",
    "store.provider": "the plugin that opens the database",
    "storage.originals": "the plugin that opens originals",
    "storage.derived": "the plugin that keeps derived files",
    "storage.answer_within": "seconds that a storage has to answer a look; else it is offline",
    "storage.reserve": "MiB of free space below which a disk counts as full; 0 asks for none",
    "scan.interval": "seconds between two scans",
    "scan.quiet_period": "seconds that a file must have been left alone to be stable",
    "scan.video_legacy_sidecars": "attach `.lrv` and `.thm` files to videos too",
    "processing.enabled": "later job types that are switched on",
    "processing.profiles": "profiles that are given instead of the usual one of their media type",
    "processing.blocking_hooks": "lifecycle hooks whose failure holds an asset back",
    "fixity.fingerprint": "whether agents take a digest of every file once it is prepared for review",
    "fixity.bytes_per_second": "how fast agents and `retaia verify` read files whole; 0 is no limit",
    "fixity.scrub_after_days": "days after which a server verifies a file again by itself; 0 is never",
    "fixity.scrub_bytes_per_day": "bytes that it reads for that in a day, at most",
    "purge.require_proof": "what a purge needs of each file: nothing, or another copy (or a waiver)",
    "purge.copies": "folders in which other copies may lie, by name",
    "purge.provider": "the plugin that looks into them",
    "purge.policy": "whether what was rejected long ago is purged by itself",
    "purge.after_days": "days from an asset's rejection until the policy purges it",
    "features.enabled": "optional features that this server offers; people can switch them off",
    "fields.types": "custom fields and what each takes, in the order they are shown",
    "fields.labels": "what a custom field is called, where its name is not enough",
    "agent.name": "the agent's name; empty is the machine's",
    "agent.server": "the server's address; empty is where `agent login` went, else the one that runs here",
    "agent.credentials": "the file with the agent's credential; empty is the one that `agent login` wrote",
    "agent.provider": "the plugin that is the agent",
    "agent.transport": "the plugin that talks to the server",
    "agent.parallel": "assets at once",
    "agent.memory_limit": "MiB of private memory for one worker process; 0 is no limit",
    "agent.time_limit": "seconds for one asset's jobs in a worker process",
    "agent.poll_interval": "seconds between an agent's questions for work, where it is not embedded",
    "agent.workspace": "the folder for results under way; empty is `workspace` in the data folder",
    "agent.mounts": "where storages are mounted on this machine, by storage id",
    "notify.provider": "how messages to people go: `console`, `file`, `smtp`, or a plugin's name",
    "notify.folder": "`file`: where messages are written; empty is `messages` in the data folder",
    "notify.host": "`smtp`: the mail server",
    "notify.port": "`smtp`: its port",
    "notify.security": "`smtp`: how the connection becomes secret",
    "notify.username": "`smtp`: whom to sign in as; empty signs nobody in",
    "notify.password_file": "`smtp`: the file with the password",
    "notify.sender": "`smtp`: the address that messages come from",
    "log.format": "`json`: an object a line; `text`: for a person; `auto`: text on a terminal, else JSON",
    "log.provider": "the plugin that writes the log",
    "observe.metrics": "who may read `/metrics`: nobody, this machine only, or whoever reaches the address",
    "observe.provider": "the plugin that keeps numbers and traces",
    "plugins.disabled": "plugins that are not loaded",
}


_TALKING = """\
Results go to standard output, everything else to standard error. On a terminal progress is live; elsewhere
each thing that happens is a plain line, and a table is lines of fields with tabs between them. An asset is
named by its UUID, by its path on this machine, or by its path in the storage (`INBOX/a.jpg`)."""

_ABOUT = """\
`retaia --help` lists the commands, those of plugins included, and `retaia COMMAND --help` the options of
one. `retaia --version` prints the version, and `retaia --install-completion` installs shell completion."""

_SEVERAL = """\
Where a command does several things, one refusal does not stop the others; the code says that there was
one."""

_REMOTE = """\
Every operation of the API of a server elsewhere is a command, with the names and options of the
[client](/howto/client.md)'s methods: `retaia remote assets decide UUID KEEP`. Objects are typed as JSON,
answers are JSON documents, a series is one document a line. `RETAIA_SERVER` and `RETAIA_TOKEN` name a server
and a token instead of a login. `retaia remote GROUP OPERATION --help` has the options."""

_SOURCES = """\
Settings are read from one TOML file and from the environment; a variable wins over the file, and an option
of a command over both. The file is `retaia.toml` in the data folder, or the one that `--config` or
`RETAIA_CONFIG` names. The data folder is the user's own (`~/.local/share/retaia` on Linux), or the one that
`--data-dir` or `RETAIA_DATA_DIR` names."""

_CHECKED = """\
All settings are checked before anything starts. A key that does not exist or a value that is not allowed is
refused with its source, its key, its value and what is allowed, all of them at once (exit code 2). In a
variable a list is written `a,b`, and a table `name=value,name=value`."""

_EXAMPLE = """\
```toml
[scan]
interval = 30
quiet_period = 120

[agent.mounts]
nas = "/mnt/footage"
```"""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped, and a cell is one line."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(c.split("\n")).replace("|", "\\|") for c in cells) + " |"

    columns = list(head)
    return "\n".join([line(columns), line("---" for _ in columns), *map(line, rows)])


def command_line() -> str:
    """Describe every command, its options, and the exit codes."""
    app = build_app()
    commands = [*_leaves(app, "retaia"), _demo()]
    shared = _options(app["doctor"])
    parts = [
        _TALKING,
        "## Options of every command",
        table(("option", "means"), shared),
        _ABOUT,
        "## Exit codes",
        table(("code", "means"), ((f"`{code.value}`", EXITS[code]) for code in Exit)),
        _SEVERAL,
        "## Commands",
        *(_section(name, leaf, dict(shared)) for name, leaf in commands),
        *_remote(),
    ]
    return "\n\n".join(parts)


def settings() -> str:
    """Describe every setting."""
    parts = [_SOURCES, _CHECKED, _EXAMPLE]
    for section, cls in SECTIONS.items():
        rows = (
            (
                f"`{key.name}`",
                MEANINGS[f"{section}.{key.name}"],
                _shown(key),
                allowed_of(key),
                f"`{PREFIX}{section}_{key.name}`".upper(),
            )
            for key in attrs.fields(cls)
        )
        parts += [
            f"## `[{section}]`",
            table(("key", "means", "default", "allowed", "variable"), rows),
        ]
    return "\n\n".join(parts)


def _shown(key: attrs.Attribute[object]) -> str:
    default = key.default
    if default in ("", ()) or isinstance(default, attrs.Factory):
        return "empty"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _leaves(app: App, name: str) -> Iterator[tuple[str, App]]:
    """Every command that does something, with the words that call it."""
    for word in app:
        if not word.startswith("-"):
            below = app[word]
            if below.default_command is not None:
                yield f"{name} {word}", below
            yield from _leaves(below, f"{name} {word}")


def _demo() -> tuple[str, App]:
    app = App(name="demo", help=DEMO_HELP)
    app.default(demo)
    return "retaia demo", app


def _remote() -> Iterator[str]:
    """The commands for a server elsewhere; those that call operations by name alone."""
    app = build_remote()
    for word in ("login", "logout"):
        yield _section(f"retaia remote {word}", app[word], {})
    groups = [word for word in app if app[word].default_command is None and word[0] != "-"]
    rows = (
        (f"`{group}`", ", ".join(f"`{name}`" for name in app[group] if name[0] != "-"))
        for group in groups
    )
    yield "### `retaia remote GROUP OPERATION`"
    yield _REMOTE
    yield table(("group", "operations"), rows)


def _arguments(app: App) -> list[Argument]:
    collection = app.assemble_argument_collection(parse_docstring=True)
    return [argument for argument in collection if argument.show]


def _options(app: App) -> list[tuple[str, str]]:
    return [(_names(a), _means(a)) for a in _arguments(app) if a.index is None]


def _names(argument: Argument) -> str:
    """The names that turn something on or off, without those that only empty a list."""
    shown = [name for name in argument.names if not name.startswith("--empty-")]
    kind = "" if argument.hint is bool else f" {_value(argument)}"
    return ", ".join(f"`{name}{kind}`" for name in shown)


def _value(argument: Argument) -> str:
    return argument.names[0].strip("-").upper().replace("-", "_")


def _means(argument: Argument) -> str:
    """The help, and where it does not say them, the choices and the default."""
    said = re.sub(r"``", "`", argument.parameter.help or "").strip()
    choices = argument.get_choices()
    default = argument.field_info.default
    if choices:
        said += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if argument.hint is not bool and isinstance(default, str | int) and default != "":
        said += f" Default: `{default}`."
    return said.strip()


def _section(name: str, app: App, shared: dict[str, str]) -> str:
    arguments = _arguments(app)
    words = [_word(a) for a in arguments if a.index is not None]
    text = re.split(r"\n\s*Parameters\n", app.help or "")[0].replace("``", "`")
    rows = [
        *((f"`{_value(a)}`", _means(a)) for a in arguments if a.index is not None and _means(a)),
        *(row for row in _options(app) if row[0] not in shared or shared[row[0]] != row[1]),
    ]
    parts = [f"### `{' '.join([name, *words])}`", text.strip()]
    return "\n\n".join([*parts, table(("argument", "means"), rows)] if rows else parts)


def _word(argument: Argument) -> str:
    word = _value(argument)
    if argument.field_info.kind is argument.field_info.VAR_POSITIONAL:
        return f"{word}…"
    return word if argument.required else f"[{word}]"
