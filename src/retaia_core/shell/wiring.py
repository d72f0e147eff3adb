"""The one place where a program is put together from settings and plugins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from typing import cast

from attrs import asdict, evolve

from ..catalog import Catalog, with_profiles
from ..domain.custom_fields import declared
from ..domain.features import server_flags
from ..domain.identifiers import StorageId
from ..domain.job_types import FINGERPRINT, Parameter
from ..domain.sidecars import LEGACY_VIDEO
from ..domain.storage import Storage
from ..hooks.manager import Plugins, load_plugins
from ..hooks.roles import Role
from ..ports.copies import Copies, OpenCopies
from ..ports.derived_storage import DerivedStorage
from ..ports.notifier import Notifier
from ..ports.observer import Observer
from ..ports.originals import OriginalsDriver
from ..ports.secrets import Secrets
from ..ports.store import Store
from ..settings import Settings
from ..usecases.agents import Agents
from ..usecases.annotations import Annotations
from ..usecases.attachments import Attachments
from ..usecases.bulk_decisions import BulkDecisions
from ..usecases.certificates import Certificates
from ..usecases.clients import Clients
from ..usecases.devices import Devices
from ..usecases.discovery import Discovery
from ..usecases.features import Features
from ..usecases.fixity import Verification
from ..usecases.history import History
from ..usecases.lifecycle_hooks import HookRunner
from ..usecases.looking import Looking
from ..usecases.moves import Moves
from ..usecases.operations import Operations
from ..usecases.previews import Previews
from ..usecases.processing import Processing
from ..usecases.proofs import Proofs
from ..usecases.purge_policy import PurgePolicy
from ..usecases.purges import Purges
from ..usecases.recovery import Recovery
from ..usecases.review import Review
from ..usecases.scan_tally import ScanOptions
from ..usecases.scrubbing import Scrub
from ..usecases.sessions import Sessions
from ..usecases.storages import Storages
from ..usecases.undo import Undo
from ..usecases.uploads import Uploads
from .clock import RandomIds, SystemClock
from .observed_store import ObservedStore
from .people import people_of
from .security_log import LoggedSecurity
from .services import Services


def _derived_opener(
    plugins: Plugins, settings: Settings, storages: Storages
) -> Callable[[Storage], DerivedStorage]:
    factory = plugins.provider(Role.DERIVED, settings.storage.derived).factory

    @cache
    def at(root: str, storage_id: StorageId) -> DerivedStorage:
        return cast("DerivedStorage", factory(root, storage_id))

    if settings.storage.derived != settings.storage.originals:
        # Their trouble is not the storage's.
        return lambda storage: at(storage.root, storage.storage_id)
    return lambda storage: storages.watch(storage, at(storage.root, storage.storage_id))


def _copies_opener(plugins: Plugins, settings: Settings) -> OpenCopies:
    factory = plugins.provider(Role.COPIES, settings.purge.provider).factory
    return lambda storage: cast("Copies", factory(storage.root, settings.purge.copies))


def _notifier(plugins: Plugins, settings: Settings) -> Notifier:
    """The way messages go, with all options of the settings as texts."""
    options = {key: str(value) for key, value in asdict(settings.notify).items()}
    options["folder"] = options["folder"] or str(settings.data_dir / "messages")
    provider = plugins.provider(Role.NOTIFIER, options.pop("provider"))
    return cast("Notifier", provider.factory(**options))


def _switched_on(settings: Settings) -> frozenset[str]:
    """The job types that are asked for once an asset is prepared."""
    digests = {FINGERPRINT} if settings.fixity.fingerprint else set()
    return frozenset(settings.processing.enabled) | digests


def _paced(catalog: Catalog, settings: Settings) -> Catalog:
    """The tables, with the settings' pace as that of the jobs that read whole files."""
    row = catalog.job_types[FINGERPRINT]
    pace = Parameter(type=int, default=settings.fixity.bytes_per_second)
    paced = evolve(row, parameters={**row.parameters, "bytes_per_second": pace})
    return evolve(catalog, job_types={**catalog.job_types, FINGERPRINT: paced})


