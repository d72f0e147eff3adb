"""A plugin whose one processor does what the source file tells it, bad things included.

The source is a JSON object from job type to a stunt; a job type that is not named goes well.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from retaia_core.hooks import hookimpl
from retaia_core.ports.processor import (
    Availability,
    DerivedFile,
    Done,
    Failed,
    Outcome,
    Processor,
    Progress,
    Report,
    Task,
    Work,
)

KINDS: Mapping[str, tuple[str, ...]] = {
    "extract_facts": (),
    "generate_proxy": ("proxy_video",),
    "generate_thumbnails": ("thumb", "thumb"),
    "generate_audio_waveform": ("waveform",),
}


def _segfault(work: Work, task: Task) -> None:
    ctypes.string_at(0)


def _hang(work: Work, task: Task) -> None:
    time.sleep(600)


def _spin(work: Work, task: Task) -> None:
    """Hang while holding the interpreter's lock, as a C loop would."""
    ctypes.PyDLL(None).sleep(600)


def _eat(work: Work, task: Task) -> None:
    held = []
    while True:
        held.append(bytearray(32 * 2**20))


def _fill(work: Work, task: Task) -> None:
    (work.workspace / "half-made").write_bytes(b"x" * 1000)
    raise OSError(errno.ENOSPC, "No space left on device")


def _raise(work: Work, task: Task) -> None:
    raise ZeroDivisionError("a bug")


def _tell_paths(work: Work, task: Task) -> None:
    raise ValueError(f"cannot turn {work.source} into {work.workspace}/x")


def _leave_a_child(work: Work, task: Task) -> None:
    """Start a process of its own that keeps the worker's standard error, note it, and crash."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    work.source.with_name("child.pid").write_text(str(pid))
    ctypes.string_at(0)


def _leave_a_daemon(work: Work, task: Task) -> None:
    """Start a process that leaves the worker's group and keeps its pipes for a while; then crash."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(12)
        os._exit(0)
    time.sleep(0.1)
    ctypes.string_at(0)


def _exit(work: Work, task: Task) -> None:
    os._exit(3)


def _shout(work: Work, task: Task) -> None:
    """Write more to both outputs than a pipe holds."""
    for _ in range(20_000):
        print("[h264 @ 0x1] error while decoding MB 12 3, bytestream -5")
        print("noise", file=sys.stderr)
    sys.stdout.flush()


def _garble(work: Work, task: Task) -> None:
    """Write nonsense into every open descriptor, the message channel among them."""
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, b'{"is": "nonsense"}\n')
        except OSError:
            continue


def _slow(work: Work, task: Task) -> None:
    time.sleep(1.0)


def _slower(work: Work, task: Task) -> None:
    time.sleep(2.5)


def _hang_once(work: Work, task: Task) -> None:
    """Hang at the first try."""
    note = work.source.with_name("hung")
    if not note.exists():
        note.write_text(str(os.getpid()))
        time.sleep(600)


def _unplug(work: Work, task: Task) -> None:
    """Pull the storage's plug: what is mounted is an empty folder."""
    work.source.parent.parent.joinpath(".retaia").unlink()
    raise OSError(errno.EIO, "Input/output error")


def _child(work: Work, task: Task) -> None:
    """Start a process of its own, note it, and hang."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    work.source.with_name("child.pid").write_text(str(pid))
    time.sleep(600)


_STUNTS: Mapping[str, Callable[[Work, Task], None]] = {
    "segfault": _segfault,
    "hang": _hang,
    "spin": _spin,
    "eat": _eat,
    "fill": _fill,
    "raise": _raise,
    "exit": _exit,
    "shout": _shout,
    "garble": _garble,
    "slow": _slow,
    "slower": _slower,
    "hang_once": _hang_once,
    "unplug": _unplug,
    "child": _child,
    "leave_a_child": _leave_a_child,
    "leave_a_daemon": _leave_a_daemon,
    "tell_paths": _tell_paths,
}


def _files(task: Task, folder: Path, size: int) -> tuple[DerivedFile, ...]:
    files = []
    for index, kind in enumerate(KINDS[task.job_type]):
        path = folder / f"{kind}-{index}.bin"
        path.write_bytes(kind.encode() + b"." * size)
        files.append(
            DerivedFile(kind=kind, path=path, content_type="application/x-test", index=index)
        )
    return tuple(files)


def _well(work: Work, task: Task) -> Done:
    size = 10_000 if task.job_type == "generate_proxy" else 10
    return Done(
        job_id=task.job_id,
        facts={"width": 16, "height": 9} if task.job_type == "extract_facts" else {},
        files=_files(task, work.workspace, size),
        metrics={"pid": os.getpid(), "cwd": Path.cwd().name},
    )


def _outcome(work: Work, task: Task, stunt: str) -> Outcome | None:
    match stunt:
        case "silent":
            return None
        case "unreadable":
            return Failed(
                job_id=task.job_id, code="SOURCE_UNREADABLE", message="no", retryable=False
            )
        case "foreign":
            odd = DerivedFile(kind="proxy_video", path=Path("/etc/hostname"), content_type="x/y")
            return Done(job_id=task.job_id, files=(odd,))
        case "undeclared":
            path = work.workspace / "odd.bin"
            path.write_bytes(b"odd")
            odd = DerivedFile(kind="no_such_kind", path=path, content_type="x/y")
            return Done(job_id=task.job_id, files=(odd,))
        case "strange":
            return Done(job_id=task.job_id, data={"strange": object()})
        case "inputs":
            names = {k: [p.read_text() for p in v] for k, v in work.derived_inputs.items()}
            done = _well(work, task)
            return Done(job_id=task.job_id, files=done.files, metrics={"inputs": names})
        case "change":
            work.source.write_text(work.source.read_text() + " ")
    return _well(work, task)


class Stunts(Processor):
    """The processor."""

    name = "stunts"
    version = "7"
    capabilities = frozenset(
        {
            "media.facts@1",
            "media.proxies.video@1",
            "media.thumbnails@1",
            "audio.waveform@1",
        }
    )
    job_types = frozenset(KINDS)

    def availability(self) -> Availability:
        """Say that it can work anywhere."""
        return Availability(available=True)

    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        """Do what the source says, task by task."""
        script = json.loads(work.source.read_text())
        for task in work.tasks:
            stunt = script.get(task.job_type, "well")
            report(Progress(job_id=task.job_id, current=1, total=2, text="half"))
            if stunt in _STUNTS:
                _STUNTS[stunt](work, task)
            outcome = _outcome(work, task, stunt)
            if outcome is not None:
                yield outcome


@hookimpl
def retaia_processors() -> Iterable[Processor]:
    """Register the processor."""
    return (Stunts(),)
