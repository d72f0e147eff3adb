"""Every cell of the table endpoint x actor x scope x state, asked of a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from retaia_tests.cells import OPERATIONS, World, scopes_without, world

from retaia_adapters.http.document import Operation
from retaia_core.domain.authorization import Caller
from retaia_core.domain.lifecycle import State

ON_ASSETS = [o for o in OPERATIONS if "{uuid}" in o.path]
NEEDS_MORE = {
    "attachSidecar",
    "detachSidecar",
    "claimBundle",
    "initUpload",
    "putUploadPart",
    "completeUpload",
    "waiveCopyProof",
}
"""These are refused in many states for what is not there (a job, a file, a sidecar), another matter."""


@pytest.fixture(params=["sqlite", "postgres"])
async def cells(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    url = ""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with world(tmp_path, url or f"sqlite:///{tmp_path}/retaia.db") as made:
        yield made


async def _asked(
    cells: World, operation: Operation, caller: Caller, *, scoped: bool, state: State
) -> tuple[int, str]:
    """Status and code of a request by a caller."""
    token = None
    if caller is not Caller.ANONYMOUS:
        without = None if scoped else operation.access.scope
        token = await cells.token(caller, without)
    uuid = await cells.asset(state) if "{uuid}" in operation.path else ""
    answer = await cells.ask(operation, token=token, uuid=uuid, state=state)
    return answer.status_code, "" if answer.is_success else str(answer.json().get("code"))


def _expected(operation: Operation, caller: Caller) -> tuple[int, str] | None:
    """How a caller must be refused; None where it must not be."""
    access = operation.access
    if Caller.ANONYMOUS in access.callers or caller in access.callers:
        return None
    if caller is Caller.ANONYMOUS:
        return 401, "UNAUTHORIZED"
    if caller is Caller.PERSON and Caller.ADMIN in access.callers:
        return 403, "FORBIDDEN_SCOPE"
    return 403, "FORBIDDEN_ACTOR"


async def test_every_caller_at_every_operation(cells: World) -> None:
    """Who is in the row passes the gate, and nobody else does, whichever operation it is."""
    for operation in OPERATIONS:
        for caller in Caller:
            got = await _asked(cells, operation, caller, scoped=True, state=State.DECISION_PENDING)
            expected = _expected(operation, caller)
            where = f"{caller} at {operation.operation_id}: {got}"
            if expected is not None:
                assert got == expected, where
            elif Caller.ANONYMOUS not in operation.access.callers:
                assert got[0] != 401, where
                assert got[1] not in ("FORBIDDEN_ACTOR", "FORBIDDEN_SCOPE"), where


async def test_every_scope(cells: World) -> None:
    """Without the row's scope nobody passes, whatever else their token has."""
    for operation in OPERATIONS:
        for caller in operation.access.callers - {Caller.ANONYMOUS}:
            if scopes_without(operation, caller) is not None:
                got = await _asked(
                    cells, operation, caller, scoped=False, state=State.DECISION_PENDING
                )
                assert got == (403, "FORBIDDEN_SCOPE"), (caller, operation.operation_id)


async def test_every_state(cells: World) -> None:
    """What changes an asset succeeds in the states of its row, and is refused in every other."""
    changing = [o for o in ON_ASSETS if o.access.states is not None]
    assert len(changing) >= 8
    for operation in changing:
        states, caller = operation.access.states, min(operation.access.callers)
        assert states is not None
        for state in State:
            status, code = await _asked(cells, operation, caller, scoped=True, state=state)
            where = f"{operation.operation_id} in {state}: {status} {code}"
            if state is State.PURGED:
                assert (status, code) == (410, "PURGED"), where
            elif state not in states:
                assert (status, code) == (409, "STATE_CONFLICT"), where
            elif operation.operation_id in NEEDS_MORE:
                assert status != 410, where
            else:
                assert status == 200, where


async def test_every_feature(cells: World) -> None:
    """A feature that is switched off closes its operations, and all of them to orchestration clients."""
    admin = await cells.token(Caller.ADMIN)
    switches = {"features.decisions.bulk": False, "features.ai": False}
    answer = await cells.client.patch(
        "/app/features",
        json={"app_feature_enabled": switches},
        headers={"Authorization": f"Bearer {admin}"},
    )
    assert answer.status_code == 200
    for operation in OPERATIONS:
        for caller in operation.access.callers - {Caller.ANONYMOUS}:
            if caller is Caller.MCP or operation.access.feature is not None:
                if Caller.ANONYMOUS in operation.access.callers:
                    continue
                got = await _asked(
                    cells, operation, caller, scoped=True, state=State.DECISION_PENDING
                )
                assert got == (403, "FORBIDDEN_SCOPE"), (caller, operation.operation_id)
