"""What is known of the content of an asset's files: digests, and when they were verified."""

from __future__ import annotations

from collections.abc import Mapping

from retaia_core.domain.fixity import FileFixity
from retaia_core.usecases.fixity import FixityReport

from ..call import Call, Handler
from ..views import View, without_unknown
from ..wire import instant


def _file(file: FileFixity) -> View:
    return without_unknown(
        {
            "role": file.role,
            "path": file.path,
            "size_bytes": file.size,
            "mtime_ns": file.mtime_ns,
            "digest": file.digest,
            "taken_at": instant(file.taken_at),
            "taken_by": file.taken_by,
            "verified_at": None if file.verified_at is None else instant(file.verified_at),
            "checked_at": instant(file.checked_at),
            "outcome": file.outcome,
            "found": file.found,
            "problem": file.problem or None,
        }
    )


def _report(report: FixityReport) -> View:
    return {
        "asset_uuid": report.asset.uuid,
        "files": [_file(file) for file in report.fixity.files] if report.fixity else [],
        "unknown": [file.path for file in report.unknown],
    }


async def get_fixity(call: Call) -> object:
    """The digests of an asset's files."""
    return _report(await call.services.fixity.of(call.uuid))


HANDLERS: Mapping[str, Handler] = {"getAssetFixity": get_fixity}
