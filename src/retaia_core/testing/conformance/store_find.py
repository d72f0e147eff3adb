"""Finding assets: every filter, every order, and pages that hold while the world changes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve

from ...domain.assets import Asset, Flag, Transcript
from ...domain.identifiers import AssetId, RelPath, StorageId
from ...domain.lifecycle import State
from ...domain.media import MediaType
from ...domain.query import (
    TAGS_COUNTED,
    AssetPage,
    AssetQuery,
    AssetSummary,
    Box,
    Position,
    Sort,
    SortKey,
    TagsMode,
    decode_cursor,
    encode_cursor,
)
from ...ports.store import Transaction
from .. import memory_query
from ..samples import NAS, after, asset, asset_id, derived
from .database import Database, StoreSuite

SORTS = [Sort(key=key, descending=down) for key in SortKey for down in (False, True)]


def find(db: Database, **query: Any) -> set[int]:
    """The numbers of the assets that a query finds."""
    page = look(db, AssetQuery(limit=200, **query))
    return {int(item.uuid[-12:], 16) for item in page.items}


def fill(db: Database, *assets: Asset) -> None:
    """Add assets."""
    db.write(lambda tx: tx.add_assets(assets))


def look(db: Database, query: AssetQuery) -> AssetPage:
    """One page."""
    return db.read(lambda tx: tx.find_assets(query))


def tags(
    db: Database, prefix: str, *, after: str | None = None, limit: int = 50
) -> list[tuple[str, int]]:
    """The tags that begin so, and their numbers of assets."""
    found = db.read(lambda tx: tx.find_tags(prefix, after=after, limit=limit))
    return [(use.tag, use.assets) for use in found]


def walk(db: Database, query: AssetQuery) -> list[AssetSummary]:
    """Follow the pages of a query to the end, each position through a cursor."""
    items: list[AssetSummary] = []
    for _ in range(100):
        page = look(db, query)
        items += page.items
        if page.next is None:
            return items
        cursor = encode_cursor(query.sort, page.next)
        query = evolve(query, after=decode_cursor(query.sort, cursor))
    raise AssertionError("the pages do not end")


class FindRules(StoreSuite):
    """What each filter of `AssetQuery` means."""

    def test_a_row_says_what_a_list_shows(self, db: Database) -> None:
        """A summary has the capture time in UTC, the duration, the proxy and the thumbnails."""
        one = asset(
            facts={"captured_at": "2024-05-06T07:08:09.25+02:00", "duration_ms": 2**40},
            derived=(derived("proxy_video"), derived("thumb", 0), derived("thumb", 1)),
            flags=frozenset({Flag.MISSING}),
            tags=("b", "a"),
        )
        fill(db, one)
        [row] = look(db, AssetQuery()).items
        assert row == memory_query.summary(one)
        assert row.captured_at is not None
        assert row.captured_at.isoformat() == "2024-05-06T05:08:09.250000+00:00"
        assert (row.duration_ms, row.has_proxy, row.thumbs) == (2**40, True, 2)
        assert row.tags == ("b", "a")

    def test_an_empty_query_leaves_purged_assets_out(self, db: Database) -> None:
        """Everything is found but what was purged; that only where its state is asked for."""
        fill(db, *(asset(n, state=state) for n, state in enumerate(State)))
        purged = list(State).index(State.PURGED)
        assert find(db) == set(range(len(State))) - {purged}
        assert find(db, states=(State.PURGED,)) == {purged}
        assert find(db, states=(State.PURGED, State.DISCOVERED)) == {purged, 0}

    def test_by_media_type_storage_and_flag(self, db: Database) -> None:
        """Each of these is an exact filter."""
        fill(
            db,
            asset(1),
            asset(2, media_type=MediaType.PHOTO),
            asset(3, storage_id=StorageId("other")),
            asset(4, flags=frozenset({Flag.MISSING, Flag.CHANGED})),
        )
        assert find(db, media_type=MediaType.PHOTO) == {2}
        assert find(db, storage_id=StorageId("other")) == {3}
        assert find(db, flag=Flag.CHANGED) == {4}
        assert find(db, flag=Flag.PARKED) == set()
        assert find(db, storage_id=NAS, media_type=MediaType.VIDEO) == {1, 4}

    def test_by_proxy(self, db: Database) -> None:
        """A proxy of any kind counts; a thumbnail is none."""
        kinds = ((), ("thumb",), ("proxy_photo",), ("waveform", "proxy_audio"))
        for n, names in enumerate(kinds):
            fill(db, asset(n, derived=tuple(map(derived, names))))
        assert find(db, has_proxy=True) == {2, 3}
        assert find(db, has_proxy=False) == {0, 1}
        assert find(db, has_proxy=None) == {0, 1, 2, 3}

    def test_by_tags(self, db: Database) -> None:
        """All the tags or any of them, each to the letter."""
        for n, tags in enumerate([(), ("a",), ("a", "b"), ("b", "c"), ("A",), ("ab",)]):
            fill(db, asset(n, tags=tags))
        assert find(db, tags=("a",)) == {1, 2}
        assert find(db, tags=("a", "b")) == {2}
        assert find(db, tags=("a", "c"), tags_mode=TagsMode.OR) == {1, 2, 3}
        assert find(db, tags=("a", "x")) == set()
        assert find(db, tags=("%",), tags_mode=TagsMode.OR) == set()

    def test_tags_follow_an_assets_changes(self, db: Database) -> None:
        """A tag that was taken off finds the asset no more."""
        fill(db, asset(1, tags=("a", "b")))
        db.write(lambda tx: tx.save_asset(asset(1, tags=("b", "c"))))
        assert find(db, tags=("a",)) == set()
        assert find(db, tags=("b", "c")) == {1}

    def test_tags_are_completed_without_case(self, db: Database) -> None:
        """What begins so, in alphabetical order whatever the case, each with its number of assets."""
        fill(db, asset(1, tags=("Été", "sea", "Seagull")), asset(2, tags=("été", "sea")))
        fill(db, asset(3, tags=("Sea", "%", "s")), asset(4))
        assert tags(db, "SE") == [("Sea", 1), ("sea", 2), ("Seagull", 1)]
        assert tags(db, "é") == tags(db, "É") == [("Été", 1), ("été", 1)]
        assert [tag for tag, _ in tags(db, "")] == ["%", "s", "Sea", "sea", "Seagull", "Été", "été"]
        assert tags(db, "%") == [("%", 1)]
        assert tags(db, "nowhere") == tags(db, "_") == []

    def test_tags_come_page_by_page(self, db: Database) -> None:
        """A page goes on behind the tag that the last one ended with, also where that is gone."""
        fill(db, asset(1, tags=("a", "A", "ab", "Ac", "b")))
        assert [tag for tag, _ in tags(db, "a", limit=2)] == ["A", "a"]
        assert [tag for tag, _ in tags(db, "a", after="A", limit=2)] == ["a", "ab"]
        assert [tag for tag, _ in tags(db, "a", after="aba")] == ["Ac"]
        assert [tag for tag, _ in tags(db, "", after="Ac")] == ["b"]
        assert tags(db, "a", after="b") == []

    def test_a_tag_that_no_asset_has_completes_nothing(self, db: Database) -> None:
        """Completion follows the changes of assets, and counts so far and no farther."""
        fill(db, asset(1, tags=("old", "kept")))
        db.write(lambda tx: tx.save_asset(asset(1, tags=("kept",))))
        assert tags(db, "") == [("kept", 1)]
        fill(db, *(asset(n, tags=("many",)) for n in range(2, TAGS_COUNTED + 4)))
        assert tags(db, "m") == [("many", TAGS_COUNTED)]

    def test_by_text_in_name_notes_and_transcript(self, db: Database) -> None:
        """Text is looked for in three places, without case, also beyond ASCII."""
        fill(
            db,
            asset(1, path=RelPath("INBOX/Plage.mov")),
            asset(2, notes="À la plage, en été"),
            asset(3, transcript=Transcript(text="on va à la PLAGE")),
            asset(4, path=RelPath("plage/other.mov"), tags=("plage",)),
            asset(5, notes="ÉTÉ 2024"),
        )
        assert find(db, text="pLaGe") == {1, 2, 3}
        assert find(db, text="été") == {2, 5}
        assert find(db, text="plage, EN") == {2}
        assert find(db, text="nowhere") == set()

    def test_text_follows_an_assets_changes(self, db: Database) -> None:
        """New notes, a new name and a dropped transcript are what is searched from then on."""
        fill(db, asset(1, notes="old", transcript=Transcript(text="spoken")))
        db.write(lambda tx: tx.save_asset(asset(1, notes="new", path=RelPath("INBOX/named.mov"))))
        assert find(db, text="old") == find(db, text="spoken") == set()
        assert find(db, text="new") == find(db, text="NAMED") == {1}

    @pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "*", "a b", "\n", "🎬", "(", "-"])
    def test_text_is_taken_to_the_letter(self, db: Database, text: str) -> None:
        """Signs that mean something to a search engine are only text."""
        fill(db, asset(1, notes=f"x{text}y"), asset(2, notes="xzzy"), asset(3, notes="a-less"))
        assert 1 in find(db, text=f"X{text}Y")
        assert 2 not in find(db, text=f"X{text}Y")

    def test_by_place_in_words(self, db: Database) -> None:
        """Country and city are a person's fields, whole and without case."""
        fill(
            db,
            asset(1, fields={"location_country": "France", "location_city": "Nice"}),
            asset(2, fields={"location_country": "FRANCE", "location_city": "Paris"}),
            asset(3, fields={"location_country": 33}),
            asset(4, fields={"country": "France"}),
        )
        assert find(db, location_country="france") == {1, 2}
        assert find(db, location_country="fRance", location_city="NICE") == {1}
        assert find(db, location_city="Nic") == set()

    def test_by_box(self, db: Database) -> None:
        """A box has its edges inside, may cross the date line, and never holds the unplaced."""
        places = [(43.7, 7.25), (43.7, -7.25), (-17.7, 178.0), (-17.7, -178.0), (0, 0)]
        for n, (lat, lon) in enumerate(places):
            fill(db, asset(n, facts={"gps_latitude": float(lat), "gps_longitude": float(lon)}))
        fill(db, asset(8), asset(9, facts={"gps_latitude": 43.7}))
        assert find(db, box=Box(min_lon=7.25, min_lat=43.7, max_lon=8, max_lat=44)) == {0}
        assert find(db, box=Box(min_lon=170, min_lat=-20, max_lon=-170, max_lat=0)) == {2, 3}
        assert find(db, box=Box(min_lon=-10, min_lat=-90, max_lon=10, max_lat=90)) == {0, 1, 4}
        world = Box(min_lon=-180, min_lat=-90, max_lon=180, max_lat=90)
        assert find(db, box=world) == {0, 1, 2, 3, 4}

    def test_by_capture_time(self, db: Database) -> None:
        """Both ends are inside; offsets count; a time without one is UTC; the unknown is outside."""
        stated = (
            "2024-05-06T12:00:00Z",
            "2024-05-06T12:00:00",
            "2024-05-06T14:00:00+02:00",
            "2024-05-06T12:00:00.000001Z",
            "2024-05-06T11:59:59.999999Z",
            "2024-02-31T12:00:00Z",
        )
        for n, text in enumerate(stated):
            fill(db, asset(n, facts={"captured_at": text}))
        fill(db, asset(9))
        noon = after(0).replace(2024, 5, 6, 12, 0, 0, 0)
        assert find(db, captured_from=noon, captured_to=noon) == {0, 1, 2}
        assert find(db, captured_from=noon) == {0, 1, 2, 3}
        assert find(db, captured_to=noon) == {0, 1, 2, 4}

    def test_filters_add_up(self, db: Database) -> None:
        """An asset must pass all filters."""
        fill(db, asset(1, tags=("a",), notes="x"), asset(2, tags=("a",)), asset(3, notes="x"))
        assert find(db, tags=("a",), text="x") == {1}
        assert find(db, tags=("a",), text="x", states=(State.READY,)) == set()


