"""The process that stands beside a call of `ffmpeg`: the tasks of one clip, and nothing loaded but for them.

python benchmarks/media_process.py CLIP FOLDER JOB_TYPE...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from retaia_adapters.media.plugin import MediaProcessor
from retaia_core.domain.media import MediaType
from retaia_core.ports.processor import Failed, Task, Work


def work(path: Path, out: Path, jobs: Sequence[str]) -> None:
    """Do the tasks; a failed one ends the process."""
    tasks = tuple(
        Task(job_id=job, job_type=job, parameters={"storyboard": True} if "thumb" in job else {})
        for job in jobs
    )
    bundle = Work(source=path, media_type=MediaType.VIDEO, tasks=tasks, workspace=out)
    for outcome in MediaProcessor().process(bundle, lambda progress: None):
        if isinstance(outcome, Failed):
            raise SystemExit(f"{outcome.job_id}: {outcome.message}")


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
