"""What an administrator sees of a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families
from retaia_tests.house import House
from retaia_tests.http_house import Served, serve_in_process

from retaia_adapters.http.paging import encode_place
from retaia_adapters.observe.observer import MeasuringObserver
from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import Health
from retaia_core.errors import StoreUnavailable
from retaia_core.ports.observer import Levels
from retaia_core.settings import load_settings
from retaia_core.shell.in_force import settings_in_force
from retaia_core.shell.observed_store import ObservedStore
from retaia_core.testing import samples
from retaia_core.testing.memory_store import MemoryStore, MemoryTransaction


async def walk(served: Served, path: str, limit: int) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await served.person.get(path, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if "next_cursor" not in answer.json():
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


class TestSettings:
    """What the server was told, for who administers it."""

    async def test_each_as_it_is_in_force(self, tmp_path: Path) -> None:
        """With its source; neither a secret nor a folder is in the answer."""
        environ = {
            "RETAIA_STORE_URL": "postgresql://u:hidden-word@h/x",
            "RETAIA_NOTIFY_FOLDER": "/hidden-place",
            "RETAIA_SCAN_INTERVAL": "7",
        }
        told = settings_in_force(load_settings(data_dir=tmp_path, environ=environ), places=False)
        house = House()
        await house.start()
        async with serve_in_process(house, settings=told) as served:
            answer = await served.person.get("/ops/settings")
            assert "hidden" not in answer.text
            assert str(tmp_path) not in answer.text
            items = {(one["section"], one["key"]): one for one in answer.json()["items"]}
            assert len(items) == len(told)
            assert items["scan", "interval"] == {
                "section": "scan", "key": "interval", "value": "7", "given": True,
                "source": "ENVIRONMENT", "name": "RETAIA_SCAN_INTERVAL",
            }  # fmt: skip
            assert items["store", "url"] == {
                "section": "store", "key": "url", "given": True,
                "source": "ENVIRONMENT", "name": "RETAIA_STORE_URL",
            }  # fmt: skip
            assert items["server", "port"]["source"] == "DEFAULT"


class TestReadiness:
    """Ready means that the server can do its work now."""

    async def test_ready(self, served: Served) -> None:
        """Store, tables and storage are well; agents are looked at, and not required."""
        answer = (await served.person.get("/ops/readiness")).json()
        assert answer["ready"] is True
        assert {c["name"]: (c["ok"], c["required"]) for c in answer["checks"]} == {
            "store": (True, True),
            "schema": (True, True),
            "storages": (True, True),
            "agents": (False, False),
            "watchdog": (True, False),
        }
        await served.register()
        answer = (await served.person.get("/ops/readiness")).json()
        assert all(check["ok"] for check in answer["checks"])

    async def test_no_storage_online(self, served: Served) -> None:
        """Where every storage is offline there is nothing to work on: 503, and which ones."""
        (storage,) = await served.house.storages.all()
        off = evolve(storage, health=Health.OFFLINE, health_reason="no marker")
        await served.house.store.transact(lambda tx: tx.save_storage(off))
        answer = await served.person.get("/ops/readiness")
        assert answer.status_code == 503
        assert answer.json()["code"] == "TEMPORARY_UNAVAILABLE"
        assert answer.json()["retryable"] is True
        details = answer.json()["details"]
        assert details["reason"] == "NOT_READY"
        assert [c["name"] for c in details["checks"] if not c["ok"]] == ["storages", "agents"]
        other = samples.storage(StorageId("other"))
        await served.house.store.transact(lambda tx: tx.save_storage(other))
        assert (await served.person.get("/ops/readiness")).status_code == 200

    async def test_an_older_schema(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tables of another version are named."""
        monkeypatch.setattr(MemoryTransaction, "schema_current", lambda tx: False)
        answer = await served.person.get("/ops/readiness")
        assert answer.status_code == 503
        assert "schema" in answer.json()["message"]

    async def test_a_store_that_does_not_answer(self, served: Served) -> None:
        """Without a store nobody can be recognised either: 503, to be tried again."""
        store = served.house.store
        assert isinstance(store, MemoryStore)
        store.problem = StoreUnavailable("the database does not answer")
        answer = await served.person.get("/ops/readiness")
        assert answer.status_code == 503
        assert answer.json()["retryable"] is True
        (check,) = (await served.application.serving.monitoring.readiness()).checks
        assert (check.name, check.ok) == ("store", False)
        assert "does not answer" in check.message


