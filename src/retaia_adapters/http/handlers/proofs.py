"""Proving that other copies stand, which may take long; and a person's word on a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import anyio
from starlette.responses import Response

from retaia_core.domain.fixity import GroupFile
from retaia_core.domain.proof import CopyProof, Evidence, Waiver

from ..call import Call, Handler
from ..under_way import UnderWay
from ..views import View, without_unknown
from ..wire import encode, instant, raw_json

WAIT_S = 20.0
"""How long a request waits for the end of a check; then it is answered how far that is."""


def proof_of(proof: CopyProof) -> View:
    """A proven copy."""
    return {
        "place": proof.place,
        "copy": proof.copy,
        "digest": proof.digest,
        "verified_at": instant(proof.at),
    }


def waiver_of(waiver: Waiver) -> View:
    """A person's word."""
    return {"reason": waiver.reason, "by": waiver.by, "at": instant(waiver.at)}


def _file(file: GroupFile, known: Evidence) -> View:
    return without_unknown(
        {
            "path": file.path,
            "size_bytes": file.size,
            "proof": None if known.proof is None else proof_of(known.proof),
            "waiver": None if known.waiver is None else waiver_of(known.waiver),
            "lacking": known.lacking or None,
            "damaged": bool(known.damaged),
        }
    )


async def _state(call: Call, under_way: UnderWay | None) -> View:
    evidence: Iterable[tuple[GroupFile, Evidence]] = await call.services.proofs.evidence(call.uuid)
    reading = under_way.reading if under_way else None
    return without_unknown(
        {
            "asset_uuid": call.uuid,
            "running": under_way is not None,
            "reading": None
            if reading is None
            else without_unknown(
                {
                    "path": reading.path,
                    "place": reading.place or None,
                    "read_bytes": reading.read,
                    "size_bytes": reading.size,
                }
            ),
            "files": [_file(file, known) for file, known in evidence],
        }
    )


async def get_proof(call: Call) -> object:
    """What counts now for each file, and how far a check is that runs here."""
    return await _state(call, call.serving.checks.get(call.uuid))


async def prove(call: Call) -> Response:
    """Look for other copies now; a check that takes long goes on after the answer."""
    under_way = call.serving.checks.get(call.uuid) or _begin(call)
    with anyio.move_on_after(WAIT_S):
        await under_way.ended.wait()
    if not under_way.ended.is_set():
        return raw_json(encode(await _state(call, under_way)), 202)
    if under_way.problem is not None:
        raise under_way.problem
    return raw_json(encode(await _state(call, None)), 200)


def _begin(call: Call) -> UnderWay:
    """Start a check that any number of requests may wait for."""
    checks, uuid = call.serving.checks, call.uuid
    under_way = checks[uuid] = UnderWay()

    async def run() -> None:
        check = partial(call.services.proofs.check, call.actor, uuid, under_way.tell)
        try:
            # One after another: two that read at once make a disk slower than one.
            await under_way.run(partial(call.serving.one_at_a_time, "copies", check))
        finally:
            checks.pop(uuid)

    call.serving.spawn(f"check of copies of {uuid}", run)
    return under_way


async def waive(call: Call) -> object:
    """Take a person's word that one file may go without a proven copy."""
    await call.services.proofs.waive(call.actor, call.uuid, call.body["path"], call.body["reason"])
    return await _state(call, call.serving.checks.get(call.uuid))


HANDLERS: Mapping[str, Handler] = {
    "getCopyProof": get_proof,
    "proveCopies": prove,
    "waiveCopyProof": waive,
}
