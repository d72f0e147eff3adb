"""The work on photos: facts, one proxy and one thumbnail from one decode (domain.md, *Derived files*).

==============  =====================================================================================
proxy           JPEG, progressive, quality 85. The long side fits 2048 px; the short side of a panorama
                keeps 480 px where it has them, up to 16,384 px of length
thumbnail       JPEG, quality 82, 480 px wide
both            sRGB with that profile inside, upright, aspect kept, never larger than the source, on
                light grey where it is transparent, and without any of its metadata (no position)
==============  =====================================================================================

``width`` and ``height`` are stated as displayed, after the orientation, which is stated beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from retaia_core.domain.media import extension_of
from retaia_core.ports.processor import DerivedFile, Done, Outcome, Progress, Report, Task, Work

from .photo_color import srgb_profile
from .photo_source import Photo, load_still, opened
from .problems import (
    EncodingProblem,
    MediaProblem,
    RenderingProblem,
    SourceUnreadable,
    failed,
    problem_of,
)
from .raw import identify_raw, load_raw

PROXY_SIDE = 2048
"""The long side of a proxy fits this many pixels."""
THUMB_WIDTH = 480
_LONGEST = 16_384
_PROXY_QUALITY, _THUMB_QUALITY = 85, 82

JOB_TYPES = frozenset({"extract_facts", "generate_proxy", "generate_thumbnails"})


def process_photo(work: Work, report: Report) -> Iterator[Outcome]:
    """Do the tasks of a photo: facts first, then the thumbnail, then the proxy.

    A source that cannot be used fails every task, the facts too, and leaves nothing in the workspace.

    Raises:
        ValueError: a task is of a job type that photos do not have.
    """
    for task in work.tasks:
        if task.job_type not in JOB_TYPES:
            raise ValueError(f"{task.job_type} is no work on photos; there are {sorted(JOB_TYPES)}")
        report(Progress(job_id=task.job_id, current=0, total=2, text="reading the picture"))
    wanted = _wanted_of(work.tasks)
    try:
        photo = load_photo(work.source, wanted)
    except (MediaProblem, MemoryError) as error:
        problem = problem_of(error, SourceUnreadable)
        yield from (failed(task.job_id, problem) for task in work.tasks)
        return
    for task in sorted(work.tasks, key=lambda task: _ORDER[task.job_type]):
        report(Progress(job_id=task.job_id, current=1, total=2, text=task.job_type))
        yield _WORK[task.job_type](task, photo, work.workspace)


def load_photo(path: Path, wanted: Callable[[int, int], tuple[int, int]]) -> Photo:
    """Decode a photo file of any kind to the wanted size.

    Raises:
        MediaProblem: it cannot be used; its code says why.
    """
    extension = extension_of(path.name)
    with opened(path) as data:
        flavour = identify_raw(data, extension)
        if flavour is not None:
            return load_raw(path, data, flavour, wanted, extension=extension)
        return load_still(data, wanted, extension=extension)


def proxy_size(width: int, height: int) -> tuple[int, int]:
    """The size of a proxy.

    >>> proxy_size(6000, 4000), proxy_size(800, 533), proxy_size(20000, 1000)
    ((2048, 1365), (800, 533), (9600, 480))
    """
    long, short = max(width, height), min(width, height)
    scale = min(1.0, max(PROXY_SIDE / long, THUMB_WIDTH / short), _LONGEST / long)
    return _scaled(width, height, scale)


def thumb_size(width: int, height: int) -> tuple[int, int]:
    """The size of a thumbnail.

    >>> thumb_size(6000, 4000), thumb_size(4000, 6000), thumb_size(100, 68)
    ((480, 320), (480, 720), (100, 68))
    """
    return _scaled(width, height, min(1.0, THUMB_WIDTH / width, _LONGEST / max(width, height)))


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _wanted_of(tasks: tuple[Task, ...]) -> Callable[[int, int], tuple[int, int]]:
    """Decode no more than the largest output needs; facts alone need only the proof of a decode."""
    asked = {task.job_type for task in tasks}
    if "generate_proxy" in asked:
        return proxy_size
    return thumb_size if "generate_thumbnails" in asked else lambda width, height: (1, 1)


def _state_facts(task: Task, photo: Photo, workspace: Path) -> Outcome:
    return Done(job_id=task.job_id, facts=photo.facts, warnings=photo.warnings)


def _make_proxy(task: Task, photo: Photo, workspace: Path) -> Outcome:
    def write(path: Path) -> None:
        _save(photo.image, path, quality=_PROXY_QUALITY, progressive=True)

    return _derived(task, photo, workspace / "proxy_photo.jpg", "proxy_photo", write)


def _make_thumb(task: Task, photo: Photo, workspace: Path) -> Outcome:
    def write(path: Path) -> None:
        size = thumb_size(photo.width, photo.height)
        size = min(size[0], photo.image.width), min(size[1], photo.image.height)
        image = photo.image
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        _save(image, path, quality=_THUMB_QUALITY, progressive=False)

    return _derived(task, photo, workspace / "thumb.jpg", "thumb", write)


_WORK: dict[str, Callable[[Task, Photo, Path], Outcome]] = {
    "extract_facts": _state_facts,
    "generate_thumbnails": _make_thumb,
    "generate_proxy": _make_proxy,
}
_ORDER = {job_type: place for place, job_type in enumerate(_WORK)}
_PROBLEMS = {"thumb": RenderingProblem, "proxy_photo": EncodingProblem}


def _derived(
    task: Task, photo: Photo, path: Path, kind: str, write: Callable[[Path], None]
) -> Outcome:
    """Write one file under a temporary name and publish it; on failure nothing stays behind."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        temporary.replace(path)
    except (OSError, ValueError, MemoryError) as error:
        temporary.unlink(missing_ok=True)
        return failed(task.job_id, problem_of(error, _PROBLEMS[kind]))
    file = DerivedFile(kind=kind, path=path, content_type="image/jpeg")
    return Done(job_id=task.job_id, files=(file,), warnings=photo.warnings)


def _save(image: Image.Image, path: Path, *, quality: int, progressive: bool) -> None:
    with path.open("xb") as stream:
        image.save(
            stream,
            "JPEG",
            quality=quality,
            progressive=progressive,
            optimize=True,
            icc_profile=srgb_profile(),
        )
