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

from retaia_core.domain.authorization import ACCESS, Access, Caller
from retaia_core.errors import PluginError

BASE = "/api/v1"
DEFAULT_BODY_BYTES = 2**20

Schema = Mapping[str, Any]

_PEOPLE, _TECHNICAL = "UserBearerAuth", "OAuth2ClientCredentials"
AGENT_HEADER = "X-Retaia-Agent"
IDEMPOTENCY_KEY = "Idempotency-Key"
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


Whole = Mapping[str, Any] | bool
"""Where whole numbers stand in a value: here (True), or in its members; ``[]`` are those of a list."""


@frozen(kw_only=True)
class Body:
    """What a JSON body is held against, and where it has whole numbers."""

    validator: Draft202012Validator
    whole: Whole


@frozen(kw_only=True)
class Operation:
    """One operation. ``bodies`` maps a content type to its checks (None where the handler checks).

    ``answers`` are the statuses that the document names; ``fenced`` says that the body has a lock token,
    ``body_required`` that a request without a body is refused.
    """

    operation_id: str
    method: str
    path: str
    access: Access
    answers: frozenset[int]
    fenced: bool
    parameters: tuple[Parameter, ...]
    bodies: Mapping[str, Body | None] = field(factory=dict)
    body_required: bool = True
    max_body: int = DEFAULT_BODY_BYTES
    key_required: bool = True
    placed: Mapping[str, Mapping[str, Parameter]] = field(init=False)
    """The parameters by where they stand (path, query, header) and by name."""

    @placed.default
    def _by_place(self) -> Mapping[str, Mapping[str, Parameter]]:
        return {
            where: {p.name: p for p in self.parameters if p.where == where}
            for where in ("path", "query", "header")
        }

    @property
    def errors(self) -> frozenset[int]:
        """Every status beyond 399 that a request to it may be answered with, a crash (500) aside.

        What the document says of the operation, and what follows from its row, its parameters and body.
        """
        asked = bool(self.parameters or self.bodies)
        signed_in = Caller.ANONYMOUS not in self.access.callers
        states = self.access.states is not None
        found = {
            400: asked,
            401: signed_in,
            403: signed_in,
            404: "{" in self.path or self.takes(AGENT_HEADER),
            409: states or self.fenced or self.takes(IDEMPOTENCY_KEY),
            410: states,
            413: bool(self.bodies),
            415: bool(self.bodies),
            422: asked,
            423: self.fenced,
            429: not signed_in,
            503: True,
        }
        said = {status for status in self.answers if status >= 400}
        return frozenset(said | {status for status, possible in found.items() if possible})

    def takes(self, name: str) -> bool:
        """Whether it has a parameter of this name."""
        return any(name in parameters for parameters in self.placed.values())


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
    """Compile a schema of the document, with the components that it refers to and no others.

    With all of them, each compiled schema would take some hundred kilobytes.
    """
    needed: dict[str, dict[str, Any]] = {}
    _gather(document, schema, needed)
    whole = {**schema, **({"components": needed} if needed else {})}
    return Draft202012Validator(whole, mask=_MASK)


def _gather(document: Schema, node: object, needed: dict[str, dict[str, Any]]) -> None:
    """Collect the components that a schema refers to, directly or through others."""
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str):
            _, _, section, name = reference.split("/")
            if name not in needed.setdefault(section, {}):
                needed[section][name] = document["components"][section][name]
                _gather(document, needed[section][name], needed)
        for member in node.values():
            _gather(document, member, needed)
    elif isinstance(node, list):
        for member in node:
            _gather(document, member, needed)


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


def _bodies(document: Schema, node: Schema) -> dict[str, Body | None]:
    content = node.get("requestBody", {}).get("content", {})
    return {
        kind: _body(document, _held_against(body)) if kind == "application/json" else None
        for kind, body in content.items()
    }


def _body(document: Schema, schema: Schema) -> Body:
    return Body(validator=validator(document, schema), whole=_whole(document, schema))


def _whole(document: Schema, schema: Schema) -> Whole:
    plain = resolve(document, schema)
    if plain.get("type") == "integer":
        return True
    members = dict(plain.get("properties", {}))
    if "items" in plain:
        members["[]"] = plain["items"]
    found = {name: _whole(document, member) for name, member in members.items()}
    return {name: where for name, where in found.items() if where}


def _held_against(body: Schema) -> Schema:
    """The schema of a body: the contract's, or ours where the handler has a better word for a refusal."""
    ours = body.get("x-held-against")
    schema: Schema = body["schema"] if ours is None else {"$ref": ours}
    return schema


def _fenced(document: Schema, node: Schema) -> bool:
    """Whether its body carries the token of a lock."""
    content = node.get("requestBody", {}).get("content", {})
    schema = resolve(document, content.get("application/json", {}).get("schema", {}))
    return "lock_token" in schema.get("properties", {})


def _access(document: Schema, node: Schema) -> Access:
    """The operation's row, which its ``security`` must say as well: clients read that.

    Raises:
        PluginError: there is no row, or the document says something else.
    """
    name = node["operationId"]
    access = ACCESS.get(name)
    if access is None:
        raise PluginError(f"operation {name} has no row in retaia_core.domain.authorization")
    said = node.get("security", document.get("security"))
    if said is None or _said(said) != _meant(access):
        raise PluginError(
            f"operation {name}: the document's security is {said!r}, and its row means {_meant(access)}"
        )
    if bool(node.get("x-admin")) != (access.callers == {Caller.ADMIN}):
        raise PluginError(f"operation {name}: x-admin and its row differ")
    return access


def _said(security: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(scopes) for choice in security for name, scopes in choice.items()}


def _meant(access: Access) -> dict[str, tuple[str, ...]]:
    """The security that a row means, in the document's words."""
    if Caller.ANONYMOUS in access.callers:
        return {}
    people = {_PEOPLE: ()} if any(caller.is_person for caller in access.callers) else {}
    technical = access.callers & {Caller.AGENT, Caller.MCP}
    scopes = () if access.scope is None else (access.scope.value,)
    return {**people, **({_TECHNICAL: scopes} if technical else {})}


def _operation(document: Schema, path: str, method: str, node: Schema) -> Operation:
    return Operation(
        operation_id=node["operationId"],
        method=method.upper(),
        path=path,
        access=_access(document, node),
        fenced=_fenced(document, node),
        answers=frozenset(int(status) for status in node["responses"] if status.isdecimal()),
        parameters=tuple(_parameter(document, p) for p in node.get("parameters", ())),
        bodies=_bodies(document, node),
        body_required=node.get("requestBody", {}).get("required", True),
        max_body=node.get("x-max-body-bytes", DEFAULT_BODY_BYTES),
        key_required="x-idempotency-key" not in node,
    )


def operations_of(document: Schema) -> tuple[Operation, ...]:
    """Every operation of the document.

    Raises:
        PluginError: an operation without an id, or without a row that says who may call it.
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
