"""Schemas of the API as TypeScript declarations: those that the interface's scripts name.

``python -m retaia_tests.web_types`` (with ``tests/support`` on the path) writes them anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retaia_adapters.http.document import load_document

FILE = Path(__file__).parents[3] / "src/retaia_adapters/web/static/api.d.ts"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}
_NAMED = re.compile(r'Schemas"?\]?\["(\w+)"\]')
_HEAD = """\
// Made from the OpenAPI document by tests/support/retaia_tests/web_types.py; a test keeps it current.

export interface Schemas {
"""


def _type(schema: Mapping[str, Any], indent: str) -> str:
    """The TypeScript type of a schema."""
    if "$ref" in schema:
        return f'Schemas["{schema["$ref"].rpartition("/")[2]}"]'
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " | ".join(_type(one, indent) for one in schema[several])
    found = _single(schema, indent)
    return f"{found} | null" if schema.get("nullable") else found


def _single(schema: Mapping[str, Any], indent: str) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"Array<{_type(schema['items'], indent)}>"
    if "properties" in schema:
        return _object(schema, indent)
    if kind == "object":
        extra = schema.get("additionalProperties", True)
        inner = _type(extra, indent) if isinstance(extra, Mapping) and extra else "unknown"
        return f"Record<string, {inner}>"
    return _PLAIN.get(str(kind), "unknown")


def _object(schema: Mapping[str, Any], indent: str) -> str:
    required, deeper = set(schema.get("required", ())), indent + "  "
    lines = [
        f"{deeper}{_key(name)}{'' if name in required else '?'}: {_type(part, deeper)};"
        for name, part in schema["properties"].items()
    ]
    return "{\n" + "\n".join(lines) + f"\n{indent}}}"


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _used() -> set[str]:
    """The schemas that the scripts name, and those that these are made of."""
    schemas = load_document()["components"]["schemas"]
    scripts = (path.read_text("utf-8") for path in FILE.parent.rglob("*.js"))
    asked = {name for text in scripts for name in _NAMED.findall(text)}
    found: set[str] = set()
    while asked:
        found |= asked
        asked = {name for one in asked for name in _NAMED.findall(_type(schemas[one], ""))} - found
    return found


def declarations() -> str:
    """The whole file."""
    schemas = load_document()["components"]["schemas"]
    lines = [f"  {name}: {_type(schemas[name], '  ')};" for name in sorted(_used())]
    return _HEAD + "\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(declarations(), "utf-8")
