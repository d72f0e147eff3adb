"""Many writers on one database: claims, heartbeats, ends and expiries at random, and what must hold after.

    python -m retaia_tests.contention --seconds 60 --writers 32
    python -m retaia_tests.contention --seconds 60 --writers 32 --url postgresql://…

Half of the writers share one process, as those of a server do; the others are processes of their own, half
of which open the store anew for every few writes, as commands do. Each write notes in its own transaction
what it did, so that the database itself tells the story of every subject, in order. `verify` holds the
stories against what a lease promises: one holder, fencing numbers that only grow, every job done once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve, field, frozen

from retaia_adapters.sql.store import open_store
from retaia_core.domain.identifiers import AgentId, Capability, JobId, Subject
from retaia_core.domain.jobs import Failure, Job, JobStatus, failed, lost, released
from retaia_core.domain.journal import Event
from retaia_core.domain.leases import Lock, check, release
from retaia_core.errors import RetaiaError, StoreError, Unavailable
from retaia_core.ports import claiming
from retaia_core.ports.store import Claim, Claimed, Store, Transaction, Work

FACTS = Capability("media.facts@1")
KIND = "contention"
LEASES_S = (0.05, 0.3, 3.0)
"""Some leases end before their holder is done."""


@frozen(kw_only=True)
class Field:
    """What is fought for: so many subjects of so many jobs each."""

    subjects: int = 40
    jobs: int = 250

    def made(self) -> list[Job]:
        """Its jobs, none of which a number of tries ends."""
        at = datetime.now(UTC)
        return [
            Job(
                job_id=JobId(f"{subject:04}-{n:04}"),
                job_type="extract_facts",
                subject=Subject(kind=KIND, id=f"{subject:04}"),
                capabilities=frozenset({FACTS}),
                max_attempts=10**9,
                created_at=at,
                updated_at=at,
            )
            for subject in range(self.subjects)
            for n in range(self.jobs)
        ]


@define(kw_only=True)
class Tally:
    """What a writer met: how often each outcome came, and how long the slowest write took, in seconds."""

    outcomes: Counter[str] = field(factory=Counter)
    slowest: float = 0.0
    trouble: list[str] = field(factory=list)

    def add(self, other: Tally) -> None:
        """Take another writer's in."""
        self.outcomes += other.outcomes
        self.slowest = max(self.slowest, other.slowest)
        self.trouble += other.trouble

    @property
    def writes(self) -> int:
        """How many transactions were committed that wrote something."""
        did = (n for what, n in self.outcomes.items() if what.startswith("did "))
        return sum(did) - self.outcomes["did nothing"]


def _noted(
    tx: Transaction, name: str, subject: Subject, who: str, at: datetime, **data: object
) -> None:
    tx.add_event(Event(subject=subject, name=name, actor=who, at=at, data=data))


def micros(time: datetime) -> int:
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


