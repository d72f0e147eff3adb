"""Log lines: one JSON object each for programs, or one readable line each for a person."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from retaia_core.ports.observer import LogStyle, correlation_id

from .redaction import printable, redact

_FIRST = ("timestamp", "level", "logger", "event", "correlation_id")
_DELETE = "\x7f"
"""The one control character that JSON lets through as it is."""

_encode = json.JSONEncoder(separators=(",", ":")).encode
_quick = msgspec.json.Encoder().encode


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time, so that a live display can take lines in."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """There is no other stream."""


def _fields(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """The data that our own records carry as ``retaia``; its ``event`` is the line's name."""
    record: logging.LogRecord | None = line.get("_record")
    line.update(getattr(record, "retaia", {}))
    return line


def _request(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """What the lines of one request have in common."""
    current = correlation_id.get()
    if current:
        line.setdefault("correlation_id", current)
    return line


def _tidy(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Secrets out, and the keys that every line has first."""
    clean: Mapping[str, Any] = redact(line)
    first = {key: clean[key] for key in _FIRST if key in clean}
    return first | {key: value for key, value in clean.items() if key not in first}


def as_json(logger: WrappedLogger, method: str, line: EventDict) -> str:
    """One object on one line, in ASCII: nothing in it can end the line or move a cursor."""
    try:
        text = _quick(line).decode("ascii")
    except (ValueError, OverflowError):  # other characters, lone surrogates, numbers beyond 64 bits
        text = _encode(line)
    return text.replace(_DELETE, "\\u007f")


def as_text(logger: WrappedLogger, method: str, line: EventDict) -> str:
    """One line for a person; a traceback follows, each of its lines marked."""
    exception = str(line.pop("exception", ""))
    head = [str(line.pop(key, "")) for key in ("timestamp", "level", "logger", "event")]
    rest = [f"{key}={value}" for key, value in line.items() if value not in (None, "")]
    said = printable(" ".join([*filter(None, head), *rest]))
    return "\n".join([said, *(f"  | {printable(row)}" for row in exception.splitlines())])


_LIBRARIES = ("httpx", "httpcore", "uvicorn")
"""What these do is told by our own lines; of theirs only what is out of order is wanted."""

_CHAIN: tuple[Processor, ...] = (
    _request,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats records from anywhere: ours, libraries', and structlog's own."""

    def __init__(self, write: Processor) -> None:
        super().__init__(
            foreign_pre_chain=[_fields, *_CHAIN],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _tidy,
                write,
            ],
        )
        self._write = write

    def format(self, record: logging.LogRecord) -> str:
        """One line; our own events, of which each request has one, are spared the library's detours."""
        data: Mapping[str, Any] = getattr(record, "retaia", {})
        if "event" not in data or record.exc_info:
            return super().format(record)
        time = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        first = {
            "timestamp": f"{time.isoformat(timespec='microseconds')}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": data["event"],
        }
        if current := data.get("correlation_id") or correlation_id.get():
            first["correlation_id"] = current
        return str(self._write(None, "", redact({**first, **data, **first})))


def formatter(*, as_objects: bool) -> logging.Formatter:
    """The formatter of lines that are objects, or text."""
    return _Formatter(as_json if as_objects else as_text)


def set_up(style: LogStyle) -> None:
    """Send the whole program's log to standard error; setting it up again replaces the style."""
    handler = _StandardError()
    handler.setFormatter(formatter(as_objects=style.json))
    root = logging.getLogger()
    for known in [h for h in root.handlers if isinstance(h, _StandardError)]:
        root.removeHandler(known)
    root.addHandler(handler)
    root.setLevel(logging.INFO if style.everything else logging.WARNING)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_CHAIN, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
