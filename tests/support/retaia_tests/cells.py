"""Every cell of the table of access, asked of a server that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
from attrs import define, evolve, field

from retaia_adapters.http.document import BASE, Operation, load_document, operations_of
from retaia_adapters.http.server import HttpServer
from retaia_core.domain.accounts import Account, AccountId, Email, Role, new_account
from retaia_core.domain.actors import ActorKind
from retaia_core.domain.assets import Flag, Suggestion
from retaia_core.domain.authorization import Caller
from retaia_core.domain.clients import Client, ClientKind
from retaia_core.domain.identifiers import AssetId, RelPath
from retaia_core.domain.lifecycle import Action, Standing, State, Verdict, allowed_actions
from retaia_core.domain.media import MediaType
from retaia_core.domain.sessions import SCOPES, Scope
from retaia_core.domain.storage import Layout, Storage
from retaia_core.ports.store import Transaction
from retaia_core.settings import load_settings
from retaia_core.shell.credentials import local_person
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services
from retaia_core.shell.wiring import open_services
from retaia_core.testing import samples
from retaia_core.usecases.sessions import Minted
from retaia_tests.http_house import CheckedTransport, Conformance
from retaia_tests.schema_samples import sample

DOCUMENT = load_document()
OPERATIONS = operations_of(DOCUMENT)
FEATURES = ("features.decisions.bulk", "features.ai")
_FOLDERS = {State.ARCHIVED: "ARCHIVE", State.REJECTED: "REJECTS", State.PURGED: "REJECTS"}
_VERDICTS = {
    State.DECIDED_KEEP: Verdict.KEEP,
    State.MOVE_QUEUED: Verdict.KEEP,
    State.ARCHIVED: Verdict.KEEP,
    State.DECIDED_REJECT: Verdict.REJECT,
    State.REJECTED: Verdict.REJECT,
    State.PURGED: Verdict.REJECT,
}
STREAMS = {"listenEvents"}
"""Operations whose answer has no end: it is enough that they begin."""
_BODIES = {
    "initUpload": {"kind": "thumb", "content_type": "image/jpeg", "size_bytes": 10},
    "resetPassword": {"token": "nobody's", "new_password": "long enough for one"},
}
_DECISIONS = (Action.KEEP, Action.REJECT, Action.CLEAR)


@define(kw_only=True)
class World:
    """A server with everybody who may call it, and assets as they are needed."""

    services: Services
    client: httpx.AsyncClient
    storage: Storage
    agent_id: str = ""
    callers: dict[Caller, str] = field(factory=dict)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)

    async def prepare(self) -> None:
        """Make an account or a client of every kind, and register the agent."""
        at = self.services.clock.now()
        people = {Caller.PERSON: frozenset[Role](), Caller.ADMIN: frozenset({Role.ADMIN})}
        for caller, roles in people.items():
            account = new_account(AccountId(samples.number(1, len(roles))), _email(caller), at)
            account = evolve(account, roles=roles, email_verified=True)
            self.callers[caller] = account.account_id
            await self.services.store.transact(partial(_save_account, account))
        for caller in (Caller.AGENT, Caller.MCP):
            client = Client(
                client_id=f"cells-{caller.lower()}",
                kind=ClientKind(caller.value),
                label="",
                secret="",
                created_at=at,
                created_by="person:x",
            )
            self.callers[caller] = client.client_id
            await self.services.store.transact(partial(_save_client, client))
        self.agent_id = await self._register()

    async def _register(self) -> str:
        token = await self.token(Caller.AGENT)
        body = {"agent_name": "cells", "agent_version": "1", "capabilities": ["media.facts@1"]}
        answer = await self.client.post(
            "/agents/register", json=body, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["agent_id"])

    async def token(self, caller: Caller, without: Scope | None = None) -> str:
        """A fresh token of a caller; with all scopes of its kind, or all but one."""
        sessions, principal = self.services.sessions, self.callers[caller]

        def mint(tx: Any) -> Minted:
            if not caller.is_person:
                kind = ClientKind(caller.value)
                minted = sessions.open_for_client(tx, principal, kind)
                client_id = principal
            else:
                account = tx.account(AccountId(principal))
                client_id = "cells-ui"
                minted = sessions.open_for_person(
                    tx, account, client_id=client_id, kind=ClientKind.UI_WEB
                )
            if without is not None:
                kept = tx.session(principal, client_id)
                tx.save_session(evolve(kept, scope=kept.scope - {without}))
            return minted

        return (await self.services.store.transact(mint)).access_token

    async def asset(self, state: State) -> AssetId:
        """A new asset in a state, its file where that state has it."""
        n = next(self._numbers)
        path = f"{_FOLDERS.get(state, 'INBOX')}/cell-{n}.jpg"
        file = Path(self.storage.root) / path
        if state is not State.PURGED:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"\xff\xd8\xff" + str(n).encode())
        seen = file.stat() if file.exists() else None
        asset = samples.asset(
            n,
            uuid=AssetId(self.services.ids.uuid()),
            storage_id=self.storage.storage_id,
            path=RelPath(path),
            media_type=MediaType.PHOTO,
            state=state,
            verdict=_VERDICTS.get(state),
            size=seen.st_size if seen else 1,
            mtime_ns=seen.st_mtime_ns if seen else 1,
            flags=frozenset({Flag.UNPROCESSABLE}) if state is State.READY else frozenset(),
            suggestions=(Suggestion(tag="text", source="model"),),
        )
        await self.services.store.transact(lambda tx: tx.add_assets([asset]))
        return asset.uuid

    async def ask(
        self, operation: Operation, *, token: str | None, uuid: str, state: State
    ) -> httpx.Response:
        """One request to an operation, with a body and parameters that the document allows."""
        path = operation.path.replace("{uuid}", uuid)
        for name in ("job_id", "batch_id", "upload_id", "client_id", "account_id"):
            path = path.replace(f"{{{name}}}", samples.number(0xF, 1))
        path = path.replace("{kind}", "thumb")
        headers = {"Idempotency-Key": f"cell-{next(self._numbers)}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if operation.takes("X-Retaia-Agent"):
            headers["X-Retaia-Agent"] = self.agent_id
        if operation.operation_id == "purgeAsset":
            await self.client.post(f"/assets/{uuid}/purge/preview", headers=headers)
        request = self.client.build_request(
            operation.method, path, headers=headers, **_content(operation, state)
        )
        if operation.operation_id not in STREAMS or token is None:
            return await self.client.send(request)
        async with httpx.AsyncClient() as plain:
            answer = await plain.send(request, stream=True)
            if answer.is_success:
                await answer.aclose()
            else:
                await answer.aread()
            return answer


def _save_account(account: Account, tx: Transaction) -> None:
    tx.save_account(account)


def _save_client(client: Client, tx: Transaction) -> None:
    tx.save_client(client)


def _email(caller: Caller) -> Email:
    return Email(f"{caller.lower()}@example.org")


def _content(operation: Operation, state: State) -> Mapping[str, Any]:
    """The body of a request; a decision that the state allows where there is one."""
    if "multipart/form-data" in operation.bodies:
        form = {"upload_id": samples.number(0xF, 1), "part_number": "1"}
        return {"data": form, "files": {"chunk": b"bytes"}}
    if operation.operation_id == "decideAsset":
        standing = Standing(state=state, verdict=_VERDICTS.get(state))
        allowed = allowed_actions(standing, ActorKind.PERSON)
        open_now = [action for action in _DECISIONS if action in allowed]
        return {"json": {"action": (open_now or [Action.KEEP])[0].value}}
    if operation.operation_id in _BODIES:
        return {"json": _BODIES[operation.operation_id]}
    if "application/json" not in operation.bodies:
        return {}
    node = DOCUMENT["paths"][operation.path][operation.method.lower()]
    schema = node["requestBody"]["content"]["application/json"]["schema"]
    return {"json": sample(DOCUMENT, schema, full=False)}


def scopes_without(operation: Operation, caller: Caller) -> Scope | None:
    """The scope whose absence closes an operation to a caller who has all others."""
    kind = ActorKind.PERSON if caller.is_person else ActorKind(caller.value)
    scope = operation.access.scope
    return scope if scope in SCOPES[kind] else None


@asynccontextmanager
async def world(folder: Path, store_url: str) -> AsyncIterator[World]:
    """A server on a socket, over a store, with a storage and all features on."""
    settings = load_settings(
        data_dir=folder / "data",
        environ={
            "RETAIA_STORE_URL": store_url,
            "RETAIA_FEATURES_ENABLED": ",".join(FEATURES),
            "RETAIA_PROCESSING_ENABLED": "suggest_tags",
        },
    )
    root = folder / "footage"
    (root / "INBOX").mkdir(parents=True)
    async with open_services(settings) as services, anyio.create_task_group() as tasks:
        await services.sessions.prepare()
        storage = await services.storages.adopt(local_person(), str(root), Layout())
        url = await tasks.start(_serve, services)
        transport = CheckedTransport(httpx.AsyncHTTPTransport(), Conformance(DOCUMENT))
        async with httpx.AsyncClient(transport=transport, base_url=url + BASE) as client:
            made = World(services=services, client=client, storage=storage)
            await made.prepare()
            yield made
        tasks.cancel_scope.cancel()


async def _serve(services: Services, *, task_status: anyio.abc.TaskStatus[str]) -> None:
    options = ServerOptions(host="127.0.0.1", port=0)
    await HttpServer().serve(services, options, task_status.started)
