"""Derived files: sent in parts, checked, published, read in ranges (protocol.md, *Derived uploads*)."""

from __future__ import annotations

import hashlib
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.house import JPEG, MP4, House
from retaia_tests.http_house import STORES, Served

from retaia_adapters.http.errors import WireRefused
from retaia_adapters.http.multipart import read_part_form
from retaia_adapters.http.ranges import Span, parse_range, same_tag
from retaia_core.domain.uploads import PART_BYTES


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """These stories run on two stores."""
    return str(request.param)


class Sender:
    """An agent that holds a bundle and sends files, as a client of the contract would."""

    def __init__(self, served: Served, uuid: str, bundle: dict[str, Any]) -> None:
        self.served = served
        self.base = f"/assets/{uuid}/derived"
        self.bundle = bundle

    async def init(self, content: bytes, **changes: object) -> httpx.Response:
        body = {
            "kind": "proxy_photo", "content_type": "image/jpeg", "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), **changes,
        }  # fmt: skip
        return await self.served.agent.post(
            f"{self.base}/upload/init", json=body, headers=self.served.key()
        )

    async def part(self, upload_id: str, number: object, chunk: bytes) -> httpx.Response:
        return await self.served.agent.post(
            f"{self.base}/upload/part",
            data={"upload_id": upload_id, "part_number": str(number)},
            files={"chunk": ("blob", chunk, "application/octet-stream")},
        )

    async def complete(self, upload_id: str, parts: object = ()) -> httpx.Response:
        body = {"upload_id": upload_id, "parts": list(parts)}  # type: ignore[call-overload]
        return await self.served.agent.post(
            f"{self.base}/upload/complete", json=body, headers=self.served.key()
        )

    async def send(self, content: bytes, **changes: object) -> httpx.Response:
        """The whole way."""
        ticket = (await self.init(content, **changes)).json()
        await self.part(ticket["upload_id"], 1, content)
        return await self.complete(ticket["upload_id"])

    async def submit(self, kind: str, job_type: str, refs: list[str]) -> httpx.Response:
        job = next(j for j in self.bundle["jobs"] if j["job_type"] == job_type)
        manifest = [{"kind": kind, "ref": ref} for ref in refs]
        body = {
            "lock_token": self.bundle["lock_token"],
            "job_type": job_type,
            "result": {"derived_patch": {"derived_manifest": manifest}},
        }
        return await self.served.agent.post(
            f"/jobs/{job['job_id']}/submit", json=body, headers=self.served.key()
        )


async def hold(served: Served, path: str = "INBOX/A.jpg") -> Sender:
    asset = await served.house.ready(path)
    await served.register()
    bundle = await served.agent.post(f"/assets/{asset.uuid}/claim-bundle")
    return Sender(served, asset.uuid, bundle.json())


@pytest.fixture
async def sender(served: Served) -> Sender:
    return await hold(served)