def _varied(n: int) -> Asset:
    """One of a population with equal, different and unknown sort values."""
    facts: dict[str, object] = {}
    if n % 3:
        facts["duration_ms"] = 2**40 + n % 4
    if n % 5:
        facts["captured_at"] = f"2024-05-0{1 + n % 4}T00:00:0{n % 3}Z"
    return asset(
        n,
        path=RelPath(f"INBOX/{n}/{'aAéz🎬'[n % 5]}.mov"),
        media_type=list(MediaType)[n % 3],
        state=list(State)[n % 4],
        created_at=after(n % 6),
        updated_at=after(-(n % 4) - 0.000001 * (n % 2)),
        facts=facts,
    )


class PageRules(StoreSuite):
    """What the sort orders mean, and that pages neither repeat nor lose anything."""

    @pytest.mark.parametrize("sort", SORTS, ids=str)
    def test_every_order(self, db: Database, sort: Sort) -> None:
        """Known values in the sort's direction, unknown ones last, ties by ascending UUID."""
        population = [_varied(n) for n in range(40)]
        fill(db, *population)
        rows = walk(db, AssetQuery(sort=sort, limit=200))
        assert [r.uuid for r in rows] == [a.uuid for a in memory_query.ordered(population, sort)]

    @pytest.mark.parametrize("sort", SORTS, ids=str)
    def test_pages_put_together_are_the_whole(self, db: Database, sort: Sort) -> None:
        """Pages of any size are cuts of one list, also through the unknown values at its end."""
        fill(db, *(_varied(n) for n in range(25)))
        whole = walk(db, AssetQuery(sort=sort, limit=200))
        assert len(whole) == 25
        for limit in (1, 7, 24, 25):
            assert walk(db, AssetQuery(sort=sort, limit=limit)) == whole

    def test_the_last_page_has_no_next(self, db: Database) -> None:
        """The next position is the last row's, and None where nothing follows."""
        fill(db, *(asset(n) for n in range(4)))

        def page(**query: Any) -> AssetPage:
            return look(db, AssetQuery(limit=2, **query))

        first = page()
        assert first.next is not None
        assert first.next.uuid == first.items[-1].uuid
        assert page(after=first.next).next is None
        nothing = page(states=(State.PURGED,))
        assert (nothing.items, nothing.next) == ((), None)

    @pytest.mark.parametrize("sort", SORTS, ids=str)
    def test_a_position_needs_no_row(self, db: Database, sort: Sort) -> None:
        """A page goes on from a position whose row is gone."""
        population = [_varied(n) for n in range(12)]
        ordered = memory_query.ordered(population, sort)
        gone = ordered[5]
        fill(db, *(a for a in population if a is not gone))
        position = Position(value=memory_query.sort_value(gone, sort.key), uuid=gone.uuid)
        rows = walk(db, AssetQuery(sort=sort, after=position, limit=3))
        assert [r.uuid for r in rows] == [a.uuid for a in ordered[6:]]

    @pytest.mark.parametrize("sort", SORTS, ids=str)
    def test_inserts_while_paging_neither_repeat_nor_hide(self, db: Database, sort: Sort) -> None:
        """What was there when paging began is seen exactly once, whatever is added meanwhile."""
        there = [_varied(n) for n in range(1, 40, 2)]
        fill(db, *there)
        newcomers = itertools.count(0, 2)
        seen: list[AssetId] = []
        query: AssetQuery | None = AssetQuery(sort=sort, limit=3)
        while query is not None:
            page = look(db, query)
            seen += [item.uuid for item in page.items]
            if len(seen) < 30:
                fill(db, _varied(next(newcomers)), _varied(next(newcomers)))
            query = evolve(query, after=page.next) if page.next else None
        assert len(seen) == len(set(seen))
        assert {a.uuid for a in there} <= set(seen)

    def test_filters_hold_on_every_page(self, db: Database) -> None:
        """A page after a position is filtered like the first."""
        fill(db, *(asset(n, tags=("odd",) if n % 2 else ()) for n in range(20)))
        rows = walk(db, AssetQuery(tags=("odd",), limit=3))
        assert [r.uuid for r in rows] == [asset_id(n) for n in range(1, 20, 2)]

    def test_a_big_library_is_paged(self, db: Database) -> None:
        """Five hundred assets are walked in pages of the largest size."""

        def work(tx: Transaction) -> None:
            tx.add_assets(asset(n) for n in range(500))

        db.write(work)
        rows: Sequence[AssetSummary] = walk(db, AssetQuery(limit=200))
        assert [r.uuid for r in rows] == [asset_id(n) for n in range(500)]
