"""Why a media task cannot be done, as errors that become the port's `Failed`.

::

    MediaProblem
    ├── SourceUnreadable    fatal      no decoder makes sense of it
    ├── SourceTruncated     fatal      the file ends before its recording does
    ├── NoVideoTrack        fatal
    ├── NoAudioTrack        fatal
    ├── EncodingProblem     retryable  the encoder or the output file failed
    ├── RenderingProblem    retryable  a thumbnail could not be made
    ├── WorkspaceFull       retryable
    └── OutOfMemory         retryable
"""

from __future__ import annotations

import errno
from typing import ClassVar

from retaia_core.errors import RetaiaError
from retaia_core.ports.processor import Failed


class MediaProblem(RetaiaError):
    """A task on a source file cannot be done; ``code`` is that of `Failed`."""


class SourceUnreadable(MediaProblem):
    """No decoder makes sense of the file."""

    code: ClassVar[str] = "SOURCE_UNREADABLE"


class SourceTruncated(MediaProblem):
    """The file ends before its recording does."""

    code: ClassVar[str] = "SOURCE_TRUNCATED"


class NoVideoTrack(MediaProblem):
    """There is no picture that could be decoded."""

    code: ClassVar[str] = "NO_VIDEO_TRACK"


class NoAudioTrack(MediaProblem):
    """There is no sound that could be decoded."""

    code: ClassVar[str] = "NO_AUDIO_TRACK"


class EncodingProblem(MediaProblem):
    """The encoder, or writing its output, failed."""

    code: ClassVar[str] = "ENCODING_ERROR"
    retryable: ClassVar[bool] = True


class RenderingProblem(MediaProblem):
    """A still picture could not be made of a frame."""

    code: ClassVar[str] = "RENDERING_ERROR"
    retryable: ClassVar[bool] = True


class WorkspaceFull(MediaProblem):
    """The folder for results has no room left."""

    code: ClassVar[str] = "WORKSPACE_FULL"
    retryable: ClassVar[bool] = True


class OutOfMemory(MediaProblem):
    """The work needs more memory than it may have."""

    code: ClassVar[str] = "OUT_OF_MEMORY"
    retryable: ClassVar[bool] = True


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def problem_of(error: BaseException, otherwise: type[MediaProblem]) -> MediaProblem:
    """Name what a foreign error means; ``otherwise`` is the kind where nothing more is known."""
    if isinstance(error, MediaProblem):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("there was not enough memory; try again on a machine with more")
    if isinstance(error, OSError) and error.errno in _FULL:
        return WorkspaceFull("the workspace's disk is full; make room there and try again")
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return otherwise(str(said))


def failed(job_id: str, problem: MediaProblem) -> Failed:
    """Turn a problem into the outcome of a task."""
    return Failed(
        job_id=job_id,
        code=problem.code,
        message=problem.message,
        retryable=problem.retryable,
    )
