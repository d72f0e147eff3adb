"""Our document is a superset of the wire contract v1 (issue: the contract is a given)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from retaia_adapters.http.document import (
    check_bound,
    load_document,
    operations_of,
    resolve,
    validator,
)
from retaia_adapters.http.errors import problem_of
from retaia_adapters.http.handlers import HANDLERS
from retaia_core.domain.authorization import ACCESS
from retaia_core.errors import PluginError, RetaiaError

ROOT = Path(__file__).parents[3]
COPY = ROOT / "tests" / "data" / "retaia-v1.openapi.yaml"
ORIGINAL = Path(
    os.environ.get(
        "RETAIA_CONTRACT", ROOT.parent / "shared" / "contract" / "retaia-v1.openapi.yaml"
    )
)
CONTRACT: Mapping[str, Any] = yaml.safe_load(COPY.read_text("utf-8"))
OURS = load_document()
REPEATABLE = {("listAssets", "state")}
"""Parameters that may be given several times (protocol.md): ours are lists of what the contract has."""


METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
OPERATIONS = tuple(
    (path, method)
    for path, item in CONTRACT["paths"].items()
    for method in item
    if method in METHODS
)
"""Every operation of the contract: nothing of it may be left out."""


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Where ours does not cover theirs: fields may be added to open objects, and nothing else."""
    if isinstance(theirs, Mapping):
        if not isinstance(ours, Mapping):
            return [f"{where}: {ours!r} instead of an object"]
        if theirs.get("additionalProperties") is False and ours != theirs:
            return [f"{where}: a closed object differs"]
        found = [f"{where}.{key} is missing" for key in theirs if key not in ours]
        for key in theirs:
            if key in ours and key != "description":
                found += differences(ours[key], theirs[key], f"{where}.{key}")
        return found
    if isinstance(theirs, list):
        same = sorted(map(str, ours)) == sorted(map(str, theirs))
        return [] if same else [f"{where}: {ours} instead of {theirs}"]
    return [] if ours == theirs else [f"{where}: {ours!r} instead of {theirs!r}"]


