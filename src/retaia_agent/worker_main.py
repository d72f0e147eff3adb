"""The worker process: ``python -m retaia_agent.worker_main``, started by an agent.

It reads orders, lets processors work, and says what came of it. It may die at any moment, of a file
that crashes a decoder, say; nobody but its agent notices.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import BinaryIO

from attrs import define, field, frozen

from retaia_core.catalog import Catalog
from retaia_core.errors import RetaiaError, ValidationFailed
from retaia_core.ports.processor import Failed, Outcome, Processor, Progress, Task, Work

from .framing import (
    Finished,
    FromWorker,
    Order,
    Raised,
    Ready,
    Said,
    Start,
    StartProblem,
    decode_order,
    decode_start,
    encode,
)
from .limits import apply_limits, memory_held
from .plugins import agent_plugins

_PROGRESS_EVERY_S = 0.25


@define
class Channel:
    """The way back to the agent; processors may report from threads of their own."""

    file: BinaryIO
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def send(self, message: FromWorker) -> None:
        """Write one message, whole."""
        line = encode(message)
        with self._lock:
            self.file.write(line)
            self.file.flush()


@define
class Reporter:
    """Passes progress on, a few times a second for each job."""

    channel: Channel
    _last: dict[str, float] = field(factory=dict, init=False)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        ended = 0 < progress.total <= progress.current
        if not ended and now - self._last.get(progress.job_id, -1e9) < _PROGRESS_EVERY_S:
            return
        self._last[progress.job_id] = now
        self.channel.send(progress)


@frozen(kw_only=True)
class Bench:
    """The processors of this worker, and the tables that say which does what."""

    processors: tuple[Processor, ...]
    catalog: Catalog

    def groups(self, order: Order) -> Iterator[tuple[Processor | None, tuple[Task, ...]]]:
        """Put the tasks of an order together by processor, in the order of their first tasks."""
        chosen = [(self._processor(task, order), task) for task in order.tasks]
        while chosen:
            first = chosen[0][0]
            yield first, tuple(task for processor, task in chosen if processor is first)
            chosen = [row for row in chosen if row[0] is not first]

    def _processor(self, task: Task, order: Order) -> Processor | None:
        job_type = self.catalog.job_types.get(task.job_type)
        if job_type is None:
            return None
        try:
            capability = job_type.capability_for(order.media_type)
        except ValidationFailed:
            return None
        fitting = (
            processor
            for processor in self.processors
            if task.job_type in processor.job_types and capability in processor.capabilities
        )
        return next(fitting, None)


def what_escaped(error: Exception, processor: str) -> Raised:
    """Say what an exception means that a processor let escape."""
    if isinstance(error, MemoryError):
        return Raised(
            code="OUT_OF_MEMORY",
            message="the work needs more memory than the agent's limit allows",
            retryable=True,
        )
    if isinstance(error, RetaiaError):
        return Raised(code=error.code, message=error.message, retryable=error.retryable)
    if isinstance(error, OSError):
        return _system_error(error)
    return Raised(
        code="PROCESSOR_ERROR",
        message=f"the processor {processor} failed: {type(error).__name__}: {error}",
        retryable=False,
    )


def _system_error(error: OSError) -> Raised:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Raised(
            code="WORKSPACE_FULL",
            message="the disk of the agent's workspace is full; make room there",
            retryable=True,
        )
    if error.errno == errno.ENOMEM:
        return Raised(
            code="OUT_OF_MEMORY", message="the system refused memory to the work", retryable=True
        )
    said = error.strerror or type(error).__name__
    return Raised(code="IO_ERROR", message=f"reading or writing failed: {said}", retryable=True)


def _perform(order: Order, bench: Bench, channel: Channel) -> None:
    for number, (processor, tasks) in enumerate(bench.groups(order)):
        if processor is None:
            _refuse(tasks, channel)
            continue
        try:
            for outcome in _outcomes(order, processor, tasks, number, channel):
                said = Said(outcome=outcome, processor=processor.name, version=processor.version)
                channel.send(said)
        except Exception as error:  # noqa: BLE001 - whatever a plugin lets escape is its tasks' failure
            channel.send(what_escaped(error, processor.name))
    channel.send(Finished(memory=memory_held()))


def _outcomes(
    order: Order, processor: Processor, tasks: tuple[Task, ...], number: int, channel: Channel
) -> Iterator[Outcome]:
    workspace = order.workspace / str(number)
    workspace.mkdir(mode=0o700)
    work = Work(
        source=order.source,
        media_type=order.media_type,
        tasks=tasks,
        workspace=workspace,
        facts=order.facts,
        derived_inputs=order.derived_inputs,
        sidecars=order.sidecars,
    )
    return processor.process(work, Reporter(channel))


def _refuse(tasks: Sequence[Task], channel: Channel) -> None:
    for task in tasks:
        failed = Failed(
            job_id=task.job_id,
            code="PROCESSOR_MISSING",
            message=f"no processor of this agent does {task.job_type}",
            retryable=True,
        )
        channel.send(Said(outcome=failed))


def _set_up(start: Start) -> Bench:
    """Load the plugins.

    Raises:
        PluginError: one of them is broken.
    """
    sys.path[:] = [*sys.path, *(p for p in start.search_path if p not in sys.path)]
    plugins = agent_plugins(disabled=start.disabled_plugins, modules=start.plugin_modules)
    processors = tuple(p for p in plugins.processors() if p.name in start.processors)
    return Bench(processors=processors, catalog=plugins.catalog())


def _private_channel() -> BinaryIO:
    """Take standard output for messages; whatever a library prints goes to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "wb")


def _listen(lines: BinaryIO, orders: SimpleQueue[Order]) -> None:
    """Pass orders on; when the agent is gone, so is its worker, with all that it started."""
    for line in lines:
        orders.put(decode_order(line))
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def main() -> int:
    """Run until the agent closes this process's input."""
    channel = Channel(_private_channel())
    lines = sys.stdin.buffer
    start = decode_start(lines.readline())
    try:
        apply_limits(memory=start.memory_limit, niceness=start.niceness)
        bench = _set_up(start)
    except (RetaiaError, OSError, ValueError, MemoryError) as error:
        channel.send(StartProblem(message=str(error) or type(error).__name__))
        return 1
    orders: SimpleQueue[Order] = SimpleQueue()
    threading.Thread(target=_listen, args=(lines, orders), daemon=True).start()
    channel.send(Ready())
    while True:
        _perform(orders.get(), bench, channel)


if __name__ == "__main__":
    sys.exit(main())