class TestUploads:
    """From announcement to publication."""

    async def test_the_whole_way(self, served: Served, sender: Sender) -> None:
        """A file that was sent and submitted is listed and read as it was."""
        done = (await sender.send(JPEG)).json()
        assert done["sha256"] == hashlib.sha256(JPEG).hexdigest()
        assert (await served.person.get(sender.base)).json() == {"items": []}
        answer = await sender.submit("proxy_photo", "generate_proxy", [done["ref"]])
        assert answer.json()["status"] == "completed"
        (item,) = (await served.person.get(sender.base)).json()["items"]
        assert (item["kind"], item["size_bytes"]) == ("proxy_photo", len(JPEG))
        read = await served.person.get(item["url"].removeprefix("/api/v1"))
        assert read.content == JPEG
        assert read.headers["content-type"] == "image/jpeg"

    async def test_parts_in_any_order_and_twice(self, served: Served) -> None:
        """Parts may come in any order and be repeated; what arrived can be asked."""
        sender = await hold(served, "INBOX/A.mp4")
        content = MP4 + bytes(range(256)) * (PART_BYTES // 256 * 2) + b"end"
        ticket = (await sender.init(content, kind="proxy_video", content_type="video/mp4")).json()
        assert (ticket["part_count"], ticket["max_part_size_bytes"]) == (3, PART_BYTES)
        upload_id = ticket["upload_id"]
        chunks = {n: content[(n - 1) * PART_BYTES : n * PART_BYTES] for n in range(1, 4)}
        early = await sender.complete(upload_id)
        assert early.status_code == 422
        parts = []
        for number in (3, 1, 3, 2):
            answer = await sender.part(upload_id, number, chunks[number])
            etag = answer.json()["part_etag"]
            assert etag == hashlib.sha256(chunks[number]).hexdigest()
            parts.append({"part_number": number, "part_etag": etag})
        state = (await served.agent.get(f"{sender.base}/upload/{upload_id}")).json()
        assert [p["part_number"] for p in state["parts"]] == [1, 2, 3]
        body = {"upload_id": upload_id, "part_number": 2}
        asked = await served.agent.post(f"{sender.base}/upload/part", json=body)
        assert asked.json()["part_etag"] == state["parts"][1]["part_etag"]
        wrong = [{"part_number": 1, "part_etag": "0" * 64}]
        assert (await sender.complete(upload_id, wrong)).status_code == 422
        done = await sender.complete(upload_id, parts)
        assert done.json()["size_bytes"] == len(content)

    async def test_asking_for_a_part_that_did_not_arrive(self, sender: Sender) -> None:
        """A part in JSON has no chunk: where none arrived, the way to send one is said."""
        ticket = (await sender.init(JPEG)).json()
        body = {"upload_id": ticket["upload_id"], "part_number": 1}
        answer = await sender.served.agent.post(f"{sender.base}/upload/part", json=body)
        assert answer.status_code == 422
        assert "multipart/form-data" in answer.json()["message"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"kind": "thumb", "content_type": "video/mp4"},
            {"kind": "passwd"},
            {"kind": "../../etc"},
            {"kind": "waveform", "content_type": "application/json"},
            {"size_bytes": 0},
            {"size_bytes": -1},
            {"size_bytes": 2**62},
            {"sha256": "xyz"},
        ],
    )
    async def test_announcements_are_checked(
        self, sender: Sender, changes: dict[str, object]
    ) -> None:
        """Kind, type, size and digest must be possible, and of a job that is held."""
        answer = await sender.init(JPEG, **changes)
        assert answer.status_code in (409, 422)

    async def test_a_wrong_digest_keeps_nothing(self, served: Served, sender: Sender) -> None:
        """A file that is not the one announced is refused, and nothing is published."""
        answer = await sender.send(JPEG, sha256="0" * 64)
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
        assert served.house.derived.files == {}

    async def test_a_lying_type_keeps_nothing(self, served: Served, sender: Sender) -> None:
        """A file that is no JPEG is refused as one."""
        answer = await sender.send(b"MZ this is a program")
        assert answer.status_code == 422
        assert served.house.derived.files == {}

    async def test_part_sizes(self, sender: Sender) -> None:
        """A part that is short or long, or has no number of the upload, is refused."""
        ticket = (await sender.init(JPEG)).json()
        upload_id = ticket["upload_id"]
        for number, chunk in ((1, JPEG[:-1]), (1, JPEG + b"x"), (0, JPEG), (2, JPEG), ("x", JPEG)):
            answer = await sender.part(upload_id, number, chunk)
            assert answer.status_code == 422, (number, len(chunk))

    async def test_forms_are_checked(self, sender: Sender) -> None:
        """A form without a field, with a strange one, or cut off, is refused."""
        ticket = (await sender.init(JPEG)).json()
        upload_id, agent = ticket["upload_id"], sender.served.agent
        path = f"{sender.base}/upload/part"
        chunk = {"chunk": ("x", JPEG)}
        fields = {"upload_id": upload_id, "part_number": "1"}
        assert (await agent.post(path, data={"part_number": "1"}, files=chunk)).status_code == 422
        odd = {**fields, "more": "x"}
        assert (await agent.post(path, data=odd, files=chunk)).status_code == 422
        nul = {**fields, "upload_id": "a\0b"}
        assert (await agent.post(path, data=nul, files=chunk)).status_code == 422
        for kind, content in (
            ("multipart/form-data", b""),
            ("multipart/form-data; boundary=x", b"--y\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data"),
        ):
            answer = await agent.post(path, content=content, headers={"content-type": kind})
            assert answer.status_code in (400, 422)

    async def test_an_oversized_part(self, sender: Sender) -> None:
        """A part beyond its limit is 413 before it is read whole."""
        ticket = (await sender.init(JPEG)).json()
        answer = await sender.part(ticket["upload_id"], 1, b"x" * (PART_BYTES + 2**17))
        assert answer.status_code == 413

    async def test_uploads_of_others(self, served: Served, sender: Sender) -> None:
        """An upload belongs to its agent and its asset."""
        ticket = (await sender.init(JPEG)).json()
        first = (await served.agent.get(f"{sender.base}/upload/{ticket['upload_id']}")).status_code
        other = await served.register("other")
        headers = {"X-Retaia-Agent": other}
        path = f"{sender.base}/upload/{ticket['upload_id']}"
        second = await served.agent.get(path, headers=headers)
        assert (first, second.status_code) == (200, 403)
        assert (await served.agent.get(f"{sender.base}/upload/none")).status_code == 404

    async def test_completing_twice_at_once(self, served: Served, sender: Sender) -> None:
        """Completing with one key at the same instant is done once; with another it is harmless."""
        ticket = (await sender.init(JPEG)).json()
        await sender.part(ticket["upload_id"], 1, JPEG)
        key, answers = served.key(), []

        async def complete() -> None:
            body = {"upload_id": ticket["upload_id"]}
            path = f"{sender.base}/upload/complete"
            answers.append(await served.agent.post(path, json=body, headers=key))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(complete)
        assert {(a.status_code, a.content) for a in answers} == {(200, answers[0].content)}
        assert (await sender.complete(ticket["upload_id"])).json() == answers[0].json()
        late = await sender.part(ticket["upload_id"], 1, JPEG)
        assert (late.status_code, late.json()["code"]) == (409, "STATE_CONFLICT")


