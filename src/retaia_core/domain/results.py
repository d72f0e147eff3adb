"""Results that are known already: a function of source, job type, processor version and parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from .assets import DerivedRef
from .facts import Facts
from .identifiers import AssetId


@frozen(kw_only=True)
class StoredResult:
    """The result of a completed job, under its `result_key`.

    ``version`` names the versions of agent and processors that made it; it is used again only for an
    agent that would make it with the same.
    """

    key: str
    asset: AssetId
    facts: Facts = field(factory=dict)
    derived: tuple[DerivedRef, ...] = ()
    version: str = ""
    warnings: tuple[str, ...] = ()
    created_at: datetime


def result_key(source_digest: str, job_type: str, parameters: Mapping[str, object]) -> str:
    """The key of a result: SHA-256 (hex) over what it is a function of.

    The processor's version is no part of it: a result is kept for the newest version alone, and whoever
    reads the record compares `StoredResult.version`.
    """
    document = [source_digest, job_type, dict(parameters)]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
