"""How plans of purges, checks of copies and certificates are printed, and what their JSON documents have."""

from __future__ import annotations

import time
from collections.abc import Iterable

from attrs import define, field

from retaia_core.domain.proof import CopyProof, Waiver
from retaia_core.domain.purge import PurgeFile, PurgePlan, PurgeRole
from retaia_core.usecases.certificates import Certificate
from retaia_core.usecases.proofs import Reading
from retaia_core.usecases.purge_policy import Ahead

from .output import Output, plain, printable, size_text

_SECONDS = 2.0


def _proof(proof: CopyProof | None) -> object:
    if proof is None:
        return None
    return {
        "place": proof.place,
        "copy": proof.copy,
        "digest": proof.digest,
        "verified_at": plain(proof.at),
    }


def _waiver(waiver: Waiver | None) -> object:
    if waiver is None:
        return None
    return {"reason": waiver.reason, "by": waiver.by, "at": plain(waiver.at)}


def file_document(file: PurgeFile) -> dict[str, object]:
    """A file that goes, and what it goes on."""
    return {
        "role": file.role.value,
        "path": file.path,
        "size_bytes": file.size,
        "proof": _proof(file.proof),
        "waiver": _waiver(file.waiver),
    }


def plan_document(plan: PurgePlan) -> dict[str, object]:
    """What a purge would do."""
    return {
        "uuid": plan.asset,
        "path": plan.path,
        "state": plan.state.value,
        "digest": plan.digest,
        "files": [file_document(file) for file in plan.files],
        "bytes_freed": plan.bytes_freed,
        "blocked": plain(plan.blocked),
        "warnings": list(plan.warnings),
    }


def _said(file: PurgeFile) -> Iterable[str]:
    if file.proof is not None:
        proof = file.proof
        yield (
            f"proven: {proof.place} has it as {printable(proof.copy)} "
            f"({proof.digest}, read whole {plain(proof.at)})"
        )
    if file.waiver is not None:
        waiver = file.waiver
        yield f"waived by {waiver.by} {plain(waiver.at)}: {printable(waiver.reason)}"


def print_files(out: Output, files: Iterable[PurgeFile]) -> None:
    """Each file with its size, and what it goes on."""
    for file in files:
        mark = "  " if file.role is PurgeRole.ORIGINAL else "  + "
        out.say(f"{mark}{printable(file.path)} ({size_text(file.size)}, {file.role})")
        for said in _said(file):
            out.say(f"      {said}", "green" if file.proof else "yellow")


def print_plan(out: Output, plan: PurgePlan) -> None:
    """Every file that would go, and why nothing does."""
    print_files(out, plan.files)
    for warning in plan.warnings:
        out.say(f"    {warning}", "yellow")
    for blocked in plan.blocked:
        where = printable(blocked.path or plan.path)
        out.say(f"  stays: {where}: {printable(blocked.message)}", "yellow")


@define
class CheckTold:
    """Says every two seconds how far the check of a copy is; called in the thread that reads."""

    out: Output
    _last: float = field(factory=time.monotonic)

    def __call__(self, reading: Reading) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS or self.out.as_json:
            return
        self._last = now
        what = f"the copy in {reading.place}" if reading.place else "the original"
        done = f"{size_text(reading.read)} of {size_text(reading.size)}"
        self.out.tell(f"  {printable(reading.path)}: reading {what}, {done}")


def certificate_document(certificate: Certificate) -> dict[str, object]:
    """A certificate as data."""
    asset = certificate.asset
    return {
        "uuid": asset.uuid,
        "storage_id": asset.storage_id,
        "path": asset.path,
        "media_type": asset.media_type.value,
        "found_at": plain(asset.created_at),
        "paths": [plain(record) for record in asset.path_history],
        "decisions": [plain(record) for record in asset.decisions],
        "batch_id": certificate.batch_id or None,
        "confirmed_at": plain(certificate.accepted_at),
        "confirmed_digest": certificate.digest,
        "purged_at": plain(certificate.purged_at),
        "purged_by": certificate.by,
        "files": [
            {
                **file_document(gone.file),
                "digest": gone.digest or None,
                "removed_at": plain(gone.removed_at),
            }
            for gone in certificate.files
        ],
        "bytes_freed": certificate.bytes_freed,
        "event": certificate.seq,
    }


def print_certificate(out: Output, certificate: Certificate) -> None:
    """A certificate for a person."""
    asset = certificate.asset
    out.say("Certificate of purge", "bold")
    out.say(f"  asset      {asset.uuid} ({asset.media_type})")
    out.say(f"  storage    {asset.storage_id}")
    for record in asset.path_history:
        out.say(
            f"  was at     {printable(record.path)} until {plain(record.until)} ({record.cause})"
        )
    out.say(f"  last at    {printable(asset.path)}")
    for decision in asset.decisions:
        out.say(f"  decided    {decision.action} {plain(decision.at)}, by {decision.by}")
    if certificate.batch_id:
        out.say(f"  moved by   batch {certificate.batch_id}")
    out.say(f"  confirmed  {plain(certificate.accepted_at)}, as plan {certificate.digest}")
    out.say(f"  purged     {plain(certificate.purged_at)}, by {certificate.by}")
    out.say(f"{len(certificate.files)} files deleted ({size_text(certificate.bytes_freed)}):")
    for gone in certificate.files:
        print_files(out, [gone.file])
        digest = f", {gone.digest}" if gone.digest and not gone.file.proof else ""
        out.say(f"      deleted {plain(gone.removed_at)}{digest}")
    out.say(f"This is event {certificate.seq} of the audit trail.")


def ahead_document(one: Ahead) -> dict[str, object]:
    """A coming purge of the policy as data."""
    return {
        "uuid": one.asset.uuid,
        "path": one.asset.path,
        "rejected_at": plain(one.rejected_at),
        "due_at": plain(one.due_at),
        "blocked": one.blocked or None,
    }
