"""A capability of one's own in one file: the brightness histogram of a photo."""

import json

from retaia_core import Capability, DerivedKind, JobType, MediaType, Profile, hookimpl
from retaia_core.ports.processor import Availability, DerivedFile, Done, Failed

CAPABILITY = Capability("photo.histogram@1")


@hookimpl
def retaia_derived_kinds():
    yield DerivedKind(name="histogram", suffixes={"application/json": ".json"})


@hookimpl
def retaia_job_types():
    yield JobType(
        name="make_histogram",
        capabilities={MediaType.PHOTO: CAPABILITY},
        outputs={MediaType.PHOTO: ("histogram",)},
        fatal=("SOURCE_UNREADABLE",),
    )


@hookimpl
def retaia_profiles():
    jobs = ("extract_facts", "generate_proxy", "generate_thumbnails", "make_histogram")
    yield Profile(name="photo_histogram", media_type=MediaType.PHOTO, required=jobs)


class Histogram:
    name, version = "histogram", "1.0.0"
    capabilities = frozenset({CAPABILITY})
    job_types = frozenset({"make_histogram"})

    def availability(self):
        return Availability(available=True)

    def process(self, work, report):
        for task in work.tasks:
            yield self.measure(task.job_id, work)

    def measure(self, job_id, work):
        from PIL import Image  # here, and not above: every `retaia` command loads this module

        try:
            with Image.open(work.source) as photo:
                counts = photo.convert("L").histogram()
        except OSError:
            said = "Pillow cannot read this photo"
            return Failed(job_id=job_id, code="SOURCE_UNREADABLE", message=said, retryable=False)
        path = work.workspace / "histogram.json"
        path.write_text(json.dumps({"counts": counts}))
        file = DerivedFile(kind="histogram", path=path, content_type="application/json")
        return Done(job_id=job_id, files=(file,))


@hookimpl
def retaia_processors():
    yield Histogram()
