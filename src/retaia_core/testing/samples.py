"""Plain domain values to build tests on: each function takes what matters and fills in the rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ..domain.accounts import Account, AccountId, Email
from ..domain.actors import ActorKind
from ..domain.agents import AgentRecord
from ..domain.assets import Asset, AttachedSidecar, DerivedRef
from ..domain.clients import Client, ClientKind, DeviceGrant
from ..domain.fixity import FileFixity, Fixity
from ..domain.identifiers import (
    AgentId,
    AssetId,
    BatchId,
    Capability,
    JobId,
    ProfileName,
    RelPath,
    StorageId,
    Subject,
    asset_subject,
)
from ..domain.jobs import Job
from ..domain.journal import Event, JournalEntry, Phase
from ..domain.leases import Lock, LockKind
from ..domain.lifecycle import Verdict
from ..domain.media import MediaType
from ..domain.moves import Batch, BatchStatus, MoveResult, Outcome, PlannedFile, PlannedMove
from ..domain.scans import FolderRecord, UnmatchedSidecar
from ..domain.sessions import SCOPES, OneTime, Purpose, Session, digest_of
from ..domain.storage import Layout, Storage
from ..domain.throttling import Throttle
from ..domain.uploads import Upload
from .clock import START

NAS = StorageId("nas")
FACTS = Capability("media.facts@1")
PROXY = Capability("media.proxies.video@1")
ALICE = AgentId("agent-alice")
BOB = AgentId("agent-bob")
LATE = timedelta(seconds=120)
"""How long the leases of these samples last."""

_PROFILES = {
    MediaType.VIDEO: ProfileName("video_standard"),
    MediaType.AUDIO: ProfileName("audio_music"),
    MediaType.PHOTO: ProfileName("photo_standard"),
}


def number(prefix: int, n: int) -> str:
    """A canonical UUID that shows two numbers and sorts by them.

    >>> number(1, 2)
    '00000001-0000-7000-8000-000000000002'
    """
    return f"{prefix:08x}-0000-7000-8000-{n:012x}"


def asset_id(n: int = 1) -> AssetId:
    """The n-th asset's UUID."""
    return AssetId(number(0xA, n))


def job_id(n: int = 1) -> JobId:
    """The n-th job's id."""
    return JobId(number(0xB, n))


def after(seconds: float) -> datetime:
    """A time this long after the samples' present, `START`."""
    return START + timedelta(seconds=seconds)


def storage(storage_id: str = NAS, **changes: Any) -> Storage:
    """An adopted storage that is online."""
    values: dict[str, Any] = {
        "storage_id": StorageId(storage_id),
        "root": "/mnt/nas",
        "layout": Layout(),
        "adopted_at": START,
        "adopted_by": "person:ada",
    }
    return Storage(**values | changes)


def asset(n: int = 1, **changes: Any) -> Asset:
    """The n-th asset: a video in the inbox that was just discovered."""
    values: dict[str, Any] = {
        "uuid": asset_id(n),
        "storage_id": NAS,
        "path": RelPath(f"INBOX/A{n:03}.mov"),
        "media_type": MediaType.VIDEO,
        "size": 1000 + n,
        "mtime_ns": 1_700_000_000_000_000_000 + n,
        "created_at": START,
        "updated_at": START,
    }
    values |= changes
    values.setdefault("profile", _PROFILES[values["media_type"]])
    return Asset(**values)


def sidecar(path: str, **changes: Any) -> AttachedSidecar:
    """A sidecar that is attached to an asset."""
    values: dict[str, Any] = {
        "path": RelPath(path),
        "rule": "photo_xmp",
        "size": 10,
        "mtime_ns": 1_700_000_000_000_000_000,
    }
    return AttachedSidecar(**values | changes)


def file_fixity(**changes: Any) -> FileFixity:
    """The record of an original whose first digest was taken."""
    values: dict[str, Any] = {
        "role": "original",
        "path": RelPath("INBOX/A001.mov"),
        "size": 1001,
        "mtime_ns": 1_700_000_000_000_000_001,
        "digest": "sha256:" + "0" * 64,
        "taken_at": START,
        "taken_by": "agent:agent-alice",
        "checked_at": START,
        "verified_at": START,
    }
    return FileFixity(**values | changes)


