"""Doing a request once, however often it is sent (protocol.md, *Idempotency*)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from ..errors import IdempotencyConflict
from ..ports.store import Replay, Transaction

T = TypeVar("T")


def refuse_other_body(known: Replay, body_digest: str) -> None:
    """Let the same body pass.

    Raises:
        IdempotencyConflict: the key was used with another one.
    """
    if known.body_digest != body_digest:
        raise IdempotencyConflict(
            "this Idempotency-Key was used before with another body; use a new key"
        )


def once(
    tx: Transaction,
    *,
    scope: str,
    body_digest: str,
    now: datetime,
    work: Callable[[Transaction], T],
    render: Callable[[T], tuple[int, bytes]],
) -> tuple[Replay, T | None]:
    """Run a request's transaction, or answer what the first one under this scope was answered.

    ``scope`` joins actor, method, path and key. The answer is kept in the transaction that did the
    work, so that there is no moment in which one is known without the other. The second value is None
    where nothing was done because it was done before.

    Raises:
        IdempotencyConflict: the key was used with another body.
    """
    known = tx.replay(scope)
    if known is not None:
        refuse_other_body(known, body_digest)
        return known, None
    result = work(tx)
    status, body = render(result)
    replay = Replay(scope=scope, body_digest=body_digest, status=status, body=body, created_at=now)
    tx.save_replay(replay)
    return replay, result
