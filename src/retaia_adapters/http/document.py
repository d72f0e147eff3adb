"""The OpenAPI document: read once, it says which operations there are and what each accepts."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from attrs import field, frozen
from jsonschema_rs import Draft202012Validator

from retaia_core.domain.actors import ActorKind
from retaia_core.errors import PluginError

BASE = "/api/v1"
DEFAULT_BODY_BYTES = 2**20

Schema = Mapping[str, Any]

_ACTORS = {"UserBearerAuth": ActorKind.PERSON, "OAuth2ClientCredentials": ActorKind.AGENT}
_METHODS = ("get", "put", "post", "patch", "delete")
_MASK = "the value"
"""Stands for the value in a validator's sentence, so that no secret is repeated."""


@frozen(kw_only=True)
class Parameter:
    """One parameter of an operation; ``type`` is its JSON type, of one item where it may be repeated."""

    name: str
    where: str
    required: bool
    type: str
    repeated: bool
    validator: Draft202012Validator


@frozen(kw_only=True)
class Operation:
    """One operation. ``bodies`` maps a content type to its validator (None where the handler checks)."""

    operation_id: str
    method: str
    path: str
    actors: frozenset[ActorKind]
    parameters: tuple[Parameter, ...]
    bodies: Mapping[str, Draft202012Validator | None] = field(factory=dict)
    max_body: int = DEFAULT_BODY_BYTES
    key_required: bool = True

    def takes(self, name: str) -> bool:
        """Whether it has a parameter of this name."""
        return any(parameter.name == name for parameter in self.parameters)


@cache
def _read() -> dict[str, Any]:
    text = files(__package__).joinpath("openapi.yaml").read_bytes()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(text, Loader=loader)
    return document


def load_document(derived_kinds: Iterable[str] = ()) -> dict[str, Any]:
    """The document as this installation serves it.

    Derived kinds that plugins add may be uploaded and read; nothing else differs from the file.
    """
    document = copy.deepcopy(_read())
    paths = document["paths"]
    init = paths["/assets/{uuid}/derived/upload/init"]["post"]["requestBody"]["content"]
    upload = init["application/json"]["schema"]["properties"]["kind"]["enum"]
    read = paths["/assets/{uuid}/derived/{kind}"]["get"]["parameters"]
    enums = [upload, *(p["schema"]["enum"] for p in read if p.get("name") == "kind")]
    for enum in enums:
        enum.extend(kind for kind in derived_kinds if kind not in enum)
    return document


def resolve(document: Schema, node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a local reference."""
    while "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def validator(document: Schema, schema: Schema) -> Draft202012Validator:
    """Compile a schema of the document."""
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole, mask=_MASK)


def _parameter(document: Schema, node: Schema) -> Parameter:
    node = resolve(document, node)
    schema = node["schema"]
    plain = resolve(document, schema)
    repeated = plain.get("type") == "array"
    item = resolve(document, plain["items"]) if repeated else plain
    return Parameter(
        name=node["name"],
        where=node["in"],
        required=bool(node.get("required")),
        type=str(item.get("type", "string")),
        repeated=repeated,
        validator=validator(document, schema),
    )


def _bodies(document: Schema, node: Schema) -> dict[str, Draft202012Validator | None]:
    content = node.get("requestBody", {}).get("content", {})
    return {
        kind: validator(document, body["schema"]) if kind == "application/json" else None
        for kind, body in content.items()
    }


def _actors(node: Schema) -> frozenset[ActorKind]:
    """Who may call: deny by default, so that an operation has to say it."""
    if "security" not in node:
        raise PluginError(f"operation {node['operationId']} does not say who may call it")
    return frozenset(_ACTORS[scheme] for choice in node["security"] for scheme in choice)


def _operation(document: Schema, path: str, method: str, node: Schema) -> Operation:
    return Operation(
        operation_id=node["operationId"],
        method=method.upper(),
        path=path,
        actors=_actors(node),
        parameters=tuple(_parameter(document, p) for p in node.get("parameters", ())),
        bodies=_bodies(document, node),
        max_body=node.get("x-max-body-bytes", DEFAULT_BODY_BYTES),
        key_required="x-idempotency-key" not in node,
    )


def operations_of(document: Schema) -> tuple[Operation, ...]:
    """Every operation of the document.

    Raises:
        PluginError: an operation without an id or without a word on who may call it.
    """
    found = []
    for path, item in document["paths"].items():
        for method in _METHODS:
            node = item.get(method)
            if node is None:
                continue
            if "operationId" not in node:
                raise PluginError(f"{method.upper()} {path} has no operationId")
            found.append(_operation(document, path, method, node))
    return tuple(found)


def check_bound(operations: Iterable[Operation], handlers: Iterable[str]) -> None:
    """Make sure that operations and handlers are the same set.

    Raises:
        PluginError: naming what has no counterpart.
    """
    declared, bound = {o.operation_id for o in operations}, set(handlers)
    problems = [
        *(f"operation {name} has no handler" for name in sorted(declared - bound)),
        *(f"handler {name} has no operation" for name in sorted(bound - declared)),
    ]
    if problems:
        raise PluginError("the API's document and its code differ: " + "; ".join(problems))
