"""Bad files and bad processors: each fails one job with a clear reason, and the agent goes on."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import anyio
import pytest
from retaia_tests.agent_stage import REVIEW, Stage, failure_of, is_gone, statuses, wait_until

from retaia_core.domain.identifiers import StorageId
from retaia_core.domain.storage import MARKER_NAME, Marker, render_marker

COMPLETED = dict.fromkeys(REVIEW, "completed")

# What goes wrong; the failure's code; whether a new try may help; a part of its sentence.
STUNTS = [
    ("segfault", "WORKER_CRASHED", True, "killed by SIGSEGV"),
    ("exit", "WORKER_CRASHED", True, "ended with status 3"),
    ("garble", "WORKER_CRASHED", True, "no message"),
    ("eat", "OUT_OF_MEMORY", True, "more memory"),
    ("raise", "PROCESSOR_ERROR", False, "ZeroDivisionError: a bug"),
    ("silent", "PROCESSOR_ERROR", False, "without an outcome"),
    ("strange", "PROCESSOR_ERROR", False, "not JSON serializable"),
    ("unreadable", "SOURCE_UNREADABLE", False, "no"),
    ("foreign", "RESULT_REFUSED", False, "'hostname' does not lie in the workspace"),
    ("undeclared", "RESULT_REFUSED", False, "'no_such_kind' is no derived kind"),
]


class TestOneJobFails:
    """`architecture.md`, *The agent never dies with a file*."""

    @pytest.mark.parametrize(("stunt", "code", "retryable", "words"), STUNTS)
    async def test_only_the_job_that_went_wrong(
        self, stage: Stage, stunt: str, code: str, retryable: bool, words: str
    ) -> None:
        """The other jobs of the bundle, and the next file, are done all the same."""
        stage.server.max_attempts = 1
        bad = stage.film("bad.mov", generate_thumbnails=stunt)
        good = stage.film("good.mov")
        await stage.run(memory_limit=256 * 2**20)
        assert statuses(bad) == {**COMPLETED, "generate_thumbnails": "failed"}
        assert statuses(good) == COMPLETED
        failure = failure_of(bad, "generate_thumbnails")
        assert (failure.code, failure.retryable) == (code, retryable)
        assert words in failure.message
        assert str(stage.root) not in failure.message

    @pytest.mark.parametrize("stunt", ["hang", "spin"])
    async def test_work_that_never_ends_is_ended(self, stage: Stage, stunt: str) -> None:
        """A hang, also one inside a library, is a timeout of its job only."""
        stage.server.max_attempts = 1
        bad = stage.film("bad.mov", generate_thumbnails=stunt)
        await stage.run(time_limit=1.5)
        assert statuses(bad) == {**COMPLETED, "generate_thumbnails": "failed"}
        failure = failure_of(bad, "generate_thumbnails")
        assert (failure.code, failure.retryable) == ("TIMEOUT", True)
        assert "not done within" in failure.message

    async def test_attempts_decide_on_a_file_that_crashes_its_decoder(self, stage: Stage) -> None:
        """A crash may be tried again, as often as the server's limit says and no more."""
        bad = stage.film("bad.mov", generate_proxy="segfault")
        await stage.run()
        assert statuses(bad) == {**COMPLETED, "generate_proxy": "failed"}
        assert bad.jobs["asset-0.generate_proxy"].attempts == stage.server.max_attempts

    async def test_several_bad_jobs_of_one_bundle(self, stage: Stage) -> None:
        """Each has its own reason."""
        stage.server.max_attempts = 1
        bad = stage.film("bad.mov", generate_proxy="segfault", generate_thumbnails="raise")
        await stage.run()
        assert failure_of(bad, "generate_proxy").code == "WORKER_CRASHED"
        assert failure_of(bad, "generate_thumbnails").code == "PROCESSOR_ERROR"
        assert sorted(stage.server.order) == ["extract_facts", "generate_audio_waveform"]

    async def test_a_worker_that_is_killed_from_outside(self, stage: Stage) -> None:
        """The open jobs are tried again in a fresh worker, in the same claim."""
        asset = stage.film("a.mov", generate_proxy="hang_once")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.run)
            note = stage.root / "INBOX" / "hung"
            await wait_until(lambda: note.exists() and note.read_text() != "")
            os.kill(int(note.read_text()), signal.SIGKILL)
        assert statuses(asset) == COMPLETED
        assert stage.server.calls["claim_bundle"] == 1
        assert "SIGKILL" in str(stage.told("worker_died")[0].data["message"])

    async def test_children_of_a_crashed_worker(self, stage: Stage) -> None:
        """What a worker started dies with it."""
        stage.server.max_attempts = 1
        stage.film("bad.mov", "generate_proxy", generate_proxy="leave_a_child")
        await stage.run()
        pid = int((stage.root / "INBOX" / "child.pid").read_text())
        await wait_until(lambda: is_gone(pid))

    async def test_a_process_that_left_the_group_of_a_crashed_worker(self, stage: Stage) -> None:
        """Even where something holds the pipes of a dead worker, its death is noticed at once."""
        stage.server.max_attempts = 1
        bad = stage.film("bad.mov", "generate_proxy", generate_proxy="leave_a_daemon")
        with anyio.fail_after(10):
            await stage.run()
        assert "SIGSEGV" in failure_of(bad, "generate_proxy").message

    async def test_a_message_names_no_path_of_this_machine(self, stage: Stage) -> None:
        """Files are named as the server knows them."""
        bad = stage.film("bad.mov", "generate_proxy", generate_proxy="tell_paths")
        await stage.run()
        message = failure_of(bad, "generate_proxy").message
        assert "cannot turn INBOX/bad.mov into workspace/bundle-" in message
        assert str(stage.workspace.parent) not in message

    async def test_a_talkative_decoder(
        self, stage: Stage, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Megabytes of complaints neither block the worker nor reach the terminal."""
        asset = stage.film("a.mov", generate_proxy="shout", generate_thumbnails="segfault")
        stage.server.max_attempts = 1
        await stage.run()
        assert statuses(asset) == {**COMPLETED, "generate_thumbnails": "failed"}
        assert capfd.readouterr() == ("", "")
        assert all(len(str(e.data["stderr"])) <= 8192 for e in stage.told("worker_died"))


class TestTheSource:
    """The source is checked before it is opened, and again before a result is believed."""

    async def failure(self, stage: Stage) -> tuple[str, bool, str]:
        """Run the agent over one asset whose only try fails."""
        stage.server.max_attempts = 1
        (asset,) = stage.server.assets.values()
        await stage.run()
        assert set(statuses(asset).values()) == {"failed"}
        failure = next(job.failure for job in asset.jobs.values() if job.failure)
        return failure.code, failure.retryable, failure.message

    async def test_a_file_that_changed_since_the_scan(self, stage: Stage) -> None:
        """Another size is another file."""
        stage.film("a.mov")
        (stage.root / "INBOX" / "a.mov").write_text('{"longer": "than before"}')
        code, retryable, message = await self.failure(stage)
        assert (code, retryable) == ("SOURCE_CHANGED", True)
        assert "'INBOX/a.mov' has 25 bytes, and had 2" in message

    async def test_a_file_that_changes_while_it_is_read(self, stage: Stage) -> None:
        """What was made of it is thrown away."""
        stage.film("a.mov", "extract_facts", extract_facts="change")
        assert (await self.failure(stage))[:2] == ("SOURCE_CHANGED", True)
        assert stage.server.calls["submit"] == 0

    async def test_a_file_that_vanished(self, stage: Stage) -> None:
        """It is no fault of the decoder."""
        stage.film("a.mov")
        (stage.root / "INBOX" / "a.mov").unlink()
        assert (await self.failure(stage))[:2] == ("SOURCE_CHANGED", True)

    async def test_a_storage_that_is_not_mounted_here(self, stage: Stage) -> None:
        """A clear failure, never a guess."""
        stage.film("a.mov")
        stage.server.assets["asset-0"].storage_id = "other"
        code, retryable, message = await self.failure(stage)
        assert (code, retryable) == ("STORAGE_NOT_MOUNTED", True)
        assert "mounted: nas" in message

    async def test_a_foreign_marker(self, stage: Stage) -> None:
        """Another storage at the mount is not worked on, even if the path exists there."""
        stage.film("a.mov")
        foreign = Marker(storage_id=StorageId("other"))
        (stage.root / MARKER_NAME).write_bytes(render_marker(foreign))
        code, retryable, message = await self.failure(stage)
        assert (code, retryable) == ("STORAGE_OFFLINE", True)
        assert "is storage 'other'" in message

    async def test_a_storage_that_goes_away_in_the_middle(self, stage: Stage) -> None:
        """A read error of a lost mount is no verdict on the file."""
        stage.film("a.mov", "extract_facts", extract_facts="unplug")
        code, retryable, message = await self.failure(stage)
        assert (code, retryable) == ("STORAGE_OFFLINE", True)
        assert "is it mounted?" in message


SICK = """
from pathlib import Path
from retaia_tests.agent_processors import Stunts
from retaia_core.hooks import hookimpl

@hookimpl
def retaia_processors():
    if Path(__file__).with_name("sick").exists():
        raise RuntimeError("the library was removed")
    return (Stunts(),)
"""


async def test_a_worker_that_cannot_be_started_costs_no_attempt(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without worker processes the jobs are given back, and the agent waits for better times."""
    (tmp_path / "sick_plugin.py").write_text(SICK)
    monkeypatch.syspath_prepend(tmp_path)
    asset = stage.film("a.mov", generate_proxy="hang_once")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(stage.run, plugin_modules=("sick_plugin",)))
        note = stage.root / "INBOX" / "hung"
        await wait_until(lambda: note.exists() and note.read_text() != "")
        (tmp_path / "sick").touch()
        os.kill(int(note.read_text()), signal.SIGKILL)
        missing = await stage.until("worker_missing")
        assert asset.jobs["asset-0.generate_proxy"].attempts == 0
        (tmp_path / "sick").unlink()
    assert "the library was removed" in str(missing.data["error"])
    assert statuses(asset) == COMPLETED


async def test_a_bug_of_the_agent_or_its_transport(stage: Stage) -> None:
    """It fails the bundle's jobs, with its reason, and the next bundle goes on."""
    bad, good = stage.film("bad.mov", "generate_proxy"), stage.film("good.mov")
    stage.server.max_attempts = 1

    def before(name: str) -> None:
        if name == "upload" and stage.server.calls["upload"] == 1:
            raise TypeError("an answer that nobody expected")

    stage.server.before = before
    await stage.run()
    failure = failure_of(bad, "generate_proxy")
    assert (failure.code, failure.retryable) == ("AGENT_ERROR", True)
    assert "TypeError: an answer that nobody expected" in failure.message
    assert statuses(good) == COMPLETED
