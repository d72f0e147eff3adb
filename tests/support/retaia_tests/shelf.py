"""A house with places for other copies beside it, for tests of purges that ask for proof."""

from __future__ import annotations

from attrs import define, field

from retaia_core.domain.assets import Asset
from retaia_core.domain.identifiers import AssetId
from retaia_core.domain.lifecycle import Action
from retaia_core.domain.purge import PurgePlan
from retaia_core.testing.memory_copies import MemoryCopies
from retaia_core.usecases.certificates import Certificates
from retaia_core.usecases.proofs import Proofs
from retaia_core.usecases.purge_policy import PurgePolicy
from retaia_core.usecases.purges import Purges
from retaia_core.usecases.purging import PurgeResult
from retaia_tests.house import PERSON, House

PLACE = "backup"
SIDECAR = b"<x/>"


@define(kw_only=True)
class Shelf:
    """Purges over a house; with ``required`` only on proof."""

    house: House = field(factory=House)
    copies: MemoryCopies = field(factory=lambda: MemoryCopies(PLACE, "tape"))
    required: bool = True
    policy_on: bool = False
    after_days: int = 180

    @property
    def purges(self) -> Purges:
        return Purges(
            store=self.house.store, clock=self.house.clock, ids=self.house.ids,
            storages=self.house.storages, open_derived=lambda storage: self.house.derived,
            copies=lambda storage: self.copies, require_proof=self.required,
            policy=self.policy_on,
        )  # fmt: skip

    @property
    def proofs(self) -> Proofs:
        return Proofs(
            store=self.house.store, clock=self.house.clock, storages=self.house.storages,
            copies=lambda storage: self.copies, places=tuple(self.copies.places),
        )  # fmt: skip

    @property
    def certificates(self) -> Certificates:
        return Certificates(store=self.house.store)

    def policy(self) -> PurgePolicy:
        """The policy as a server that just started has it."""
        return PurgePolicy(
            store=self.house.store, clock=self.house.clock, purges=self.purges,
            proofs=self.proofs, on=self.policy_on, after_days=self.after_days,
        )  # fmt: skip

    # Short ways to a situation

    async def rejected(self, name: str = "A") -> Asset:
        """A rejected photo with a sidecar and derived files, among the rejects; its name is its content."""
        house = self.house
        house.originals.add(f"INBOX/{name}.xmp", SIDECAR)
        asset = await house.pending(f"INBOX/{name}.jpg", name.encode())
        await house.review.decide(PERSON, asset.uuid, Action.REJECT)
        plan = await house.moves.preview()
        batch = await house.moves.execute(PERSON, plan, plan.digest)
        await house.moves.run(batch.batch_id)
        return await house.review.asset(asset.uuid)

    def back_up(self, name: str = "A", place: str = PLACE) -> None:
        """Copies of both files, where they were before they were rejected."""
        self.copies.add(place, f"INBOX/{name}.jpg", name.encode())
        self.copies.add(place, f"INBOX/{name}.xmp", SIDECAR)

    async def purge(self, uuid: AssetId) -> PurgeResult:
        """Purge what a preview shows."""
        plan = await self.purges.preview(uuid)
        return await self.purges.purge(PERSON, plan, plan.digest)

    async def checked(self, uuid: AssetId) -> PurgePlan:
        """Look for copies, and preview."""
        await self.proofs.check(PERSON, uuid)
        return await self.purges.preview(uuid)


async def shelf(**fixed: object) -> Shelf:
    """A shelf whose house has started."""
    made = Shelf(**fixed)  # type: ignore[arg-type]
    await made.house.start()
    return made
