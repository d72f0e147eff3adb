"""Worker processes by themselves: their limits, their reuse, their death."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from retaia_tests.agent_processors import KINDS
from retaia_tests.agent_stage import OTHERS, is_gone, wait_until

from retaia_agent.framing import Order, Said, Start, encode_order, encode_start
from retaia_agent.worker import Worker, WorkerMissing, WorkerPool, how_it_ended
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Done, Failed, Progress, Task

START = Start(
    processors=("stunts",),
    disabled_plugins=OTHERS,
    plugin_modules=("retaia_tests.agent_processors",),
    search_path=tuple(sys.path),
)


@asynccontextmanager
async def pool_of(start: Start, folder: Path) -> AsyncIterator[WorkerPool]:
    """A pool that is closed afterwards."""
    async with anyio.create_task_group() as tasks:
        pool = WorkerPool(start, tasks, folder, 30.0)
        try:
            yield pool
        finally:
            with anyio.CancelScope(shield=True):
                await pool.close()
        tasks.cancel_scope.cancel()


def order(folder: Path, script: str = "{}", *, job_type: str = "extract_facts") -> Order:
    """An order for one task."""
    (folder / "source.mov").write_text(script)
    workspace = folder / f"workspace-{len(list(folder.iterdir()))}"
    workspace.mkdir()
    return Order(
        source=folder / "source.mov",
        media_type=MediaType.VIDEO,
        tasks=(Task(job_id="j", job_type=job_type),),
        workspace=workspace,
    )


async def outcomes(worker: Worker, given: Order) -> list[Done | Failed]:
    """What a worker says to an order."""
    heard: list[Progress | Said] = []
    assert await worker.run(given, heard.append, limit=30) is None
    return [message.outcome for message in heard if isinstance(message, Said)]


class TestLimits:
    """A worker limits itself before it loads a plugin."""

    async def test_they_are_set_in_the_process(self, tmp_path: Path) -> None:
        """Memory, core dumps and niceness; a session of its own."""
        start = Start(memory_limit=2**30, niceness=7)
        async with pool_of(start, tmp_path) as pool, pool.worker() as worker:
            pid = worker.process.pid
            assert resource.prlimit(pid, resource.RLIMIT_DATA) == (2**30, 2**30)
            assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
            assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 7
            assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)

    async def test_no_limit_is_possible(self, tmp_path: Path) -> None:
        """None leaves memory as it is."""
        async with pool_of(Start(memory_limit=None), tmp_path) as pool, pool.worker() as worker:
            limit = resource.prlimit(worker.process.pid, resource.RLIMIT_DATA)
        assert limit == resource.getrlimit(resource.RLIMIT_DATA)

    async def test_a_limit_that_is_too_small_is_said(self, tmp_path: Path) -> None:
        """A worker that cannot even start says so."""
        async with pool_of(Start(memory_limit=2**20), tmp_path) as pool:
            with pytest.raises(WorkerMissing):
                await pool.warm()

    async def test_a_process_that_cannot_even_import_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reason has the end of what it wrote."""
        (tmp_path / "attrs.py").write_text("raise ImportError('attrs is broken here')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        async with pool_of(Start(), tmp_path) as pool:
            with pytest.raises(WorkerMissing, match="attrs is broken here"):
                await pool.warm()


class TestReuse:
    """A worker works for many bundles, until it is worn."""

    async def test_the_same_process_again(self, tmp_path: Path) -> None:
        """Whoever borrows next gets the worker that came back."""
        async with pool_of(START, tmp_path) as pool:
            pids = set()
            for _ in range(3):
                async with pool.worker() as worker:
                    (done,) = await outcomes(worker, order(tmp_path))
                    assert isinstance(done, Done)
                    pids.add(done.metrics["pid"])
            assert len(pids) == 1

    @pytest.mark.parametrize("wear", ["bundles", "memory"])
    async def test_a_worn_one_is_replaced(self, tmp_path: Path, wear: str) -> None:
        """After many bundles, or when it has grown, another takes over."""
        async with pool_of(Start(), tmp_path) as pool:
            async with pool.worker() as first:
                setattr(first, wear, 2**31)
            async with pool.worker() as second:
                assert second.process.pid != first.process.pid
            assert first.process.returncode == -signal.SIGKILL

    async def test_one_that_died_at_rest_is_not_lent(self, tmp_path: Path) -> None:
        """A worker that was killed between two bundles harms nobody."""
        async with pool_of(START, tmp_path) as pool:
            async with pool.worker() as first:
                pass
            os.kill(first.process.pid, signal.SIGKILL)
            await wait_until(lambda: first.process.returncode is not None)
            async with pool.worker() as second:
                assert await outcomes(second, order(tmp_path))

    async def test_each_call_gets_an_empty_workspace_and_its_own_tasks(
        self, tmp_path: Path
    ) -> None:
        """A job type that no processor does is refused, and the others are done."""
        given = order(tmp_path, job_type="transcribe_audio")
        async with pool_of(START, tmp_path) as pool, pool.worker() as worker:
            (failed,) = await outcomes(worker, given)
            assert isinstance(failed, Failed)
            assert failed.code == "PROCESSOR_MISSING"
            for job_type in KINDS:
                (done,) = await outcomes(worker, order(tmp_path, job_type=job_type))
                assert isinstance(done, Done)
                assert len(done.files) == len(KINDS[job_type])


def test_a_worker_does_not_outlive_its_agent(tmp_path: Path) -> None:
    """When the agent is killed its worker dies in the middle of the work, with its own children."""
    given = order(tmp_path, '{"extract_facts": "child"}')
    command = [sys.executable, "-P", "-m", "retaia_agent.worker_main"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(encode_start(START) + encode_order(given))
        process.stdin.flush()
        note = tmp_path / "child.pid"
        anyio.run(wait_until, lambda: note.exists() and note.read_text() != "")
        process.stdin.close()
        assert process.wait(10) == -signal.SIGKILL
    anyio.run(wait_until, lambda: is_gone(int(note.read_text())))


def test_how_a_process_ended_in_words() -> None:
    """Signals have their names, also those without one."""
    assert how_it_ended(None) == "closed its output and would not end"
    assert how_it_ended(-signal.SIGABRT).startswith("was killed by SIGABRT: ")
    assert how_it_ended(-signal.SIGTERM) == "was killed by SIGTERM"
    assert how_it_ended(-200) == "was killed by signal 200"
