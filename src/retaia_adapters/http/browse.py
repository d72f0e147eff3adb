"""The document as a page: for people who read an API in a browser. No script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from retaia_core.domain.authorization import Caller

from .document import BASE, Operation, resolve

_Node = Mapping[str, Any]
_DEEPEST = 6
"""Schemas are written out so deep; beyond that their name says enough."""

POLICY = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
"""The page's Content-Security-Policy."""


def style() -> bytes:
    """The page's style sheet."""
    return files(__package__).joinpath("browse.css").read_bytes()


def page(document: _Node, operations: Iterable[Operation]) -> bytes:
    """The whole page, in UTF-8."""
    known = {operation.operation_id: operation for operation in operations}
    by_tag: dict[str, list[tuple[Operation, _Node]]] = {}
    for item in document["paths"].values():
        for node in item.values():
            if isinstance(node, Mapping) and "operationId" in node:
                tag = (node.get("tags") or ["Other"])[0]
                by_tag.setdefault(tag, []).append((known[node["operationId"]], node))
    return "".join(_page(document, by_tag)).encode()


def _page(document: _Node, by_tag: Mapping[str, list[tuple[Operation, _Node]]]) -> Iterator[str]:
    title = escape(document["info"]["title"])
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    yield "<meta name=viewport content='width=device-width'>"
    yield "<link rel=stylesheet href=/api/docs.css>"
    yield f"<header><h1>{title}</h1><p>{escape(document['info'].get('description', ''))}</p>"
    yield f"<p>Base path <code>{BASE}</code>. <a href=/api/openapi.json>The document</a> as JSON.</p>"
    links = (f"<a href='#{escape(tag)}'>{escape(tag)}</a>" for tag in by_tag)
    yield f"<nav aria-label=Sections>{' '.join(links)}</nav></header><main>"
    for tag, entries in by_tag.items():
        yield f"<section><h2 id='{escape(tag)}'>{escape(tag)}</h2>"
        for operation, node in entries:
            yield from _operation(document, operation, node)
        yield "</section>"
    yield "</main></html>"


def _operation(document: _Node, operation: Operation, node: _Node) -> Iterator[str]:
    ours = " <small>ours, beside the contract</small>" if node.get("x-retaia") else ""
    summary = f"<p>{escape(node.get('summary') or node.get('description') or '')}</p>"
    yield f"<details id='{operation.operation_id}'><summary><b>{operation.method}</b> "
    yield f"<code>{escape(operation.path)}</code>{ours}</summary>{summary}"
    yield f"<p class=who>{escape(_who(operation))}</p>"
    yield from _parameters(document, node)
    for kind, body in node.get("requestBody", {}).get("content", {}).items():
        yield f"<h3>Body, <code>{escape(kind)}</code></h3>"
        yield _schema(document, body.get("schema", {}))
    for status, answer in node["responses"].items():
        resolved = resolve(document, answer)
        yield f"<h3>Answer {escape(status)}</h3><p>{escape(resolved.get('description', ''))}</p>"
        for kind, body in resolved.get("content", {}).items():
            yield f"<p><code>{escape(kind)}</code></p>{_schema(document, body.get('schema', {}))}"
    yield "</details>"


def _who(operation: Operation) -> str:
    access = operation.access
    if Caller.ANONYMOUS in access.callers:
        return "For anyone."
    named = ", ".join(caller.lower() for caller in Caller if caller in access.callers)
    scope = f" with the scope {access.scope}" if access.scope else ""
    feature = f", while {access.feature} is on" if access.feature else ""
    return f"For {named}{scope}{feature}."


def _parameters(document: _Node, node: _Node) -> Iterator[str]:
    found = [resolve(document, raw) for raw in node.get("parameters", ())]
    if not found:
        return
    yield "<h3>Parameters</h3><dl>"
    for parameter in found:
        need = " required" if parameter.get("required") else ""
        yield f"<dt><code>{escape(parameter['name'])}</code> <small>{parameter['in']}{need}</small>"
        yield f"<dd>{_schema(document, parameter['schema'])}"
    yield "</dl>"


def _schema(document: _Node, schema: _Node, depth: int = 0) -> str:
    """A schema, written out as nested lists."""
    name = schema.get("$ref", "").rpartition("/")[2]
    plain = resolve(document, schema)
    said = " ".join(_words(name, plain))
    if depth >= _DEEPEST:
        return said
    inner = "".join(_members(document, plain, depth + 1))
    return f"{said}{f'<ul>{inner}</ul>' if inner else ''}"


def _words(name: str, schema: _Node) -> Iterator[str]:
    if name:
        yield f"<i>{escape(name)}</i>"
    yield escape(str(schema.get("type", "")))
    for key in ("format", "pattern", "minimum", "maximum", "minLength", "maxLength", "default"):
        if key in schema:
            yield f"{key}&nbsp;<code>{escape(str(schema[key]))}</code>"
    if "enum" in schema:
        yield "one of " + ", ".join(
            f"<code>{escape(str(value))}</code>" for value in schema["enum"]
        )
    if schema.get("additionalProperties") is False:
        yield "<small>closed</small>"


def _members(document: _Node, schema: _Node, depth: int) -> Iterator[str]:
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        need = " <small>required</small>" if name in required else ""
        yield f"<li><code>{escape(name)}</code>{need} {_schema(document, member, depth)}"
    if "items" in schema:
        yield f"<li>each: {_schema(document, schema['items'], depth)}"
    for key in ("oneOf", "anyOf", "allOf"):
        for choice in schema.get(key, ()):
            yield f"<li>{key}: {_schema(document, choice, depth)}"
