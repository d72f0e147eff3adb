"""The catalogue: every table that plugins can add rows to, checked as a whole and then frozen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from attrs import evolve, field, frozen

from .domain.derived import DERIVED_KINDS, DerivedKind
from .domain.identifiers import ProfileName, parse_capability, parse_name
from .domain.job_types import JOB_TYPES, JobType
from .domain.media import MEDIA_FORMATS, MediaFormat, MediaType
from .domain.profiles import PROFILES, Profile, check_profile
from .domain.sidecars import BY_PERSON, SIDECAR_RULES, SidecarRule, sidecar_extensions
from .errors import PluginError, SettingsError, ValidationFailed

Row = TypeVar("Row")


@frozen(kw_only=True)
class Catalog:
    """What this installation knows. Built once, at start, by `build_catalog`."""

    formats: Mapping[str, MediaFormat]
    job_types: Mapping[str, JobType]
    profiles: Mapping[str, Profile]
    derived_kinds: Mapping[str, DerivedKind]
    sidecar_rules: tuple[SidecarRule, ...] = ()
    sidecar_extensions: frozenset[str] = field(factory=frozenset)
    media_types: Mapping[str, MediaType] = field(factory=dict)
    default_profiles: Mapping[MediaType, ProfileName] = field(factory=dict)


def _index(rows: Iterable[Row], key: Callable[[Row], str], what: str) -> dict[str, Row]:
    table: dict[str, Row] = {}
    for row in rows:
        name = key(row)
        if name in table and table[name] != row:
            raise PluginError(f"two plugins define the {what} {name!r}; one of them must go")
        table[name] = row
    return table


def _check(catalog: Catalog) -> Catalog:
    try:
        for job_type in catalog.job_types.values():
            parse_name(job_type.name, "job type")
            for capability in job_type.capabilities.values():
                parse_capability(capability)
            for kind in (kind for kinds in job_type.outputs.values() for kind in kinds):
                if kind not in catalog.derived_kinds:
                    raise ValidationFailed(f"{job_type.name} makes {kind!r}, an unknown kind")
        for profile in catalog.profiles.values():
            check_profile(profile, catalog.job_types)
    except ValidationFailed as error:
        raise PluginError(f"the installed plugins do not fit together: {error}") from error
    return evolve(catalog, default_profiles=_defaults(catalog.profiles.values()))


def _defaults(profiles: Collection[Profile]) -> Mapping[MediaType, ProfileName]:
    """The profile that discovery gives, by media type."""
    table: dict[MediaType, ProfileName] = {}
    for media_type in MediaType:
        names = [p.name for p in profiles if p.media_type is media_type and p.default]
        if len(names) != 1:
            raise PluginError(f"{media_type} needs one default profile, not {names}")
        table[media_type] = names[0]
    return table


def with_profiles(catalog: Catalog, names: Iterable[str]) -> Catalog:
    """The tables, where discovery gives these profiles instead of the usual ones of their media types.

    Raises:
        SettingsError: there is no such profile, or two are of one media type.
    """
    chosen: dict[MediaType, ProfileName] = {}
    for name in names:
        profile = catalog.profiles.get(name)
        if profile is None:
            allowed = ", ".join(catalog.profiles)
            raise SettingsError(f"[processing] profiles: {name!r} is none; allowed: {allowed}")
        if profile.media_type in chosen:
            both = f"{chosen[profile.media_type]} and {name}"
            raise SettingsError(f"[processing] profiles: {both} are both for {profile.media_type}")
        chosen[profile.media_type] = profile.name
    return evolve(catalog, default_profiles={**catalog.default_profiles, **chosen})


def build_catalog(
    *,
    formats: Iterable[MediaFormat] = (),
    job_types: Iterable[JobType] = (),
    profiles: Iterable[Profile] = (),
    derived_kinds: Iterable[DerivedKind] = (),
    sidecar_rules: Iterable[SidecarRule] = (),
) -> Catalog:
    """Put the rows of all plugins together.

    Raises:
        PluginError: two rows of one name differ, or a row names something that nobody defines.
    """
    format_table = _index(formats, lambda row: row.extension, "media format")
    rules = tuple(_index(sidecar_rules, lambda row: row.name, "sidecar rule").values())
    if any(rule.name == BY_PERSON for rule in rules):
        raise PluginError(f"no sidecar rule may be named {BY_PERSON!r}: that is a person's word")
    return _check(
        Catalog(
            formats=format_table,
            job_types=_index(job_types, lambda row: row.name, "job type"),
            profiles=_index(profiles, lambda row: row.name, "profile"),
            derived_kinds=_index(derived_kinds, lambda row: row.name, "derived kind"),
            sidecar_rules=rules,
            sidecar_extensions=sidecar_extensions(rules),
            media_types={name: row.media_type for name, row in format_table.items()},
        )
    )


def builtin_catalog() -> Catalog:
    """The catalogue without any plugin but our own."""
    return build_catalog(
        formats=MEDIA_FORMATS,
        job_types=JOB_TYPES,
        profiles=PROFILES,
        derived_kinds=DERIVED_KINDS,
        sidecar_rules=SIDECAR_RULES,
    )
