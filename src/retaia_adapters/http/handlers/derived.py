"""Derived files: announce, send, complete, list, read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.responses import Response

from retaia_core.domain.uploads import Part, Upload
from retaia_core.errors import ValidationFailed

from ..call import Call, Handler, known_answer, once_only
from ..multipart import read_part_form
from ..ranges import file_response, same_tag
from ..validation import content_type
from ..views import derived_list_of, ticket_of, upload_of, uploaded_of
from ..wire import JSON


async def init_upload(call: Call) -> object:
    """Announce a file."""
    body = call.body
    work = partial(
        call.services.uploads.init_in,
        call.agent,
        call.uuid,
        body["kind"],
        body["content_type"],
        body["size_bytes"],
        body.get("sha256"),
    )
    return (await once_only(call, work, ticket_of, durable=False)).answer


def _receipt(part: Part) -> object:
    return {"part_etag": part.etag}


async def put_part(call: Call) -> object:
    """Take one part; sent as JSON, without a chunk, say the ETag of the part that arrived."""
    if content_type(call.request) == JSON:
        return await _ask_for_part(call)
    form = await read_part_form(call.request.headers["content-type"], call.request.stream())
    part = await call.services.uploads.put_part(
        call.agent, call.uuid, form.upload_id, form.part_number, (form.chunk,)
    )
    return _receipt(part)


async def _ask_for_part(call: Call) -> object:
    upload = await call.services.uploads.open_for(call.agent, call.uuid, call.body["upload_id"])
    number = call.body["part_number"]
    for part in upload.parts:
        if part.number == number:
            return _receipt(part)
    raise ValidationFailed(
        f"part {number} did not arrive yet; send it as multipart/form-data with its chunk",
        fields={"chunk": "missing"},
    )


def _etags(call: Call) -> dict[int, str]:
    etags: dict[int, str] = {}
    for row in call.body.get("parts", ()):
        if "part_number" in row and "part_etag" in row:
            etags[row["part_number"]] = row["part_etag"]
    return etags


async def complete_upload(call: Call) -> object:
    """Check a file and publish it; sent twice at once, the second waits for the first."""
    name = f"complete:{call.body['upload_id']}"
    return await call.serving.one_at_a_time(name, partial(_complete, call))


async def _complete(call: Call) -> Response:
    known = await known_answer(call)
    if known is not None:
        return known
    uploads = call.services.uploads
    published = await uploads.publish(call.agent, call.uuid, call.body["upload_id"], _etags(call))
    work = partial(uploads.complete_in, published)
    answer = (await once_only(call, work, uploaded_of, durable=False)).answer
    await uploads.tidy(published)
    call.services.observer.uploaded(published.kind, published.size_bytes)
    return answer


async def get_upload(call: Call) -> object:
    """What arrived of an upload."""
    upload: Upload = await call.services.uploads.get(call.agent, call.uuid, call.path["upload_id"])
    return upload_of(upload)


async def list_derived(call: Call) -> object:
    """The derived files of an asset."""
    return derived_list_of(call.uuid, await call.services.uploads.refs(call.uuid))


async def read_derived(call: Call) -> object:
    """A derived file, or a range of it."""
    ref, opener = await call.services.uploads.find(
        call.uuid, call.path["kind"], call.query.get("index", 0)
    )
    tag = f'"{ref.sha256}"'
    if same_tag(call.headers.get("If-None-Match"), tag):
        return Response(
            status_code=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"}
        )
    return await file_response(
        opener,
        size=ref.size_bytes,
        content_type=ref.content_type,
        tag=tag,
        wanted=call.headers.get("Range"),
        if_range=call.headers.get("If-Range"),
    )


HANDLERS: Mapping[str, Handler] = {
    "initUpload": init_upload,
    "putUploadPart": put_part,
    "completeUpload": complete_upload,
    "getUpload": get_upload,
    "listDerived": list_derived,
    "readDerived": read_derived,
}