class TestJobs:
    """What waits, and why."""

    async def test_nobody_offers_it(self, served: Served) -> None:
        """Without an agent every capability is missing; with one the jobs wait for it to be free."""
        await served.house.ready("INBOX/a.jpg")
        before = (await served.person.get("/ops/jobs")).json()
        assert before["counts"]
        assert {c["status"] for c in before["counts"]} == {"pending"}
        assert all(w["reason"] == "NO_AGENT_OFFERS_IT" for w in before["waiting"])
        assert all(w["missing_capabilities"] for w in before["waiting"])
        await served.register()
        after = (await served.person.get("/ops/jobs")).json()
        assert after["counts"] == before["counts"]
        assert {w["reason"] for w in after["waiting"]} <= {
            "A_FREE_AGENT",
            "OTHER_JOBS_OF_ITS_ASSET",
        }


class TestAgentsAndLocks:
    """Who is there, and who holds what."""

    async def test_an_agent_at_work(self, served: Served) -> None:
        """An agent shows its jobs with their progress; the lease's token stays with it."""
        await served.house.ready("INBOX/a.jpg")
        agent_id = await served.register()
        offered = (await served.agent.get("/jobs")).json()
        job_id = (
            offered[0]["job_id"] if isinstance(offered, list) else offered["items"][0]["job_id"]
        )
        claimed = await served.agent.post(f"/jobs/{job_id}/claim")
        assert claimed.status_code == 200, claimed.text
        token = claimed.json()["lock_token"]
        answer = await served.person.get("/ops/agents")
        (agent,) = answer.json()["items"]
        assert (agent["agent_id"], agent["alive"]) == (agent_id, True)
        assert job_id in {job["job_id"] for job in agent["jobs"]}
        locks = await served.person.get("/ops/locks")
        assert [(lock["kind"], lock["holder"]) for lock in locks.json()["items"]] == [
            ("job_lease", agent_id)
        ]
        assert token not in answer.text
        assert token not in locks.text

    async def test_an_agent_that_is_away(self, served: Served) -> None:
        """One that was not heard of for long is not alive."""
        await served.register()
        served.house.clock.advance(timedelta(minutes=10))
        (agent,) = (await served.person.get("/ops/agents")).json()["items"]
        assert agent["alive"] is False

    async def test_pages(self, served: Served) -> None:
        """Agents and locks come in pages, each once."""
        for n in range(5):
            await served.register(f"agent {n}")
        now = served.house.clock.now()
        for n in range(1, 6):
            held = samples.lock(n, expires_at=now + timedelta(seconds=60 + n % 2))
            await served.house.store.transact(lambda tx, held=held: tx.save_lock(held))
        agents = await walk(served, "/ops/agents", 2)
        assert len({a["agent_id"] for a in agents}) == len(agents) == 5
        locks = await walk(served, "/ops/locks", 2)
        assert len({lock["subject_id"] for lock in locks}) == len(locks) == 5

    async def test_sidecars(self, served: Served) -> None:
        """Sidecars without a parent come in pages, with the reason."""
        lost = [samples.unmatched(f"INBOX/{name}.xmp") for name in ("a", "b", "é")]
        await served.house.store.transact(lambda tx: tx.set_unmatched(samples.NAS, "INBOX", lost))
        found = await walk(served, "/ops/unmatched-sidecars", 2)
        assert [(s["path"], s["reason"]) for s in found] == [
            (f"INBOX/{name}.xmp", "missing_parent") for name in ("a", "b", "é")
        ]

    async def test_storages(self, served: Served) -> None:
        """A storage says whether it is online; where the server has it mounted is nobody's business."""
        answer = await served.person.get("/ops/storages")
        (storage,) = answer.json()["items"]
        assert storage["health"] == "ONLINE"
        assert "root" not in storage

    @pytest.mark.parametrize(
        ("path", "cursor"),
        [
            ("/ops/agents", "%%%"),
            ("/ops/agents", encode_place(1)),
            ("/ops/agents", encode_place("a\0")),
            ("/ops/locks", encode_place("a", "b", "c")),
            ("/ops/locks", encode_place(10**18, "b", "c")),
            ("/ops/locks", encode_place(2**70, "b", "c")),
            ("/ops/unmatched-sidecars", encode_place("nas")),
            ("/ops/unmatched-sidecars", encode_place("nas", "../x")),
            ("/ops/unmatched-sidecars", "W" * 3000),
        ],
    )
    async def test_foreign_cursors(self, served: Served, path: str, cursor: str) -> None:
        """A cursor that no page answered is refused."""
        answer = await served.person.get(path, params={"cursor": cursor})
        assert answer.status_code == 400, answer.text
        assert "cursor" in answer.json()["message"]

    @pytest.mark.parametrize("path", ["/ops/agents", "/ops/locks", "/ops/unmatched-sidecars"])
    @pytest.mark.parametrize("limit", ["0", "201", "x"])
    async def test_limits(self, served: Served, path: str, limit: str) -> None:
        """A page has 1 to 200 items."""
        assert (await served.person.get(path, params={"limit": limit})).status_code == 400


