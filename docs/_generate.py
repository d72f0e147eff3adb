"""Writes the reference pages that are tables of the code; ``--check`` only says which are out of date.

Run ``python docs/_generate.py`` after a change of a table. A test keeps the pages current.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent))

import _commands
import attrs
from _commands import table
from _diagram import draw

from retaia_adapters.http.document import load_document, operations_of
from retaia_adapters.observe.metrics import NUMBERS
from retaia_core.domain.authorization import ALL_FOR_MCP, Caller
from retaia_core.domain.derived import DERIVED_KINDS
from retaia_core.domain.facts import FACTS, FactField, minimum_facts
from retaia_core.domain.job_types import JOB_TYPES, JobType
from retaia_core.domain.leases import DURATIONS, PRECEDENCE
from retaia_core.domain.lifecycle import TRANSITIONS, State
from retaia_core.domain.media import MEDIA_FORMATS, MediaType
from retaia_core.domain.profiles import PROFILES
from retaia_core.domain.security_events import EVENT_KINDS, SecurityEvent
from retaia_core.domain.sidecars import BY_PERSON, SIDECAR_RULES, Unmatched
from retaia_core.errors import RetaiaError
from retaia_core.hooks import Role, hookspec, specs

TARGET = Path(__file__).parent / "reference" / "_generated"
_NOTE = "<!-- Written by docs/_generate.py from the code; do not edit. -->"
_Key = TypeVar("_Key")


def lifecycle() -> str:
    """Describe the state machine."""
    rows = (
        (
            _code(rule.source),
            _code(rule.action),
            rule.actor.lower(),
            _code(rule.target),
            rule.when,
            "" if rule.condition == "always" else rule.condition.value,
        )
        for rule in TRANSITIONS
    )
    return _page(
        "The states of an asset",
        "An asset is in exactly one of these states, and only the arrows below lead from one to another. "
        "Anything that is not in the table is refused, with what is open instead.",
        "```{image} lifecycle.svg\n:alt: The states of an asset, and who may change them\n```",
        table(("from", "action", "who", "to", "when", "only if"), rows),
    )


def locks() -> str:
    """Describe the kinds of lock."""
    return _page(
        "Locks",
        "A subject has one lock at most. It ends when it is released or when its time is over, and its "
        "fencing number never goes back.",
        table(
            ("kind", "lasts"),
            ((_code(kind), f"{time.total_seconds():g} s") for kind, time in DURATIONS.items()),
        ),
        f"Where several want one asset, the first of these goes first: {', '.join(PRECEDENCE)}.",
    )


def profiles() -> str:
    """Describe the processing profiles."""
    rows = (
        (
            _code(profile.name) + (" (default)" if profile.default else ""),
            profile.media_type,
            _codes(profile.required),
            _codes(profile.optional),
            _codes(profile.forbidden),
        )
        for profile in PROFILES
    )
    return _page(
        "Processing profiles",
        "A profile says which jobs an asset needs before a person is asked to decide. Discovery gives "
        "the default of the media type; a plugin may add more.",
        table(("profile", "for", "required", "optional", "forbidden"), rows),
    )


def job_types() -> str:
    """Describe the job types and the capabilities that they need."""
    rows = (
        (
            _code(job.name),
            _by_media({key: (value,) for key, value in job.capabilities.items()}),
            _outputs(job),
            _codes(job.fatal),
            _codes(job.retryable),
            _parameters(job),
        )
        for job in JOB_TYPES
    )
    return _page(
        "Job types and capabilities",
        "A capability is what an agent can do, never how. An agent sees only the jobs whose "
        "capabilities it declared; a job that no agent can do waits, and says so.",
        table(("job type", "capability", "outputs", "fatal", "retryable", "parameters"), rows),
    )


def derived_kinds() -> str:
    """Describe the derived kinds."""
    rows = (
        (
            _code(kind.name),
            ", ".join(f"`{mime}` ({suffix})" for mime, suffix in kind.suffixes.items()),
            "several, by index" if kind.many else "one",
        )
        for kind in DERIVED_KINDS
    )
    return _page(
        "Derived kinds",
        "Derived files can be made again at any time. An upload is published only after its content was "
        "found to be what it says.",
        table(("kind", "content types", "how many"), rows),
    )


def media_formats() -> str:
    """Describe the media types by extension."""
    rows = (
        (media_type, _codes(row.extension for row in MEDIA_FORMATS if row.media_type is media_type))
        for media_type in MediaType
    )
    return _page(
        "Media types",
        "A scan tells what a file is by its extension, in any case. What is in no row is left alone.",
        table(("media type", "extensions"), rows),
    )


def facts() -> str:
    """Describe the technical facts."""
    rows = (
        (_code(fact.name), fact.type.__name__, fact.unit, _range(fact), _stated_for(fact.name))
        for fact in FACTS.values()
    )
    return _page(
        "Facts",
        "A fact is what the file itself states, or what was measured on it. The last column names the "
        "media types for which the fact is always there; the others are stated where the file has them.",
        table(("fact", "type", "unit", "range", "always for"), rows),
    )


def sidecars() -> str:
    """Describe the sidecar rules."""
    rows = (
        (
            f"`.{rule.extension}`",
            rule.media_type,
            _code(rule.name),
            f"only with the policy `{rule.policy}`" if rule.policy else "always",
        )
        for rule in SIDECAR_RULES
    )
    return _page(
        "Sidecar rules",
        "A sidecar lies in the folder of its parent and bears its base name (`A001.xmp`) or its full "
        "name (`A001.jpg.xmp`). An exact match goes before one that differs in case.",
        table(("extension", "parent", "rule", "active"), rows),
        "A sidecar that is not attached stays where it is, with one of these reasons: "
        f"{_codes(Unmatched)}.",
        "A person may attach one to an asset of its folder all the same "
        "({ref}`unmatched-sidecars`). Then it "
        f"stands under {_code(BY_PERSON)}, and no rule overrides that.",
    )


def errors() -> str:
    """Describe the error tree."""
    rows = (
        (
            "\N{NO-BREAK SPACE}" * 4 * depth
            + f"{{py:class}}`~{error.__module__}.{error.__name__}`",
            _code(error.code),
            "yes" if error.retryable else "",
            (error.__doc__ or "").splitlines()[0],
        )
        for error, depth in _tree(RetaiaError)
    )
    return _page(
        "Errors",
        "Every error that is raised on purpose. `code` is the stable name that programs compare; where "
        "it may help to try again, the third column says so.",
        table(("error", "code", "retry", "meaning"), rows),
    )


def access() -> str:
    """Describe who may call what."""
    rows = (
        (
            f"`{operation.method} {operation.path}`",
            *("✓" if caller in operation.access.callers else "" for caller in Caller),
            _code(operation.access.scope) if operation.access.scope else "",
            _code(operation.access.feature) if operation.access.feature else "",
            _states(operation.access.states),
            ", ".join(map(str, sorted(operation.errors))),
        )
        for operation in sorted(operations_of(load_document()), key=lambda o: (o.path, o.method))
    )
    return _page(
        "Who may call what",
        "Everything that the API answers below `/api/v1`, and to whom. What is not ticked is refused: "
        "401 where nobody is signed in, 403 `FORBIDDEN_ACTOR` to the wrong kind of actor, 403 "
        "`FORBIDDEN_SCOPE` to the right kind without the scope, without the administrator's role, or "
        "while the feature is off. Where states are given, the operation succeeds in these states of "
        "its asset only; in any other it is refused with 409 `STATE_CONFLICT` (410 once it is purged). "
        f"Orchestration clients (MCP) are refused everywhere while `{ALL_FOR_MCP}` is off.",
        table(
            ("operation", *(c.lower() for c in Caller), "scope", "feature", "states", "errors"),
            rows,
        ),
    )


def _states(states: frozenset[State] | None) -> str:
    if states is None:
        return ""
    missing = frozenset(State) - states
    if len(missing) == 1:
        return f"all but {_codes(missing)}"
    return _codes(state for state in State if state in states)


def metrics() -> str:
    """Describe the numbers for monitoring."""
    rows = (
        (_code(number.name), number.kind, _codes(number.labels), number.text) for number in NUMBERS
    )
    return _page(
        "Metrics",
        "What `GET /metrics` answers, in the text format of Prometheus. The setting `observe.metrics` says "
        "who may read it. A histogram has the usual `_bucket`, `_sum` and `_count`; its count is how often "
        "it happened. `operation` is the operation's name in the API's document, `-` for everything else.",
        table(("name", "type", "labels", "meaning"), rows),
    )


def security_events() -> str:
    """Describe the security events."""
    rows = (
        (_code(name), kind.severity, kind.outcome, kind.meaning)
        for name, kind in EVENT_KINDS.items()
    )
    return _page(
        "Security events",
        "Each is a line of the log, of the logger `retaia.security`, with the fields "
        f"{_codes(a.name for a in attrs.fields(SecurityEvent))}. Secrets never are in them, and e-mail "
        "addresses are shortened.",
        table(("event", "severity", "outcome", "meaning"), rows),
    )


def hooks() -> str:
    """Describe what a plugin can provide."""
    marked = f"{hookspec.project_name}_spec"
    rows = (
        (_code(f"{name}()"), (hook.__doc__ or "").strip())
        for name, hook in vars(specs).items()
        if hasattr(hook, marked)
    )
    return _page(
        "Hooks",
        "A plugin is a module that implements some of these functions, each marked with "
        "`@retaia_core.hooks.hookimpl`, and is named by an entry point of the group `retaia`. Each "
        "takes nothing and returns an iterable. A function of another name that is marked so is an "
        "error at start.",
        table(("hook", "returns"), rows),
        "The roles below are exclusive: the settings name the provider of each.",
        table(("role",), ((_code(role),) for role in Role)),
    )


def command_line() -> str:
    """Describe the commands, their options and the exit codes."""
    return _page("The command line", _commands.command_line())


def settings() -> str:
    """Describe the settings."""
    return _page("Settings", _commands.settings())


PAGES: Mapping[str, Callable[[], str]] = {
    "lifecycle.md": lifecycle,
    "lifecycle.svg": lambda: draw(TRANSITIONS),
    "locks.md": locks,
    "profiles.md": profiles,
    "job-types.md": job_types,
    "derived-kinds.md": derived_kinds,
    "media-types.md": media_formats,
    "facts.md": facts,
    "sidecars.md": sidecars,
    "errors.md": errors,
    "access.md": access,
    "metrics.md": metrics,
    "security-events.md": security_events,
    "hooks.md": hooks,
    "command-line.md": command_line,
    "settings.md": settings,
}


def stale(target: Path = TARGET) -> list[str]:
    """Name the pages that are not what the code says now, those that no table makes included."""
    wrong = [
        name
        for name, make in PAGES.items()
        if not (target / name).exists() or (target / name).read_text(encoding="utf-8") != make()
    ]
    return wrong + sorted(path.name for path in target.iterdir() if path.name not in PAGES)


def write(target: Path = TARGET) -> None:
    """Write every page."""
    target.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (target / name).write_text(make(), encoding="utf-8")


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([_NOTE, f"# {title}", *parts]) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(map(_code, texts))


def _by_media(rows: Mapping[MediaType | None, Iterable[str]]) -> str:
    return ", ".join(
        _codes(texts) + (f" ({media_type})" if media_type and len(rows) > 1 else "")
        for media_type, texts in rows.items()
    )


def _outputs(job: JobType) -> str:
    named = [_by_media(job.outputs)] if job.outputs else []
    return ", ".join(
        [*(["facts"] if job.states_facts else []), *named, *filter(None, [job.result_domain])]
    )


def _parameters(job: JobType) -> str:
    return ", ".join(f"`{name}` = {row.default!r}" for name, row in job.parameters.items())


def _range(fact: FactField) -> str:
    if fact.minimum is None:
        return ""
    return (
        f"≥ {fact.minimum:g}" if fact.maximum is None else f"{fact.minimum:g} to {fact.maximum:g}"
    )


def _stated_for(name: str) -> str:
    return ", ".join(m for m in MediaType if name in minimum_facts(m))


def _tree(error: type[RetaiaError], depth: int = 0) -> Iterable[tuple[type[RetaiaError], int]]:
    yield error, depth
    for child in error.__subclasses__():
        if child.__module__ == RetaiaError.__module__:
            yield from _tree(child, depth + 1)


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` say which are out of date."""
    if arguments != ["--check"]:
        write()
        return 0
    wrong = stale()
    for name in wrong:
        print(f"out of date: {TARGET / name}; run python docs/_generate.py", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
