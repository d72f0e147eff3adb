"""All the tasks of a sound recording, what is quick before what is not (domain.md, *Jobs*).

Facts come first, then the copy of a source that is a proxy already. The libraries for numbers and
pictures are loaded for what needs them, and no sooner: loading them takes longer than the facts.
"""

from __future__ import annotations

from collections.abc import Iterator

from retaia_core.ports.processor import Done, Outcome, Report, Task, Work

from .audio_copy import can_copy, copy_proxy
from .audio_source import Sound, probe_sound
from .problems import MediaProblem, failed

FACTS, PROXY = "extract_facts", "generate_proxy"
JOB_TYPES = frozenset({FACTS, PROXY, "generate_audio_waveform", "generate_thumbnails"})


def process_audio(work: Work, report: Report) -> Iterator[Outcome]:
    """Do the tasks of a sound recording; one outcome for each, as soon as it is there.

    Raises:
        ValueError: a task is of a job type that sound does not have.
    """
    unknown = sorted({task.job_type for task in work.tasks} - JOB_TYPES)
    if unknown:
        raise ValueError(f"no job types of sound: {', '.join(unknown)}")
    try:
        sound = probe_sound(work.source)
    except MediaProblem as problem:
        yield from (failed(task.job_id, problem) for task in work.tasks)
        return
    quick = {FACTS, PROXY} if can_copy(sound) else {FACTS}
    tasks = sorted(work.tasks, key=lambda task: task.job_type != FACTS)
    for task in tasks:
        if task.job_type in quick:
            yield _quick(task, work, sound)
    left = [task for task in tasks if task.job_type not in quick]
    if left:
        from .audio_session import Session

        yield from Session(work, left, sound, report).outcomes()


def _quick(task: Task, work: Work, sound: Sound) -> Outcome:
    if task.job_type == FACTS:
        return Done(job_id=task.job_id, facts=sound.facts, warnings=sound.warnings)
    try:
        return Done(job_id=task.job_id, files=(copy_proxy(sound, work.workspace),))
    except MediaProblem as problem:
        return failed(task.job_id, problem)
