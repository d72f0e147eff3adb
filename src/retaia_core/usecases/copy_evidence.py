"""What is known of other copies: kept in the audit trail, read back, and held against the copies of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from ..domain.assets import Asset
from ..domain.fixity import Fixity, files_of
from ..domain.identifiers import Subject
from ..domain.journal import Event
from ..domain.proof import (
    Check,
    CopyProof,
    Evidence,
    Refusal,
    RefusedCopy,
    Remembered,
    Waiver,
    evidence_of,
)
from ..ports.copies import Copies, CopyRefused
from ..ports.store import Transaction

CHECKED = "purge.checked"
WAIVED = "purge.waived"
PAGE = 1000


def trail_of(tx: Transaction, subject: Subject) -> Iterator[Event]:
    """Every event of a subject, in order."""
    after = 0
    while page := tx.events(subject, after=after, limit=PAGE):
        yield from page
        after = page[-1].seq


@frozen(kw_only=True)
class Known:
    """What is known of an asset's files and their copies before any is looked at."""

    remembered: Remembered
    fixity: Fixity | None


def known_of(tx: Transaction, asset: Asset) -> Known:
    """What was checked and waived last of each file of an asset, and the records of its content."""
    checks: dict[str, Check] = {}
    waivers: dict[str, Waiver] = {}
    for event in trail_of(tx, asset.subject):
        if event.name == CHECKED:
            for data in _items(event.data["files"]):
                checks[data["path"]] = _check_from(data)
        elif event.name == WAIVED:
            waiver = Waiver(**_mapping(event.data), by=event.actor, at=event.at)
            waivers[waiver.path] = waiver
    return Known(
        remembered=Remembered(checks=checks, waivers=waivers), fixity=tx.fixity(asset.uuid)
    )


def evidence_now(
    copies: Copies, asset: Asset, known: Known, now: datetime
) -> Mapping[str, Evidence]:
    """What counts now for each file of an asset, having looked at the copies that proved something."""
    return {
        file.path: evidence_of(
            file,
            remembered=known.remembered,
            record=known.fixity.of(file.role) if known.fixity else None,
            stamp=_stamp(copies, known.remembered.checks.get(file.path)),
            now=now,
        )
        for file in files_of(asset)
    }


def _stamp(copies: Copies, check: Check | None) -> str | None:
    return None if check is None or check.proof is None else stamp_now(copies, check.proof)


def stamp_now(copies: Copies, proof: CopyProof) -> str | None:
    """How the copy of a proof looks now; None where it is gone or no other copy any more."""
    try:
        found = copies.look(proof.place, proof.copy, proof.path)
    except CopyRefused:
        return None
    return None if found is None else found.stamp


def proof_data(proof: CopyProof) -> dict[str, object]:
    """A proof as plain data."""
    return {
        "path": proof.path,
        "size": proof.size,
        "mtime_ns": proof.mtime_ns,
        "digest": proof.digest,
        "place": proof.place,
        "copy": proof.copy,
        "stamp": proof.stamp,
        "same_disk": proof.same_disk,
        "at": proof.at.isoformat(),
    }


def proof_from(data: Mapping[str, Any]) -> CopyProof:
    """A proof from plain data."""
    return CopyProof(**{**data, "at": datetime.fromisoformat(data["at"])})


def waiver_data(waiver: Waiver) -> dict[str, object]:
    """A waiver as plain data."""
    return {
        "path": waiver.path,
        "size": waiver.size,
        "mtime_ns": waiver.mtime_ns,
        "reason": waiver.reason,
        "by": waiver.by,
        "at": waiver.at.isoformat(),
    }


def waiver_from(data: Mapping[str, Any]) -> Waiver:
    """A waiver from plain data."""
    return Waiver(**{**data, "at": datetime.fromisoformat(data["at"])})


def check_data(check: Check) -> dict[str, object]:
    """A check as plain data."""
    return {
        "path": check.path,
        "size": check.size,
        "mtime_ns": check.mtime_ns,
        "at": check.at.isoformat(),
        "proof": proof_data(check.proof) if check.proof else None,
        "refused": [
            {"place": r.place, "path": r.path, "reason": r.reason.value, "message": r.message}
            for r in check.refused
        ],
        "digest": check.digest,
        "problem": check.problem,
    }


def _check_from(data: Mapping[str, Any]) -> Check:
    return Check(
        path=data["path"],
        size=data["size"],
        mtime_ns=data["mtime_ns"],
        at=datetime.fromisoformat(data["at"]),
        proof=proof_from(data["proof"]) if data["proof"] else None,
        refused=tuple(
            RefusedCopy(**{**r, "reason": Refusal(r["reason"])}) for r in _items(data["refused"])
        ),
        digest=data["digest"],
        problem=data["problem"],
    )


def _items(value: object) -> Sequence[Any]:
    assert isinstance(value, Sequence)
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    assert isinstance(value, Mapping)
    return value
