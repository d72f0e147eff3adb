"""The agent as a whole: real worker processes and real files, a server in memory."""

from __future__ import annotations

import stat
from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from retaia_tests.agent_processors import Stunts
from retaia_tests.agent_server import MemoryServer, failing
from retaia_tests.agent_stage import REVIEW, Stage, failure_of, is_gone, statuses, wait_until

from retaia_agent.polling import RegistrationRefused
from retaia_core.errors import (
    ForbiddenActor,
    PluginError,
    RetaiaError,
    StateConflict,
    StorageOffline,
    Unavailable,
    ValidationFailed,
)
from retaia_core.ports.processor import Availability
from retaia_core.ports.transport import Bundle

COMPLETED = dict.fromkeys(REVIEW, "completed")


class Troubled(MemoryServer):
    """A server that stumbles over its first asset."""

    async def claim_bundle(self, asset_uuid: str) -> Bundle:
        """Fail inside for one asset."""
        if asset_uuid == "asset-0":
            raise RetaiaError("a bug of the server")
        return await MemoryServer.claim_bundle(self, asset_uuid)


class TestTheMainJob:
    """Register, poll, claim, work, upload, submit."""

    async def test_everything_offered_is_worked_off(self, stage: Stage) -> None:
        """Every job of every asset is completed, in one worker process, and the agent ends when idle."""
        assets = [stage.film(f"a{n}.mov") for n in range(5)]
        await stage.run()
        assert [statuses(asset) for asset in assets] == [COMPLETED] * 5
        results = [job.result for asset in assets for job in asset.jobs.values()]
        assert len({r.metrics["pid"] for r in results if r}) == 1
        assert [event.name for event in stage.events[-2:]] == ["idle", "stopped"]

    async def test_a_person_sees_facts_first_and_the_proxy_last(self, stage: Stage) -> None:
        """Results are handed in from the cheapest to the dearest, whatever the order of the claim."""
        stage.film("a.mov", "generate_proxy", "generate_thumbnails", "extract_facts")
        await stage.run()
        assert stage.server.order == ["extract_facts", "generate_thumbnails", "generate_proxy"]

    async def test_results_do_not_wait_for_the_rest_of_the_bundle(self, stage: Stage) -> None:
        """Facts are submitted while the worker still makes the proxy."""
        asset = stage.film("a.mov", generate_proxy="hang")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await stage.until("submitted")
            await wait_until(lambda: list(statuses(asset).values()).count("completed") == 3)
            assert statuses(asset)["generate_proxy"] == "claimed"
            tasks.cancel_scope.cancel()

    async def test_a_result_says_who_made_it(self, stage: Stage) -> None:
        """Name and version of the processor go with every result, and files in their order."""
        asset = stage.film("a.mov", "generate_thumbnails")
        await stage.run()
        result = asset.jobs["asset-0.generate_thumbnails"].result
        assert result is not None
        assert (result.metrics["processor"], result.metrics["processor_version"]) == ("stunts", "7")
        assert [stage.server.uploads[file.ref][:5] for file in result.files] == [b"thumb"] * 2
        assert len({file.ref for file in result.files}) == 2

    async def test_several_assets_at_once(self, stage: Stage) -> None:
        """As many bundles are in flight as options and server allow, each in its own worker."""
        assets = [stage.film(f"a{n}.mov", "extract_facts", extract_facts="slow") for n in range(4)]
        await stage.run(max_parallel=4)
        assert all(statuses(asset) == {"extract_facts": "completed"} for asset in assets)
        results = [job.result for asset in assets for job in asset.jobs.values()]
        assert len({r.metrics["pid"] for r in results if r}) == 4
        names = [e.name for e in stage.events if e.name in {"claimed", "bundle_done"}]
        assert names == ["claimed"] * 4 + ["bundle_done"] * 4

    async def test_the_server_may_allow_less(self, stage: Stage) -> None:
        """The server's limit of bundles at once is kept."""
        stage.server.max_parallel = 1
        for n in range(3):
            stage.film(f"a{n}.mov", "extract_facts")
        await stage.run(max_parallel=3)
        names = [e.name for e in stage.events if e.name in {"claimed", "bundle_done"}]
        assert names == ["claimed", "bundle_done"] * 3

    async def test_names_of_any_kind(self, stage: Stage) -> None:
        """Emoji, newlines, quotes, 255 bytes: a name is only a name."""
        names = [
            "🎬 Urlaub.mov",
            "two\nlines.mov",
            "'; rm -rf \".mov",
            "x" * 251 + ".mov",
            "-i.mov",
        ]
        assets = [stage.film(name) for name in names]
        await stage.run()
        assert [statuses(asset) for asset in assets] == [COMPLETED] * len(names)

    async def test_derived_files_as_inputs(self, stage: Stage) -> None:
        """A dependent job gets the derived files that it asked for; one whose input is gone fails."""
        asset = stage.film("a.mov", "generate_audio_waveform", generate_audio_waveform="inputs")
        asset.jobs["asset-0.generate_audio_waveform"].derived_inputs = ("proxy_audio",)
        asset.derived["proxy_audio"] = [b"first", b"second"]
        other = stage.film("b.mov", "generate_proxy", "extract_facts")
        other.jobs["asset-1.generate_proxy"].derived_inputs = ("proxy_audio",)
        stage.server.max_attempts = 1
        await stage.run()
        result = asset.jobs["asset-0.generate_audio_waveform"].result
        assert result is not None
        assert result.metrics["inputs"] == {"proxy_audio": ["first", "second"]}
        assert statuses(other) == {"generate_proxy": "failed", "extract_facts": "completed"}
        assert failure_of(other, "generate_proxy").code == "INPUT_MISSING"

    async def test_an_empty_claim_is_looked_at_twice_and_then_left(self, stage: Stage) -> None:
        """A bundle without jobs (results known already) does not keep an idle agent spinning."""
        stage.film("a.mov", "extract_facts")
        asset = stage.server.assets["asset-0"]

        def known(name: str) -> None:
            if name == "claim_bundle":
                asset.jobs["asset-0.extract_facts"].status = "completed"

        stage.server.before = known
        await stage.run()
        assert stage.server.calls["claim_bundle"] == 1
        assert stage.told("idle")


