"""Worker processes as an agent sees them: started, given orders, watched, killed, reused.

A worker is used again for the next bundle, so that small files do not pay for starting Python. It is
replaced after anything went wrong in it, after many bundles, and when it has grown.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, field, frozen

from retaia_core.ports.processor import Progress

from .framing import (
    LONGEST,
    BadFrame,
    Finished,
    FromWorker,
    Order,
    Raised,
    Ready,
    Said,
    Start,
    StartProblem,
    decode,
    encode_order,
    encode_start,
)

_COMMAND = (sys.executable, "-P", "-m", "retaia_agent.worker_main")
_TAIL_BYTES = 8 * 1024
_MOST_BUNDLES = 500
_GROWN_BYTES = 2**30
_DEATH_S = 5.0
"""A process that sleeps in the kernel (a hung network mount) cannot be waited for; it is left behind."""

_ENDED = (
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)
"""How the end of a process shows on its pipes."""

_LAST_WORDS_S = 1.0
"""After its death a process's pipes are read for so long; children that left its group may hold them."""

Hear = Callable[[Progress | Said], None]


@frozen(kw_only=True)
class Broken:
    """An order came to a bad end: the code, the sentence, and whether a new try may help.

    ``dead`` says that the process is gone; ``stderr`` is the end of what it wrote.
    """

    code: str
    message: str
    retryable: bool
    dead: bool = True
    stderr: str = ""


class WorkerMissing(Exception):
    """No worker process can be started; the message says why."""


@define(eq=False)
class Worker:
    """One worker process. Made by `start_worker`; gives up its life in `kill`."""

    process: Process
    _lines: BufferedByteReceiveStream
    _tail: bytearray = field(factory=bytearray, init=False)
    bundles: int = field(default=0, init=False)
    memory: int = field(default=0, init=False)
    healthy: bool = field(default=True, init=False)
    _silent: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def worn(self) -> bool:
        """Whether another should take over."""
        return not self.healthy or self.bundles >= _MOST_BUNDLES or self.memory >= _GROWN_BYTES

    @property
    def stderr(self) -> str:
        """The end of what the process wrote to standard error."""
        return self._tail.decode(errors="replace").strip()

    async def run(self, order: Order, hear: Hear, *, limit: float) -> Broken | None:
        """Give an order and pass on what is said until it is worked off; None where all went well.

        ``limit`` is wall time in seconds; when it is over the process is killed.
        """
        self.bundles += 1
        broken: Broken | None = None
        with anyio.move_on_after(limit) as clock:
            broken = await self._run(order, hear)
        if clock.cancelled_caught:
            broken = Broken(
                code="TIMEOUT",
                message=f"the work was not done within {limit:.0f} s, and was ended",
                retryable=True,
            )
        if broken is not None:
            self.healthy = False
        return broken

    async def _run(self, order: Order, hear: Hear) -> Broken | None:
        raised: Broken | None = None
        try:
            await self._send(encode_order(order))
            while True:
                message = await self._receive()
                match message:
                    case Progress() | Said():
                        hear(message)
                    case Raised(code=code, message=text, retryable=retryable):
                        raised = Broken(code=code, message=text, retryable=retryable, dead=False)
                    case Finished(memory=memory):
                        self.memory = memory
                        return raised
                    case Ready() | StartProblem():
                        raise BadFrame("the worker said twice that it started")
        except BadFrame as error:
            return Broken(code="WORKER_CRASHED", message=str(error), retryable=True)
        except _ENDED:
            return await self._autopsy()

    async def begin(self, start: Start) -> None:
        """Say how the process is to be, and wait for its first word.

        Raises:
            WorkerMissing: it is a complaint, or there is none.
        """
        try:
            await self._send(encode_start(start))
            message = await self._receive()
        except (*_ENDED, BadFrame) as error:
            broken = await self._autopsy()
            raise WorkerMissing(f"{broken.message}; it wrote: {self.stderr or '-'}") from error
        if isinstance(message, StartProblem):
            raise WorkerMissing(message.message)

    async def _send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(line)

    async def _receive(self) -> FromWorker:
        return decode(await self._lines.receive_until(b"\n", LONGEST))

    async def _autopsy(self) -> Broken:
        """The process closed its end: wait for its death, and read how it died."""
        with anyio.move_on_after(_DEATH_S):
            await self.process.wait()
            await self._silent.wait()
        return Broken(
            code="WORKER_CRASHED",
            message=f"the worker process {how_it_ended(self.process.returncode)}",
            retryable=True,
            stderr=self.stderr,
        )

    async def listen_to_stderr(self) -> None:
        """Keep the end of what the process writes; decoders are talkative."""
        assert self.process.stderr is not None
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in self.process.stderr:
                self._tail += chunk
                del self._tail[:-_TAIL_BYTES]
        self._silent.set()

    async def watch(self) -> None:
        """Notice the death of the process, even where children of it keep its pipes open."""
        await self.process.wait()
        kill_group(self.process)
        with anyio.move_on_after(_LAST_WORDS_S):
            await self._silent.wait()
            return
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        await self.process.stdout.aclose()
        await self.process.stderr.aclose()

    async def kill(self) -> None:
        """End the process and everything that it started, and wait for that, within bounds."""
        self.healthy = False
        if self.process.returncode is None:
            kill_group(self.process)
        with anyio.move_on_after(_DEATH_S, shield=True):
            await self.process.aclose()


