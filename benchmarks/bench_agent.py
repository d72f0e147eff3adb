"""What an agent adds around the processors: HTTP, uploads, checks, worker processes.

A clip is prepared for review twice in every round, in turns: by an agent that a running server embeds
(SQLite, loopback, a worker process; nothing known of the clip beforehand), and by the same processor,
called directly in a fresh process with the very tasks that the agent was given. Two ratios:

- *claim to last submit*, beside the processor's call alone: both begin with plugins loaded;
- *worker start to last submit*, beside the whole fresh process: both begin with nothing.

    python benchmarks/bench_agent.py --json agent.json
    python benchmarks/bench_agent.py --scale 0.05 --rounds 1      # a twentieth of the clips' length
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio
from attrs import asdict, define, evolve, field, frozen
from bench_media_video import Row, make, show, sources

from retaia_adapters.media.plugin import MediaProcessor
from retaia_core.domain.media import MediaType
from retaia_core.domain.storage import Layout
from retaia_core.hooks import Plugins, Provider, Role, hookimpl, load_plugins
from retaia_core.ports.device_login import ClientSecret
from retaia_core.ports.processor import Failed, Task, Work
from retaia_core.ports.transport import Bundle, Transport
from retaia_core.settings import Settings, load_settings
from retaia_core.shell.credentials import local_credentials, local_person
from retaia_core.shell.runtime import Notice, Runtime
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services
from retaia_core.usecases.scan_tally import ScanOptions

MOST_ADDED = 1.05
SCANS_UNTIL_READY = 3
LONGEST_S = 3600.0


@frozen(kw_only=True)
class Agent:
    """One run of the agent: seconds from claim and from worker start to the last submit, and of what.

    ``calls`` are seconds by name of the call, ``tail`` what followed the processor's last outcome,
    ``own_cpu`` the processor time of server and agent, ``cpu`` that of the worker with it.
    """

    claimed: float
    cold: float
    cpu: float
    own_cpu: float
    tail: float
    calls: Mapping[str, float]
    tasks: Sequence[Mapping[str, Any]]


@frozen(kw_only=True)
class Direct:
    """One run of the processor alone: seconds of its call and of the whole process, and CPU time."""

    call: float
    whole: float
    cpu: float


# The agent


@frozen
class Call:
    """One call of the transport, by the clock, and the processor time of this process before and after."""

    name: str
    began: float
    ended: float
    cpu_before: float
    cpu_after: float


@define
class Timed:
    """A transport whose calls are noted."""

    _transport: Transport
    calls: list[Call] = field(factory=list)
    bundles: list[Bundle] = field(factory=list)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._transport, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            began, cpu = time.monotonic(), time.process_time()
            answer = await method(*arguments, **options)
            self.calls.append(Call(name, began, time.monotonic(), cpu, time.process_time()))
            if isinstance(answer, Bundle):
                self.bundles.append(answer)
            return answer

        return call


@define
class TimedTransports:
    """A plugin: the transport over HTTP, timed."""

    plugins: Plugins
    made: list[Timed] = field(factory=list)

    @hookimpl
    def retaia_providers(self) -> Iterable[Provider]:
        return (Provider(role=Role.AGENT_TRANSPORT, name="timed", factory=self.make),)

    def make(self, url: str, secret: ClientSecret) -> Timed:
        factory = self.plugins.provider(Role.AGENT_TRANSPORT, "http").factory
        timed = Timed(cast("Transport", factory(url, secret)))
        self.made.append(timed)
        return timed


@define
class Watcher:
    """Notes when the server was up, and stops it all when the bundle is done."""

    scope: anyio.CancelScope
    serving: float = 0.0
    submitted: int = 0
    failed: list[str] = field(factory=list)

    def __call__(self, notice: Notice) -> None:
        match notice.name:
            case "serving":
                self.serving = time.monotonic()
            case "agent.submitted":
                self.submitted += 1
            case "agent.failed" | "agent.refused" | "agent.lost" | "agent.worker_died":
                self.failed.append(f"{notice.name}: {dict(notice.data)}")
            case "agent.bundle_done":
                self.scope.cancel()


async def embedded(folder: Path, clip: Path) -> Agent:
    """Let the agent of a running server prepare a clip that was just found."""
    storage = folder / "storage"
    (storage / "INBOX").mkdir(parents=True)
    os.link(clip, storage / "INBOX" / clip.name)
    overrides = {("server", "port"): 0, ("agent", "transport"): "timed"}
    settings = load_settings(data_dir=folder / "data", environ={}, overrides=overrides)
    settings.data_dir.mkdir()
    plugins = load_plugins()
    transports = TimedTransports(plugins)
    plugins.manager.register(transports)
    async with open_services(settings, server=True, plugins=plugins) as services:
        await _find(services, storage)
        with anyio.CancelScope(deadline=anyio.current_time() + LONGEST_S) as scope:
            watcher = Watcher(scope)
            await _runtime(services, settings, watcher).run(agent=True)
    (timed,) = transports.made
    return _measured(watcher, timed)


async def _find(services: Services, storage: Path) -> None:
    """Adopt the folder, and scan until its file is believed and has jobs."""
    adopted = await services.storages.adopt(local_person(), str(storage), Layout())
    for _ in range(SCANS_UNTIL_READY):
        await services.discovery.scan(adopted.storage_id, ScanOptions(quiet=timedelta(0)))
    if not await services.store.read(lambda tx: tx.find_jobs(limit=1)):
        raise SystemExit("the scans found nothing to do")


def _runtime(services: Services, settings: Settings, watcher: Watcher) -> Runtime:
    return Runtime(
        services=services,
        settings=settings,
        credentials=local_credentials(settings.data_dir, services.ids),
        watch=watcher,
    )


def _measured(watcher: Watcher, timed: Timed) -> Agent:
    bundles = [bundle for bundle in timed.bundles if bundle.jobs]
    if watcher.failed or not bundles or watcher.submitted != len(bundles[0].jobs):
        raise SystemExit(f"not every job was done: {watcher.failed}")
    (bundle,) = bundles
    claim = next(call for call in timed.calls if call.name == "claim_bundle")
    *before, last = (call for call in timed.calls if call.name == "submit")
    handed_in = before[-1].ended if before else claim.ended
    tail = next(c for c in timed.calls if c.name in {"upload", "submit"} and c.began >= handed_in)
    own = last.cpu_after - claim.cpu_before
    times = os.times()
    return Agent(
        claimed=last.ended - claim.began,
        cold=last.ended - watcher.serving,
        cpu=own + times.children_user + times.children_system,
        own_cpu=own,
        tail=last.ended - tail.began,
        calls=_by_name(call for call in timed.calls if call.began <= last.ended),
        tasks=[{"job_type": job.job_type, "parameters": job.parameters} for job in bundle.jobs],
    )


def _by_name(calls: Iterable[Call]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for call in calls:
        seconds[call.name] = seconds.get(call.name, 0.0) + call.ended - call.began
    return seconds


def by_agent(clip: Path) -> Agent:
    """The agent's run, in a process of its own."""
    # Beside the clip, so that the storage can hold a second name of it rather than a copy.
    with tempfile.TemporaryDirectory(dir=clip.parent) as folder:
        return Agent(**_child("--embedded", folder, str(clip)))


