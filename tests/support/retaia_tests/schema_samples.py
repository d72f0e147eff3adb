"""Answers made from the document's schemas, so that a client is tried with everything it may meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retaia_adapters.http.document import resolve

Schema = Mapping[str, Any]
_STRINGS = {
    "date-time": "2026-05-12T18:00:00Z",
    "email": "ana@example.org",
    "uri": "https://example.org/x",
}


def sample(document: Schema, schema: Schema, *, full: bool) -> Any:
    """A value that a schema allows: with all that it may have, or only with what it must have."""
    schema = resolve(document, schema)
    if "oneOf" in schema or "allOf" in schema:
        return sample(document, (schema.get("oneOf") or schema["allOf"])[0], full=full)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind is None:
        return "anything"
    if kind == "object" or "properties" in schema:
        return _object(document, schema, full=full)
    if kind == "array":
        few = full or schema.get("minItems", 0)
        return [sample(document, schema["items"], full=full)] if few else []
    if kind == "string":
        return _STRINGS.get(schema.get("format", ""), "1.0.0" if "pattern" in schema else "text")
    return {"integer": schema.get("minimum", 1), "number": 1.5, "boolean": True}[str(kind)]


def _object(document: Schema, schema: Schema, *, full: bool) -> dict[str, Any]:
    properties = schema.get("properties", {})
    # An inline object of the contract says neither what it must have nor that it is closed: it has all.
    loose = "required" not in schema and "additionalProperties" not in schema
    wanted = properties if full or loose else schema.get("required", ())
    value = {name: sample(document, properties[name], full=full) for name in wanted}
    more = schema.get("additionalProperties")
    if full and more is True:
        value["added_later"] = {"deep": [1]}
    elif full and isinstance(more, Mapping):
        value["by.name"] = sample(document, more, full=True)
    return value