def _errors(kind: type[RetaiaError]) -> Iterator[type[RetaiaError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _errors(child)


class TestContract:
    """Same paths, methods, required fields, closed objects, enums, codes."""

    def test_the_copy_is_the_contract(self) -> None:
        """The copy that these tests use is the contract, word for word."""
        if not ORIGINAL.exists():
            pytest.skip(f"contract: no file at {ORIGINAL} (RETAIA_CONTRACT names another place)")
        assert COPY.read_bytes() == ORIGINAL.read_bytes()

    def test_every_operation_is_there(self) -> None:
        """Every path with every method exists, is bound to a handler, and has its row of access."""
        assert len(OPERATIONS) == sum(len(item) for item in CONTRACT["paths"].values()) > 40
        ours = {(o.path, o.method.lower()): o.operation_id for o in operations_of(OURS)}
        assert set(OPERATIONS) <= ours.keys()
        named = {ours[one] for one in OPERATIONS}
        assert named <= HANDLERS.keys()
        assert named <= ACCESS.keys()

    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_parameters(self, path: str, method: str) -> None:
        """Every parameter of the contract is there as it is; ours beside them are optional."""
        node = OURS["paths"][path][method]
        theirs = {
            p["name"]: p
            for raw in CONTRACT["paths"][path][method].get("parameters", ())
            for p in [resolve(CONTRACT, raw)]
        }
        ours = {p["name"]: p for raw in node.get("parameters", ()) for p in [resolve(OURS, raw)]}
        for name, parameter in theirs.items():
            mine = dict(ours[name])
            if (node["operationId"], name) in REPEATABLE:
                assert mine["schema"]["type"] == "array"
                mine["schema"] = mine["schema"]["items"]
            assert differences(mine, parameter, name) == []
        added = [ours[name] for name in ours.keys() - theirs.keys()]
        assert all(not p.get("required") and p.get("x-retaia") for p in added)

    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_bodies_and_security(self, path: str, method: str) -> None:
        """What is sent, what comes back and who may call are the contract's."""
        ours, theirs = OURS["paths"][path][method], CONTRACT["paths"][path][method]
        assert ours["security"] == theirs["security"]
        assert differences(ours.get("requestBody", {}), theirs.get("requestBody", {})) == []
        assert differences(ours["responses"], theirs["responses"]) == []

    def test_schemas(self) -> None:
        """A schema that bears a name of the contract is the contract's, unchanged."""
        theirs, ours = CONTRACT["components"]["schemas"], OURS["components"]["schemas"]
        assert {name: ours.get(name) for name in theirs} == theirs
        assert all(ours[name].get("x-retaia") for name in ours.keys() - theirs.keys())

    @pytest.mark.parametrize("section", sorted(CONTRACT["components"].keys() - {"schemas"}))
    def test_other_components(self, section: str) -> None:
        """Shared parameters and ways to sign in are the contract's too."""
        theirs, ours = CONTRACT["components"][section], OURS["components"][section]
        assert differences(ours, theirs, section) == []

    def test_codes_are_the_contracts(self) -> None:
        """What our errors can say on the wire are the contract's codes, all of them and no other."""
        error = CONTRACT["components"]["schemas"]["ErrorResponse"]
        codes = set(error["properties"]["code"]["enum"])
        told = {problem_of(kind("said")).code for kind in _errors(RetaiaError)}
        assert told == codes

    def test_closed_objects_stay_closed(self) -> None:
        """What the contract closes is closed where a request is held against it, and in our document."""
        closed = [
            name
            for name, schema in CONTRACT["components"]["schemas"].items()
            if schema.get("additionalProperties") is False
        ]
        assert closed
        for name in closed:
            schema = validator(OURS, {"$ref": f"#/components/schemas/{name}"})
            assert any(
                getattr(error.kind, "unexpected", None) == ["surprise"]
                for error in schema.iter_errors({"surprise": 1})
            ), name

    def test_additions_are_marked(self) -> None:
        """An operation that the contract does not have says so."""
        added = [
            node
            for path, item in OURS["paths"].items()
            for method, node in item.items()
            if (path, method) not in OPERATIONS
        ]
        assert added
        assert all(node.get("x-retaia") for node in added)

    def test_a_difference_is_seen(self) -> None:
        """The comparison notices a missing field, another enum and an opened object."""
        closed = {"additionalProperties": False, "properties": {"a": {}}}
        assert differences({"properties": {"a": {}}}, closed)
        assert differences({"enum": ["A"]}, {"enum": ["A", "B"]})
        assert differences({"required": ["a", "b"]}, {"required": ["a"]})
        assert differences({}, {"type": "string"})


class TestDocument:
    """One document is the source of routes and checks."""

    def test_it_is_valid(self) -> None:
        """It is valid OpenAPI 3.1."""
        validate(OURS)

    def test_operations_and_handlers_are_one_set(self) -> None:
        """An operation without a handler, and a handler without an operation, end the start."""
        operations = operations_of(OURS)
        check_bound(operations, HANDLERS)
        with pytest.raises(PluginError, match="operation listJobs has no handler"):
            check_bound(operations, HANDLERS.keys() - {"listJobs"})
        with pytest.raises(PluginError, match="handler makeCoffee has no operation"):
            check_bound(operations, [*HANDLERS, "makeCoffee"])

    def test_silence_about_callers_is_an_error(self) -> None:
        """An operation that the document's security is None it ends the start."""
        document = load_document()
        del document["paths"]["/jobs"]["get"]["security"]
        with pytest.raises(PluginError, match="the document's security is None"):
            operations_of(document)

    def test_a_missing_id_is_an_error(self) -> None:
        """An operation without operationId ends the start."""
        document = load_document()
        del document["paths"]["/jobs"]["get"]["operationId"]
        with pytest.raises(PluginError, match="GET /jobs has no operationId"):
            operations_of(document)

    def test_kinds_of_plugins_are_served(self) -> None:
        """A derived kind of a plugin can be announced and read; the file itself has the contract's."""
        document = load_document(["proxy_video", "scene_map"])
        read = document["paths"]["/assets/{uuid}/derived/{kind}"]["get"]["parameters"]
        kind = next(p for p in read if p.get("name") == "kind")["schema"]["enum"]
        assert kind.count("proxy_video") == 1
        assert kind[-1] == "scene_map"
        assert "scene_map" not in str(load_document())
