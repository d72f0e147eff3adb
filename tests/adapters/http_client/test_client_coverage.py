"""Every operation of our document and of the contract has a method that asks and reads it rightly."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from retaia_tests.schema_samples import sample

from retaia_adapters.http.document import BASE, load_document, resolve, validator
from retaia_adapters.http_client import Client, Retries
from retaia_adapters.http_client.resources.filters import AssetFilters
from retaia_adapters.http_client.values.assets import JobProgress
from retaia_adapters.http_client.values.jobs import (
    DerivedPatch,
    DerivedResult,
    FactsPatch,
    FactsResult,
    JobResultRequest,
    ManifestEntry,
    SubmitDerived,
    SubmitExtractFacts,
)
from retaia_core.errors import RetaiaError

CONTRACT = yaml.safe_load(
    (Path(__file__).parents[2] / "data" / "retaia-v1.openapi.yaml").read_text(encoding="utf-8")
)
OURS = load_document()
LEFT_OPEN: Mapping[str, Mapping[str, Any]] = {
    "GET /assets/{uuid}/derived": {
        "type": "object",
        "additionalProperties": True,
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["kind", "index", "content_type", "sha256"],
                    "additionalProperties": True,
                    "properties": {
                        "kind": {"type": "string"},
                        "index": {"type": "integer"},
                        "content_type": {"type": "string"},
                        "sha256": {"type": "string"},
                        "size_bytes": {"type": "integer"},
                        "url": {"type": "string"},
                    },
                },
            }
        },
        "required": ["items"],
    },
    "GET /batches/moves/{batch_id}": {"$ref": "#/components/schemas/MoveBatch"},
}
"""Answers that the contract leaves open, as our server gives them."""
U, J = "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "job/1"
EMAIL = "ana@example.org"
RESULT = JobResultRequest(
    lock_token="l",
    job_type="x",
    facts_patch={"width": 1},
    derived_manifest=(ManifestEntry(kind="thumb", ref="r", size_bytes=1, sha256="0"),),
    data={"a": 1},
    warnings=("w",),
    metrics={"m": 1.5},
)
FACTS = SubmitExtractFacts(
    lock_token="l",
    job_type="extract_facts",
    result=FactsResult(facts_patch=FactsPatch(width=1, fps=25.0), warnings=("w",)),
)
THUMBS = SubmitDerived(
    lock_token="l",
    job_type="generate_thumbnails",
    result=DerivedResult(
        derived_patch=DerivedPatch(derived_manifest=(ManifestEntry(kind="thumb", ref="r"),))
    ),
)
FILTERS: AssetFilters = {
    "state": ("READY", "DECISION_PENDING"),
    "media_type": "PHOTO",
    "has_proxy": True,
    "tags": ("a", "b"),
    "tags_mode": "OR",
    "q": "x",
    "location_country": "FR",
    "location_city": "Lyon",
    "geo_bbox": "1,2,3,4",
    "sort": "-name",
    "storage_id": "nas",
    "flag": "missing",
}

Call = Callable[[Client, Path], Awaitable[object]]
CALLS: Mapping[str, Call] = {
    "POST /agents/register": lambda c, p: c.agents.register(
        "a", "1", ("media.facts@1",), platform="linux", max_parallel_jobs=2
    ),
    "GET /app/features": lambda c, p: c.features.app(),
    "PATCH /app/features": lambda c, p: c.features.switch_app({"features.ai": False}),
    "GET /app/policy": lambda c, p: c.features.policy(
        client_feature_flags_contract_version="1.0.0"
    ),
    "GET /assets": lambda c, p: c.assets.list(limit=5, cursor="c", **FILTERS),
    "GET /assets/{uuid}": lambda c, p: c.assets.get(U),
    "PATCH /assets/{uuid}": lambda c, p: c.assets.annotate(
        U, tags=("a",), notes="n", fields={"f": 1}
    ),
    "GET /assets/{uuid}/annotations": lambda c, p: c.assets.annotations(U),
    "POST /assets/{uuid}/annotations": lambda c, p: c.assets.edit(
        U,
        add_tags=("a",),
        remove_tags=("b",),
        notes="n",
        notes_seen="",
        fields={"f": 1},
        fields_seen={"f": None},
    ),
    "POST /assets/{uuid}/suggestions": lambda c, p: c.assets.settle_suggestion(
        U, "sea", "ACCEPTED", seen="PENDING"
    ),
    "GET /assets/{uuid}/transcript": lambda c, p: c.assets.transcript(U),
    "GET /tags": lambda c, p: c.assets.tags("a", limit=5, cursor="c"),
    "GET /app/fields": lambda c, p: c.assets.fields(),
    "POST /assets/{uuid}/claim-bundle": lambda c, p: c.jobs.claim_bundle(U),
    "POST /assets/{uuid}/decision": lambda c, p: c.assets.decide(U, "KEEP"),
    "GET /assets/{uuid}/derived": lambda c, p: c.derived.list(U),
    "GET /assets/{uuid}/derived/{kind}": lambda c, p: c.derived.download(
        U, "thumb", p / "t", index=1
    ),
    "POST /assets/{uuid}/derived/upload/complete": lambda c, p: c.uploads.complete(
        U, "u", parts={1: "e"}
    ),
    "POST /assets/{uuid}/derived/upload/init": lambda c, p: c.uploads.init(
        U, kind="thumb", content_type="image/jpeg", size_bytes=1, sha256="0"
    ),
    "POST /assets/{uuid}/derived/upload/part": lambda c, p: c.uploads.receipt(U, "u", 1),
    "GET /assets/{uuid}/derived/upload/{upload_id}": lambda c, p: c.uploads.state(U, "u"),
    "GET /assets/{uuid}/facts": lambda c, p: c.assets.facts(U),
    "GET /assets/{uuid}/sidecars": lambda c, p: c.assets.sidecars(U),
    "POST /assets/{uuid}/sidecars": lambda c, p: c.assets.attach_sidecar(U, "INBOX/a.xmp"),
    "POST /assets/{uuid}/sidecars/detach": lambda c, p: c.assets.detach_sidecar(U, "INBOX/a.xmp"),
    "GET /ops/unmatched-sidecars/candidates": lambda c, p: c.ops.sidecar_candidates(
        "nas", "INBOX/a.xmp"
    ),
    "GET /assets/{uuid}/fixity": lambda c, p: c.assets.fixity(U),
    "GET /assets/{uuid}/history": lambda c, p: c.assets.history(U, limit=2),
    "GET /batches/moves/{batch_id}/history": lambda c, p: c.batches.history("b", limit=2),
    "GET /assets/{uuid}/jobs": lambda c, p: c.assets.jobs(U),
    "POST /assets/{uuid}/purge": lambda c, p: c.purge.execute(U, digest="d"),
    "POST /assets/{uuid}/purge/preview": lambda c, p: c.purge.preview(U),
    "POST /assets/{uuid}/purge/proof": lambda c, p: c.purge.prove(U),
    "GET /assets/{uuid}/purge/proof": lambda c, p: c.purge.proof(U),
    "POST /assets/{uuid}/purge/waiver": lambda c, p: c.purge.waive(U, "REJECTS/a.jpg", "why"),
    "GET /assets/{uuid}/purge/certificate": lambda c, p: c.purge.certificate(U),
    "POST /assets/{uuid}/reopen": lambda c, p: c.assets.reopen(U),
    "POST /assets/{uuid}/reprocess": lambda c, p: c.assets.reprocess(U),
    "POST /assets/{uuid}/retry": lambda c, p: c.assets.retry(U),
    "POST /assets/{uuid}/waive": lambda c, p: c.assets.waive(U),
    "GET /assets/{uuid}/why": lambda c, p: c.assets.why(U),
    "POST /auth/2fa/disable": lambda c, p: c.auth.disable_2fa("123456"),
    "POST /auth/2fa/enable": lambda c, p: c.auth.enable_2fa("123456"),
    "POST /auth/2fa/recovery-codes/regenerate": lambda c, p: c.auth.regenerate_recovery_codes(),
    "POST /auth/2fa/setup": lambda c, p: c.auth.setup_2fa(),
    "POST /auth/clients/device/cancel": lambda c, p: c.clients.cancel_device("d"),
    "POST /auth/clients/device/poll": lambda c, p: c.clients.poll_device("d"),
    "POST /auth/clients/device/start": lambda c, p: c.clients.start_device(
        "AGENT", client_label="nas"
    ),
    "POST /auth/clients/token": lambda c, p: c.clients.token("i", "AGENT", "s"),
    "POST /auth/clients/{client_id}/revoke-token": lambda c, p: c.clients.revoke_token("i"),
    "POST /auth/clients/{client_id}/rotate-secret": lambda c, p: c.clients.rotate_secret("i"),
    "POST /auth/login": lambda c, p: c.auth.login(
        EMAIL, "p", otp_code="123456", client_id="i", client_kind="UI_WEB"
    ),
    "POST /auth/logout": lambda c, p: c.auth.logout(),
    "POST /auth/lost-password/request": lambda c, p: c.auth.request_password_reset(EMAIL),
    "POST /auth/lost-password/reset": lambda c, p: c.auth.reset_password("t", "n"),
    "GET /auth/me": lambda c, p: c.auth.me(),
    "GET /auth/me/features": lambda c, p: c.features.mine(),
    "GET /auth/me/features/why": lambda c, p: c.features.why_mine(),
    "PATCH /auth/me/features": lambda c, p: c.features.switch_mine({"features.ai": False}),
    "POST /auth/verify-email/admin-confirm": lambda c, p: c.auth.confirm_email(EMAIL),
    "POST /auth/verify-email/confirm": lambda c, p: c.auth.verify_email("t"),
    "POST /auth/verify-email/request": lambda c, p: c.auth.request_verification(EMAIL),
    "GET /ops/parked": lambda c, p: c.ops.parked(),
    "GET /assets/{uuid}/parked": lambda c, p: c.batches.parked(U),
    "POST /assets/{uuid}/settle": lambda c, p: c.batches.settle(U, "MOVED"),
    "POST /batches/moves": lambda c, p: c.batches.execute("KEEP", digest="d", uuids=(U,)),
    "POST /batches/moves/preview": lambda c, p: c.batches.preview("BOTH", limit=5),
    "GET /marks": lambda c, p: c.assets.marks((U,)),
    "GET /batches/moves": lambda c, p: c.batches.list(limit=2, cursor="c"),
    "GET /batches/moves/{batch_id}": lambda c, p: c.batches.get("b"),
    "POST /batches/moves/{batch_id}/undo": lambda c, p: c.batches.undo("b", digest="d"),
    "POST /batches/moves/{batch_id}/undo/preview": lambda c, p: c.batches.preview_undo(
        "b", uuids=(U,)
    ),
    "POST /decisions/apply": lambda c, p: c.decisions.apply("t"),
    "POST /decisions/preview": lambda c, p: c.decisions.preview("KEEP", FILTERS, max_items=5),
    "GET /events": lambda c, p: anext(c.events.follow(last_event_id="7")),
    "GET /jobs": lambda c, p: c.jobs.list(),
    "GET /jobs/offered": lambda c, p: c.jobs.offered(limit=5),
    "POST /jobs/{job_id}/claim": lambda c, p: c.jobs.claim(J),
    "POST /jobs/{job_id}/fail": lambda c, p: c.jobs.fail(J, "l", "E", retryable=True),
    "POST /jobs/{job_id}/heartbeat": lambda c, p: c.jobs.heartbeat(
        J, "l", progress=JobProgress(current=1, total=2)
    ),
    "POST /jobs/{job_id}/release": lambda c, p: c.jobs.release(J, "l"),
    "POST /jobs/{job_id}/result": lambda c, p: c.jobs.submit_result(J, RESULT),
    "POST /jobs/{job_id}/submit": lambda c, p: c.jobs.submit(J, FACTS),
    "GET /ops/readiness": lambda c, p: c.ops.readiness(),
    "GET /ops/agents": lambda c, p: c.ops.agents_page(limit=5, cursor="c"),
    "GET /ops/jobs": lambda c, p: c.ops.jobs(),
    "GET /ops/locks": lambda c, p: c.ops.locks_page(limit=5, cursor="c"),
    "GET /ops/settings": lambda c, p: c.ops.settings(),
    "GET /ops/storages": lambda c, p: c.ops.storages(),
    "GET /ops/unmatched-sidecars": lambda c, p: c.ops.unmatched_sidecars_page(limit=5, cursor="c"),
    "POST /auth/refresh": lambda c, p: c.auth.refresh("r"),
    "POST /auth/link": lambda c, p: c.auth.follow_link("t", client_kind="UI_MOBILE"),
    "POST /auth/password": lambda c, p: c.auth.change_password("n", current_password="o"),
    "GET /auth/accounts": lambda c, p: c.auth.accounts(),
    "POST /auth/accounts": lambda c, p: c.auth.add_account(
        EMAIL, "p", display_name="Ana", roles=("ADMIN",)
    ),
    "POST /auth/accounts/disable": lambda c, p: c.auth.disable_account(EMAIL),
    "POST /auth/accounts/enable": lambda c, p: c.auth.enable_account(EMAIL),
    "POST /auth/accounts/unlock": lambda c, p: c.auth.unlock_account(EMAIL),
    "POST /auth/accounts/reset": lambda c, p: c.auth.send_password_reset(EMAIL),
    "POST /auth/clients": lambda c, p: c.clients.add("AGENT", client_label="nas"),
    "GET /auth/clients": lambda c, p: c.clients.list(),
    "POST /auth/device/lookup": lambda c, p: c.devices.look_up("ABCD-EFGH"),
    "POST /auth/device/approve": lambda c, p: c.devices.approve("ABCD-EFGH", otp_code="123456"),
    "POST /auth/device/deny": lambda c, p: c.devices.deny("ABCD-EFGH"),
    "GET /ops/status": lambda c, p: c.ops.status(),
}
MORE: Mapping[str, Call] = {
    "POST /jobs/{job_id}/submit": lambda c, p: c.jobs.submit(J, THUMBS),
}


def operations() -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every operation with its document; ours where both have it."""
    found = {}
    for document in (CONTRACT, OURS):
        for path, item in document["paths"].items():
            for method in item.keys() & {"get", "put", "post", "patch", "delete"}:
                found[f"{method.upper()} {path}"] = (document, item[method])
    return found


