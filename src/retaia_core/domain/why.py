"""The vocabulary of *why*: one sentence, and the same as data (domain.md, *Why*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from .actors import ActorKind
from .assets import Asset, Flag
from .fixity import Fixity
from .history import told, who
from .jobs import Job, JobStatus
from .journal import Event
from .leases import Lock
from .lifecycle import State, Verdict, allowed_actions
from .storage import Health, Storage


@frozen(kw_only=True)
class Explanation:
    """Why something is as it is: since when, by whom, on what evidence, and what can be done next."""

    subject: str
    sentence: str
    since: datetime | None = None
    by: str = ""
    evidence: Mapping[str, object] = field(factory=dict)
    next: tuple[str, ...] = ()


_NEXT = {
    "KEEP": "keep it",
    "REJECT": "reject it",
    "CLEAR": "take the decision back",
    "QUEUE_MOVE": "apply the decisions in a batch",
    "QUEUE_UNDO": "undo the batch that moved it",
    "REOPEN": "reopen it for a new decision",
    "REPROCESS": "have it processed again",
    "RETRY": "ask for a new try",
    "WAIVE": "waive the failed work and decide all the same",
    "PURGE": "purge it; its files are deleted for good",
}

_STATES = {
    State.DISCOVERED: "it was found and is not proven stable yet",
    State.READY: "it is stable and waits for an agent",
    State.PROCESSING_REVIEW: "an agent prepares it for review",
    State.PROCESSED: "its review is prepared and the hooks run",
    State.DECISION_PENDING: "it is prepared and waits for a person's decision",
    State.MOVE_QUEUED: "a batch is moving it",
    State.PURGED: "it was purged",
}


def _held_back(jobs: Sequence[Job], offered: frozenset[str], now: datetime) -> str:
    """Why a READY asset's work does not go on."""
    waiting = [job for job in jobs if job.status is JobStatus.PENDING]
    missing = sorted({c for job in waiting for c in job.capabilities if c not in offered})
    if missing:
        return f"no agent offers {', '.join(missing)}"
    later = [job.not_before for job in waiting if job.not_before and job.not_before > now]
    if later and len(later) == len(waiting):
        return f"a new try is made at {min(later):%H:%M:%S}Z"
    return "an agent will take it when one is free" if waiting else "it has no open job"


def _sentence(asset: Asset, jobs: Sequence[Job], offered: frozenset[str], now: datetime) -> str:
    if Flag.UNPROCESSABLE in asset.flags and asset.state is State.READY:
        reasons = {j.failure.message for j in jobs if j.status is JobStatus.FAILED and j.failure}
        return f"required work failed for good: {'; '.join(sorted(reasons))}"
    if asset.state is State.READY:
        return f"{_STATES[asset.state]}: {_held_back(jobs, offered, now)}"
    if Flag.UNPROCESSABLE in asset.flags and asset.state is State.DECISION_PENDING:
        return "its failed work was waived, and it waits for a person's decision"
    if asset.state in _STATES:
        return _STATES[asset.state]
    last = asset.decisions[-1] if asset.decisions else None
    verb = "kept" if asset.verdict is Verdict.KEEP else "rejected"
    by = f"{who(last.by)} {verb} it on {last.at:%Y-%m-%d %H:%M}Z" if last else f"it was {verb}"
    moved = {State.ARCHIVED: ", and its files were verified in the archive"}
    moved[State.REJECTED] = ", and its files were verified among the rejects"
    return by + moved.get(asset.state, "; no file has moved yet")


def _notes(asset: Asset, lock: Lock | None, storage: Storage | None, now: datetime) -> list[str]:
    said = []
    if storage is not None and storage.health is Health.OFFLINE:
        said.append(f"its storage is offline ({storage.health_reason})")
    if Flag.MISSING in asset.flags:
        said.append("its file was not there at the last scan; nothing was deleted by Retaia")
    if Flag.CHANGED in asset.flags:
        said.append("its file changed after it was prepared")
    if Flag.PARKED in asset.flags:
        said.append("a move could not be proven and waits for a person")
    if lock is not None and lock.held(now):
        said.append(lock.said())
    return said


def _content_notes(fixity: Fixity | None) -> list[str]:
    """What reading the files whole found wrong with them."""
    if fixity is None:
        return []
    said = [
        f"the content of {file.path!r} is not what it was on {file.verified_at or file.taken_at:%Y-%m-%d}, "
        f"though nobody wrote to it (found {file.checked_at:%Y-%m-%d %H:%M}Z)"
        for file in fixity.mismatched
    ]
    return said + [
        f"{file.path!r} could not be read at {file.checked_at:%Y-%m-%d %H:%M}Z ({file.problem})"
        for file in fixity.unreadable
    ]


