"""The hook specifications: everything a plugin may implement, in one typed file.

A hook registers; the work is a class on a port. Every hook takes nothing and returns an iterable; a
plugin implements those it needs. A function named like a hook that is none is an error at start.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..domain.derived import DerivedKind
from ..domain.job_types import JobType
from ..domain.media import MediaFormat
from ..domain.profiles import Profile
from ..domain.sidecars import SidecarRule
from ..ports.processor import Processor
from .lifecycle import LifecycleHook
from .markers import hookspec
from .roles import Command, Page, Provider, Route


@hookspec
def retaia_media_formats() -> Iterable[MediaFormat]:  # type: ignore[empty-body]
    """File extensions and the media type that they hold."""


@hookspec
def retaia_job_types() -> Iterable[JobType]:  # type: ignore[empty-body]
    """Job types, with the capability that each needs and the outputs that it may write."""


@hookspec
def retaia_profiles() -> Iterable[Profile]:  # type: ignore[empty-body]
    """Processing profiles."""


@hookspec
def retaia_derived_kinds() -> Iterable[DerivedKind]:  # type: ignore[empty-body]
    """Derived kinds, with the checks that every upload of them must pass."""


@hookspec
def retaia_sidecar_rules() -> Iterable[SidecarRule]:  # type: ignore[empty-body]
    """Rules that attach sidecars to media files."""


@hookspec
def retaia_processors() -> Iterable[Processor]:  # type: ignore[empty-body]
    """Processors: what an agent with this plugin can do."""


@hookspec
def retaia_lifecycle_hooks() -> Iterable[LifecycleHook]:  # type: ignore[empty-body]
    """Hooks at the two points of the lifecycle."""


@hookspec
def retaia_providers() -> Iterable[Provider]:  # type: ignore[empty-body]
    """Candidates for the exclusive roles (store, originals, derived, server, transport, …)."""


@hookspec
def retaia_routes() -> Iterable[Route]:  # type: ignore[empty-body]
    """Extra API routes, below ``/api/v1/x/``."""


@hookspec
def retaia_pages() -> Iterable[Page]:  # type: ignore[empty-body]
    """Pages for a browser, beside the API."""


@hookspec
def retaia_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Extra sub-commands of ``retaia``."""