def fixity(n: int = 1, *, at: float = 0, files: tuple[FileFixity, ...] | None = None) -> Fixity:
    """The records of the n-th asset, looked at so many seconds after `START`."""
    made = (file_fixity(checked_at=after(at)),) if files is None else files
    return Fixity(asset=asset_id(n), checked_at=after(at), files=made)


def derived(kind: str = "proxy_video", index: int = 0, **changes: Any) -> DerivedRef:
    """A published derived file."""
    values: dict[str, Any] = {
        "kind": kind,
        "index": index,
        "ref": f"{kind}/{index}",
        "content_type": "video/mp4",
        "size_bytes": 2**40,
        "sha256": "0" * 64,
        "job_id": job_id(),
        "made_by": "media 1",
    }
    return DerivedRef(**values | changes)


def job(n: int = 1, of: int = 1, **changes: Any) -> Job:
    """The n-th job, of the asset numbered ``of``: created n seconds after `START`."""
    values: dict[str, Any] = {
        "job_id": job_id(n),
        "job_type": "extract_facts",
        "subject": asset_subject(asset_id(of)),
        "capabilities": frozenset({FACTS}),
        "created_at": after(n),
        "updated_at": after(n),
    }
    return Job(**values | changes)


def lock(of: int = 1, **changes: Any) -> Lock:
    """A job lease of an asset, held by Alice for two minutes."""
    values: dict[str, Any] = {
        "subject": asset_subject(asset_id(of)),
        "kind": LockKind.JOB_LEASE,
        "holder": ALICE,
        "token": f"token-{of}",
        "fencing": 1,
        "expires_at": START + LATE,
    }
    return Lock(**values | changes)


def agent(agent_id: str = ALICE, **changes: Any) -> AgentRecord:
    """A registered agent."""
    values: dict[str, Any] = {
        "agent_id": AgentId(agent_id),
        "name": "workstation",
        "version": "1.0",
        "platform": "linux",
        "client_id": "client-1",
        "capabilities": frozenset({FACTS, PROXY}),
        "registered_at": START,
        "last_seen_at": START,
    }
    return AgentRecord(**values | changes)


def upload(n: int = 1, **changes: Any) -> Upload:
    """The n-th upload: a thumbnail that was announced n seconds after `START`."""
    values: dict[str, Any] = {
        "upload_id": number(0xC, n),
        "asset": asset_id(),
        "kind": "thumb",
        "content_type": "image/jpeg",
        "size_bytes": 5000,
        "created_at": after(n),
        "created_by": f"agent:{ALICE}",
    }
    return Upload(**values | changes)


def move(n: int = 1, **changes: Any) -> PlannedMove:
    """The planned move of the n-th asset to the archive."""
    a = asset(n)
    file = PlannedFile(
        source=a.path,
        target=RelPath(f"ARCHIVE/{a.name}"),
        size=a.size,
        mtime_ns=a.mtime_ns,
        role="original",
    )
    values: dict[str, Any] = {
        "asset": a.uuid,
        "storage_id": NAS,
        "verdict": Verdict.KEEP,
        "files": (file,),
    }
    return PlannedMove(**values | changes)


def batch(n: int = 1, moves: int = 2, **changes: Any) -> Batch:
    """The n-th batch, created n seconds after `START`: its moves are all pending."""
    planned = (move(i) for i in range(1, moves + 1))
    values: dict[str, Any] = {
        "batch_id": BatchId(number(0xD, n)),
        "status": BatchStatus.QUEUED,
        "digest": "d" * 64,
        "created_at": after(n),
        "created_by": "person:ada",
        "results": tuple(
            MoveResult(asset=m.asset, outcome=Outcome.PENDING, move=m) for m in planned
        ),
    }
    return Batch(**values | changes)