def numbers(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of an exposition, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestMetrics:
    """Numbers for Prometheus."""

    @pytest.fixture
    async def measured(self, house: House) -> AsyncIterator[Served]:
        """A house that keeps its numbers."""
        observer = MeasuringObserver()
        house.store = ObservedStore(house.store, observer)
        async with serve_in_process(house) as served:
            serving = served.application.serving
            serving.services = evolve(serving.services, observer=observer)
            yield served

    def ask(self, served: Served, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A scraper at an address."""
        transport = httpx.ASGITransport(served.application, client=(address, 4000))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def test_what_is_counted(self, measured: Served) -> None:
        """Requests by operation and status, transactions, and what the store has now."""
        await measured.house.ready("INBOX/a.jpg")
        await measured.register()
        await measured.person.get("/assets")
        await measured.person.get("/assets", params={"sort": "nonsense"})
        async with self.ask(measured) as scraper:
            answer = await scraper.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        found = numbers(answer.text)
        asked = "retaia_request_seconds_count"
        assert found[asked, (("operation", "listAssets"), ("status", "200"))] == 1
        assert found[asked, (("operation", "listAssets"), ("status", "400"))] == 1
        assert found["retaia_agents_alive", ()] == 1
        assert found["retaia_assets", (("state", "READY"),)] == 1
        assert any(name == "retaia_jobs" for name, _ in found)
        ended = "retaia_transaction_seconds_count"
        assert found[ended, (("kind", "write"), ("outcome", "ok"))] > 0

    async def test_unknown_paths_make_no_names(self, measured: Served) -> None:
        """What nobody serves is counted under one name, so that a scanner cannot fill the memory."""
        async with self.ask(measured) as scraper:
            for n in range(20):
                await scraper.get(f"/nothing/{n}")
            found = numbers((await scraper.get("/metrics")).text)
        asked = {labels for name, labels in found if name == "retaia_request_seconds_count"}
        assert asked == {(("operation", "-"), ("status", "404"))}

    async def test_levels_are_not_counted_for_every_question(self, measured: Served) -> None:
        """Scrapers that ask often share a count."""
        async with self.ask(measured) as scraper:
            for _ in range(5):
                await scraper.get("/metrics")
            found = numbers((await scraper.get("/metrics")).text)
        reads = found["retaia_transaction_seconds_count", (("kind", "read"), ("outcome", "ok"))]
        assert reads == 1

    @pytest.mark.parametrize(
        ("access", "address", "headers", "status"),
        [
            ("local", "127.0.0.1", {}, 200),
            ("local", "::1", {}, 200),
            ("local", "192.168.1.5", {}, 403),
            ("local", "127.0.0.1", {"X-Forwarded-For": "10.0.0.1"}, 403),
            ("on", "192.168.1.5", {}, 200),
            ("off", "127.0.0.1", {}, 404),
        ],
    )
    async def test_who_may_read(
        self, measured: Served, access: str, address: str, headers: dict[str, str], status: int
    ) -> None:
        """The setting says who: nobody, this machine, or whoever reaches the address."""
        serving = measured.application.serving
        serving.options = evolve(serving.options, metrics=access)
        async with self.ask(measured, address) as scraper:
            assert (await scraper.get("/metrics", headers=headers)).status_code == status

    async def test_a_server_without_an_observer(self, house: House) -> None:
        """Where no numbers are kept, there is no such path."""
        async with serve_in_process(house) as served, self.ask(served) as scraper:
            assert (await scraper.get("/metrics")).status_code == 404


def test_two_servers_share_no_numbers() -> None:
    """Each observer has a registry of its own."""
    first, second = MeasuringObserver(), MeasuringObserver()
    first.request("listAssets", 200, 0.1)
    assert b"listAssets" in first.expose(Levels()).body
    assert b"listAssets" not in second.expose(Levels()).body
