"""The life of one claimed bundle: check the source, let a worker work, hand results in as they come.

Facts do not wait for the proxy: each outcome is uploaded and submitted while the worker goes on. When a
bundle breaks (a crash, a hang, an exception), its open jobs are tried again one by one, so that only
the job that breaks its worker fails, and the others of the asset have their results all the same.
"""

from __future__ import annotations

import errno
import heapq
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, evolve, field, frozen

from retaia_core.errors import NotFound, Refused, RetaiaError
from retaia_core.ports.processor import Done, Failed, Progress, Task
from retaia_core.ports.transport import BundleJob, JobResult, UploadedFile

from .framing import Order, Said
from .groups import task_group
from .lease import GONE, Held
from .mounts import Asking, SourceFile, SourceProblem, find_sidecars, open_source
from .polling import LeaseOver, RegistrationRefused
from .worker import Broken, Worker, WorkerMissing, WorkerPool
from .workspace import bundle_folder, output_problem

_EARLY, _USUAL, _LATE = range(3)
_RANK = {"extract_facts": _EARLY, "generate_proxy": _LATE, "generate_video_proxies": _LATE}


@frozen(kw_only=True)
class Means:
    """What a bundle is worked with: mounts, workers, a folder for results, and the time for it (s).

    ``job_types`` are those that a processor here does.
    """

    mounts: Mapping[str, Path]
    pool: WorkerPool
    folder: Path
    time_limit: float
    job_types: frozenset[str]
    asking: Asking


