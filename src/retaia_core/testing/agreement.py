"""One random program, several stores, one answer.

`StoreAgreement` is a Hypothesis state machine that does the same to every store it is given and compares
what they say, errors included; after each step it compares all that they keep::

    TestStores = store_agreement({"memory": open_memory, "mine": open_mine})

``RETAIA_AGREEMENT_EXAMPLES`` (10 where it is not set) says how many programs are tried, and
``RETAIA_AGREEMENT_STEPS`` (25) how long each may be.
"""

from __future__ import annotations

import os
import unittest
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from anyio.from_thread import start_blocking_portal
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ..domain.accounts import Email
from ..domain.assets import Asset, Flag, Suggestion, Transcript
from ..domain.fixity import Outcome as ContentOutcome
from ..domain.history import Place
from ..domain.identifiers import AgentId, AssetId, JobId, RelPath, StorageId
from ..domain.jobs import Job, JobProgress, JobStatus
from ..domain.leases import LockKind, acquire, release
from ..domain.lifecycle import State
from ..domain.media import MediaType
from ..domain.moves import BatchStatus, Outcome
from ..domain.query import AssetPage, AssetQuery, Box, Position, TagsMode
from ..domain.seals import Unsealed, digest_of, row_digest, sealed
from ..domain.throttling import failed
from ..errors import RetaiaError, StateConflict, ValidationFailed
from ..ports.store import (
    Claim,
    ClaimableQuery,
    Claimed,
    Completion,
    Replay,
    Transaction,
    Work,
)
from . import samples, strategies
from .clock import START
from .conformance.database import Database, OpenStore, opened

T = TypeVar("T")

NUMBERS = st.integers(1, 6)
"""Few identities, so that programs meet again what they made."""

AGENTS = st.sampled_from([AgentId("a"), AgentId("b"), AgentId("c")])
STORAGES = st.sampled_from([samples.NAS, StorageId("other")])
CAPABILITIES = st.frozensets(st.sampled_from([samples.FACTS, samples.PROXY]))
PLACES = (
    RelPath("INBOX/a.mov"),
    RelPath("INBOX/A.mov"),
    RelPath("INBOX/day/a.mov"),
    RelPath("INBOX/é🎬\n.mov"),
    RelPath("INBOX/z_%.mov"),
    RelPath("root.mov"),
)
PATHS = st.sampled_from(PLACES)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "duration_ms": st.integers(0, 3) | st.integers(0, 2**50),
        "captured_at": st.sampled_from(
            ["2024-01-01T00:00:00", "2024-01-01T01:00:00+01:00", "2025-06-07T08:09:10.123456Z"]
        ),
        "gps_latitude": st.sampled_from([-90.0, 0.0, 43.7]),
        "gps_longitude": st.sampled_from([-180.0, 7.25, 180.0]),
        "fps": st.floats(0, 1000),
    },
)
FIELDS = st.fixed_dictionaries(
    {}, optional={"location_country": st.sampled_from(["France", "FRANCE", 1]), "x": st.none()}
)
TEXTS = st.sampled_from(["", "plage", "PLAGE été", "%", "a_b", "🎬", "line\nbreak"])
TIMES = st.integers(0, 4).map(samples.after)


def _asset_fields() -> dict[str, st.SearchStrategy[Any]]:
    """Fields from small pools, so that filters find something and paths collide."""
    return {
        "storage_id": STORAGES,
        "path": PATHS,
        "media_type": st.sampled_from(MediaType),
        "state": st.sampled_from([State.READY, State.DECIDED_KEEP, State.PURGED]),
        "facts": FACTS,
        "fields": FIELDS,
        "notes": TEXTS,
        "flags": st.frozensets(st.sampled_from(Flag), max_size=2),
        "created_at": TIMES,
        "updated_at": TIMES,
        "size": st.sampled_from([1, 2**62]),
        "mtime_ns": st.sampled_from([5, 2**62]),
        "derived": st.sampled_from([(), (samples.derived(),), (samples.derived("thumb"),)]),
        "transcript": st.none() | TEXTS.map(lambda text: Transcript(text=text)),
        "sidecars": st.sampled_from([(), (samples.sidecar("INBOX/a.xmp"),)]),
        "suggestions": st.sampled_from([(), (Suggestion(tag="t", source="s"),)]),
        "warnings": st.sampled_from([(), ("w",)]),
        "decisions": st.just(()),
        "path_history": st.just(()),
    }