# The processor alone


def direct(clip: Path, tasks: str, workspace: Path) -> dict[str, float]:
    """Call the processor as a worker process does; seconds of the call."""
    processor = MediaProcessor()
    work = Work(
        source=clip,
        media_type=MediaType.VIDEO,
        tasks=tuple(Task(job_id=task["job_type"], **task) for task in json.loads(tasks)),
        workspace=workspace,
    )
    began = time.monotonic()
    for outcome in processor.process(work, lambda progress: None):
        if isinstance(outcome, Failed):
            raise SystemExit(f"{outcome.job_id}: {outcome.message}")
    return {"call": time.monotonic() - began}


def by_processor(clip: Path, tasks: Sequence[Mapping[str, Any]]) -> Direct:
    """The processor's run, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=clip.parent) as folder:
        before, began = os.times(), time.monotonic()
        answer = _child("--direct", str(clip), json.dumps(tasks), folder)
        whole, after = time.monotonic() - began, os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])
        return Direct(call=answer["call"], whole=whole, cpu=cpu)


def _child(*arguments: str) -> Any:
    """Run this file; its last line is its answer."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


# The table


@frozen(kw_only=True)
class AgentRow(Row):
    """A line of the table, and where the agent's time goes: medians, in seconds."""

    breakdown: Mapping[str, float] = field(factory=dict)