def kill_group(process: Process) -> None:
    """Kill a worker, and its own children also where it is dead itself: the group bears its number."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def how_it_ended(returncode: int | None) -> str:
    """Put an exit status into words.

    >>> how_it_ended(-11)
    'was killed by SIGSEGV: the file crashed the decoder'
    >>> how_it_ended(3)
    'ended with status 3'
    """
    if returncode is None:
        return "closed its output and would not end"
    if returncode >= 0:
        return f"ended with status {returncode}"
    name = _signal_name(-returncode)
    return f"was killed by {name}" + _SIGNALS_SAY.get(name, "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_CRASH = ": the file crashed the decoder"
_SIGNALS_SAY = {
    "SIGSEGV": _CRASH,
    "SIGABRT": _CRASH,
    "SIGBUS": _CRASH,
    "SIGFPE": _CRASH,
    "SIGILL": _CRASH,
    "SIGKILL": ": by a person, or by the system when memory ran out",
}


async def start_worker(start: Start, tasks: TaskGroup, *, cwd: Path, within: float) -> Worker:
    """Start a worker process in a session of its own, and wait until it is up.

    ``tasks`` is where it is watched and its standard error read; ``within`` is in seconds.

    Raises:
        WorkerMissing: it could not be started, or said why it cannot work.
    """
    try:
        process = await anyio.open_process(
            _COMMAND, stderr=subprocess.PIPE, cwd=cwd, start_new_session=True
        )
    except OSError as error:
        raise WorkerMissing(f"no process can be started: {error.strerror}") from error
    worker = Worker(process, BufferedByteReceiveStream(_output_of(process)))
    try:
        tasks.start_soon(worker.listen_to_stderr)
        tasks.start_soon(worker.watch)
        with anyio.fail_after(within):
            await worker.begin(start)
    except TimeoutError as error:
        await worker.kill()
        raise WorkerMissing(f"the worker process was not up within {within:.0f} s") from error
    except BaseException:
        await worker.kill()
        raise
    return worker


def _output_of(process: Process) -> ByteReceiveStream:
    assert process.stdout is not None
    return process.stdout


@define(eq=False)
class WorkerPool:
    """The workers of an agent: as many as there are bundles at work, kept for the next ones."""

    _start: Start
    _tasks: TaskGroup
    _folder: Path
    _start_within: float
    _idle: list[Worker] = field(factory=list, init=False)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Lend a worker; it comes back, unless it broke or the borrower was cancelled.

        Raises:
            WorkerMissing: none is idle, and none can be started.
        """
        worker = await self._take()
        returned = False
        try:
            yield worker
            returned = not worker.worn
        finally:
            if returned:
                self._idle.append(worker)
            else:
                await worker.kill()

    async def warm(self) -> None:
        """Start a first worker, so that an installation that cannot work is known at once.

        Raises:
            WorkerMissing: it cannot be started.
        """
        async with self.worker():
            pass

    async def close(self) -> None:
        """Kill every idle worker; the borrowed ones die with their borrowers."""
        while self._idle:
            await self._idle.pop().kill()

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.returncode is None:
                return worker
            await worker.kill()
        return await start_worker(
            self._start, self._tasks, cwd=self._folder, within=self._start_within
        )