@define(eq=False)
class BundleRun:
    """Works one bundle off. `run` returns when every job of it has an end, or the lease is lost."""

    held: Held
    means: Means
    _lost: str = field(default="", init=False)
    _heard: set[str] = field(factory=set, init=False)
    _named: set[Path] = field(factory=set, init=False)
    _outcomes: MemoryObjectSendStream[Said] = field(init=False)
    _source: SourceFile = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._source = SourceFile.of(self.held.bundle)

    async def run(self) -> None:
        """Do it all. When cancelled, what is open is given back within a few seconds.

        Raises:
            WorkerMissing: no worker process can be started; the jobs were given back.
            RegistrationRefused: the server does not want this agent any more.
        """
        held = self.held
        try:
            await self._contained()
        except LeaseOver as error:
            self._lost = str(error)
        except RegistrationRefused:
            raise
        except RetaiaError as error:
            self._lost = error.message
            if not isinstance(error, GONE):
                held.refused(error)
        finally:
            await self._let_go()
        held.tell("bundle_done", asset_uuid=held.bundle.asset_uuid, path=held.bundle.path)

    async def _contained(self) -> None:
        """A full disk or a bug fails this bundle's jobs; the agent lives on."""
        try:
            await self._run()
        except (RetaiaError, LeaseOver, WorkerMissing):
            raise
        except Exception as error:  # noqa: BLE001 - it is told to the server as the jobs' failure
            await self._fail_open(_own_problem(error))

    async def _run(self) -> None:
        async with task_group() as tasks:
            tasks.start_soon(self._beat)
            await self._work()
            tasks.cancel_scope.cancel()

    async def _let_go(self) -> None:
        """Whatever happened, no job stays held: it was lost, or it is given back."""
        held, jobs = self.held, list(self.held.open)
        if not jobs:
            return
        if self._lost:
            uuid = held.bundle.asset_uuid
            held.tell("lost", asset_uuid=uuid, jobs=jobs, reason=self._lost)
            return
        with anyio.move_on_after(held.session.timing.release_within, shield=True):
            await held.release(jobs)

    async def _beat(self) -> None:
        while True:
            await self.held.session.timing.sleep(self.held.heartbeat_every)
            await self.held.beat()

    # The work

    async def _work(self) -> None:
        await self._give_back_strangers()
        try:
            source = await self._open_source()
            sidecars = await self._find_sidecars()
        except SourceProblem as problem:
            await self._fail_open(_broken_by(problem))
            return
        with bundle_folder(self.means.folder) as folder:
            inputs = await self._fetch_inputs(folder)
            tasks = tuple(_task(job) for job in sorted(self._open_jobs(), key=_rank))
            if not tasks:
                return
            order = Order(
                source=source,
                media_type=self.held.bundle.media_type,
                tasks=tasks,
                workspace=folder,
                facts=self.held.bundle.facts,
                derived_inputs=inputs,
                sidecars=sidecars,
            )
            await self._produce_and_deliver(order)

    async def _give_back_strangers(self) -> None:
        """Give back what only another plugin can do, though it asks for a capability of ours."""
        held, known = self.held, self.means.job_types
        strangers = [job.job_id for job in self._open_jobs() if job.job_type not in known]
        if strangers:
            await held.release(strangers)

    async def _produce_and_deliver(self, order: Order) -> None:
        self._outcomes, outcomes = anyio.create_memory_object_stream[Said](len(order.tasks))
        with self._outcomes, outcomes:
            async with task_group() as tasks:
                tasks.start_soon(self._deliver, outcomes, order.workspace)
                await self._produce(order)
                self._outcomes.close()

    async def _produce(self, order: Order) -> None:
        broken = await self._try(order, self.means.time_limit)
        left = self._left(order)
        if not left:
            return
        broken = broken or _SILENT
        if len(order.tasks) == 1:
            self._give_up(left[0], broken)
            return
        types = [task.job_type for task in left]
        uuid = self.held.bundle.asset_uuid
        tell = self.held.tell
        tell("isolating", asset_uuid=uuid, jobs=types, code=broken.code, message=broken.message)
        await self._one_by_one(order, left)

    async def _one_by_one(self, order: Order, left: Sequence[Task]) -> None:
        """Try each open task by itself; together they get the time of one bundle once more."""
        ends = anyio.current_time() + self.means.time_limit
        for number, task in enumerate(left):
            share = (ends - anyio.current_time()) / (len(left) - number)
            single = evolve(order, tasks=(task,))
            broken = await self._try(single, max(share, 1.0))
            if self._left(single):
                self._give_up(task, broken or _SILENT)

    async def _try(self, order: Order, limit: float) -> Broken | None:
        async with self.means.pool.worker() as worker:
            folder = Path(tempfile.mkdtemp(dir=order.workspace))
            broken = await worker.run(evolve(order, workspace=folder), self._hear, limit=limit)
            self._tell_death(worker, broken)
        if broken is not None:
            self._clear(folder)
        return broken

    def _clear(self, folder: Path) -> None:
        """Remove what a broken try left half-made; its disk space may be what the next one needs."""
        for path in folder.rglob("*"):
            if path not in self._named and not path.is_dir():
                path.unlink()

    def _hear(self, message: Progress | Said) -> None:
        if isinstance(message, Progress):
            self._note_progress(message)
            return
        job_id = message.outcome.job_id
        if job_id in self.held.open and job_id not in self._heard:
            self._heard.add(job_id)
            if isinstance(message.outcome, Done):
                self._named.update(file.path for file in message.outcome.files)
            self._outcomes.send_nowait(message)

    def _note_progress(self, progress: Progress) -> None:
        job = self.held.open.get(progress.job_id)
        if job is None:
            return
        self.held.progress[progress.job_id] = progress
        self.held.tell(
            "progress",
            asset_uuid=self.held.bundle.asset_uuid,
            job_id=job.job_id,
            job_type=job.job_type,
            current=progress.current,
            total=progress.total,
            text=progress.text,
        )

    def _left(self, order: Order) -> list[Task]:
        return [task for task in order.tasks if task.job_id not in self._heard]

    def _give_up(self, task: Task, broken: Broken) -> None:
        message = f"{task.job_type}: {broken.message}"
        failed = Failed(
            job_id=task.job_id, code=broken.code, message=message, retryable=broken.retryable
        )
        self._hear(Said(outcome=failed))

    def _tell_death(self, worker: Worker, broken: Broken | None) -> None:
        if broken is not None and broken.dead:
            said = broken.stderr or worker.stderr
            self.held.tell("worker_died", code=broken.code, message=broken.message, stderr=said)

    # The results

    async def _deliver(self, outcomes: MemoryObjectReceiveStream[Said], folder: Path) -> None:
        """Hand in outcomes as they come; of those that wait, the smallest first."""
        waiting: list[tuple[int, int, Said]] = []
        count = 0
        async for first in outcomes:
            fresh = [first]
            while fresh or waiting:
                for said in (*fresh, *_ready(outcomes)):
                    count += 1
                    heapq.heappush(waiting, (_bytes_of(said), count, said))
                fresh = []
                await self._hand_in(heapq.heappop(waiting)[2], folder)

    async def _hand_in(self, said: Said, folder: Path) -> None:
        job = self.held.open[said.outcome.job_id]
        try:
            await self._open_source()
        except SourceProblem as problem:
            # What was made of a file that changed or vanished meanwhile says nothing about it.
            await self._fail(job, _broken_by(problem))
            return
        if isinstance(said.outcome, Failed):
            await self._fail(job, said.outcome)
            return
        await self._submit(job, said, said.outcome, folder)

    async def _submit(self, job: BundleJob, said: Said, done: Done, folder: Path) -> None:
        problem = _outputs_problem(done, folder)
        if problem:
            await self._fail(job, _refusal(f"an output of {said.processor} is refused: {problem}"))
            return
        try:
            in_order = sorted(done.files, key=lambda file: file.index)
            files = [await self.held.upload(job, file) for file in in_order]
            await self.held.submit(job, _result(job, said, done, files))
        except GONE:
            raise
        except Refused as error:
            await self._fail(job, _refusal(f"the server refused the result: {error.message}"))

    async def _fail(self, job: BundleJob, why: Broken | Failed) -> None:
        message = self._without_paths(why.message)
        await self.held.fail(job, why.code, message, retryable=why.retryable)

    def _without_paths(self, message: str) -> str:
        """Name files as the server knows them: where they lie on this machine is nobody's business."""
        source = self._source
        message = message.replace(str(self.means.folder), "workspace")
        root = self.means.mounts.get(source.storage_id)
        if root is None:
            return message
        for path in (root, root.resolve()):
            message = message.replace(f"{path}{os.sep}", "")
        return message

    async def _fail_open(self, broken: Broken) -> None:
        for job in self._open_jobs():
            await self._fail(job, broken)

    def _open_jobs(self) -> list[BundleJob]:
        return list(self.held.open.values())

    # What is around it

    async def _open_source(self) -> Path:
        check = partial(open_source, self.means.mounts, self._source)
        return await self.means.asking.ask(self._source.storage_id, check)

    async def _find_sidecars(self) -> tuple[Path, ...]:
        find = partial(find_sidecars, self.means.mounts, self._source, self.held.bundle.sidecars)
        return await self.means.asking.ask(self._source.storage_id, find)

    async def _fetch_inputs(self, folder: Path) -> dict[str, tuple[Path, ...]]:
        """Download the derived files that the jobs ask for; a job whose input is not there fails."""
        inputs: dict[str, tuple[Path, ...]] = {}
        for kind in dict.fromkeys(k for job in self._open_jobs() for k in job.derived_inputs):
            try:
                target = folder / f"input-{kind}"
                target.mkdir()
                inputs[kind] = await self._fetch(kind, target)
            except NotFound as error:
                missing = Broken(code="INPUT_MISSING", message=error.message, retryable=True)
                for job in self._open_jobs():
                    if kind in job.derived_inputs:
                        await self._fail(job, missing)
        return inputs

    async def _fetch(self, kind: str, folder: Path) -> tuple[Path, ...]:
        session, uuid = self.held.session, self.held.bundle.asset_uuid
        fetch = partial(session.transport.fetch_derived, uuid, kind, folder)
        return await session.call(fetch, lease_left=self.held.left)