def event(name: str = "asset_discovered", of: int = 1, **changes: Any) -> Event:
    """An event about an asset."""
    values: dict[str, Any] = {
        "subject": asset_subject(asset_id(of)),
        "name": name,
        "actor": "system:retaia",
        "at": START,
    }
    return Event(**values | changes)


def journal_entry(phase: Phase = Phase.INTENT, of: int = 1, **changes: Any) -> JournalEntry:
    """A line of the journal about the move of an asset."""
    values: dict[str, Any] = {
        "operation": "move",
        "phase": phase,
        "subject": asset_subject(asset_id(of)),
        "storage_id": NAS,
        "source": RelPath(f"INBOX/A{of:03}.mov"),
        "target": RelPath(f"ARCHIVE/A{of:03}.mov"),
        "at": START,
    }
    return JournalEntry(**values | changes)


def folder(name: str = "INBOX", **changes: Any) -> FolderRecord:
    """What a scan remembers of a folder."""
    values: dict[str, Any] = {
        "storage_id": NAS,
        "folder": name,
        "digest": "f" * 64,
        "settled": True,
        "files": 1,
    }
    return FolderRecord(**values | changes)


def unmatched(path: str, **changes: Any) -> UnmatchedSidecar:
    """A sidecar that is attached to nothing."""
    values: dict[str, Any] = {
        "storage_id": NAS,
        "path": path,
        "rule": "photo_xmp",
        "reason": "missing_parent",
    }
    return UnmatchedSidecar(**values | changes)


def plugin_subject(n: int = 1) -> Subject:
    """The subject that a plugin brings, which is no asset."""
    return Subject(kind="link", id=f"link-{n}")


def account_id(n: int = 1) -> AccountId:
    """The n-th account's id."""
    return AccountId(number(0xE, n))


def account(n: int = 1, **changes: Any) -> Account:
    """The n-th account: a person whose address is proven."""
    values: dict[str, Any] = {
        "account_id": account_id(n),
        "email": Email(f"person{n}@example.org"),
        "created_at": START,
        "password": "hashed",
        "email_verified": True,
    }
    return Account(**values | changes)


def client(n: int = 1, **changes: Any) -> Client:
    """The n-th technical client: an agent's."""
    values: dict[str, Any] = {
        "client_id": f"client-{n}",
        "kind": ClientKind.AGENT,
        "label": "workstation",
        "secret": digest_of(f"secret {n}"),
        "created_at": START,
        "created_by": "person:ada",
    }
    return Client(**values | changes)


def grant(n: int = 1, **changes: Any) -> DeviceGrant:
    """The n-th run of the device flow, which waits for a person."""
    values: dict[str, Any] = {
        "digest": digest_of(f"device code {n}"),
        "user_code": f"BCDF-{n:04}",
        "kind": ClientKind.AGENT,
        "label": "workstation",
        "created_at": START,
        "expires_at": after(600),
    }
    return DeviceGrant(**values | changes)


def session(n: int = 1, client_id: str = "web", **changes: Any) -> Session:
    """The live token of the n-th account on one client; it lasts a minute, its refresh token ten."""
    values: dict[str, Any] = {
        "principal_id": account_id(n),
        "client_id": client_id,
        "client_kind": ClientKind.UI_WEB,
        "jti": f"jti {n} {client_id}",
        "scope": SCOPES[ActorKind.PERSON],
        "issued_at": START,
        "expires_at": after(60),
        "refresh": digest_of(f"refresh {n} {client_id}"),
        "refresh_expires_at": after(600),
    }
    return Session(**values | changes)


def one_time(n: int = 1, **changes: Any) -> OneTime:
    """The n-th one-use token: a sign-in link that lasts a minute."""
    values: dict[str, Any] = {
        "digest": digest_of(f"link {n}"),
        "purpose": Purpose.SIGN_IN,
        "principal_id": account_id(n),
        "expires_at": after(60),
    }
    return OneTime(**values | changes)


def throttle(key: str = "login:1", **changes: Any) -> Throttle:
    """Failures in a row under a key."""
    values: dict[str, Any] = {"key": key, "failures": 3, "last_at": START}
    return Throttle(**values | changes)