OPERATIONS = operations()


def test_every_operation_has_a_method() -> None:
    """Nothing of the document or the contract is missing, and nothing is asked that they do not have."""
    assert CALLS.keys() == OPERATIONS.keys()


class Checked:
    """A server that holds requests against the document, and answers what it was given."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content
        self.document, self.operation = OPERATIONS[name]
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        method, path = self.name.split(" ")
        assert request.method == method
        raw = request.url.raw_path.decode().partition("?")[0]
        assert re.fullmatch(re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(BASE + path)), raw)
        self._check_parameters(request)
        self._check_body(request)
        assert ("authorization" not in request.headers) == (self.operation.get("security") == [])
        return httpx.Response(200, content=self.content)

    def _check_parameters(self, request: httpx.Request) -> None:
        nodes = [resolve(self.document, node) for node in self.operation.get("parameters", ())]
        known = {node["name"] for node in nodes if node["in"] == "query"}
        assert set(request.url.params.keys()) <= known
        for node in nodes:
            if node["in"] == "header" and node.get("required"):
                assert request.headers.get(node["name"]), f"{node['name']} is missing"

    def _check_body(self, request: httpx.Request) -> None:
        content = self.operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            assert not request.content
            return
        schema = content["application/json"]["schema"]
        validator(self.document, schema).validate(json.loads(request.content))


def said_of(name: str) -> Mapping[str, Any] | None:
    """The schema of the good answer; None where there is nothing to read."""
    if name in LEFT_OPEN:
        return LEFT_OPEN[name]
    document, operation = OPERATIONS[name]
    good = [value for status, value in operation["responses"].items() if status.startswith("20")]
    content = resolve(document, good[0]).get("content", {})
    schema: Mapping[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def answers(name: str) -> list[bytes]:
    """What the document lets the server answer: everything it may say, and the least it must say."""
    document, _ = OPERATIONS[name]
    said = said_of(name)
    if name == "GET /events":
        return [b"event: ready\ndata: {}\n\n"]
    if said is None:
        return [b""]
    schema = resolve(document, said)
    kinds = schema.get("oneOf", [schema])
    if name == "POST /batches/moves":
        kinds = kinds[1:]  # the first is a dry run, which the client asks for as a preview
    return [
        json.dumps(sample(document, kind, full=full)).encode()
        for kind in kinds
        for full in (True, False)
    ]


@pytest.mark.parametrize(
    ("name", "call"), [*CALLS.items(), *MORE.items()], ids=[*CALLS, *(f"{n} 2" for n in MORE)]
)
async def test_requests_and_answers(name: str, call: Call, tmp_path: Path) -> None:
    """Each method asks what the document says, and makes a value of every answer that it allows."""
    for content in answers(name):
        server = Checked(name, content)
        transport = httpx.MockTransport(server)
        async with Client("http://x", "t", transport=transport, retries=Retries(tries=1)) as client:
            await call(client, tmp_path)
        assert server.asked == 1


@pytest.mark.parametrize("name", [name for name in CALLS if said_of(name)])
async def test_closed_objects_are_closed(name: str, tmp_path: Path) -> None:
    """What a closed object does not have is an error; an open one takes it."""
    document, _ = OPERATIONS[name]
    whole = json.loads(answers(name)[0])
    if isinstance(whole, list):
        whole[0]["surprise"] = 1
    else:
        whole["surprise"] = 1
    schema = said_of(name)
    assert schema is not None
    fits = validator(document, schema).is_valid(whole)
    transport = httpx.MockTransport(lambda r: httpx.Response(200, json=whole))
    async with Client("http://x", "t", transport=transport) as client:
        if fits:
            await CALLS[name](client, tmp_path)
        else:
            with pytest.raises(RetaiaError, match="surprise"):
                await CALLS[name](client, tmp_path)