def _some_assets() -> st.SearchStrategy[Asset]:
    return strategies.assets(
        uuid=NUMBERS.map(samples.asset_id), **_asset_fields(), review_version=st.just(1)
    )


def _some_jobs() -> st.SearchStrategy[Job]:
    """Jobs that can mostly be claimed; see `_numbered` for their identities."""
    return strategies.jobs(
        capabilities=st.sampled_from([frozenset(), frozenset({samples.FACTS})] * 3) | CAPABILITIES,
        created_at=TIMES,
        not_before=st.sampled_from([None, None, samples.after(30)]),
        status=st.sampled_from([JobStatus.PENDING] * 5 + [JobStatus.FAILED]),
        waiting=st.sampled_from([False, False, False, True]),
        priority=st.integers(0, 1),
        attempts=st.integers(0, 2),
        parameters=st.just({}),
        result=st.just({}),
        failure=st.none(),
        warnings=st.just(()),
        depends_on=st.just(()),
    )


def _numbered(n: int, job: Job) -> Job:
    """The n-th job: three each of two subjects, so that claims meet."""
    return evolve(job, job_id=samples.job_id(n), subject=samples.asset(1 + n % 2).subject)


BOXES = st.sampled_from(
    [
        Box(min_lon=-180, min_lat=-90, max_lon=180, max_lat=90),
        Box(min_lon=170, min_lat=-90, max_lon=-170, max_lat=0),
        Box(min_lon=7.25, min_lat=43.7, max_lon=8, max_lat=44),
    ]
)


def queries() -> st.SearchStrategy[AssetQuery]:
    """Queries that find something often enough."""
    return st.builds(
        AssetQuery,
        states=st.just(()) | st.sampled_from([(State.READY,), (State.PURGED, State.READY)]),
        media_type=st.none() | st.sampled_from(MediaType),
        storage_id=st.none() | STORAGES,
        has_proxy=st.none() | st.booleans(),
        tags=st.just(()) | st.lists(st.sampled_from(["a", "b", "é"]), max_size=2).map(tuple),
        tags_mode=st.sampled_from(TagsMode),
        text=st.just("") | TEXTS,
        location_country=st.sampled_from(["", "", "france"]),
        box=st.none() | BOXES,
        captured_from=st.none() | st.just(datetime.fromisoformat("2024-01-01T00:00:00+00:00")),
        captured_to=st.none() | st.just(datetime.fromisoformat("2024-01-01T00:00:00+00:00")),
        flag=st.none() | st.sampled_from(Flag),
        sort=strategies.sorts(),
        limit=st.integers(1, 4),
    )


def _in_any_order(found: Iterable[object]) -> list[object]:
    """What the port answers in no particular order."""
    return sorted(found, key=repr)


def _settled(job: Job | None) -> Job | None:
    """A job without the time of its last heartbeat, which a store may note or not."""
    return job and evolve(job, updated_at=START)


def everything(tx: Transaction) -> dict[str, object]:
    """All that a store keeps, in a form that two stores can be compared by."""
    uuids = [samples.asset_id(n) for n in range(1, 7)]
    subjects = [samples.asset(n).subject for n in range(1, 7)]
    return {
        "storages": _in_any_order(tx.storages()),
        "assets": dict(tx.assets(uuids)),
        "sources": dict(tx.sources(uuids)),
        "counts": {state: n for state, n in tx.count_assets().items() if n},
        "folders": dict(tx.folders(samples.NAS)),
        "unmatched": _in_any_order(tx.unmatched()),
        "jobs": [_settled(job) for job in tx.find_jobs(limit=1000)],
        "locks": [tx.lock(subject) for subject in subjects],
        "agents": _in_any_order(tx.agents()),
        "uploads": _in_any_order(tx.uploads_before(samples.after(10**6))),
        "batches": list(tx.batches()),
        "batch lines": list(tx.batch_lines()),
        "events": [evolve(event, seq=0) for event in tx.events()],
        "journal": [evolve(entry, seq=0) for entry in tx.journal()],
        "replays": [tx.replay(f"scope {n}") for n in range(1, 7)],
        "fixities": dict(tx.fixities(uuids)),
        "due": list(tx.fixity_due(before=samples.after(10**6))),
        "never": list(tx.assets_without_fixity()),
        "fixity sums": tx.fixity_sums(),
        **_people(tx),
        **_history(tx),
    }


