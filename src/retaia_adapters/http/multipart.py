"""One part of an upload out of a multipart form, as it streams in."""

from __future__ import annotations

from collections.abc import AsyncIterator

from attrs import define, field, frozen
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .errors import WireRefused, refused

FIELDS = ("upload_id", "part_number", "chunk")
_MOST_FIELD_BYTES = 1000
_MOST_HEADER_BYTES = 8000


@frozen(kw_only=True)
class PartForm:
    """The form of ``derived/upload/part``; the chunk is at most one part long."""

    upload_id: str
    part_number: int
    chunk: bytes


@define
class _Reader:
    """Collects the form's fields; the parser calls it."""

    fields: dict[str, bytearray] = field(factory=dict)
    _header: bytearray = field(factory=bytearray)
    _value: bytearray = field(factory=bytearray)
    _disposition: bytes = b""
    _name: str = ""

    def on_part_begin(self) -> None:
        self._disposition, self._name = b"", ""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._limit(self._header, _MOST_HEADER_BYTES)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._limit(self._value, _MOST_HEADER_BYTES)

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in FIELDS or name in self.fields:
            raise _wrong(f"a form of {', '.join(FIELDS)}, each once, is read here")
        self._name = name
        self.fields[name] = bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        content = self.fields[self._name]
        content += memoryview(data)[start:end]
        if self._name != "chunk":
            self._limit(content, _MOST_FIELD_BYTES)

    def _limit(self, content: bytearray, most: int) -> None:
        if len(content) > most:
            raise _wrong("a field or header of the form is too long")


def _wrong(said: str) -> WireRefused:
    return refused(422, f"the form is not valid: {said}", fields={"body": said})


def _parser(reader: _Reader, content_type: str) -> MultipartParser:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary or len(boundary) > 200:
        raise refused(400, "the form's content type has no boundary", reason="MALFORMED_FORM")
    return MultipartParser(
        boundary,
        {
            "on_part_begin": reader.on_part_begin,
            "on_header_field": reader.on_header_field,
            "on_header_value": reader.on_header_value,
            "on_header_end": reader.on_header_end,
            "on_headers_finished": reader.on_headers_finished,
            "on_part_data": reader.on_part_data,
        },
    )


def _form(fields: dict[str, bytearray]) -> PartForm:
    missing = [name for name in FIELDS if name not in fields]
    if missing:
        raise _wrong(f"{', '.join(missing)} missing")
    number = fields["part_number"].decode("ascii", "replace")
    if not (number.isascii() and number.isdecimal() and len(number) <= 9):
        raise _wrong("part_number must be an integer from 1")
    upload_id = fields["upload_id"].decode("utf-8", "replace")
    if "\0" in upload_id:
        raise _wrong("upload_id has a NUL character")
    return PartForm(upload_id=upload_id, part_number=int(number), chunk=bytes(fields["chunk"]))


async def read_part_form(content_type: str, stream: AsyncIterator[bytes]) -> PartForm:
    """Read the form; the body's limit bounds the memory that it takes.

    Raises:
        WireRefused: 400 where it is no form, 422 where a field is missing or malformed.
    """
    reader = _Reader()
    parser = _parser(reader, content_type)
    try:
        async for data in stream:
            parser.write(data)
        parser.finalize()
    except FormParserError as error:
        raise refused(400, "the body is no multipart form", reason="MALFORMED_FORM") from error
    return _form(reader.fields)