class TestWhatItDeclares:
    """Capabilities are those of the processors that can work here."""

    async def test_options_restrict_capabilities(self, stage: Stage) -> None:
        """Only what the options name is declared."""
        await stage.run(capabilities=("media.facts@1", "speech.transcription@1"))
        assert stage.server.registrations[0].capabilities == ("media.facts@1",)

    async def test_a_processor_that_cannot_work_is_told_with_its_reason(self, stage: Stage) -> None:
        """Its capabilities are not declared, and the reason is said."""

        class Absent(Stunts):
            name = "absent"
            capabilities = frozenset({"speech.transcription@1"})

            def availability(self) -> Availability:
                return Availability(available=False, reason="the model is not here")

        class Odd(Stunts):
            name = "odd"
            capabilities = frozenset({"meta.tags.suggestions@1"})

            def availability(self) -> Availability:
                raise RuntimeError("broken")

        await stage.run(processors=(Stunts(), Absent(), Odd()))
        assert set(stage.server.registrations[0].capabilities) == Stunts.capabilities
        reasons = {e.data["processor"]: e.data["reason"] for e in stage.told("unavailable")}
        assert reasons["absent"] == "the model is not here"
        assert "broken" in str(reasons["odd"])

    async def test_jobs_that_no_processor_does_are_given_back(self, stage: Stage) -> None:
        """A job type of another plugin with our capability is not ours to fail."""
        asset = stage.film("a.mov", "extract_facts", "generate_video_proxies")
        await stage.run()
        assert statuses(asset) == {
            "extract_facts": "completed",
            "generate_video_proxies": "pending",
        }
        assert asset.jobs["asset-0.generate_video_proxies"].attempts == 0

    async def test_an_installation_that_cannot_work_is_known_at_once(self, stage: Stage) -> None:
        """A worker process that cannot start is an error of the run, before anything is claimed."""
        with pytest.raises(PluginError, match="cannot start a worker process"):
            await stage.run(plugin_modules=("retaia_tests.agent_broken_plugin",))
        assert stage.server.calls["register"] == 0