@define(kw_only=True)
class Writer:
    """One agent among many, that does what its seed says."""

    name: str
    size: Field
    chance: random.Random
    tally: Tally = field(factory=Tally)
    mine: dict[JobId, str] = field(factory=dict)

    async def run(self, store: Store, until: float, *, most: int = 10**9) -> None:
        """Write until a time (of ``time.time``), or so often."""
        for _ in range(most):
            if time.time() >= until:
                return
            await self._one(store, self._chosen())

    def _chosen(self) -> Work[str]:
        acts: list[Work[str]] = [self.claim]
        if self.mine:
            acts += [self._extend, self._complete, self._complete, self._end, self._forget]
        return self.chance.choice([*acts, self._recover])

    async def _one(self, store: Store, act: Work[str]) -> None:
        began = time.perf_counter()
        try:
            did = await store.transact(act, durable=False)
            self.tally.outcomes[f"did {did}"] += 1
        except (Unavailable, StoreError) as error:
            self.tally.outcomes["trouble"] += 1
            self.tally.trouble.append(f"{self.name}: {error}")
        except RetaiaError as error:
            self.tally.outcomes[type(error).__name__] += 1
            self.mine.clear()
        self.tally.slowest = max(self.tally.slowest, time.perf_counter() - began)

    # Each of these is one transaction, and may be run again: what it remembers, it remembers anew.

    def claim(self, tx: Transaction) -> str:
        now = datetime.now(UTC)
        subject = Subject(kind=KIND, id=f"{self.chance.randrange(self.size.subjects):04}")
        some = (self.chance.randrange(self.size.jobs) for _ in range(self.chance.randint(1, 8)))
        named = tuple(dict.fromkeys(JobId(f"{subject.id}-{n:04}") for n in some))
        claim = Claim(
            subject=subject,
            agent_id=AgentId(self.name),
            capabilities=frozenset({FACTS}),
            token=f"{self.name} {self.chance.getrandbits(64)}",
            now=now,
            until=now + timedelta(seconds=self.chance.choice(LEASES_S)),
            job_ids=named if self.chance.random() < 0.95 else None,
        )
        won: Claimed = tx.claim(claim)
        self.mine = {job.job_id: won.lock.token for job in won.jobs}
        data = {"fencing": won.lock.fencing, "until": micros(won.lock.expires_at)}
        _noted(tx, "claimed", subject, self.name, now, jobs=list(self.mine), **data)
        return "claim"

    def _held(self) -> tuple[JobId, str]:
        return self.chance.choice(list(self.mine.items()))

    def _extend(self, tx: Transaction) -> str:
        now, (job_id, token) = datetime.now(UTC), self._held()
        lock = tx.extend(job_id, token=token, now=now, until=now + timedelta(seconds=1))
        data = {"fencing": lock.fencing, "until": micros(lock.expires_at)}
        _noted(tx, "extended", lock.subject, self.name, now, **data)
        return "heartbeat"

    def _complete(self, tx: Transaction) -> str:
        now, (job_id, token) = datetime.now(UTC), self._held()
        job = tx.complete(job_id, token=token, now=now)
        self.mine.pop(job_id, None)
        _noted(tx, "completed", job.subject, self.name, now, job=job_id, fencing=job.fencing)
        return "completion"

    def _end(self, tx: Transaction) -> str:
        """Fail a job or give it back, as the use cases do."""
        now, (job_id, token) = datetime.now(UTC), self._held()
        job = tx.job(job_id)
        assert job is not None
        lock = check(tx.lock(job.subject), token=token, now=now)
        job = tx.job(job_id)  # As it is now that the lock is ours.
        assert job is not None
        claiming.held_under(lock, job)
        broken = Failure(code="BROKEN", message="by chance", retryable=True, at=now)
        after = failed(job, broken) if self.chance.random() < 0.3 else released(job, now)
        tx.save_job(_at_once(after))
        _release_if_last(tx, lock, now)
        self.mine.pop(job_id, None)
        _noted(tx, "given back", job.subject, self.name, now, job=job_id, fencing=lock.fencing)
        return "failure"

    def _forget(self, tx: Transaction) -> str:
        """Crash: whoever comes next waits for the end of the lease."""
        self.mine = {}
        return "nothing"

    def _recover(self, tx: Transaction) -> str:
        """The watchdog: return the jobs of a lease that is over."""
        now = datetime.now(UTC)
        for known in tx.locks(now=now, expired=True, limit=5):
            lock = tx.lock(known.subject)
            if lock is None or not lock.token or lock.held(now):
                continue
            tx.save_lock(release(lock, now))
            for job in tx.jobs_of(lock.subject):
                if job.status is JobStatus.CLAIMED:
                    tx.save_job(lost(job, now))
            _noted(tx, "recovered", lock.subject, self.name, now, fencing=lock.fencing)
            return "recovery"
        return "nothing"


def _at_once(job: Job) -> Job:
    """Without the pause before another try, which would empty the field."""
    return evolve(job, not_before=None)


