"""What an agent and its worker process say to each other: one JSON object a line.

JSON escapes newlines and lone surrogates, so that any file name passes. The worker runs decoders on
strangers' files; what it says is checked like any input, and `BadFrame` ends its life.

::

    agent → worker   Start, then Order, Order, …            (standard input)
    worker → agent   Ready | StartProblem, then for each order:
                     Progress*, (Said | Raised)*, Finished  (its former standard output)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from retaia_core.domain.facts import Facts
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import DerivedFile, Done, Failed, Outcome, Progress, Task

Raw = Mapping[str, Any]
LONGEST = 64 * 2**20
"""No frame is longer, in bytes: a transcript of many hours fits."""


class BadFrame(Exception):
    """The other side spoke nonsense."""


@frozen(kw_only=True)
class Start:
    """How a worker process is to be. ``processors`` are the names of those that it may use."""

    memory_limit: int | None = None
    niceness: int = 0
    disabled_plugins: tuple[str, ...] = ()
    plugin_modules: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()
    search_path: tuple[str, ...] = ()


@frozen(kw_only=True)
class Order:
    """A bundle for a worker; ``workspace`` is an empty folder."""

    source: Path
    media_type: MediaType
    tasks: tuple[Task, ...]
    workspace: Path
    facts: Facts = field(factory=dict)
    derived_inputs: Mapping[str, tuple[Path, ...]] = field(factory=dict)


@frozen(kw_only=True)
class Ready:
    """The worker is up."""


@frozen(kw_only=True)
class StartProblem:
    """The worker cannot work at all."""

    message: str


@frozen(kw_only=True)
class Said:
    """An outcome, and which processor it comes from."""

    outcome: Outcome
    processor: str = ""
    version: str = ""


@frozen(kw_only=True)
class Raised:
    """An exception escaped from a processor; its tasks without an outcome are open."""

    code: str
    message: str
    retryable: bool


@frozen(kw_only=True)
class Finished:
    """The order is worked off. ``memory`` is what the worker holds now, in bytes (0 where unknown)."""

    memory: int


FromWorker = Ready | StartProblem | Progress | Said | Raised | Finished


def encode_start(start: Start) -> bytes:
    """Write the first line of a worker's input."""
    return _line(
        {
            "memory_limit": start.memory_limit,
            "niceness": start.niceness,
            "disabled_plugins": start.disabled_plugins,
            "plugin_modules": start.plugin_modules,
            "processors": start.processors,
            "search_path": start.search_path,
        }
    )


def decode_start(line: bytes) -> Start:
    """Read the first line of a worker's input."""
    raw = _object(line)
    return Start(
        memory_limit=raw["memory_limit"],
        niceness=raw["niceness"],
        disabled_plugins=tuple(raw["disabled_plugins"]),
        plugin_modules=tuple(raw["plugin_modules"]),
        processors=tuple(raw["processors"]),
        search_path=tuple(raw["search_path"]),
    )


def encode_order(order: Order) -> bytes:
    """Write an order."""
    return _line(
        {
            "source": str(order.source),
            "media_type": order.media_type.value,
            "tasks": [[t.job_id, t.job_type, dict(t.parameters)] for t in order.tasks],
            "workspace": str(order.workspace),
            "facts": dict(order.facts),
            "derived_inputs": {k: [str(p) for p in v] for k, v in order.derived_inputs.items()},
        }
    )


def decode_order(line: bytes) -> Order:
    """Read an order."""
    raw = _object(line)
    return Order(
        source=Path(raw["source"]),
        media_type=MediaType(raw["media_type"]),
        tasks=tuple(Task(job_id=i, job_type=t, parameters=p) for i, t, p in raw["tasks"]),
        workspace=Path(raw["workspace"]),
        facts=raw["facts"],
        derived_inputs={k: tuple(map(Path, v)) for k, v in raw["derived_inputs"].items()},
    )