_SILENT = Broken(
    code="PROCESSOR_ERROR",
    message="the processor ended without an outcome for it",
    retryable=False,
    dead=False,
)


def _task(job: BundleJob) -> Task:
    return Task(job_id=job.job_id, job_type=job.job_type, parameters=job.parameters)


def _rank(job: BundleJob) -> int:
    """What a person sees first comes first; the encoder comes last."""
    return _RANK.get(job.job_type, _USUAL)


def _bytes_of(said: Said) -> int:
    if isinstance(said.outcome, Failed):
        return 0
    return sum(f.path.stat().st_size for f in said.outcome.files if f.path.is_file())


def _ready(outcomes: MemoryObjectReceiveStream[Said]) -> Iterator[Said]:
    while True:
        try:
            yield outcomes.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream):
            return


def _outputs_problem(done: Done, folder: Path) -> str | None:
    names = [(file.kind, file.index) for file in done.files]
    if len(set(names)) < len(names):
        return "two files have the same kind and index"
    problems = (output_problem(file.path, folder) for file in done.files)
    return next((problem for problem in problems if problem), None)


def _result(job: BundleJob, said: Said, done: Done, files: list[UploadedFile]) -> JobResult:
    made_by = {"processor": said.processor, "processor_version": said.version}
    return JobResult(
        job_type=job.job_type,
        facts=done.facts,
        files=tuple(files),
        data=done.data,
        warnings=done.warnings,
        metrics={**done.metrics, **made_by},
    )


def _broken_by(problem: SourceProblem) -> Broken:
    return Broken(code=problem.code, message=problem.message, retryable=problem.retryable)


def _refusal(message: str) -> Broken:
    return Broken(code="RESULT_REFUSED", message=message, retryable=False, dead=False)


def _own_problem(error: Exception) -> Broken:
    """Say what went wrong in the agent itself, rather than in a worker."""
    if not isinstance(error, OSError):
        message = f"the agent failed: {type(error).__name__}: {error}"
        return Broken(code="AGENT_ERROR", message=message, retryable=True)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = "the disk of the agent's workspace is full; make room there"
        return Broken(code="WORKSPACE_FULL", message=message, retryable=True)
    message = f"the agent's workspace cannot be used: {error.strerror or type(error).__name__}"
    return Broken(code="WORKSPACE_ERROR", message=message, retryable=True)
