"""Which benchmarks there are, at which sizes they run, and how their figures are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen


class Size(StrEnum):
    """How much is measured: to see that it runs, what fits into half an hour, everything."""

    QUICK = "quick"
    USUAL = "usual"
    FULL = "full"


Sizes = Mapping[str, str | int | float]


@frozen(kw_only=True)
class Case:
    """One line of a benchmark: a median ratio (None where there is only a figure), and all figures.

    ``limit`` is the bound that the benchmark itself states: it must be that of the table of goals.
    """

    name: str
    ratio: float | None
    limit: float | None = None
    figures: Mapping[str, float] = field(factory=dict)


Derive = Callable[[Sequence[Case]], Iterable[Case]]


def _nothing(cases: Sequence[Case]) -> Iterable[Case]:
    return ()


@frozen(kw_only=True)
class Suite:
    """A benchmark: ``bench_{name}.py``. Sizes are its options; ``derive`` adds cases of its cases."""

    name: str
    title: str
    sizes: Mapping[Size, Sizes]
    derive: Derive = _nothing

    def arguments(self, size: Size) -> list[str]:
        """The options of the command line."""
        return [
            text for name, value in self.sizes[size].items() for text in (f"--{name}", f"{value}")
        ]

    def read(self, document: Any) -> list[Case]:
        """The cases of a benchmark's JSON."""
        cases = list(_cases(document))
        return [*cases, *self.derive(cases)]


def _cases(document: Any) -> Iterator[Case]:
    """Benchmarks write a list of rows, or an object of rows by name."""
    if isinstance(document, list):
        rows = [(": ".join(row[k] for k in ("clip", "what") if k in row), row) for row in document]
    else:
        rows = [(name, row) for name, row in document.items() if isinstance(row, dict)]
    for name, row in rows:
        yield Case(
            name=name,
            ratio=row["ratio"] or None,
            limit=_limit(row.get("limit", row.get("goal"))),
            figures=dict(_figures(row)),
        )


def _limit(stated: object) -> float | None:
    if isinstance(stated, str):
        return float(stated.split()[-1]) if stated else None
    return float(stated) if isinstance(stated, int | float) else None


def _figures(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _figures(value)
        elif type(value) in {int, float} and name not in {"ratio", "limit", "goal"}:
            yield name, float(value)


def flat_memory(cases: Sequence[Case]) -> Iterator[Case]:
    """Memory for all files beside that for a tenth; less than a MiB is the noise of pages."""
    for case in cases:
        whole, tenth = (
            max(1.0, case.figures[name]) for name in ("memory_mib", "memory_mib_of_a_tenth")
        )
        yield Case(name=f"{case.name}, memory for all files beside a tenth", ratio=whole / tenth)


_QUEUED = re.compile(r"^(?P<store>\w+), (?P<queued>[\d,]+) queued, (?P<how>[^:]+): pairs/s")


def flat_queue(cases: Sequence[Case]) -> Iterator[Case]:
    """The rate at the longest queue beside that at the shortest, for each way to claim."""
    rates: dict[str, dict[int, float]] = {}
    for case in cases:
        if found := _QUEUED.match(case.name):
            queued = int(found["queued"].replace(",", ""))
            way = f"{found['store']}, {found['how']}"
            rates.setdefault(way, {})[queued] = case.figures["rate"]
    for way, by_length in rates.items():
        shortest, longest = min(by_length), max(by_length)
        if shortest < longest:
            yield Case(
                name=f"{way}: pairs/s at the longest queue beside the shortest",
                ratio=by_length[longest] / by_length[shortest],
                figures={"longest": longest, "shortest": shortest},
            )


_CLIPS: Sizes = {"scale": 1.0, "rounds": 3}
_BRIEF: Sizes = {"scale": 0.02, "rounds": 1}
_SOUND: Sizes = {"seconds": 600, "files": 200, "rounds": 3}
_TINY: Sizes = {"pairs": 32, "rounds": 1, "pages": 20, "inserts": 1_000}
_STORE: Sizes = {"pairs": 400, "rounds": 9, "pages": 40, "inserts": 50_000}

SUITES: tuple[Suite, ...] = (
    Suite(
        name="media_video",
        title="Preparing videos for review",
        sizes={Size.QUICK: _BRIEF, Size.USUAL: _CLIPS, Size.FULL: _CLIPS},
    ),
    Suite(
        name="media_audio",
        title="Preparing sound for review",
        sizes={
            Size.QUICK: {"seconds": 5, "files": 4, "rounds": 1},
            Size.USUAL: _SOUND,
            Size.FULL: _SOUND,
        },
    ),
    Suite(
        name="agent",
        title="What an agent adds",
        sizes={Size.QUICK: _BRIEF, Size.USUAL: _CLIPS, Size.FULL: _CLIPS},
    ),
    Suite(
        name="scan",
        title="Scanning",
        sizes={
            Size.QUICK: {"files": 2_000, "rounds": 1},
            Size.USUAL: {"files": 100_000, "rounds": 3},
            Size.FULL: {"files": 1_000_000, "rounds": 3},
        },
        derive=flat_memory,
    ),
    Suite(
        name="moves",
        title="Moving batches",
        sizes={
            Size.QUICK: {"assets": 200, "planned": 500, "rounds": 1},
            Size.USUAL: {"assets": 10_000, "planned": 100_000, "rounds": 3},
            Size.FULL: {"assets": 10_000, "planned": 100_000, "rounds": 5},
        },
    ),
    Suite(
        name="store",
        title="The store",
        sizes={
            Size.QUICK: {"queued": "200,400", "assets": 500, **_TINY},
            Size.USUAL: {"queued": "1000,100000", "assets": 100_000, **_STORE},
            Size.FULL: {"queued": "1000,100000,1000000", "assets": 1_000_000, **_STORE},
        },
        derive=flat_queue,
    ),
    Suite(
        name="fixity",
        title="Verifying files",
        sizes={
            Size.QUICK: {"large": 1, "mib": 8, "small": 20, "rounds": 1},
            Size.USUAL: {"large": 4, "mib": 512, "small": 4_000, "rounds": 3},
            Size.FULL: {"large": 4, "mib": 4_096, "small": 100_000, "rounds": 3},
        },
    ),
    Suite(
        name="http",
        title="Lists over HTTP",
        sizes={
            Size.QUICK: {"assets": 1_000, "pages": 20},
            Size.USUAL: {"assets": 100_000, "pages": 200},
            Size.FULL: {"assets": 1_000_000, "pages": 200},
        },
    ),
    Suite(
        name="api",
        title="Requests over HTTP",
        sizes={
            Size.QUICK: {"assets": 1_000, "requests": 20, "rounds": 1},
            Size.USUAL: {"assets": 100_000, "requests": 200, "rounds": 7},
            Size.FULL: {"assets": 1_000_000, "requests": 200, "rounds": 7},
        },
    ),
    Suite(
        name="web",
        title="The interface in a browser",
        sizes={
            Size.QUICK: {"assets": 1_000, "photos": 7, "clips": 2, "seconds": 2, "rounds": 1},
            Size.USUAL: {"assets": 1_000_000, "photos": 28, "clips": 8, "seconds": 8, "rounds": 2},
            Size.FULL: {"assets": 1_000_000, "photos": 56, "clips": 16, "seconds": 30, "rounds": 3},
        },
    ),
)
