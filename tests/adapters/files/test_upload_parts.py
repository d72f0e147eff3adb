"""Parts of an upload on a real disk: any order, any repetition, any content."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.house import JPEG, House

from retaia_adapters.files.derived import FilesystemDerived
from retaia_adapters.files.marker import adopt
from retaia_core.domain import uploads
from retaia_core.domain.agents import AgentRecord
from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Layout
from retaia_core.errors import ValidationFailed

SIZE = 16
COUNT = -(-len(JPEG) // SIZE)
RIGHT = {n: JPEG[(n - 1) * SIZE : n * SIZE] for n in range(1, COUNT + 1)}
CHANGES: Mapping[str, Callable[[bytes], bytes]] = {
    "right": lambda chunk: chunk,
    "other": lambda chunk: bytes(255 - byte for byte in chunk),
    "short": lambda chunk: chunk[:-1],
    "long": lambda chunk: chunk + b"!",
    "empty": lambda chunk: b"",
}
STEPS = st.lists(st.tuples(st.integers(0, COUNT + 1), st.sampled_from(sorted(CHANGES))), max_size=8)
ALL_RIGHT = st.permutations([(n, "right") for n in RIGHT])


async def put(
    house: House, agent: AgentRecord, asset: Asset, upload_id: str, number: int, chunk: bytes
) -> str | None:
    """Send one part; its ETag, or None where it is refused."""
    halves = (chunk[:5], chunk[5:])
    try:
        part = await house.uploads.put_part(agent, asset.uuid, upload_id, number, halves)
    except ValidationFailed:
        return None
    assert part.etag == hashlib.sha256(chunk).hexdigest()
    return part.etag


async def published(
    house: House, agent: AgentRecord, asset: Asset, upload_id: str, etags: Mapping[int, str]
) -> bytes | None:
    """Complete the upload; what stands on the disk then, or None where it is refused."""
    try:
        done = await house.uploads.complete(agent, asset.uuid, upload_id, etags)
    except ValidationFailed:
        assert list(house.derived.refs("")) == []
        return None
    assert done.ref is not None
    with house.derived.open(done.ref) as file:
        return file.read()


@given(STEPS, ALL_RIGHT, STEPS, st.booleans())
async def test_what_was_accepted_last_is_what_is_published(
    before: list[tuple[int, str]],
    right: list[tuple[int, str]],
    after: list[tuple[int, str]],
    announced: bool,
) -> None:
    """Of each part the last that was accepted counts; one that is refused takes nothing away.

    The file is published if it is all there, begins as its type does, and has its digest where one was
    announced; else nothing of it stands anywhere.
    """
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(uploads, "PART_BYTES", SIZE)
        adopt(Path(folder), Layout(), StorageId("nas"))
        house = House(derived=FilesystemDerived(Path(folder), StorageId("nas")))  # type: ignore[arg-type]
        await house.start()
        asset, agent = await house.ready("INBOX/A.jpg"), await house.agent()
        await house.processing.claim_bundle(agent, asset.uuid)
        upload = await house.uploads.init(
            agent, asset.uuid, kind="proxy_photo", content_type="image/jpeg",
            size_bytes=len(JPEG), sha256=hashlib.sha256(JPEG).hexdigest() if announced else None,
        )  # fmt: skip
        kept: dict[int, bytes] = {}
        etags: dict[int, str] = {}
        for number, change in (*before, *right, *after):
            chunk = CHANGES[change](RIGHT.get(number, b"x" * SIZE))
            etag = await put(house, agent, asset, upload.upload_id, number, chunk)
            assert (etag is not None) == (number in RIGHT and change in ("right", "other"))
            if etag is not None:
                kept[number], etags[number] = chunk, etag
        whole = b"".join(kept[n] for n in sorted(kept))
        good = whole == JPEG if announced else kept[1] == RIGHT[1]
        found = await published(house, agent, asset, upload.upload_id, etags)
        assert found == (whole if good else None)
