"""What an agent and its worker process say to each other: one JSON object a line.

JSON escapes newlines and lone surrogates, so that any file name passes. The worker runs decoders on
strangers' files; what it says is checked like any input, and `BadFrame` ends its life. A value is
written as an object of its fields; one of several classes bears its class's name as ``is``.

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
from cattrs import Converter
from cattrs.cols import homogenous_tuple_structure_factory, is_sequence
from cattrs.errors import CattrsError
from cattrs.strategies import configure_tagged_union

from retaia_core.domain.facts import Facts, FactValue
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Outcome, Progress, Task

Read = Callable[[Any, Any], Any]
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
    sidecars: tuple[Path, ...] = ()


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
    return _write(start, Start)


def decode_start(line: bytes) -> Start:
    """Read the first line of a worker's input.

    Raises:
        BadFrame: it is none.
    """
    start: Start = _read(line, Start)
    return start


def encode_order(order: Order) -> bytes:
    """Write an order."""
    return _write(order, Order)


def decode_order(line: bytes) -> Order:
    """Read an order.

    Raises:
        BadFrame: it is none.
    """
    order: Order = _read(line, Order)
    return order


def encode(message: FromWorker) -> bytes:
    """Write a worker's message.

    Raises:
        TypeError, ValueError: a result holds what is no plain JSON data.
    """
    return _write(message, FromWorker)


def decode(line: bytes) -> FromWorker:
    """Read a worker's message.

    Raises:
        BadFrame: it is none.
    """
    message: FromWorker = _read(line, FromWorker)
    return message


_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, CattrsError)


def _write(value: object, kind: Any) -> bytes:
    raw = _CONVERTER.unstructure(value, unstructure_as=kind)
    return json.dumps(raw, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes, kind: Any) -> Any:
    try:
        return _only(dict, _CONVERTER.structure)(json.loads(line), kind)
    except _MALFORMED as error:
        raise BadFrame(f"what was sent is no message: {error!r:.300}") from error


def _only(kind: type, read: Read) -> Read:
    """Read nothing but one JSON type: ``True`` is no integer, and a text is no list of letters."""

    def strictly(value: object, target: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
        return read(value, target)

    return strictly


def _converter() -> Converter:
    """Stops at the first thing wrong: a broken worker must not fill the agent's memory with errors."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for target, kind in ((str, str), (Path, str), (int, int), (bool, bool)):
        converter.register_structure_hook(target, _only(kind, lambda v, t: t(v)))
    converter.register_structure_hook_factory(
        is_sequence, lambda t: _only(list, homogenous_tuple_structure_factory(t, converter))
    )
    # Facts and data are judged by whoever gets them: a wrong one is the fault of one task alone.
    converter.register_structure_hook_func(lambda t: t in (object, FactValue), lambda v, _: v)
    for union in (Outcome, FromWorker):
        configure_tagged_union(union, converter, tag_name="is")
    return converter


_CONVERTER = _converter()