def wire(settings: Settings, plugins: Plugins, store: Store) -> Services:
    """Build every use case over one store.

    Raises:
        PluginError: a provider that the settings name is not installed, or tables contradict.
    """
    clock, ids = SystemClock(), RandomIds()
    catalog = with_profiles(_paced(plugins.catalog(), settings), settings.processing.profiles)
    provider = plugins.provider(Role.ORIGINALS, settings.storage.originals)
    driver = cast("OriginalsDriver", provider.factory())
    agents = Agents(store=store, clock=clock, ids=ids, catalog=catalog)
    storages = Storages(
        store=store,
        clock=clock,
        ids=ids,
        driver=driver,
        catalog=catalog,
        looking=Looking(
            answer_within=settings.storage.answer_within, reserve=settings.storage.reserve * 2**20
        ),
    )
    open_derived = _derived_opener(plugins, settings, storages)
    hooks = HookRunner(
        store=store,
        clock=clock,
        hooks=plugins.lifecycle_hooks(),
        blocking=frozenset(settings.processing.blocking_hooks),
    )
    security = LoggedSecurity()
    secrets = cast(
        "Secrets", plugins.provider(Role.AUTHENTICATOR, settings.server.authenticator).factory()
    )
    sessions = Sessions(store=store, clock=clock, ids=ids, secrets=secrets)
    flags = server_flags(settings.features.enabled, settings.processing.enabled)
    people = people_of(
        store=store,
        clock=clock,
        ids=ids,
        secrets=secrets,
        sessions=sessions,
        security=security,
        notifier=_notifier(plugins, settings),
    )
    copies = _copies_opener(plugins, settings)
    purges = Purges(
        store=store,
        clock=clock,
        ids=ids,
        storages=storages,
        open_derived=open_derived,
        copies=copies,
        require_proof=settings.purge.require_proof == "copy",
        policy=settings.purge.policy == "on",
    )
    proofs = Proofs(
        store=store,
        clock=clock,
        storages=storages,
        copies=copies,
        places=tuple(settings.purge.copies),
    )
    fields = declared(settings.fields.types, settings.fields.labels)
    moves = Moves(store=store, clock=clock, ids=ids, storages=storages)
    fixity = Verification(store=store, clock=clock, storages=storages)
    return Services(
        store=store,
        clock=clock,
        ids=ids,
        catalog=catalog,
        plugins=plugins,
        storages=storages,
        discovery=Discovery(store=store, clock=clock, ids=ids, catalog=catalog, storages=storages),
        agents=agents,
        processing=Processing(
            store=store,
            clock=clock,
            ids=ids,
            catalog=catalog,
            agents=agents,
            open_derived=open_derived,
            hooks=hooks,
            switched_on=_switched_on(settings),
        ),
        uploads=Uploads(
            store=store, clock=clock, ids=ids, catalog=catalog, open_derived=open_derived
        ),
        review=Review(store=store, clock=clock, ids=ids, catalog=catalog, fields=fields),
        annotations=Annotations(store=store, clock=clock, fields=fields),
        attachments=Attachments(store=store, clock=clock, catalog=catalog, storages=storages),
        bulk_decisions=BulkDecisions(store=store, clock=clock, ids=ids),
        previews=Previews(store=store, clock=clock),
        moves=moves,
        undo=Undo(moves=moves),
        recovery=Recovery(moves=moves),
        purges=purges,
        proofs=proofs,
        purge_policy=PurgePolicy(
            store=store,
            clock=clock,
            purges=purges,
            proofs=proofs,
            on=settings.purge.policy == "on",
            after_days=settings.purge.after_days,
        ),
        certificates=Certificates(store=store),
        fixity=fixity,
        scrub=Scrub(
            verification=fixity,
            after_days=settings.fixity.scrub_after_days,
            bytes_per_day=settings.fixity.scrub_bytes_per_day,
            bytes_per_second=settings.fixity.bytes_per_second,
        ),
        operations=Operations(store=store, clock=clock),
        history=History(store=store, clock=clock),
        features=Features(store=store, clock=clock, ids=ids, server=flags),
        sessions=sessions,
        people=people,
        clients=Clients(
            store=store,
            clock=clock,
            ids=ids,
            sessions=sessions,
            security=security,
            flags=flags,
        ),
        devices=Devices(
            store=store,
            clock=clock,
            ids=ids,
            security=security,
            factor=people.second_factors,
            flags=flags,
        ),
        security=security,
    )


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    server: bool = False,
    plugins: Plugins | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Services]:
    """Open the store that settings name, prepare it, and yield the services over it.

    ``server`` claims a SQLite database for this process alone, as the program that serves it must;
    ``observer`` is told of its transactions, scans and requests.

    Raises:
        PluginError, StoreError, StoreUnavailable: with what to do.
    """
    host = plugins or load_plugins(disabled=settings.plugins.disabled)
    provider = host.provider(Role.STORE, settings.store.provider)
    store = cast("Store", provider.factory(settings.store_url, server=server))
    if observer is not None:
        store = ObservedStore(store, observer)
    await store.prepare()
    try:
        services = wire(settings, host, store)
        yield services if observer is None else evolve(services, observer=observer)
    finally:
        await store.close()


def scan_options(settings: Settings) -> ScanOptions:
    """How scans judge, as settings say."""
    legacy = {LEGACY_VIDEO} if settings.scan.video_legacy_sidecars else set()
    return ScanOptions(
        quiet=timedelta(seconds=settings.scan.quiet_period), policies=frozenset(legacy)
    )