class TestReading:
    """Ranges and validators."""

    @pytest.fixture
    async def url(self, house: House, served: Served) -> str:
        """A published proxy of 74 bytes."""
        asset = await house.pending("INBOX/A.jpg")
        return f"/assets/{asset.uuid}/derived/proxy_photo"

    @pytest.mark.parametrize(
        ("header", "first", "last"),
        [
            ("bytes=0-3", 0, 3),
            ("bytes=10-", 10, len(JPEG) - 1),
            ("bytes=-4", len(JPEG) - 4, len(JPEG) - 1),
            ("bytes=0-99999", 0, len(JPEG) - 1),
            ("bytes=-99999", 0, len(JPEG) - 1),
        ],
    )
    async def test_ranges(
        self, served: Served, url: str, header: str, first: int, last: int
    ) -> None:
        """A range is 206 with its place; what lies beyond the end is cut."""
        answer = await served.person.get(url, headers={"Range": header})
        assert answer.status_code == 206
        assert answer.content == JPEG[first : last + 1]
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(JPEG)}"

    @pytest.mark.parametrize("header", ["bytes=9999-", "bytes=9999-10000", "bytes=-0"])
    async def test_no_byte_of_it(self, served: Served, url: str, header: str) -> None:
        """A range without a byte is 416 and names the size."""
        answer = await served.person.get(url, headers={"Range": header})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{len(JPEG)}"

    @pytest.mark.parametrize("header", ["bytes=3-1", "bytes=-", "lines=1-2", "bytes=0-1,4-5"])
    async def test_what_is_no_single_range(self, served: Served, url: str, header: str) -> None:
        """Several or senseless ranges are ignored: the whole file comes."""
        answer = await served.person.get(url, headers={"Range": header})
        assert (answer.status_code, answer.content) == (200, JPEG)

    async def test_validators(self, served: Served, url: str) -> None:
        """The ETag saves a second reading, and guards a resumed one."""
        first = await served.person.get(url)
        tag = first.headers["etag"]
        assert first.headers["accept-ranges"] == "bytes"
        known = await served.person.get(url, headers={"If-None-Match": f'"x", W/{tag}'})
        assert (known.status_code, known.content) == (304, b"")
        same = await served.person.get(url, headers={"Range": "bytes=0-1", "If-Range": tag})
        other = await served.person.get(url, headers={"Range": "bytes=0-1", "If-Range": '"x"'})
        assert (same.status_code, other.status_code) == (206, 200)

    async def test_index(self, served: Served, url: str) -> None:
        """One of several is chosen by index; none at an index is 404, a bad one 400."""
        thumb = url.replace("proxy_photo", "thumb")
        assert (await served.person.get(thumb, params={"index": 0})).status_code == 200
        assert (await served.person.get(thumb, params={"index": 1})).status_code == 404
        for index in ("-1", "x", "1e3", "9" * 30):
            answer = await served.person.get(thumb, params={"index": index})
            assert answer.status_code == 400

    async def test_absent_kinds(self, served: Served, url: str) -> None:
        """A kind that the asset does not have, or that nobody knows, is 404."""
        for kind in ("waveform", "secret", "%2e%2e"):
            answer = await served.person.get(url.replace("proxy_photo", kind))
            assert answer.status_code == 404


def range_of(header: str, size: int) -> Span | int | None:
    """The span, None for the whole file, or the status that it is refused with."""
    try:
        return parse_range(header, size)
    except WireRefused as refused:
        return refused.problem.status


@given(st.from_regex(r"[0-9]{0,4} ?- ?[0-9]{0,4}") | st.text(max_size=30), st.integers(1, 100))
def test_ranges_are_total(header: str, size: int) -> None:
    """Whatever a Range header says, it is ignored, refused, or within the file."""
    span = range_of(f"bytes={header}", size)
    assert span in (None, 416) or (isinstance(span, Span) and 0 <= span.first <= span.last < size)


def test_tags_are_compared_weakly() -> None:
    """Lists, weak tags and the star match; others do not."""
    assert same_tag('"a", W/"b"', '"b"')
    assert same_tag("*", '"b"')
    assert not same_tag('"bb"', '"b"')
    assert not same_tag(None, '"b"')


@given(st.binary(max_size=300), st.lists(st.integers(min_value=1, max_value=40), max_size=10))
async def test_forms_survive_any_cut(chunk: bytes, cuts: list[int]) -> None:
    """A part's bytes come out as they went in, however the network cuts the form."""
    boundary = "bndry-0123456789"
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + value + b"\r\n"
        for name, value in (("upload_id", b"u"), ("chunk", chunk), ("part_number", b"7"))
    ) + f"--{boundary}--\r\n".encode()  # fmt: skip

    async def stream() -> Any:
        rest = body
        for cut in cuts:
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    form = await read_part_form(f"multipart/form-data; boundary={boundary}", stream())
    assert (form.upload_id, form.part_number, form.chunk) == ("u", 7, chunk)
