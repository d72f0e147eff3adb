"""Our own rows of the tables, registered like anybody else's."""

from __future__ import annotations

from collections.abc import Iterable

from .domain.derived import DERIVED_KINDS, DerivedKind
from .domain.job_types import JOB_TYPES, JobType
from .domain.media import MEDIA_FORMATS, MediaFormat
from .domain.profiles import PROFILES, Profile
from .domain.sidecars import SIDECAR_RULES, SidecarRule
from .hooks.markers import hookimpl


@hookimpl
def retaia_media_formats() -> Iterable[MediaFormat]:
    return MEDIA_FORMATS


@hookimpl
def retaia_job_types() -> Iterable[JobType]:
    return JOB_TYPES


@hookimpl
def retaia_profiles() -> Iterable[Profile]:
    return PROFILES


@hookimpl
def retaia_derived_kinds() -> Iterable[DerivedKind]:
    return DERIVED_KINDS


@hookimpl
def retaia_sidecar_rules() -> Iterable[SidecarRule]:
    return SIDECAR_RULES
