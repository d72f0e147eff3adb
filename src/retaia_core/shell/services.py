"""The use cases of one running program, wired once and handed to its transport."""

from __future__ import annotations

from attrs import field, frozen

from ..catalog import Catalog
from ..hooks.manager import Plugins
from ..ports.clock import Clock, Ids
from ..ports.observer import Observer, SilentObserver
from ..ports.security_log import SecurityLog
from ..ports.store import Store
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
from ..usecases.moves import Moves
from ..usecases.operations import Operations
from ..usecases.previews import Previews
from ..usecases.processing import Processing
from ..usecases.proofs import Proofs
from ..usecases.purge_policy import PurgePolicy
from ..usecases.purges import Purges
from ..usecases.recovery import Recovery
from ..usecases.review import Review
from ..usecases.scrubbing import Scrub
from ..usecases.sessions import Sessions
from ..usecases.storages import Storages
from ..usecases.undo import Undo
from ..usecases.uploads import Uploads
from ..usecases.vitals import Vitals
from .people import People
from .security_log import LoggedSecurity


@frozen(kw_only=True)
class Services:
    """What a transport or a command may call."""

    store: Store
    clock: Clock
    ids: Ids
    catalog: Catalog
    plugins: Plugins
    storages: Storages
    discovery: Discovery
    agents: Agents
    processing: Processing
    uploads: Uploads
    review: Review
    annotations: Annotations
    attachments: Attachments
    bulk_decisions: BulkDecisions
    previews: Previews
    moves: Moves
    undo: Undo
    recovery: Recovery
    purges: Purges
    proofs: Proofs
    purge_policy: PurgePolicy
    certificates: Certificates
    fixity: Verification
    scrub: Scrub
    operations: Operations
    history: History
    features: Features
    sessions: Sessions
    people: People
    clients: Clients
    devices: Devices
    security: SecurityLog = field(factory=LoggedSecurity)
    observer: Observer = field(factory=SilentObserver)
    vitals: Vitals = field(factory=Vitals)
