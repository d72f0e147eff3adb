"""The media plugin: one processor for the facts and review files of videos, recordings and photos.

Importing this module loads no media library: that happens in the worker that does the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from retaia_core.domain.media import MediaType
from retaia_core.hooks import hookimpl
from retaia_core.ports.processor import Availability, Outcome, Processor, Report, Work

VERSION = "1"
"""Part of every result's record: raised whenever the same source would give another result."""

CAPABILITIES = frozenset(
    {
        "media.facts@1",
        "media.proxies.video@1",
        "media.proxies.audio@1",
        "media.proxies.photo@1",
        "media.thumbnails@1",
        "audio.waveform@1",
    }
)
JOB_TYPES = frozenset(
    {
        "extract_facts",
        "generate_proxy",
        "generate_thumbnails",
        "generate_audio_waveform",
        "generate_video_proxies",
    }
)
_LIBRARIES = {"av": "av", "PIL": "pillow", "pillow_heif": "pillow-heif", "numpy": "numpy"}


class MediaProcessor:
    """Reads and renders media with PyAV and Pillow."""

    name = "media"
    version = VERSION
    capabilities = CAPABILITIES
    job_types = JOB_TYPES

    def availability(self) -> Availability:
        """Say whether the media libraries are installed; loads none of them."""
        missing = sorted(package for module, package in _LIBRARIES.items() if not find_spec(module))
        if not missing:
            return Availability(available=True)
        said = f"{', '.join(missing)} not installed; pip install 'retaia[media]'"
        return Availability(available=False, reason=said)

    def process(self, work: Work, report: Report) -> Iterator[Outcome]:
        """Do the tasks of one asset, decoding its source once."""
        if work.media_type is MediaType.VIDEO:
            from .video import process_video

            yield from process_video(work, report)
        elif work.media_type is MediaType.AUDIO:
            from .audio import process_audio

            yield from process_audio(work, report)
        else:
            from .photo import process_photo

            yield from process_photo(work, report)


@hookimpl
def retaia_processors() -> Iterable[Processor]:
    """Offer the processor."""
    return (MediaProcessor(),)