def _history(tx: Transaction) -> dict[str, object]:
    """The trails as pages and by their numbers, and the seals over them (whose numbers may have gaps)."""
    events, entries = tx.events(), tx.journal_page()
    return {
        "digests": [row_digest(evolve(event, seq=0)) for event in events],
        "entry digests": [row_digest(evolve(entry, seq=0)) for entry in entries],
        "events at": len(tx.events_at([event.seq for event in events[::2]])),
        "journal at": len(tx.journal_at([entry.seq for entry in entries[::2]])),
        "count": tx.count_behind(Place()),
        "seals": [(seal.number, seal.rows, seal.at) for seal in tx.seals(limit=1000)],
        "whole": [digest_of(seal) == seal.digest for seal in tx.seals(limit=1000)],
    }


def _people(tx: Transaction) -> dict[str, object]:
    return {
        "accounts": list(tx.accounts()),
        "clients": list(tx.clients()),
        "grants": [tx.device_grant(samples.grant(n).digest) for n in range(1, 7)],
        "sessions": [list(tx.sessions(samples.account_id(n))) for n in range(1, 7)],
        "one_times": [tx.one_time(samples.one_time(n).digest) for n in range(1, 7)],
        "throttles": [tx.throttle(f"key {n}") for n in range(1, 7)],
        "features": dict(tx.app_features()),
        "secrets": [tx.server_secret(f"secret {n}") for n in range(1, 7)],
    }


def _claiming(claim: Claim) -> Work[Claimed]:
    return lambda tx: tx.claim(claim)


def _by_name(outcomes: Iterable[object]) -> list[object]:
    """Outcomes that two stores can be compared by: an error is its name."""
    return [type(o).__name__ if isinstance(o, RetaiaError) else o for o in outcomes]


def _finding(query: AssetQuery) -> Work[AssetPage]:
    return lambda tx: tx.find_assets(query)