def _release_if_last(tx: Transaction, lock: Lock, now: datetime) -> None:
    if not any(claiming.under(lock, job) for job in tx.jobs_of(lock.subject)):
        tx.save_lock(release(lock, now))


# Running


async def as_server(stores: Sequence[Store], crowd: Sequence[Writer], until: float) -> None:
    """Some writers in one process, over its store or stores."""
    works = [w.run(stores[n % len(stores)], until) for n, w in enumerate(crowd)]
    await asyncio.gather(*works)


async def as_process(url: str, writer: Writer, until: float) -> None:
    """One writer that keeps its store, or (by its name) opens it for every few writes."""
    while time.time() < until:
        store = open_store(url, server=False)
        await store.prepare()
        await writer.run(store, until, most=5 if writer.name.startswith("command") else 10**9)
        await store.close()


def _writer(name: str, size: Field, seed: int) -> Writer:
    return Writer(name=name, size=size, chance=random.Random(f"{seed} {name}"))


def _sum(crowd: Sequence[Writer]) -> Tally:
    whole = Tally()
    for writer in crowd:
        whole.add(writer.tally)
    return whole


def _spawn(url: str, size: Field, name: str, seed: int) -> subprocess.Popen[str]:
    asked = json.dumps({"url": url, "size": asdict(size), "name": name, "seed": seed})
    return subprocess.Popen(
        [sys.executable, "-m", "retaia_tests.contention", "--one", asked],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


def _ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.readline()


def _one(asked: Mapping[str, Any]) -> None:
    """Be a process: say that it is there, wait for the word until when, and tell what was met."""
    writer = _writer(asked["name"], Field(**asked["size"]), asked["seed"])
    print("ready", flush=True)
    asyncio.run(as_process(asked["url"], writer, float(sys.stdin.readline())))
    print(json.dumps(asdict(writer.tally)))


async def _told(process: subprocess.Popen[str]) -> Tally:
    said, _ = await asyncio.to_thread(process.communicate)
    if process.returncode:
        return Tally(trouble=[f"a process ended with {process.returncode}"])
    told = json.loads(said)
    return Tally(**{**told, "outcomes": Counter(told["outcomes"])})


async def fought(
    url: str, *, seconds: float, writers: int = 32, alone: int = 16, seed: int = 0
) -> tuple[Tally, list[str]]:
    """Let writers fight for so many seconds; what they met, and what is wrong with it.

    ``alone`` of the writers are processes of their own; on PostgreSQL the others share two stores.
    """
    size = Field()
    stores = [open_store(url) for _ in range(2 if url.startswith("postgres") else 1)]
    for store in stores:
        await store.prepare()
    await stores[0].transact(lambda tx: tx.add_jobs(size.made()))
    names = [f"{'command' if n % 2 else 'process'}-{n}" for n in range(alone)]
    others = [_spawn(url, size, name, seed) for name in names]
    for other in others:
        await asyncio.to_thread(_ready, other)
    until = time.time() + seconds
    for other in others:
        assert other.stdin is not None
        print(until, file=other.stdin, flush=True)
    crowd = [_writer(f"server-{n}", size, seed) for n in range(writers - alone)]
    await as_server(stores, crowd, until)
    whole = _sum(crowd)
    for other in others:
        whole.add(await _told(other))
    wrong = await verify(stores[0], size)
    for store in stores:
        await store.close()
    return whole, wrong


# What must hold


@define
class Story:
    """What a lease promises of one subject, event by event."""

    subject: str
    holder: str = ""
    fencing: int = 0
    until: int = 0
    open: set[str] = field(factory=set)
    done: set[str] = field(factory=set)
    wrong: list[str] = field(factory=list)

    def take(self, event: Event) -> None:
        """Hold one event against all before it."""
        rules: Mapping[str, Callable[[Event, int], None]] = {
            "claimed": self._claimed,
            "extended": self._extended,
            "completed": self._ended,
            "given back": self._ended,
            "recovered": self._recovered,
        }
        rules[event.name](event, micros(event.at))

    def _said(self, event: Event, said: str) -> None:
        self.wrong.append(f"{self.subject}: event {event.seq} ({event.actor} {event.name}): {said}")

    def _claimed(self, event: Event, now: int) -> None:
        fencing, jobs = event.data["fencing"], set(_texts(event.data["jobs"]))
        held = bool(self.open) and now < self.until
        if held and event.actor != self.holder:
            self._said(event, f"{self.holder} holds it until {self.until}, and this is {now}")
        joins = held and event.actor == self.holder
        if fencing != self.fencing + (0 if joins else 1):
            self._said(event, f"fencing {fencing} after {self.fencing}")
        if jobs & self.done:
            self._said(event, f"{jobs & self.done} are done")
        self.open = jobs | (self.open if joins else set())
        self.holder, self.fencing = event.actor, int(str(fencing))
        self.until = int(str(event.data["until"]))

    def _current(self, event: Event, now: int) -> None:
        if event.actor != self.holder or event.data["fencing"] != self.fencing:
            self._said(event, f"{self.holder} holds it under {self.fencing}")
        if now >= self.until:
            self._said(event, f"the lease ended at {self.until}, and this is {now}")

    def _extended(self, event: Event, now: int) -> None:
        self._current(event, now)
        self.until = int(str(event.data["until"]))

    def _ended(self, event: Event, now: int) -> None:
        self._current(event, now)
        job = str(event.data["job"])
        if job not in self.open:
            self._said(event, f"{job} was not held")
        self.open.discard(job)
        if event.name == "completed":
            self.done.add(job)

    def _recovered(self, event: Event, now: int) -> None:
        if now < self.until:
            self._said(event, f"the lease lasts until {self.until}, and this is {now}")
        self.open = set()


def _texts(value: object) -> Iterator[str]:
    assert isinstance(value, list)
    return (str(each) for each in value)


async def verify(store: Store, size: Field) -> list[str]:
    """What is wrong with the stories that the database tells, and with what it keeps."""
    wrong: list[str] = []
    for n in range(size.subjects):
        story = Story(f"{n:04}")
        after, subject = 0, Subject(kind=KIND, id=story.subject)
        while events := await store.read(partial(_events, subject, after)):
            for event in events:
                story.take(event)
            after = events[-1].seq
        jobs = await store.read(partial(_jobs, subject))
        kept = {job.job_id for job in jobs if job.status is JobStatus.COMPLETED}
        if kept != story.done:
            wrong.append(f"{story.subject}: {kept ^ story.done} done in one place only")
        held = {job.job_id for job in jobs if job.status is JobStatus.CLAIMED}
        if held != story.open:
            wrong.append(f"{story.subject}: {held ^ story.open} held in one place only")
        wrong += story.wrong
    return wrong


def _events(subject: Subject, after: int, tx: Transaction) -> Sequence[Event]:
    return tx.events(subject, after=after)


def _jobs(subject: Subject, tx: Transaction) -> Sequence[Job]:
    return tx.jobs_of(subject)


def main() -> int:
    """Fight, and say what came of it; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m retaia_tests.contention")
    parser.add_argument("--url", default="")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        _one(given.one)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/store.db"
        whole, wrong = asyncio.run(
            fought(
                url,
                seconds=given.seconds,
                writers=given.writers,
                alone=given.processes,
                seed=given.seed,
            )
        )
    for line in (*whole.trouble[:20], *wrong[:20]):
        print(line)
    print(dict(whole.outcomes.most_common()))
    print(
        f"{given.writers} writers ({given.processes} of them processes), {given.seconds:g} s: "
        f"{whole.writes} writes ({whole.writes / given.seconds:.0f}/s), the slowest "
        f"{whole.slowest:.2f} s; {len(whole.trouble)} refused by the database, {len(wrong)} wrong"
    )
    return 1 if wrong or whole.trouble else 0


if __name__ == "__main__":
    sys.exit(main())