class TestTheServerGoesAway:
    """Restarts, lost networks, forgotten agents."""

    async def test_it_waits_for_a_server_that_is_not_there_yet(self, stage: Stage) -> None:
        """Registration is tried for ever, with the contract's back-off."""
        asset = stage.film("a.mov")
        stage.server.down = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await wait_until(lambda: len(stage.told("offline")) >= 4)
            stage.server.down = False
        assert statuses(asset) == COMPLETED
        assert stage.told("online")

    @pytest.mark.parametrize(
        "call", ["jobs", "claim_bundle", "upload", "submit", "submitted", "fail"]
    )
    async def test_each_call_survives_an_outage(self, stage: Stage, call: str) -> None:
        """A call that fails for now is made again, and nothing is done twice."""
        stage.server.max_attempts = 1
        asset = stage.film("a.mov", generate_audio_waveform="unreadable")
        stage.server.before = failing(Unavailable("restarting"), call, times=3)
        await stage.run()
        assert statuses(asset) == {**COMPLETED, "generate_audio_waveform": "failed"}
        assert sorted(stage.server.order) == sorted(set(REVIEW) - {"generate_audio_waveform"})
        assert stage.told("refused" if call == "claim_bundle" else "offline")

    async def test_one_claim_that_never_works_does_not_hold_up_the_others(
        self, stage: Stage
    ) -> None:
        """A server that has trouble with one asset is asked for the next."""
        stage.server = Troubled()
        stage.film("bad.mov")
        good = stage.film("good.mov")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await wait_until(lambda: statuses(good) == COMPLETED)
            tasks.cancel_scope.cancel()
        assert stage.told("refused")[0].data["error"] == "a bug of the server"

    @pytest.mark.parametrize("call", ["register", "jobs", "submit"])
    async def test_a_server_that_fails_inside(self, stage: Stage, call: str) -> None:
        """An answer that is no refusal (500) may be another next time."""
        asset = stage.film("a.mov")
        stage.server.before = failing(RetaiaError("a bug of the server"), call, times=2)
        await stage.run()
        assert statuses(asset) == COMPLETED

    async def test_a_restart_in_the_middle_of_the_work(self, stage: Stage) -> None:
        """A server that is away while the worker works gets the results when it is back."""
        asset = stage.film("a.mov", generate_proxy="slow")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await stage.until("claimed")
            stage.server.down = True
            await anyio.sleep(1.5)
            stage.server.down = False
        assert statuses(asset) == COMPLETED
        assert stage.server.calls["claim_bundle"] == 1

    @pytest.mark.parametrize("call", ["jobs", "upload", "heartbeat"])
    async def test_it_registers_again_when_it_was_forgotten(self, stage: Stage, call: str) -> None:
        """A server that lost its registrations gets a new one, wherever that shows."""
        stage.timing = evolve(stage.timing, heartbeat_most=0.1)
        asset = stage.film("a.mov", generate_proxy="slow")
        forgotten = []

        def forget(name: str) -> None:
            if name == call and not forgotten:
                forgotten.append(name)
                stage.server.forget_agents()

        stage.server.before = forget
        await stage.run()
        assert statuses(asset) == COMPLETED
        assert stage.server.calls["register"] == 2

    async def test_a_refused_registration_ends_the_agent(self, stage: Stage) -> None:
        """A credential that is not accepted is a person's matter, and said clearly."""
        stage.server.before = failing(ForbiddenActor("not an agent"), "register")
        with pytest.raises(RegistrationRefused, match="not an agent"):
            await stage.run()
        assert stage.events[-1].name == "stopped"

    async def test_a_claim_that_another_won(self, stage: Stage) -> None:
        """Being second is no trouble."""
        asset = stage.film("a.mov")
        stage.server.before = failing(StateConflict("another was faster"), "claim_bundle")
        await stage.run(stop_when_idle=True)
        assert set(statuses(asset).values()) == {"pending"}
        assert stage.told("refused")[0].data["code"] == "STATE_CONFLICT"

    async def test_an_offline_storage_does_not_hold_up_the_others(self, stage: Stage) -> None:
        """A claim that one storage cannot answer is passed over, not waited for."""
        stage.film("a.mov")
        other = stage.film("b.mov")
        stage.server.before = failing(StorageOffline("unplugged"), "claim_bundle")
        await stage.run()
        assert statuses(other) == COMPLETED


class TestTheLease:
    """Heartbeats hold it; when it is lost the work is thrown away."""

    async def test_heartbeats_hold_a_lease_and_carry_progress(self, stage: Stage) -> None:
        """Work that is longer than a lease is finished under the same claim."""
        stage.server.lease_s = 1.5
        asset = stage.film("a.mov", "extract_facts", "generate_proxy", generate_proxy="slower")
        await stage.run()
        assert set(statuses(asset).values()) == {"completed"}
        assert stage.server.calls["claim_bundle"] == 1
        progress = asset.jobs["asset-0.generate_proxy"].progress
        assert [(p.current, p.total, p.text) for p in progress] == [(1, 2, "half")]

    async def test_a_lost_lease_ends_the_work(self, stage: Stage) -> None:
        """The late holder kills its worker, submits nothing, and goes on with the next."""
        stage.server.lease_s = 0.8
        asset = stage.film("a.mov", "generate_proxy", generate_proxy="hang")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await stage.until("claimed")
            stage.server.expire(asset)
            (stage.root / "INBOX" / "a.mov").write_text("{}")
            asset.size, asset.mtime_ns = 2, (stage.root / "INBOX" / "a.mov").stat().st_mtime_ns
            await stage.until("lost")
        assert stage.told("lost")[0].data["jobs"] == ["asset-0.generate_proxy"]
        assert stage.server.order == ["generate_proxy"]
        assert stage.server.calls["claim_bundle"] >= 2

    async def test_a_lease_that_ran_out_while_the_server_was_away(self, stage: Stage) -> None:
        """After the lease's end nothing is handed in any more."""
        stage.server.lease_s = 0.4
        asset = stage.film("a.mov", "generate_proxy", generate_proxy="slow")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await stage.until("claimed")
            stage.server.down = True
            await stage.until("lost")
            stage.server.expire(asset)
            stage.server.down = False
        assert statuses(asset) == {"generate_proxy": "completed"}
        assert stage.server.order == ["generate_proxy"]

    @pytest.mark.parametrize("hours", [-3, 3])
    async def test_a_server_whose_clock_is_wrong(self, stage: Stage, hours: int) -> None:
        """A lease is counted from when it was given, also by a server with another time of day."""
        stage.server.skew = timedelta(hours=hours)
        stage.timing = evolve(stage.timing, heartbeat_most=0.1)
        asset = stage.film("a.mov", generate_proxy="slow")
        await stage.run()
        assert statuses(asset) == COMPLETED
        assert 3 < stage.server.calls["heartbeat"] < 40


