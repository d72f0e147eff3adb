"""Looks at the disk and says, in sentences, where something else happened than was announced."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from retaia_core.domain.assets import Flag
from retaia_core.domain.lifecycle import State, Verdict
from retaia_core.domain.moves import Batch, MovePlan, Outcome
from retaia_core.domain.storage import DERIVED_FOLDER, MARKER_NAME
from retaia_core.usecases.operations import AssetReport

from .storage import Fate, Item

_STATES = {
    Verdict.KEEP: State.ARCHIVED,
    Verdict.REJECT: State.REJECTED,
    None: State.DECISION_PENDING,
}


@frozen(kw_only=True)
class Print:
    """What a file is known again by: the SHA-256 of its content (hex), and its mtime in nanoseconds."""

    sha256: str
    mtime_ns: int


Prints = Mapping[str, Print]


def print_of(path: Path) -> Print:
    """Take the print of a file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Print(sha256=digest, mtime_ns=path.stat().st_mtime_ns)


def prints_below(root: Path) -> Prints:
    """The prints of all files of a storage, by path; marker and derived files aside."""
    return {
        path.relative_to(root).as_posix(): print_of(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in (DERIVED_FOLDER, MARKER_NAME)
    }


def targets(plan: MovePlan) -> Mapping[str, str]:
    """Where a plan puts each file: source → target."""
    return {file.source: file.target for move in plan.moves for file in move.files}


def wrong_files(before: Prints, plan: MovePlan, found: Prints) -> Iterator[str]:
    """Every file that is not where the dry run put it, with its content and time as they were.

    >>> one = Print(sha256="ab", mtime_ns=1)
    >>> list(wrong_files({"INBOX/a.mov": one}, MovePlan(), {"INBOX/a.mov": one}))
    []
    >>> list(wrong_files({"INBOX/a.mov": one}, MovePlan(), {}))
    ["'INBOX/a.mov' is gone"]
    """
    moved = targets(plan)
    expected = {moved.get(path, path): (path, known) for path, known in before.items()}
    for path, (source, known) in expected.items():
        now = found.get(path)
        if now is None:
            yield f"{path!r} is gone" if path == source else f"{source!r} did not reach {path!r}"
        elif now.sha256 != known.sha256:
            yield f"the content of {path!r} is not that of {source!r}"
        elif now.mtime_ns != known.mtime_ns:
            yield f"the time of {path!r} changed"
    yield from (f"{path!r} came from nowhere" for path in found if path not in expected)


def wrong_batch(items: Sequence[Item], plan: MovePlan, batch: Batch) -> Iterator[str]:
    """What differs between the decisions, the dry run and the report of the batch."""
    decided = {item.path for item in items if item.verdict is not None}
    planned = {move.files[0].source for move in plan.moves}
    for path in sorted(decided ^ planned):
        yield f"{path!r} was decided and is not in the dry run, or the other way round"
    if len(plan.collisions) != 1:
        yield f"one collision was laid out, and the dry run shows {len(plan.collisions)}"
    if [result.move for result in batch.results] != list(plan.moves):
        yield "the report of the batch is not the dry run"
    for result in batch.results:
        if result.outcome is not Outcome.MOVED:
            yield f"{result.move.files[0].source!r} is {result.outcome}: {result.error}"


def wrong_assets(
    items: Iterable[Item], plan: MovePlan, assets: Mapping[str, AssetReport]
) -> Iterator[str]:
    """Assets whose state is not the one that their file's fate asks for; ``assets`` are by path."""
    moved = targets(plan)
    for item in items:
        report = assets.get(moved.get(item.path, item.path))
        if item.fate in (Fate.PREPARED, Fate.DAMAGED, Fate.COPYING):
            if report is None:
                yield f"{item.path!r} is no asset"
            elif problem := _wrong_state(item, report):
                yield f"{item.path!r} {problem}"
        elif report is not None:
            yield f"{item.path!r} is an asset and must not be one"


def _wrong_state(item: Item, report: AssetReport) -> str:
    asset = report.asset
    damaged = Flag.UNPROCESSABLE in asset.flags
    wanted = State.READY if item.fate is Fate.DAMAGED else _STATES[item.verdict]
    if asset.state is not wanted or damaged != (item.fate is Fate.DAMAGED):
        return f"is {asset.state}, and should be {wanted}: {report.why.sentence}"
    if item.fate is Fate.DAMAGED and asset.derived:
        return "is damaged, and derived files of it were left behind"
    return ""


def wrong_reasons(
    items: Iterable[Item], unmatched: Mapping[str, str], skipped: Mapping[str, str]
) -> Iterator[str]:
    """Files that were left alone for another reason than the right one."""
    given = {Fate.UNMATCHED: unmatched, Fate.PASSED_OVER: skipped}
    for item in items:
        if item.fate in given and given[item.fate].get(item.path) != item.reason:
            said = given[item.fate].get(item.path, "nothing")
            yield f"{item.path!r} should be left alone as {item.reason}; said was {said}"
