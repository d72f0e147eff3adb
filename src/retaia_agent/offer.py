"""What this agent can do: the processors that are available here, and what they let it declare."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from retaia_core.ports.processor import Availability, Processor

from .events import Teller


@frozen(kw_only=True)
class Offer:
    """The available processors by name, and the capabilities that are declared with them.

    ``versions`` has each processor as ``name/version``, sorted: results depend on them.
    """

    processors: tuple[str, ...]
    versions: tuple[str, ...]
    capabilities: tuple[str, ...]
    job_types: frozenset[str]


def offer_of(processors: Sequence[Processor], *, only: Sequence[str] | None, tell: Teller) -> Offer:
    """Ask each processor whether it can work here, and tell which cannot and why.

    ``only`` restricts the capabilities; a processor that has none of them is left out.
    """
    allowed = None if only is None else frozenset(only)
    usable = []
    for processor in processors:
        available = _ask(processor)
        if not available.available:
            tell("unavailable", processor=processor.name, reason=available.reason)
        elif allowed is None or allowed & processor.capabilities:
            usable.append(processor)
    declared = frozenset[str]().union(*(p.capabilities for p in usable))
    return Offer(
        processors=tuple(processor.name for processor in usable),
        versions=tuple(sorted(f"{p.name}/{p.version}" for p in usable)),
        capabilities=tuple(sorted(declared if allowed is None else declared & allowed)),
        job_types=frozenset[str]().union(*(p.job_types for p in usable)),
    )


def _ask(processor: Processor) -> Availability:
    try:
        return processor.availability()
    except Exception as error:  # noqa: BLE001 - a plugin that cannot answer is told of, and left out
        return Availability(available=False, reason=f"it failed to answer: {error!r}")