class TestStop:
    """A stop is quick, and gives everything back."""

    async def test_a_stop_gives_jobs_back_and_kills_workers(self, stage: Stage) -> None:
        """No attempt is counted, no process and no file is left behind."""
        asset = stage.film("a.mov", "extract_facts", "generate_proxy", generate_proxy="child")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await stage.until("submitted")
            note = stage.root / "INBOX" / "child.pid"
            await wait_until(lambda: note.exists() and note.read_text() != "")
            stopping = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - stopping < 3
        assert statuses(asset) == {"extract_facts": "completed", "generate_proxy": "pending"}
        assert asset.jobs["asset-0.generate_proxy"].attempts == 0
        assert stage.told("released")[0].data["jobs"] == ["asset-0.generate_proxy"]
        assert not [p for p in stage.workspace.iterdir() if p.name.startswith("run-")]
        await wait_until(lambda: is_gone(int(note.read_text())))

    async def test_a_stop_does_not_wait_for_a_server_that_hangs(self, stage: Stage) -> None:
        """A release that is not answered is given up after a moment; the lease runs out by itself."""
        stage.timing = evolve(stage.timing, release_within=0.2)
        stage.film("a.mov", "generate_proxy", generate_proxy="hang")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            await stage.until("progress")
            stage.server.down = True
            stopping = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - stopping < 3
        assert stage.told("refused")
        assert stage.events[-1].name == "stopped"


class TestWorkspace:
    """Results lie in private folders that go away."""

    async def test_folders_are_private_and_removed(self, stage: Stage) -> None:
        """0700 while they live; nothing stays."""
        modes = []

        def look(name: str) -> None:
            if name == "upload":
                folders = [p for p in stage.workspace.rglob("*") if p.is_dir()]
                modes.extend(stat.S_IMODE(p.stat().st_mode) for p in folders)

        stage.server.before = look
        stage.film("a.mov")
        await stage.run()
        assert set(modes) == {0o700}
        assert [p.name for p in stage.workspace.iterdir()] == ["guard.lock"]

    async def test_a_workspace_without_room_fails_its_jobs_only(self, stage: Stage) -> None:
        """A full disk is a failure that may be tried again, with a reason that names the workspace."""
        asset = stage.film("a.mov", generate_proxy="fill")
        await stage.run()
        assert statuses(asset) == {**COMPLETED, "generate_proxy": "failed"}
        failure = failure_of(asset, "generate_proxy")
        assert (failure.code, failure.retryable) == ("WORKSPACE_FULL", True)
        assert "workspace is full" in failure.message
        assert asset.jobs["asset-0.generate_proxy"].attempts == stage.server.max_attempts

    async def test_a_workspace_that_cannot_be_written(self, stage: Stage) -> None:
        """It is an error of the run, at once."""
        stage.workspace.write_text("a file")
        with pytest.raises(FileExistsError):
            await stage.run()


async def test_a_refused_result_fails_its_job_only(stage: Stage) -> None:
    """What the server does not take is a failure for good, with the server's words."""
    asset = stage.film("a.mov")
    stage.server.before = failing(ValidationFailed("the proxy has no moov"), "submit")
    await stage.run()
    assert sorted(statuses(asset).values()) == ["completed", "completed", "completed", "failed"]
    failures = [job.failure for job in asset.jobs.values() if job.failure]
    assert failures[0].code == "RESULT_REFUSED"
    assert "no moov" in failures[0].message
