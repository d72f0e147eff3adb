"""Running lifecycle hooks: limited in time, audited, idempotent, and unable to change a state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio
import anyio.to_thread
from attrs import evolve, frozen

from ..domain.actors import Actor, ActorKind
from ..domain.assets import Asset, LastChange, signed
from ..hooks.lifecycle import TIME_LIMIT_S, HookCall, HookPoint, HookReply, LifecycleHook
from ..ports.clock import Clock
from ..ports.store import Store, Transaction
from .trail import record


@frozen(kw_only=True)
class HookRunner:
    """Runs the hooks of a point. ``blocking`` are the names that the server's settings mark so."""

    store: Store
    clock: Clock
    hooks: Sequence[LifecycleHook] = ()
    blocking: frozenset[str] = frozenset()

    async def run(self, point: HookPoint, asset: Asset) -> bool:
        """Call the hooks that were not called for this event yet; False where a blocking one failed.

        A failing or late hook is audited and the lifecycle goes on.
        """
        here = [hook for hook in self.hooks if hook.point is point]
        if not here:
            return True
        event_id = f"{asset.uuid}:{asset.review_version}:{point}"
        done = await self.store.read(partial(_done, asset, event_id))
        for hook in here:
            problem = done.get(hook.name)
            if problem is None:
                problem = await self._call(hook, point, asset, event_id)
            if problem and point is HookPoint.AFTER_PROCESSED and hook.name in self.blocking:
                return False
        return True

    async def _call(
        self, hook: LifecycleHook, point: HookPoint, asset: Asset, event_id: str
    ) -> str:
        call = HookCall(point=point, asset=asset, event_id=event_id)
        reply, problem = HookReply(), ""
        try:
            with anyio.fail_after(TIME_LIMIT_S):
                reply = await anyio.to_thread.run_sync(hook.run, call, abandon_on_cancel=True)
        except TimeoutError:
            problem = f"it took longer than {TIME_LIMIT_S:g} s"
        except Exception as error:  # noqa: BLE001 - audited; the lifecycle goes on
            problem = repr(error)[:500]
        work = partial(self._write, hook.name, asset, event_id, reply, problem)
        await self.store.transact(work, durable=False)
        return problem

    def _write(
        self,
        name: str,
        asset: Asset,
        event_id: str,
        reply: HookReply,
        problem: str,
        tx: Transaction,
    ) -> None:
        now = self.clock.now()
        actor = Actor(kind=ActorKind.SYSTEM, id=f"hook/{name}")
        current = tx.asset(asset.uuid)
        if current is not None and not problem and (reply.note or reply.fields):
            notes = "\n".join(text for text in (current.notes, reply.note) if text)
            fields = {**current.fields, **reply.fields}
            after = evolve(current, notes=notes, fields=fields, updated_at=now)
            tx.save_asset(signed(current, after, LastChange(by=str(actor), at=now)))
        record(
            tx,
            asset.subject,
            "hook.called",
            actor,
            now,
            hook=name,
            event_id=event_id,
            problem=problem,
        )


def _done(asset: Asset, event_id: str, tx: Transaction) -> dict[str, str]:
    """The hooks that were called for an event already, with what went wrong (empty where nothing)."""
    return {
        str(event.data["hook"]): str(event.data["problem"])
        for event in tx.latest_events(asset.subject)
        if event.name == "hook.called" and event.data.get("event_id") == event_id
    }