class StoreAgreement(RuleBasedStateMachine):
    """Drives all stores through one program; `store_agreement` makes a test of it."""

    factories: ClassVar[Mapping[str, OpenStore]]

    def __init__(self) -> None:
        super().__init__()
        self._exit = ExitStack()
        self.now = START
        self.stores: dict[str, Database] = {}
        portal = self._exit.enter_context(start_blocking_portal(backend="asyncio"))
        for name, open_store in self.factories.items():
            self.stores[name] = self._exit.enter_context(opened(open_store, portal))

    def teardown(self) -> None:
        """Close every store."""
        self._exit.close()

    def _compare(self, ask: Callable[[Database], T]) -> T | str:
        answers: dict[str, T | str] = {}
        for name, store in self.stores.items():
            try:
                answers[name] = ask(store)
            except RetaiaError as error:
                answers[name] = type(error).__name__
        first = next(iter(answers.values()))
        assert all(answer == first for answer in answers.values()), answers
        return first

    def write(self, work: Work[T]) -> T | str:
        """Run a function in a transaction of each store; the answer, or the error's name."""
        return self._compare(lambda store: store.write(work))

    def read(self, work: Work[T]) -> T | str:
        """Read the same of each store."""
        return self._compare(lambda store: store.read(work))

    @invariant()
    def all_keep_the_same(self) -> None:
        """After every step, all stores keep the same."""
        self.read(everything)

    @initialize(
        assets=st.lists(_some_assets(), min_size=2, max_size=4),
        jobs=st.lists(_some_jobs(), min_size=6, max_size=6),
    )
    def begin(self, assets: list[Asset], jobs: list[Job]) -> None:
        """Start with something to work on: an asset for each of some paths."""
        placed = [
            evolve(asset, uuid=samples.asset_id(n), path=path)
            for n, (asset, path) in enumerate(zip(assets, PLACES, strict=False), start=1)
        ]
        self.write(lambda tx: tx.add_assets(placed))
        self.write(lambda tx: tx.add_jobs(_numbered(n, job) for n, job in enumerate(jobs, 1)))

    @rule(by=st.sampled_from([0.000001, 1, 60, 120]))
    def let_time_pass(self, by: float) -> None:
        """Leases run out and jobs fall due."""
        self.now += timedelta(seconds=by)

    # Assets

    @rule(assets=st.lists(_some_assets(), min_size=1, max_size=3))
    def add_assets(self, assets: list[Asset]) -> None:
        """Add some; identities and paths may be taken."""
        self.write(lambda tx: tx.add_assets(assets))

    @rule(asset=_some_assets(), stale=st.sampled_from([0, 0, 1]))
    def save_asset(self, asset: Asset, stale: int) -> None:
        """Replace one that may be there, sometimes from an old reading."""

        def work(tx: Transaction) -> Asset:
            stored = tx.asset(asset.uuid)
            revision = stored.revision if stored else 0
            return tx.save_asset(evolve(asset, revision=revision - stale))

        self.write(work)

    @rule(n=NUMBERS)
    def save_an_old_reading(self, n: int) -> None:
        """Save one twice from the same reading, if it is there."""

        def work(tx: Transaction) -> list[Asset]:
            stored = tx.asset(samples.asset_id(n))
            return [] if stored is None else [tx.save_asset(stored), tx.save_asset(stored)]

        self.write(work)

    @rule(query=queries())
    def find_assets(self, query: AssetQuery) -> None:
        """Walk the pages of a query to its end."""
        for _ in range(10):
            page = self.read(_finding(query))
            if not isinstance(page, AssetPage) or page.next is None:
                return
            query = evolve(query, after=page.next)

    @rule(query=queries(), value=st.none() | st.integers(0, 3), n=NUMBERS)
    def find_assets_after(self, query: AssetQuery, value: int | None, n: int) -> None:
        """Ask for what follows a position that no row may have."""
        numeric = query.sort.key.value in ("created_at", "updated_at", "captured_at", "duration")
        given = value if numeric or value is None else str(value)
        position = Position(value=given, uuid=samples.asset_id(n))
        self.read(lambda tx: tx.find_assets(evolve(query, after=position)))

    @rule(storage_id=STORAGES, path=PATHS, n=NUMBERS, limit=st.integers(1, 3))
    def look_assets_up(self, storage_id: StorageId, path: RelPath, n: int, limit: int) -> None:
        """Ask by path, by folder, by shape, and by state."""

        def work(tx: Transaction) -> list[object]:
            return [
                tx.asset(samples.asset_id(n)),
                tx.asset_at(storage_id, path),
                _in_any_order(tx.assets_in_folder(storage_id, path.rpartition("/")[0])),
                _in_any_order(tx.assets_like(storage_id, [(1, 5), (2**62, 2**62)])),
                list(tx.assets_in_states([State.READY], after=samples.asset_id(n), limit=limit)),
                list(tx.assets_in_states(list(State), storage_id=storage_id)),
                list(tx.candidates(State.DECIDED_KEEP, after=samples.asset_id(n), limit=limit)),
            ]

        self.read(work)

    # Jobs, claims, leases

    @rule(job=_some_jobs(), n=NUMBERS)
    def save_job(self, job: Job, n: int) -> None:
        """Add a job, or replace one that is not held."""
        made = _numbered(n, job)

        def work(tx: Transaction) -> None:
            known = tx.job(made.job_id)
            if known is None:
                tx.add_jobs([made])
            elif known.status is not JobStatus.CLAIMED:
                tx.save_job(made)

        self.write(work)

    @rule(agent=AGENTS, capabilities=CAPABILITIES, limit=st.integers(1, 4))
    def list_claimable(self, agent: AgentId, capabilities: frozenset[Any], limit: int) -> None:
        """Ask what an agent is offered."""
        query = ClaimableQuery(agent_id=agent, capabilities=capabilities, now=self.now, limit=limit)
        self.read(lambda tx: list(tx.claimable(query)))

    @rule(
        agent=AGENTS,
        capabilities=CAPABILITIES,
        n=st.sampled_from([1, 2, 1, 2, 3]),
        named=st.none() | st.lists(NUMBERS, min_size=1, max_size=2, unique=True),
        lasting=st.sampled_from([1, 120]),
    )
    def claim(
        self,
        agent: AgentId,
        capabilities: frozenset[Any],
        n: int,
        named: list[int] | None,
        lasting: int,
    ) -> None:
        """Claim some or all jobs of a subject."""
        wish = Claim(
            subject=samples.asset(n).subject,
            agent_id=agent,
            capabilities=capabilities | {samples.FACTS},
            token=f"{agent} at {self.now.isoformat()}",
            now=self.now,
            until=self.now + timedelta(seconds=lasting),
            job_ids=None if named is None else tuple(samples.job_id(each) for each in named),
        )
        self.write(_claiming(wish))

    @rule(order=st.permutations([1, 3, 5]))
    def contend(self, order: list[int]) -> None:
        """Three agents want a job each of one subject, one after another."""
        for n in order:
            wish = Claim(
                subject=samples.asset(2).subject,
                agent_id=AgentId(f"rival {n}"),
                capabilities=frozenset({samples.FACTS, samples.PROXY}),
                token=f"rival {n} at {self.now.isoformat()}",
                now=self.now,
                until=self.now + samples.LATE,
                job_ids=(samples.job_id(n),),
            )
            self.write(_claiming(wish))

    @rule(
        agents=st.lists(AGENTS, min_size=1, max_size=3),
        subjects=st.lists(st.sampled_from([1, 2, 2, 1, 3]), min_size=3, max_size=3),
        named=st.none() | NUMBERS,
    )
    def claim_many(self, agents: list[AgentId], subjects: list[int], named: int | None) -> None:
        """Several agents claim at once, of different subjects or of one."""
        wishes = [
            Claim(
                subject=samples.asset(n).subject,
                agent_id=agent,
                capabilities=frozenset({samples.FACTS, samples.PROXY}),
                token=f"{agent} of {n} at {self.now.isoformat()}",
                now=self.now,
                until=self.now + samples.LATE,
                job_ids=None if named is None else (samples.job_id(named),),
            )
            for agent, n in zip(agents, subjects, strict=False)
        ]
        self.write(lambda tx: _by_name(tx.claim_all(wishes)))

    @rule(
        numbers=st.lists(NUMBERS, min_size=1, max_size=4),
        token=st.sampled_from(["right", "right", "right", "", "wrong"]),
    )
    def complete_many(self, numbers: list[int], token: str) -> None:
        """Complete several jobs at once, of one lease or of several; one may be named twice."""

        def work(tx: Transaction) -> list[object]:
            jobs = [tx.job(samples.job_id(n)) for n in numbers]
            given = [
                (job.lock_token or "none") if job and token == "right" else token for job in jobs
            ]
            wishes = [
                Completion(job_id=samples.job_id(n), token=said, result={"n": n})
                for n, said in zip(numbers, given, strict=True)
            ]
            return _by_name(tx.complete_all(wishes, now=self.now))

        self.write(work)

    @rule(
        n=NUMBERS,
        token=st.sampled_from(["", "right", "right", "right", "wrong"]),
        finish=st.booleans(),
        progress=st.none() | st.just(JobProgress(current=1, total=2, text="é")),
    )
    def use_a_lease(self, n: int, token: str, finish: bool, progress: JobProgress | None) -> None:
        """Send a heartbeat for a job or complete it, with a good or a bad token."""

        def work(tx: Transaction) -> object:
            job = tx.job(samples.job_id(n))
            given = (job.lock_token or "none") if job and token == "right" else token
            if finish:
                return tx.complete(
                    samples.job_id(n), token=given, now=self.now, result={"n": n}, warnings=("w",)
                )
            until = self.now + samples.LATE
            return tx.extend(
                samples.job_id(n), token=given, now=self.now, until=until, progress=progress
            )

        self.write(work)

    @rule(n=NUMBERS, kind=st.sampled_from(LockKind), back=st.booleans())
    def lock_or_release(self, n: int, kind: LockKind, back: bool) -> None:
        """Take a lock as the rules say, or give back the one there is."""
        subject = samples.asset(n).subject

        def work(tx: Transaction) -> None:
            current = tx.lock(subject)
            if back and current:
                tx.save_lock(release(current, self.now))
            elif not back and kind is not LockKind.JOB_LEASE:
                tx.save_lock(
                    acquire(current, subject, kind=kind, holder="x", token="x", now=self.now)
                )

        self.write(work)

    @rule(expired=st.booleans(), limit=st.sampled_from([1000]))
    def list_locks(self, expired: bool, limit: int) -> None:
        """Ask which locks are held or over."""
        self.read(lambda tx: _in_any_order(tx.locks(now=self.now, expired=expired, limit=limit)))

    # Everything else

    @rule(n=NUMBERS, data=strategies.json_objects())
    def note(self, n: int, data: dict[str, Any]) -> None:
        """Add to the trail, the journal and the answers kept."""

        def work(tx: Transaction) -> None:
            tx.add_event(samples.event(f"event {n}", of=n, data=data, at=self.now))
            tx.add_journal(samples.journal_entry(of=n, evidence=data, batch_id=str(n % 2)))
            replay = Replay(
                scope=f"scope {n}",
                body_digest="b",
                status=200,
                body=bytes([n]),
                created_at=samples.after(n),
            )
            tx.save_replay(replay)

        self.write(work)

    @rule(again=st.booleans())
    def seal(self, again: bool) -> None:
        """Seal what is new; sometimes again under the number of the last."""

        def work(tx: Transaction) -> int:
            last = tx.last_seal()
            events = tx.events(after=last.events_to if last else 0)
            journal = tx.journal_page(after=last.journal_to if last else 0)
            made = sealed(Unsealed(last=last, events=events, journal=journal), self.now)
            if again and last is not None:
                tx.add_seal(last)
            elif made is not None:
                tx.add_seal(made)
            return made.rows if made else 0

        self.write(work)

    @rule(n=NUMBERS, path=PATHS, since=st.integers(-1, 300), until=st.none() | st.integers(0, 300))
    def look_back(self, n: int, path: RelPath, since: int, until: int | None) -> None:
        """Ask for a subject's journal, for who was at a path, and for the rows of a time."""
        subject, end = samples.asset(n).subject, None if until is None else samples.after(until)

        def work(tx: Transaction) -> list[object]:
            span = tx.stretch(samples.after(since), end)
            events = tx.events(after=span.after.event)
            entries = tx.journal_page(after=span.after.entry)
            return [
                [evolve(entry, seq=0) for entry in tx.journal_page(subject=subject, limit=n)],
                [asset.uuid for asset in tx.assets_once_at(samples.NAS, path)],
                sum(event.seq <= span.to.event for event in events),
                sum(entry.seq <= span.to.entry for entry in entries),
            ]

        self.read(work)

    @rule(n=NUMBERS)
    def drop_old_answers(self, n: int) -> None:
        """Forget the answers from before a time."""
        self.write(lambda tx: tx.drop_replays_before(samples.after(n)))

    @rule(n=NUMBERS, settled=st.booleans())
    def scan(self, n: int, settled: bool) -> None:
        """Remember and forget what a scan saw."""
        folder = f"INBOX/{n % 3}"

        def work(tx: Transaction) -> None:
            tx.save_storage(samples.storage(scans=n))
            tx.save_folders([samples.folder(folder, settled=settled, files=n)])
            tx.drop_folders(samples.NAS, [f"INBOX/{n // 2}"])
            lost = [samples.unmatched(f"{folder}/{i}.xmp") for i in range(n % 3)]
            tx.set_unmatched(samples.NAS, folder, lost)

        self.write(work)

    @rule(n=NUMBERS, email=NUMBERS, local=st.none() | NUMBERS)
    def save_account(self, n: int, email: int, local: int | None) -> None:
        """Add or change a person, under an address and a local name that may be taken."""
        person = samples.account(
            n,
            email=Email(f"{email}@example.org"),
            local_name=None if local is None else str(local),
            features={"features.ai": bool(local)},
        )
        self.write(lambda tx: tx.save_account(person))
        self.read(lambda tx: [tx.account_by_email(person.email), tx.account_by_local_name("1")])

    @rule(n=NUMBERS, code=NUMBERS, drop=st.booleans())
    def meet_a_client(self, n: int, code: int, drop: bool) -> None:
        """Keep a client, and keep or drop a grant whose user code may be taken."""

        def work(tx: Transaction) -> None:
            tx.save_client(samples.client(n, rotated_at=self.now))
            if drop:
                tx.drop_device_grant(samples.grant(n).digest)
            else:
                tx.save_device_grant(samples.grant(n, user_code=str(code)))

        self.write(work)
        self.read(lambda tx: tx.device_grant_by_code(str(code)))

    @rule(n=NUMBERS, client_id=st.sampled_from(["web", "phone"]), end=st.integers(0, 4))
    def sign_in_or_out(self, n: int, client_id: str, end: int) -> None:
        """Open a session, or end one, all of a person's, or all whose time is over."""
        live = samples.session(n, client_id, issued_at=self.now, jti=self.now.isoformat())

        def work(tx: Transaction) -> int:
            if end == 1:
                tx.drop_session(samples.account_id(n), client_id)
            elif end == 2:
                tx.drop_sessions(samples.account_id(n))
            elif end == 3:
                return tx.drop_expired(self.now)
            else:
                tx.save_session(live)
            return 0

        self.write(work)
        self.read(lambda tx: tx.session_by_refresh(str(live.refresh)))

    @rule(n=NUMBERS, fail=st.booleans(), data=strategies.json_objects())
    def use_tokens(self, n: int, fail: bool, data: dict[str, Any]) -> None:
        """Make or use a one-use token, count or forget failures, switch features, keep a secret."""
        digest, key = samples.one_time(n).digest, f"key {n}"

        def work(tx: Transaction) -> bytes:
            if tx.one_time(digest) is None:
                tx.save_one_time(samples.one_time(n, data=data))
            else:
                tx.drop_one_time(digest)
            if fail:
                tx.save_throttle(failed(tx.throttle(key), key=key, now=self.now))
            else:
                tx.drop_throttle(key)
            tx.save_app_features({"features.ai": fail, key: True})
            return tx.add_server_secret(f"secret {n}", self.now.isoformat().encode())

        self.write(work)

    @rule(n=NUMBERS, at=st.integers(0, 3), outcome=st.sampled_from(ContentOutcome))
    def read_content(self, n: int, at: int, outcome: ContentOutcome) -> None:
        """Keep what the reading of a file gave; ask for what is due after another's."""
        record = samples.fixity(n, at=at, files=(samples.file_fixity(outcome=outcome),))
        self.write(lambda tx: tx.save_fixity(record))
        self.read(lambda tx: list(tx.fixity_due(before=samples.after(3), after=record, limit=2)))
        self.read(lambda tx: list(tx.assets_without_fixity(after=record.asset, limit=2)))

    @rule(n=NUMBERS, drop=st.booleans())
    def meet_an_agent(self, n: int, drop: bool) -> None:
        """Register an agent, and announce or drop an upload of its."""

        def work(tx: Transaction) -> None:
            tx.save_agent(samples.agent(f"agent {n % 3}", last_seen_at=self.now))
            if drop:
                tx.drop_upload(samples.upload(n).upload_id)
            else:
                tx.save_upload(samples.upload(n, size_bytes=2**40 + n))

        self.write(work)

    @rule(n=NUMBERS, i=st.integers(1, 2), outcome=st.sampled_from(Outcome))
    def move(self, n: int, i: int, outcome: Outcome) -> None:
        """Make a batch, or save a result and the end of one."""
        batch = samples.batch(n)

        def work(tx: Transaction) -> None:
            if tx.batch(batch.batch_id) is None:
                tx.add_batch(batch)
                return
            result = evolve(batch.results[i - 1], outcome=outcome, at=self.now)
            tx.save_move_result(batch.batch_id, result)
            tx.save_batch(evolve(batch, status=BatchStatus.DONE, finished_at=self.now))

        self.write(work)
        self.read(lambda tx: list(tx.batches(open_only=True, limit=3)))

    @rule(asset=_some_assets(), n=NUMBERS)
    def fail_in_the_middle(self, asset: Asset, n: int) -> None:
        """Write much, then raise: nothing may stay."""

        def work(tx: Transaction) -> None:
            tx.add_event(samples.event("undone"))
            job = tx.job(JobId(samples.job_id(n)))
            if job is not None:
                tx.save_job(evolve(job, priority=99))
            stored = tx.asset(AssetId(asset.uuid))
            if stored is None:
                tx.add_assets([asset])
            else:
                tx.save_asset(evolve(asset, revision=stored.revision))
            raise ValidationFailed("undo all of this")

        outcome = self.write(work)
        assert outcome in (ValidationFailed.__name__, StateConflict.__name__)


def store_agreement(factories: Mapping[str, OpenStore]) -> type[unittest.TestCase]:
    """A test case that drives these stores, each opened anew for every program."""
    machine: type[StoreAgreement] = type(
        "Agreement", (StoreAgreement,), {"factories": dict(factories)}
    )
    case: type[unittest.TestCase] = machine.TestCase
    case.settings = settings(  # type: ignore[attr-defined]
        max_examples=int(os.environ.get("RETAIA_AGREEMENT_EXAMPLES", "10")),
        stateful_step_count=int(os.environ.get("RETAIA_AGREEMENT_STEPS", "25")),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return case
