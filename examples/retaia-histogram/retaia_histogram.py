"""A whole capability in one file: the brightness histogram of a photo."""

import json

from retaia_core import Capability, DerivedKind, JobType, MediaType, Profile, hookimpl
from retaia_core.ports.processor import Availability, DerivedFile, Done, Failed

KIND = DerivedKind(name="histogram", suffixes={"application/json": ".json"})
JOB = JobType(
    name="make_histogram",
    capabilities={MediaType.PHOTO: Capability("photo.histogram@1")},
    outputs={MediaType.PHOTO: ("histogram",)},
    fatal=("SOURCE_UNREADABLE",),
)
PROFILE = Profile(
    name="photo_histogram",
    media_type=MediaType.PHOTO,
    required=("extract_facts", "generate_proxy", "generate_thumbnails", "make_histogram"),
)


class Histogram:
    name, version = "histogram", "1.0.0"
    capabilities = frozenset({"photo.histogram@1"})
    job_types = frozenset({"make_histogram"})

    def availability(self):
        return Availability(available=True)

    def process(self, work, report):
        from PIL import Image

        for task in work.tasks:
            try:
                counts = Image.open(work.source).convert("L").histogram()
            except OSError as error:
                yield Failed(
                    job_id=task.job_id,
                    code="SOURCE_UNREADABLE",
                    message=str(error),
                    retryable=False,
                )
                continue
            path = work.workspace / "histogram.json"
            path.write_text(json.dumps({"counts": counts}))
            file = DerivedFile(kind="histogram", path=path, content_type="application/json")
            yield Done(job_id=task.job_id, files=(file,))


@hookimpl
def retaia_derived_kinds():
    return [KIND]


@hookimpl
def retaia_job_types():
    return [JOB]


@hookimpl
def retaia_profiles():
    return [PROFILE]


@hookimpl
def retaia_processors():
    return [Histogram()]
