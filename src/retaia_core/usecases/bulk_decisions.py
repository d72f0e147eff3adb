"""The story of a bulk decision: a person previews a filter, approves what it showed, and it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import islice

from attrs import evolve, frozen

from ..domain.actors import Actor
from ..domain.assets import Asset, decided
from ..domain.bulk import (
    ACTIONS,
    APPROVAL_TTL,
    MAX_ITEMS,
    Approval,
    BulkPreview,
    BulkReport,
    LeftAsset,
    hindrance,
    left_now,
    stamp_of,
)
from ..domain.identifiers import AssetId, Subject
from ..domain.lifecycle import Action, State
from ..domain.query import MAX_LIMIT, AssetQuery
from ..domain.sessions import OneTime, Purpose, digest_of
from ..errors import InvalidToken, StateConflict, ValidationFailed
from ..ports.clock import Clock, Ids
from ..ports.store import Store, Transaction
from .lookups import held_locks, need_person
from .trail import record, save_step

CHUNK = 200
"""How many assets are decided in one transaction."""

_PENDING = frozenset({State.DECISION_PENDING})
_OTHERS = frozenset(State) - _PENDING
_FOUND = tuple(s for s in State if s is not State.PURGED)
"""What a filter without a state finds."""


@frozen(kw_only=True)
class Approved:
    """A preview with the token that approves it once; the token is shown here and never again."""

    token: str
    expires_at: datetime
    preview: BulkPreview


@frozen(kw_only=True)
class BulkDecisions:
    """The stories of deciding on many assets at once."""

    store: Store
    clock: Clock
    ids: Ids

    # Preview

    async def preview(
        self, actor: Actor, query: AssetQuery, action: Action, max_items: int
    ) -> Approved:
        """Show what a decision on everything that a filter finds would touch, and change nothing.

        Raises:
            ForbiddenActor: the actor is no person.
            ValidationFailed: the action is no verdict, or ``max_items`` is not 1 to 10 000.
        """
        need_person(actor, "decides")
        if action not in ACTIONS:
            raise ValidationFailed(
                f"{action} is no verdict; allowed: KEEP, REJECT", fields={"action": "no verdict"}
            )
        if not 1 <= max_items <= MAX_ITEMS:
            raise ValidationFailed(
                f"max_items must be 1 to {MAX_ITEMS}", fields={"max_items": f"1 to {MAX_ITEMS}"}
            )
        find = partial(self._find, query, action, max_items)
        preview = await self.store.read(find)
        token, expires_at = self.ids.token(), self.clock.now() + APPROVAL_TTL
        made = OneTime(
            digest=digest_of(token),
            purpose=Purpose.BULK_APPROVAL,
            principal_id=actor.id,
            expires_at=expires_at,
            data=Approval(action=action, todo=preview.stamps).document(),
        )
        await self.store.transact(lambda tx: tx.save_one_time(made), durable=False)
        return Approved(token=token, expires_at=expires_at, preview=preview)

    def _find(
        self, query: AssetQuery, action: Action, max_items: int, tx: Transaction
    ) -> BulkPreview:
        now = self.clock.now()
        locks = held_locks(tx, now)
        stamps: dict[AssetId, str] = {}
        blocked: list[LeftAsset] = []
        for asset in _matching(tx, query, _PENDING):
            hindered = hindrance(asset, locks.get(asset.subject), now)
            if hindered is not None:
                blocked.append(hindered)
                continue
            stamps[asset.uuid] = stamp_of(asset)
            if len(stamps) > max_items:
                break  # One more than was asked for says that there are more.
        for asset in islice(_matching(tx, query, _OTHERS), max_items + 1):
            hindered = hindrance(asset, locks.get(asset.subject), now)
            assert hindered is not None
            blocked.append(hindered)
        return BulkPreview(
            action=action,
            stamps=dict(islice(stamps.items(), max_items)),
            blocked=tuple(blocked[:max_items]),
            more_eligible=len(stamps) > max_items,
            more_blocked=len(blocked) > max_items,
        )

    # Apply

    async def apply(self, actor: Actor, token: str, request: str) -> BulkReport:
        """Decide what a token approves, chunk by chunk; it is used up with the last one.

        ``request`` names the request that does it: repeated after a crash, it goes on where it was.

        Raises:
            InvalidToken, StateConflict: as `step_in` says.
        """
        while await self.step(actor, token, request):
            pass
        return await self.store.transact(partial(self.finish_in, actor, token, request))

    async def step(self, actor: Actor, token: str, request: str) -> bool:
        """`step_in`, durably; whether there is more to do."""
        return await self.store.transact(partial(self.step_in, actor, token, request))

    def step_in(self, actor: Actor, token: str, request: str, tx: Transaction) -> bool:
        """Decide the next chunk, in a transaction; whether there is more to do.

        Raises:
            InvalidToken: the token is unknown, used, over its time, or another person's.
            StateConflict: another request is using it.
        """
        now = self.clock.now()
        known, approval = self._opened(actor, token, request, tx)
        chunk = dict(islice(approval.todo.items(), CHUNK))
        done: list[AssetId] = []
        left: list[LeftAsset] = []
        for uuid, stamp in chunk.items():
            asset = tx.asset(uuid)
            lock = tx.lock(asset.subject) if asset else None
            hindered = left_now(uuid, asset, stamp, lock, now)
            if hindered is not None:
                left.append(hindered)
                continue
            assert asset is not None
            _decide(tx, asset, approval.action, actor, known.digest, now)
            done.append(uuid)
        rest = {uuid: stamp for uuid, stamp in approval.todo.items() if uuid not in chunk}
        after = evolve(
            approval,
            todo=rest,
            claimed_by=request,
            decided=(*approval.decided, *done),
            left=(*approval.left, *left),
        )
        tx.save_one_time(
            evolve(
                known, data=after.document(), expires_at=max(known.expires_at, now + APPROVAL_TTL)
            )
        )
        return bool(rest)

    def finish_in(self, actor: Actor, token: str, request: str, tx: Transaction) -> BulkReport:
        """Use the token up, in a transaction; its report.

        Raises:
            InvalidToken, StateConflict: as `step_in` says.
        """
        known, approval = self._opened(actor, token, request, tx)
        tx.drop_one_time(known.digest)
        record(
            tx,
            Subject(kind="bulk_decision", id=known.digest),
            "bulk_decision.applied",
            actor,
            self.clock.now(),
            action=approval.action.value,
            decided=len(approval.decided),
            left=len(approval.left),
        )
        return BulkReport(action=approval.action, decided=approval.decided, left=approval.left)

    def _opened(
        self, actor: Actor, token: str, request: str, tx: Transaction
    ) -> tuple[OneTime, Approval]:
        known = tx.one_time(digest_of(token))
        usable = (
            known is not None
            and known.purpose is Purpose.BULK_APPROVAL
            and known.principal_id == actor.id
            and known.expires_at > self.clock.now()
        )
        if known is None or not usable:
            raise InvalidToken(
                "this approval is not valid: unknown, used, too old, or another person's; preview again"
            )
        approval = Approval.read(known.data)
        if approval.claimed_by not in ("", request):
            raise StateConflict(
                "another request uses this approval; repeat that one with its Idempotency-Key, "
                "or preview again"
            )
        return known, approval


def _decide(
    tx: Transaction, asset: Asset, action: Action, actor: Actor, approval: str, now: datetime
) -> None:
    after = decided(asset, action, actor, now)
    save_step(tx, asset, after, f"decision.{action.lower()}", actor, now, approval=approval)


def _matching(tx: Transaction, query: AssetQuery, states: frozenset[State]) -> Iterator[Asset]:
    """What a filter finds in some states, in its order; whole assets."""
    wanted = tuple(state for state in query.states or _FOUND if state in states)
    page = evolve(query, states=wanted, after=None, limit=MAX_LIMIT) if wanted else None
    while page is not None:
        found = tx.find_assets(page)
        whole: Mapping[AssetId, Asset] = tx.assets(row.uuid for row in found.items)
        yield from (whole[row.uuid] for row in found.items)
        page = evolve(page, after=found.next) if found.next else None