def encode(message: FromWorker) -> bytes:
    """Write a worker's message.

    Raises:
        TypeError, ValueError: a result holds what is no plain JSON data.
    """
    match message:
        case Ready():
            return _line({"is": "ready"})
        case StartProblem():
            return _line({"is": "start_problem", "message": message.message})
        case Progress():
            return _line({"is": "progress", **_progress(message)})
        case Said():
            who = {"processor": message.processor, "version": message.version}
            return _line({**_outcome(message.outcome), **who})
        case Raised():
            return _line({"is": "raised", **_failure(message)})
        case Finished():
            return _line({"is": "finished", "memory": message.memory})


def decode(line: bytes) -> FromWorker:
    """Read a worker's message.

    Raises:
        BadFrame: it is none.
    """
    try:
        raw = _object(line)
        return _READERS[raw["is"]](raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFrame(f"the worker sent what is no message: {error!r}") from error


def _line(raw: Mapping[str, object]) -> bytes:
    return json.dumps(raw, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    raw = json.loads(line)
    if not isinstance(raw, dict):
        raise TypeError("a message is a JSON object")
    return raw


def _progress(value: Progress) -> dict[str, object]:
    return {
        "job_id": value.job_id,
        "current": value.current,
        "total": value.total,
        "text": value.text,
    }


def _failure(value: Failed | Raised) -> dict[str, object]:
    return {"code": value.code, "message": value.message, "retryable": value.retryable}


def _outcome(value: Outcome) -> dict[str, object]:
    if isinstance(value, Failed):
        return {"is": "failed", "job_id": value.job_id, **_failure(value)}
    return {
        "is": "done",
        "job_id": value.job_id,
        "facts": dict(value.facts),
        "files": [[f.kind, str(f.path), f.content_type, f.index] for f in value.files],
        "data": dict(value.data),
        "warnings": list(value.warnings),
        "metrics": dict(value.metrics),
    }


def _text(raw: Raw, key: str) -> str:
    value = raw[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} must be a text")
    return value


def _number(raw: Raw, key: str) -> int:
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} must be an integer")
    return value


def _table(raw: Raw, key: str) -> Mapping[str, Any]:
    value = raw[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be an object")
    return value


def _read_file(raw: list[Any]) -> DerivedFile:
    kind, path, content_type, index = raw
    row = {"kind": kind, "path": path, "content_type": content_type, "index": index}
    return DerivedFile(
        kind=_text(row, "kind"),
        path=Path(_text(row, "path")),
        content_type=_text(row, "content_type"),
        index=_number(row, "index"),
    )


def _read_done(raw: Raw) -> Said:
    done = Done(
        job_id=_text(raw, "job_id"),
        facts=_table(raw, "facts"),
        files=tuple(_read_file(row) for row in raw["files"]),
        data=_table(raw, "data"),
        warnings=tuple(str(text) for text in raw["warnings"]),
        metrics=_table(raw, "metrics"),
    )
    return Said(outcome=done, processor=_text(raw, "processor"), version=_text(raw, "version"))


def _read_failed(raw: Raw) -> Said:
    failed = Failed(
        job_id=_text(raw, "job_id"),
        code=_text(raw, "code"),
        message=_text(raw, "message"),
        retryable=raw["retryable"] is True,
    )
    return Said(outcome=failed, processor=_text(raw, "processor"), version=_text(raw, "version"))


def _read_progress(raw: Raw) -> Progress:
    return Progress(
        job_id=_text(raw, "job_id"),
        current=_number(raw, "current"),
        total=_number(raw, "total"),
        text=_text(raw, "text"),
    )


def _read_raised(raw: Raw) -> Raised:
    return Raised(
        code=_text(raw, "code"),
        message=_text(raw, "message"),
        retryable=raw["retryable"] is True,
    )


_READERS: Mapping[str, Callable[[Raw], FromWorker]] = {
    "ready": lambda raw: Ready(),
    "start_problem": lambda raw: StartProblem(message=_text(raw, "message")),
    "progress": _read_progress,
    "done": _read_done,
    "failed": _read_failed,
    "raised": _read_raised,
    "finished": lambda raw: Finished(memory=_number(raw, "memory")),
}