_PURGES = ("purge.accepted", "purge.failed", "purge.abandoned", "purge.skipped")


def _purge_note(events: Sequence[Event]) -> list[str]:
    """What became of the purge that was tried last, where it left something."""
    last = next((e for e in reversed(events) if e.name in _PURGES), None)
    if last is not None and last.name == "purge.skipped":
        return [f"the purge policy passed it over ({last.data.get('problem')})"]
    if last is None or last.name != "purge.failed":
        return []
    left = last.data.get("left")
    count = len(left) if isinstance(left, Sequence) else 0
    return [f"a purge could not be finished ({last.data.get('error')}); {count} files still stand"]


def _batch(asset: Asset, events: Sequence[Event]) -> object:
    """The batch that brought a settled asset where it is."""
    moved = (e for e in reversed(events) if e.name.startswith("move."))
    last = next((e for e in moved if e.data.get("to") == asset.state.value), None)
    return last.data.get("batch") if last else None


def _next(asset: Asset, batch: object) -> tuple[str, ...]:
    """What a person can do now."""
    steps = dict(_NEXT)
    if batch is not None:
        steps["QUEUE_UNDO"] += f" (`retaia batch undo {batch}`)"
    if asset.state is State.MOVE_QUEUED and Flag.PARKED in asset.flags:
        return (f"look at the evidence and settle it (`retaia recover {asset.uuid}`)",)
    if asset.state is State.PURGED:
        return (f"read its certificate (`retaia purge certificate {asset.uuid}`)",)
    allowed = allowed_actions(asset.standing, ActorKind.PERSON)
    return tuple(steps[action] for action in allowed if action in steps)


def _content_evidence(fixity: Fixity | None) -> dict[str, object]:
    """The digests that tell what was found, where something was."""
    wrong = (*fixity.mismatched, *fixity.unreadable) if fixity else ()
    if not wrong:
        return {}
    return {
        "content": {
            file.path: {
                "expected": file.digest,
                "found": file.found,
                "problem": file.problem or None,
                "taken_at": file.taken_at.isoformat(),
                "verified_at": file.verified_at and file.verified_at.isoformat(),
                "checked_at": file.checked_at.isoformat(),
            }
            for file in wrong
        }
    }


def _content_next(asset: Asset) -> tuple[str, ...]:
    """What a person can do about content that is another."""
    if Flag.FIXITY_MISMATCH not in asset.flags or asset.state is State.PURGED:
        return ()
    verify = f"`retaia verify {asset.uuid}"
    return (
        f"put a good copy back in its place with its old time, and look again ({verify}`)",
        f"say that what is there now is right ({verify} --accept`)",
    )


def explain_asset(
    asset: Asset,
    *,
    jobs: Sequence[Job] = (),
    events: Sequence[Event] = (),
    lock: Lock | None = None,
    storage: Storage | None = None,
    fixity: Fixity | None = None,
    offered: frozenset[str] = frozenset(),
    now: datetime,
) -> Explanation:
    """Say why an asset is in its state, since when, by whom, and what a person can do next.

    ``offered`` are the capabilities that live agents declared.
    """
    notes = _notes(asset, lock, storage, now)
    notes += _content_notes(fixity)
    if asset.state is State.REJECTED:
        notes += _purge_note(events)
    text = "; ".join([_sentence(asset, jobs, offered, now), *notes])
    last = next((e for e in reversed(events) if e.data.get("to") == asset.state.value), None)
    failures = {
        j.job_type: {"code": j.failure.code, "message": j.failure.message, "attempts": j.attempts}
        for j in jobs
        if j.failure
    }
    return Explanation(
        subject=asset.path,
        sentence=f"{asset.name!r} is {asset.state}: {text}.",
        since=asset.state_since or asset.created_at,
        by=last.actor if last else "",
        evidence={
            "uuid": asset.uuid,
            "state": asset.state.value,
            "flags": sorted(asset.flags),
            "jobs": {j.job_type: j.status.value for j in jobs},
            "failures": failures,
            "event": last.name if last else None,
            "how": told(last) if last else None,
            "batch": _batch(asset, events),
            **_content_evidence(fixity),
        },
        next=(*_next(asset, _batch(asset, events)), *_content_next(asset)),
    )
