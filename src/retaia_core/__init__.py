"""Retaia's core: the rules of a footage archive as a library.

>>> from retaia_core import MEDIA_FORMATS, media_type_of, table_of
>>> media_type_of("day 1/A001.MOV", table_of(MEDIA_FORMATS)).value
'VIDEO'

Importing this package loads no database, no network and no media library, and next to nothing of itself:
a name is loaded with its module when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .catalog import Catalog, build_catalog, builtin_catalog
    from .domain.actors import SYSTEM, Actor, ActorKind
    from .domain.assets import (
        Asset,
        AttachedSidecar,
        DerivedRef,
        Flag,
        decided,
        reopened,
        reprocessed,
    )
    from .domain.derived import DERIVED_KINDS, DerivedKind
    from .domain.discovery import Arrival, Changes, SeenFile, reconcile
    from .domain.facts import FACTS, Facts, parse_facts
    from .domain.identifiers import (
        AssetId,
        Capability,
        RelPath,
        StorageId,
        Subject,
        parse_asset_id,
        parse_capability,
        parse_rel_path,
        parse_storage_id,
    )
    from .domain.job_types import JOB_TYPES, JobType, Parameter
    from .domain.jobs import Job, JobStatus
    from .domain.leases import Lock, LockKind, acquire, check, release
    from .domain.lifecycle import (
        TRANSITIONS,
        Action,
        Standing,
        State,
        Verdict,
        allowed_actions,
        transition,
    )
    from .domain.media import MEDIA_FORMATS, MediaFormat, MediaType, media_type_of, table_of
    from .domain.moves import MovePlan, PlannedMove, World, plan_moves
    from .domain.naming import nonce
    from .domain.profiles import PROFILES, Profile
    from .domain.purge import PurgePlan, PurgeWorld, plan_purge
    from .domain.scheduling import advance
    from .domain.sidecars import SIDECAR_RULES, Parent, SidecarRule, attach
    from .domain.storage import Layout, Marker, Storage, parse_marker, render_marker
    from .domain.undo import UndoWorld, plan_undo
    from .domain.why import Explanation, explain_asset
    from .errors import RetaiaError
    from .hooks import hookimpl, load_plugins

__version__ = "0.1.0"

__all__ = [
    "DERIVED_KINDS",
    "FACTS",
    "JOB_TYPES",
    "MEDIA_FORMATS",
    "PROFILES",
    "SIDECAR_RULES",
    "SYSTEM",
    "TRANSITIONS",
    "Action",
    "Actor",
    "ActorKind",
    "Arrival",
    "Asset",
    "AssetId",
    "AttachedSidecar",
    "Capability",
    "Catalog",
    "Changes",
    "DerivedKind",
    "DerivedRef",
    "Explanation",
    "Facts",
    "Flag",
    "Job",
    "JobStatus",
    "JobType",
    "Layout",
    "Lock",
    "LockKind",
    "Marker",
    "MediaFormat",
    "MediaType",
    "MovePlan",
    "Parameter",
    "Parent",
    "PlannedMove",
    "Profile",
    "PurgePlan",
    "PurgeWorld",
    "RelPath",
    "RetaiaError",
    "SeenFile",
    "SidecarRule",
    "Standing",
    "State",
    "Storage",
    "StorageId",
    "Subject",
    "UndoWorld",
    "Verdict",
    "World",
    "acquire",
    "advance",
    "allowed_actions",
    "attach",
    "build_catalog",
    "builtin_catalog",
    "check",
    "decided",
    "explain_asset",
    "hookimpl",
    "load_plugins",
    "media_type_of",
    "nonce",
    "parse_asset_id",
    "parse_capability",
    "parse_facts",
    "parse_marker",
    "parse_rel_path",
    "parse_storage_id",
    "plan_moves",
    "plan_purge",
    "plan_undo",
    "reconcile",
    "release",
    "render_marker",
    "reopened",
    "reprocessed",
    "table_of",
    "transition",
]

_HOMES = {
    "catalog": "Catalog build_catalog builtin_catalog",
    "domain.actors": "SYSTEM Actor ActorKind",
    "domain.assets": "Asset AttachedSidecar DerivedRef Flag decided reopened reprocessed",
    "domain.derived": "DERIVED_KINDS DerivedKind",
    "domain.discovery": "Arrival Changes SeenFile reconcile",
    "domain.facts": "FACTS Facts parse_facts",
    "domain.identifiers": (
        "AssetId Capability RelPath StorageId Subject "
        "parse_asset_id parse_capability parse_rel_path parse_storage_id"
    ),
    "domain.job_types": "JOB_TYPES JobType Parameter",
    "domain.jobs": "Job JobStatus",
    "domain.leases": "Lock LockKind acquire check release",
    "domain.lifecycle": "TRANSITIONS Action Standing State Verdict allowed_actions transition",
    "domain.media": "MEDIA_FORMATS MediaFormat MediaType media_type_of table_of",
    "domain.moves": "MovePlan PlannedMove World plan_moves",
    "domain.naming": "nonce",
    "domain.profiles": "PROFILES Profile",
    "domain.purge": "PurgePlan PurgeWorld plan_purge",
    "domain.scheduling": "advance",
    "domain.sidecars": "SIDECAR_RULES Parent SidecarRule attach",
    "domain.storage": "Layout Marker Storage parse_marker render_marker",
    "domain.undo": "UndoWorld plan_undo",
    "domain.why": "Explanation explain_asset",
    "errors": "RetaiaError",
    "hooks": "hookimpl load_plugins",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Load a public name from where it lives (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
