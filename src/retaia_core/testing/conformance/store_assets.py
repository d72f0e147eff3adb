"""Assets: kept whole, unique by UUID and path, changed only from what was read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from ...domain.assets import (
    Asset,
    DecisionRecord,
    Flag,
    PathRecord,
    Suggestion,
    Transcript,
)
from ...domain.discovery import Found, FoundFile, discovered
from ...domain.identifiers import AssetId, ProfileName, RelPath, StorageId
from ...domain.lifecycle import State, Verdict
from ...domain.media import MediaType
from ...domain.moves import Candidate, candidate_of
from ...errors import StateConflict
from ...ports.store import Transaction, Work
from ..clock import START
from ..samples import NAS, after, asset, asset_id, derived, sidecar
from .database import Database, StoreSuite

ODD_NAMES = (
    "plage 🏖️ été.mov",
    "line\nbreak.mov",
    "tab\tand 'quotes' \"too\".mov",
    "back\\slash%_percent.mov",
    "e\u0301 decomposed.mov",
    "\u00e9 composed.mov",
    " leading and trailing .mov",
    "🎬" * 62 + "abc.mov",
)
"""Names that a careful store keeps to the letter; the last has 255 bytes of UTF-8."""


def full_asset() -> Asset:
    """An asset with something in every field."""
    return asset(
        7,
        storage_id=StorageId("other"),
        path=RelPath("ARCHIVE/day 1/plage 🏖️\n.mov"),
        media_type=MediaType.VIDEO,
        size=2**62 + 1,
        mtime_ns=2**62 + 3,
        state=State.DECIDED_KEEP,
        state_since=after(3.000001),
        created_at=START,
        updated_at=after(4.999999),
        sightings=2,
        fingerprint="ab" * 32,
        flags=frozenset({Flag.CHANGED, Flag.PARKED}),
        sidecars=(
            sidecar("ARCHIVE/day 1/plage 🏖️\n.srt"),
            sidecar("ARCHIVE/day 1/b.lrf", rule="by_person", missing=True),
        ),
        facts={"duration_ms": 2**40, "fps": 23.976, "captured_at": "2024-05-06T07:08:09+02:00"},
        warnings=("the index was rebuilt",),
        derived=(derived(), derived("thumb", 0), derived("thumb", 1)),
        transcript=Transcript(
            text="Bonjour — 你好",
            language="fr",
            confidence=0.75,
            segments=({"start_ms": 0, "end_ms": 900, "text": "Bonjour"},),
            updated_at=after(1.5),
        ),
        suggestions=(
            Suggestion(tag="beach", source="model 1"),
            Suggestion(tag="sea", source="model 1", status="REFUSED"),
        ),
        tags=("Été", "plage"),
        notes="two\nlines",
        fields={"location_city": "Nice", "take": 3, "good": True, "none": None},
        verdict=Verdict.KEEP,
        decisions=(DecisionRecord(action="KEEP", at=after(2.5), by="person:ada"),),
        path_history=(PathRecord(path=RelPath("INBOX/x.mov"), until=after(1.25), cause="move"),),
        review_version=3,
        revision=11,
    )


def ids(assets: Iterable[Asset]) -> list[AssetId]:
    """The UUIDs of assets, in their order."""
    return [found.uuid for found in assets]


def adding(*assets: Asset) -> Work[None]:
    """The act of adding assets."""
    return lambda tx: tx.add_assets(assets)


def changed(db: Database, n: int = 1, **changes: Any) -> Asset:
    """Read an asset and write it with changes."""

    def work(tx: Transaction) -> Asset:
        stored = tx.asset(asset_id(n))
        assert stored is not None
        return tx.save_asset(evolve(stored, **changes))

    return db.write(work)


class AssetRules(StoreSuite):
    """What the part of a transaction about assets promises."""

    def test_an_asset_comes_back_as_it_was(self, db: Database) -> None:
        """Every field survives: big integers, microseconds, emoji, newlines, nested data."""
        db.write(lambda tx: tx.add_assets([full_asset()]))
        assert db.read(lambda tx: tx.asset(full_asset().uuid)) == full_asset()

    def test_a_saved_asset_comes_back_as_it_was(self, db: Database) -> None:
        """Replacing changes every field, and the next revision is given and stored."""
        plain = evolve(asset(7), revision=11)
        db.write(lambda tx: tx.add_assets([plain]))
        saved = db.write(lambda tx: tx.save_asset(full_asset()))
        assert saved == evolve(full_asset(), revision=12)
        assert db.read(lambda tx: tx.asset(saved.uuid)) == saved

    def test_every_field_can_be_emptied_again(self, db: Database) -> None:
        """Nothing of a fuller version lingers in a plainer one."""
        db.write(lambda tx: tx.add_assets([full_asset()]))
        plain = evolve(asset(7), revision=11)
        saved = db.write(lambda tx: tx.save_asset(plain))
        assert saved == evolve(plain, revision=12)
        assert db.read(lambda tx: tx.asset(saved.uuid)) == saved

    @pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
    def test_odd_names_are_kept_to_the_letter(self, db: Database, name: str) -> None:
        """Emoji, newlines, quotes, wildcards and decomposed accents are names like any other."""
        one = asset(path=RelPath(f"INBOX/{name}"))
        db.write(lambda tx: tx.add_assets([one]))
        assert db.read(lambda tx: tx.asset_at(NAS, f"INBOX/{name}")) == one
        assert db.read(lambda tx: tx.assets_in_folder(NAS, "INBOX")) == [one]

    def test_names_that_only_look_alike_are_different_paths(self, db: Database) -> None:
        """Case twins and composed or decomposed accents are separate paths."""
        names = ("a.mov", "A.mov", "\u00e9.mov", "e\u0301.mov")
        twins = [asset(n, path=RelPath(f"INBOX/{name}")) for n, name in enumerate(names)]
        db.write(lambda tx: tx.add_assets(twins))
        found = db.read(lambda tx: [tx.asset_at(NAS, twin.path) for twin in twins])
        assert found == twins

    def test_an_unknown_asset_is_none(self, db: Database) -> None:
        """Reading what is not there answers None or nothing."""
        assert db.read(lambda tx: tx.asset(asset_id())) is None
        assert db.read(lambda tx: tx.asset_at(NAS, "INBOX/x.mov")) is None
        assert db.read(lambda tx: tx.assets([asset_id(1), asset_id(2)])) == {}

    def test_assets_are_read_by_the_thousand(self, db: Database) -> None:
        """Many assets are added and read in one call, those that are not there left out."""
        many = [asset(n) for n in range(1, 1201)]
        db.write(lambda tx: tx.add_assets(many))
        found = db.read(lambda tx: tx.assets(asset_id(n) for n in range(1, 1300)))
        assert found == {a.uuid: a for a in many}
        states = {a.uuid: a.state for a in many}
        assert db.read(lambda tx: tx.states(asset_id(n) for n in range(1, 1300))) == states
        assert db.write(lambda tx: tx.states([asset_id(7), asset_id(7)])) == {
            asset_id(7): many[6].state
        }

    def test_a_uuid_is_added_once(self, db: Database) -> None:
        """Adding a UUID that is there is refused, and changes nothing."""
        db.write(lambda tx: tx.add_assets([asset()]))
        again = asset(path=RelPath("INBOX/other.mov"))
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.add_assets([asset(2), again]))
        assert db.read(lambda tx: tx.asset(asset_id())) == asset()
        assert db.read(lambda tx: tx.asset(asset_id(2))) is None

    def test_a_path_is_one_assets(self, db: Database) -> None:
        """Two assets of a storage cannot have one path, added together or one after another."""
        twin = asset(2, path=asset(1).path)
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.add_assets([asset(1), twin]))
        db.write(lambda tx: tx.add_assets([asset(1)]))
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.add_assets([twin]))
        assert db.read(lambda tx: tx.asset_at(NAS, twin.path)) == asset(1)

    def test_of_concurrent_discoveries_of_one_path_one_wins(self, db: Database) -> None:
        """Two scans that add one file at the same time make one asset."""
        path = RelPath("INBOX/one.mov")
        outcomes = db.race([adding(asset(n, path=path)) for n in range(8)])
        assert sum(outcome is None for outcome in outcomes) == 1
        assert sum(isinstance(outcome, StateConflict) for outcome in outcomes) == 7

    def test_a_path_may_be_used_in_every_storage(self, db: Database) -> None:
        """The same relative path in two storages is two assets."""
        other = asset(2, path=asset(1).path, storage_id=StorageId("other"))
        db.write(lambda tx: tx.add_assets([asset(1), other]))
        assert db.read(lambda tx: tx.asset_at(StorageId("other"), other.path)) == other

    def test_an_asset_cannot_be_saved_onto_anothers_path(self, db: Database) -> None:
        """Saving is held to unique paths as adding is."""
        db.write(lambda tx: tx.add_assets([asset(1), asset(2)]))
        with pytest.raises(StateConflict):
            changed(db, 1, path=asset(2).path)
        assert db.read(lambda tx: tx.asset(asset_id(1))) == asset(1)

    def test_a_path_that_was_left_is_free(self, db: Database) -> None:
        """After an asset moved, its former path may be another's, also by a swap over a third name."""
        db.write(lambda tx: tx.add_assets([asset(1), asset(2)]))
        changed(db, 1, path=RelPath("INBOX/tmp.mov"))
        changed(db, 2, path=asset(1).path)
        changed(db, 1, path=asset(2).path)
        found = db.read(lambda tx: tx.asset_at(NAS, asset(1).path))
        assert found is not None
        assert found.uuid == asset_id(2)

    def test_a_purged_asset_leaves_its_path(self, db: Database) -> None:
        """A purged asset is still read by UUID, but not by path, folder or shape."""
        db.write(lambda tx: tx.add_assets([asset(1)]))
        purged = changed(db, 1, state=State.PURGED)
        assert db.read(lambda tx: tx.asset(asset_id(1))) == purged
        assert db.read(lambda tx: tx.asset_at(NAS, purged.path)) is None
        assert not db.read(lambda tx: tx.assets_in_folder(NAS, "INBOX"))
        assert not db.read(lambda tx: tx.assets_like(NAS, [(purged.size, purged.mtime_ns)]))
        twin = asset(2, path=purged.path)
        db.write(lambda tx: tx.add_assets([twin]))
        assert db.read(lambda tx: tx.asset_at(NAS, purged.path)) == twin

    def test_a_purged_asset_can_be_saved_beside_its_successor(self, db: Database) -> None:
        """A purged asset's old path does not clash with the asset that has it now."""
        db.write(lambda tx: tx.add_assets([asset(1, state=State.PURGED), asset(2)]))
        changed(db, 1, path=asset(2).path, notes="audit")
        found = db.read(lambda tx: tx.asset_at(NAS, asset(2).path))
        assert found is not None
        assert found.uuid == asset_id(2)

    def test_a_save_from_an_old_reading_is_refused(self, db: Database) -> None:
        """Of two writers that read the same revision, the second is refused and changes nothing."""
        db.write(lambda tx: tx.add_assets([asset()]))
        first = db.write(lambda tx: tx.save_asset(evolve(asset(), notes="first")))
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.save_asset(evolve(asset(), notes="second")))
        assert db.read(lambda tx: tx.asset(asset_id())) == first

    def test_a_save_of_what_was_never_added_is_refused(self, db: Database) -> None:
        """Saving does not add."""
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.save_asset(asset()))
        assert db.read(lambda tx: tx.asset(asset_id())) is None

    def test_an_asset_can_be_saved_twice_in_one_transaction(self, db: Database) -> None:
        """Each save answers the revision that the next one starts from."""
        db.write(lambda tx: tx.add_assets([asset()]))

        def work(tx: Transaction) -> Asset:
            once = tx.save_asset(evolve(asset(), notes="once"))
            return tx.save_asset(evolve(once, notes="twice"))

        saved = db.write(work)
        assert (saved.notes, saved.revision) == ("twice", 2)

    def test_several_assets_are_saved_together(self, db: Database) -> None:
        """Each is replaced as if it were saved alone, in their order: one may take the place of another."""
        db.write(lambda tx: tx.add_assets([asset(n, tags=("old",)) for n in range(1, 4)]))
        away = evolve(asset(1), path=RelPath("ARCHIVE/a.mov"), tags=("sea", "été"))
        there = evolve(asset(2), path=asset(1).path, tags=("sea",))
        plain = evolve(asset(3), notes="n")
        db.write(lambda tx: tx.save_assets([away, there, plain]))
        db.write(lambda tx: tx.save_assets([]))
        found = db.read(lambda tx: tx.assets(map(asset_id, range(1, 4))))
        assert list(found.values()) == [evolve(one, revision=1) for one in (away, there, plain)]
        used = db.read(lambda tx: tx.find_tags("", after=None, limit=9))
        assert [(use.tag, use.assets) for use in used] == [("sea", 2), ("été", 1)]

    def test_of_several_assets_all_are_saved_or_none(self, db: Database) -> None:
        """Where one was changed since it was read, or its path is another's, the refusal says which."""
        db.write(lambda tx: tx.add_assets([asset(n) for n in range(1, 4)]))
        newer = changed(db, 2, notes="newer")
        edited = [evolve(asset(n), notes="edited") for n in (1, 2)]
        with pytest.raises(StateConflict, match=asset_id(2)):
            db.write(lambda tx: tx.save_assets(edited))
        onto = evolve(asset(3), path=newer.path)
        with pytest.raises(StateConflict, match=newer.path):
            db.write(lambda tx: tx.save_assets([edited[0], onto]))
        found = db.read(lambda tx: tx.assets(map(asset_id, range(1, 4))))
        assert list(found.values()) == [asset(1), newer, asset(3)]

    def test_who_is_known_at_several_places(self, db: Database) -> None:
        """Of every path that is a living asset's now its UUID is told, to the letter and of one storage."""
        paths = ("root.mov", "a/x.mov", "a/y.mov", "a/b/x.mov", "A/x.mov")
        found = [asset(n, path=RelPath(path)) for n, path in enumerate(paths)]
        gone = asset(8, path=RelPath("a/gone.mov"), state=State.PURGED)
        other = asset(9, path=RelPath("a/z.mov"), storage_id=StorageId("other"))
        db.write(lambda tx: tx.add_assets([*found, gone, other]))
        asked = ("a/x.mov", "root.mov", "a/z.mov", "a/gone.mov", "x.mov", "a/X.mov", "A/x.mov")
        known = {"a/x.mov": asset_id(1), "root.mov": asset_id(0), "A/x.mov": asset_id(4)}
        assert db.read(lambda tx: tx.known_at(NAS, asked)) == known
        assert db.read(lambda tx: tx.known_at(NAS, [])) == {}

    def test_a_folder_is_not_its_sub_folders(self, db: Database) -> None:
        """`assets_in_folder` answers what lies directly in a folder, at the root as well."""
        paths = ("root.mov", "a/x.mov", "a/y.mov", "a/b/x.mov", "ab/x.mov", "a_/x.mov", "A/x.mov")
        found = [asset(n, path=RelPath(path)) for n, path in enumerate(paths)]
        db.write(lambda tx: tx.add_assets(found))

        def at(folder: str) -> set[str]:
            return {a.path for a in db.read(lambda tx: tx.assets_in_folder(NAS, folder))}

        assert at("a") == {"a/x.mov", "a/y.mov"}
        assert at("a/b") == {"a/b/x.mov"}
        assert at("") == {"root.mov"}
        assert at("nowhere") == set()
        assert not db.read(lambda tx: tx.assets_in_folder(StorageId("other"), "a"))

    def test_assets_are_found_by_size_and_mtime(self, db: Database) -> None:
        """`assets_like` answers those with a fingerprint and both numbers of one of the shapes."""
        shapes = ((2**62, 2**62 + 1), (2**62, 5), (7, 2**62 + 1))
        found = [asset(n, size=s, mtime_ns=m, fingerprint="f") for n, (s, m) in enumerate(shapes)]
        unknown = asset(9, size=shapes[0][0], mtime_ns=shapes[0][1], fingerprint=None)
        db.write(lambda tx: tx.add_assets([*found, unknown]))

        def like(*wanted: tuple[int, int]) -> set[AssetId]:
            return set(ids(db.read(lambda tx: tx.assets_like(NAS, wanted))))

        assert like(shapes[0]) == {asset_id(0)}
        assert like(shapes[1], shapes[2], (1, 1)) == {asset_id(1), asset_id(2)}
        assert like((7, 5)) == like() == set()

    def test_found_files_become_assets(self, db: Database) -> None:
        """`add_found` writes what `discovered` says, whole or not at all."""
        found = Found(
            storage_id=NAS,
            at=START,
            profiles={MediaType.PHOTO: ProfileName("photo_standard")},
            files=(
                FoundFile(asset_id(1), "INBOX/1", "Ä\n🎬.jpg", MediaType.PHOTO, 2**40, 2**62),
                FoundFile(asset_id(2), "", "b.jpg", MediaType.PHOTO, 1, 2, (sidecar("b.xmp"),)),
            ),
        )
        db.write(lambda tx: tx.add_found(found))
        stored = db.read(lambda tx: tx.assets([asset_id(1), asset_id(2)]))
        assert list(stored.values()) == list(discovered(found))
        again = evolve(found, files=(found.files[0]._replace(uuid=asset_id(3)),))
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.add_found(again))
        assert db.read(lambda tx: tx.asset(asset_id(3))) is None

    def test_assets_are_paged_by_state(self, db: Database) -> None:
        """`assets_in_states` answers whole assets in UUID order, after the one given."""
        states = [State.READY, State.DISCOVERED, State.READY, State.PURGED, State.READY]
        found = [asset(n, state=state) for n, state in enumerate(states)]
        db.write(lambda tx: tx.add_assets(reversed(found)))

        def page(*wanted: State, **options: Any) -> list[AssetId]:
            return ids(db.read(lambda tx: tx.assets_in_states(wanted, **options)))

        ready = [asset_id(n) for n in (0, 2, 4)]
        assert page(State.READY) == ready
        assert page(State.READY, limit=2) == ready[:2]
        assert page(State.READY, after=ready[1]) == ready[2:]
        assert page(State.PURGED, State.DISCOVERED) == [asset_id(1), asset_id(3)]
        assert page(State.READY, storage_id=StorageId("other")) == []
        assert page(State.READY, storage_id=NAS) == ready
        assert page() == []

    def test_candidates_are_what_a_plan_needs_of_whole_assets(self, db: Database) -> None:
        """`candidates` answers the assets of one state in UUID order, after the one given."""
        mates = [sidecar(f"INBOX/day/{name}", size=n) for n, name in enumerate(("b.xmp", "a.srt"))]
        kept: dict[str, Any] = {"state": State.DECIDED_KEEP, "verdict": Verdict.KEEP}
        found = [
            asset(1, path=RelPath("root.mov"), **kept),
            asset(2, path=RelPath("INBOX/day/a.mov"), sidecars=tuple(mates), **kept),
            asset(3, storage_id=StorageId("other"), flags=frozenset({Flag.PARKED}), **kept),
            asset(4, facts={"duration_ms": 1}, notes="said", **kept),
            asset(5, state=State.READY),
        ]
        db.write(lambda tx: tx.add_assets(reversed(found)))

        def page(state: State, **options: Any) -> list[Candidate]:
            return list(db.read(lambda tx: tx.candidates(state, **options)))

        wanted = [candidate_of(one) for one in found[:4]]
        assert page(State.DECIDED_KEEP) == wanted
        assert page(State.DECIDED_KEEP, after=asset_id(1), limit=2) == wanted[1:3]
        assert page(State.READY) == [candidate_of(found[4])]
        assert page(State.PURGED) == []

    def test_assets_are_counted_by_state(self, db: Database) -> None:
        """Counts are by state, purged ones too, of all storages or of one."""
        states = [State.READY, State.READY, State.PURGED]
        found = [asset(n, state=state) for n, state in enumerate(states)]
        other = asset(9, storage_id=StorageId("other"))
        db.write(lambda tx: tx.add_assets([*found, other]))

        def counts(storage_id: StorageId | None) -> dict[State, int]:
            answer = db.read(lambda tx: tx.count_assets(storage_id))
            return {state: count for state, count in answer.items() if count}

        assert counts(NAS) == {State.READY: 2, State.PURGED: 1}
        assert counts(None) == {State.READY: 2, State.PURGED: 1, State.DISCOVERED: 1}
        assert counts(StorageId("third")) == {}

    def test_times_keep_their_microseconds(self, db: Database) -> None:
        """A time is stored to the microsecond, before 1970 as well as after."""
        spans = (timedelta(microseconds=1), timedelta(days=-25_000), timedelta())
        times = [START.replace(microsecond=999_999) + span for span in spans]
        assets = [
            asset(n, created_at=time, updated_at=time, state_since=time)
            for n, time in enumerate(times)
        ]
        db.write(adding(*assets))
        found = db.read(lambda tx: tx.assets(a.uuid for a in assets))
        assert found == {a.uuid: a for a in assets}