def compare(name: str, clip: Path, rounds: int) -> list[AgentRow]:
    """The ratios of one clip."""
    pairs: list[tuple[Agent, Direct]] = []
    for number in range(rounds):
        agent = by_agent(clip)
        pairs.append((agent, by_processor(clip, agent.tasks)))
        print(f"{name}, round {number + 1}: {agent.claimed:.2f} s / {pairs[-1][1].call:.2f} s")
    claimed = _row(name, "claim to last submit / processor's call", pairs, _claimed)
    cold = _row(name, "worker start to last submit / whole process", pairs, _cold)
    return [evolve(claimed, breakdown=_breakdown([agent for agent, _ in pairs])), cold]


def _claimed(agent: Agent, alone: Direct) -> tuple[float, float]:
    return agent.claimed, alone.call


def _cold(agent: Agent, alone: Direct) -> tuple[float, float]:
    return agent.cold, alone.whole


def _row(
    clip: str,
    what: str,
    pairs: Sequence[tuple[Agent, Direct]],
    times: Callable[[Agent, Direct], tuple[float, float]],
) -> AgentRow:
    seconds = [times(agent, alone) for agent, alone in pairs]
    return AgentRow(
        clip=clip,
        what=what,
        ratio=round(statistics.median(ours / alone for ours, alone in seconds), 3),
        limit=MOST_ADDED,
        seconds=round(statistics.median(ours for ours, _ in seconds), 2),
        other_seconds=round(statistics.median(alone for _, alone in seconds), 2),
        cpu_ratio=round(statistics.median(agent.cpu / alone.cpu for agent, alone in pairs), 3),
    )


def _breakdown(runs: Sequence[Agent]) -> dict[str, float]:
    """Where the time goes. All but the last job's uploads and submits run while the worker works on."""
    figures: dict[str, Callable[[Agent], float]] = {
        "before_claim_s": lambda run: run.cold - run.claimed,
        "claim_to_last_outcome_s": lambda run: run.claimed - run.tail,
        "after_last_outcome_s": lambda run: run.tail,
        "server_and_agent_cpu_s": lambda run: run.own_cpu,
    }
    for name in sorted({name for run in runs for name in run.calls}):
        figures[f"{name}_s"] = lambda run, name=name: run.calls.get(name, 0.0)  # type: ignore[misc]
    return {
        name: round(statistics.median(figure(run) for run in runs), 3)
        for name, figure in figures.items()
    }


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; whether the goal was met does not show in the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="length of the clips, 1 = whole")
    given = parser.parse_args(arguments)
    rows: list[AgentRow] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(sources(given.scale)):
            clip = Path(folder) / f"clip-{number}.mp4"
            make(source, clip)
            rows += compare(source.name, clip, given.rounds)
            clip.unlink()
    show(rows)
    for row in rows:
        if row.breakdown:
            parts = ", ".join(f"{name} {value}" for name, value in row.breakdown.items())
            print(f"{row.clip}: {parts}")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--embedded", folder, clip]:
            print(json.dumps(asdict(anyio.run(embedded, Path(folder), Path(clip)))))
        case ["--direct", clip, tasks, workspace]:
            print(json.dumps(direct(Path(clip), tasks, Path(workspace))))
        case arguments:
            sys.exit(main(arguments))
