"""An agent of one's own that makes thumbnails of photos, with the contract's calls alone.

It reads the originals where they are mounted, never through the server. Run it as an agent::

    RETAIA_TOKEN=… python thumbnail_agent.py http://127.0.0.1:8420 /mnt/footage

It goes once through what is offered. A real agent asks again every few seconds
(``server_policy.min_poll_interval_seconds``), sends heartbeats while it works, and checks the storage's
marker before it trusts a mount.
"""

import os
import sys
import tempfile
from pathlib import Path

import anyio
from PIL import Image

from retaia_adapters.http_client import Client
from retaia_adapters.http_client.values.jobs import (
    DerivedPatch,
    DerivedResult,
    Job,
    ManifestEntry,
    SubmitDerived,
)
from retaia_core.errors import StaleLockToken, StateConflict


def make_thumbnail(source: Path, target: Path) -> None:
    """At most 320 pixels wide and high."""
    with Image.open(source) as image:
        image.thumbnail((320, 320))
        image.convert("RGB").save(target, "JPEG")


async def work(client: Client, job: Job, mount: Path, folder: Path) -> str:
    """Do one job that was claimed; returns what became of it."""
    lock_token = job.lock_token or ""
    thumbnail = folder / f"{job.job_id}.jpg"
    try:
        source = mount / job.source.original_relative
        await anyio.to_thread.run_sync(make_thumbnail, source, thumbnail)
    except OSError as error:  # also what Pillow says of a file that is no picture
        done = await client.jobs.fail(
            job.job_id,
            lock_token,
            "SOURCE_UNREADABLE",
            message=type(error).__name__,
            retryable=False,
        )
        return done.status
    # The job's id as key: after a crash the upload goes on where it was.
    file = await client.uploads.upload(
        job.asset_uuid, thumbnail, kind="thumb", content_type="image/jpeg", key=job.job_id
    )
    manifest = (ManifestEntry(kind=file.kind, ref=file.ref),)
    result = DerivedResult(derived_patch=DerivedPatch(derived_manifest=manifest))
    body = SubmitDerived(lock_token=lock_token, job_type="generate_thumbnails", result=result)
    return (await client.jobs.submit(job.job_id, body)).status


async def main(url: str, token: str, mount: Path) -> None:
    async with Client(url, token) as client:
        agent = await client.agents.register("thumbnailer", "1.0", ["media.thumbnails@1"])
        client.agent_id = agent.agent_id
        with tempfile.TemporaryDirectory() as folder:
            for offered in await client.jobs.list():
                try:
                    job = await client.jobs.claim(offered.job_id)
                    status = await work(client, job, mount, Path(folder))
                except StateConflict:
                    continue  # another agent was faster
                except StaleLockToken:
                    status = "lost"  # the lease ran out: throw the work away
                print(f"{offered.source.original_relative}: {status}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], os.environ["RETAIA_TOKEN"], Path(sys.argv[2]))
