"""One error shape for everything that can go wrong (protocol.md, *Errors*)."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retaia_tests.http_house import AGENT_TOKEN, PERSON_TOKEN, Served

from retaia_adapters.http.errors import WireRefused, problem_of
from retaia_adapters.http.wire import decode
from retaia_core import errors
from retaia_core.errors import RetaiaError, StoreUnavailable

CODES = {"VALIDATION_FAILED", "FORBIDDEN_ACTOR", "UNAUTHORIZED", "TEMPORARY_UNAVAILABLE"}


def subclasses(kind: type[RetaiaError]) -> list[type[RetaiaError]]:
    return [kind, *(c for child in kind.__subclasses__() for c in subclasses(child))]


def told(response: httpx.Response) -> tuple[int, str, Any]:
    body = response.json()
    return response.status_code, body["code"], body.get("details", {}).get("reason")


class TestShape:
    """What never reaches a handler."""

    @pytest.mark.parametrize(
        "path", ["/nope", "/assets/", "/assets/a/b/c", "/jobs/x", "//", "/x/nobody"]
    )
    async def test_unknown_paths(self, served: Served, path: str) -> None:
        """An unknown path is 404, in the one shape."""
        assert told(await served.person.get(path)) == (404, "VALIDATION_FAILED", "UNKNOWN_PATH")

    async def test_wrong_method(self, served: Served) -> None:
        """A wrong method is 405 and names the right ones."""
        answer = await served.person.delete("/assets")
        assert told(answer) == (405, "VALIDATION_FAILED", "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET"

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[" * 200_000, b"\xff\xfe", b"NaN", b'{"a": "\\ud800"}']
    )
    async def test_malformed_json(self, served: Served, body: bytes) -> None:
        """What is no JSON is 400."""
        answer = await served.agent.post(
            "/agents/register", content=body, headers={"content-type": "application/json"}
        )
        assert told(answer) == (400, "VALIDATION_FAILED", "MALFORMED_JSON")

    async def test_invalid_content_names_each_field(self, served: Served) -> None:
        """Valid JSON with invalid content is 422; details name the fields and repeat no value."""
        body = {"agent_name": 5, "capabilities": ["a", {"token": "hush-hush"}]}
        answer = await served.agent.post("/agents/register", json=body)
        assert told(answer) == (422, "VALIDATION_FAILED", None)
        fields = answer.json()["details"]["fields"]
        assert fields.keys() == {"agent_name", "agent_version", "capabilities.1"}
        assert "hush" not in answer.text

    async def test_odd_values_are_refused(self, served: Served) -> None:
        """NUL characters and integers beyond 64 bits, which no database takes, are 422."""
        for notes in ("a\0b",):
            answer = await served.person.patch("/assets/x", json={"notes": notes})
            assert answer.status_code == 422
        answer = await served.person.patch(
            "/assets/x", json={"fields": {"n": [10**30]}, "notes": "\\u0000 as text is fine"}
        )
        assert answer.status_code == 422

    @pytest.mark.parametrize("leaf", ["1", "12345678901234567890", '"\\u0000"'])
    @pytest.mark.parametrize("depth", [62, 100, 300, 900])
    async def test_deep_nesting(self, served: Served, depth: int, leaf: str) -> None:
        """A document that is nested beyond reason is refused, never a crash."""
        asset = await served.house.ready("INBOX/A.jpg")
        body = '{"fields": {"a": ' + "[" * depth + leaf + "]" * depth + "}}"
        answer = await served.person.patch(
            f"/assets/{asset.uuid}", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 422

    async def test_reasonable_nesting(self, served: Served) -> None:
        """Many brackets side by side, and some levels, are fine."""
        asset = await served.house.ready("INBOX/A.jpg")
        fields = {"wide": [[]] * 500, "deep": [[[[[[[["x"]]]]]]]]}
        answer = await served.person.patch(f"/assets/{asset.uuid}", json={"fields": fields})
        assert answer.status_code == 200

    async def test_text_that_looks_odd_passes(self, served: Served) -> None:
        """A backslash before u0000, or a long row of digits in a text, is ordinary text."""
        asset = await served.house.ready("INBOX/A.jpg")
        notes = "\\u0000 and 12345678901234567890"
        answer = await served.person.patch(f"/assets/{asset.uuid}", json={"notes": notes})
        assert answer.status_code == 200

    async def test_oversized_bodies(self, served: Served) -> None:
        """A body beyond its limit is 413, announced or not."""
        answer = await served.agent.post("/agents/register", json={"agent_name": "x" * 2**21})
        assert told(answer) == (413, "VALIDATION_FAILED", "TOO_LARGE")

        async def endless() -> Any:
            for _ in range(64):
                yield b" " * 2**16

        headers = {"content-type": "application/json"}
        answer = await served.agent.post("/agents/register", content=endless(), headers=headers)
        assert told(answer) == (413, "VALIDATION_FAILED", "TOO_LARGE")

    @pytest.mark.parametrize("kind", ["", "text/plain", "application/xml"])
    async def test_other_content_types(self, served: Served, kind: str) -> None:
        """A body of another type is 415."""
        answer = await served.agent.post(
            "/agents/register", content=b"{}", headers={"content-type": kind}
        )
        assert told(answer) == (415, "VALIDATION_FAILED", "UNSUPPORTED_MEDIA_TYPE")

    async def test_compressed_bodies(self, served: Served) -> None:
        """Compressed bodies, which may be bombs, are not unpacked."""
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        answer = await served.agent.post("/agents/register", content=b"x", headers=headers)
        assert told(answer) == (415, "VALIDATION_FAILED", "UNSUPPORTED_ENCODING")

    async def test_unknown_things(self, served: Served) -> None:
        """Unknown assets, jobs, batches and derived files are 404, malformed names too."""
        unknown = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
        for path in (
            f"/assets/{unknown}", "/assets/none", "/assets/%00", f"/assets/{unknown}/why",
            f"/assets/{unknown}/derived", f"/assets/{unknown}/derived/thumb",
            f"/assets/{unknown}/derived/passwd", "/batches/moves/none", "/batches/moves/%00",
        ):  # fmt: skip
            assert told(await served.person.get(path)) == (404, "VALIDATION_FAILED", "NOT_FOUND")

    @pytest.mark.parametrize(
        "path", ["/assets/..%2f..%2fetc%2fpasswd", "/assets/a/derived/..%2F..%2F.retaia"]
    )
    async def test_traversal(self, served: Served, path: str) -> None:
        """A path that climbs names nothing."""
        answer = await served.person.get(path)
        assert answer.status_code == 404


class TestCorrelation:
    """One id in the body, the header and the log."""

    async def test_a_given_id_is_kept(self, served: Served) -> None:
        """A client's own id is used where it is harmless."""
        answer = await served.person.get("/assets", headers={"X-Correlation-Id": "abc-123"})
        assert answer.headers["X-Correlation-Id"] == "abc-123"

    @pytest.mark.parametrize("given_id", ["x" * 65, "a b", "a\tb", 'a"b', "", "é"])
    async def test_an_odd_id_is_replaced(self, served: Served, given_id: str) -> None:
        """One that could forge a log line is not."""
        headers = {b"X-Correlation-Id": given_id.encode("latin-1")}
        answer = await served.person.get("/assets", headers=headers)
        assert answer.headers["X-Correlation-Id"] not in ("", given_id)

    async def test_it_is_logged_without_secrets(
        self, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each request is one line with the id, the operation and the actor, and no token."""
        caplog.set_level(logging.DEBUG)
        answer = await served.person.get("/assets?q=private", headers={"X-Correlation-Id": "c-1"})
        assert answer.status_code == 200
        (record,) = [r for r in caplog.records if r.name == "retaia.http"]
        data: dict[str, object] = record.__dict__["retaia"]
        assert data["correlation_id"] == "c-1"
        assert (data["operation"], data["actor"]) == ("listAssets", "person:local/ana")
        for secret in (PERSON_TOKEN, AGENT_TOKEN, "private"):
            assert secret not in record.getMessage()


class TestFailures:
    """What goes wrong behind the door."""

    async def test_a_crash_is_a_500_that_says_nothing(
        self, served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bug is logged whole under its correlation id; the client learns the id only."""

        def crash(*_: object) -> NoReturn:
            raise ZeroDivisionError("/srv/secret/path")

        monkeypatch.setattr(type(served.house.store), "read", crash)
        answer = await served.person.get("/assets")
        assert told(answer) == (500, "TEMPORARY_UNAVAILABLE", "INTERNAL")
        assert "secret" not in answer.text
        assert "ZeroDivisionError" in caplog.text
        assert answer.json()["correlation_id"] in caplog.text

    async def test_an_absent_database_is_503(
        self, served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database away: 503, retryable, with Retry-After; where it is stands in the log only."""

        def away(*_: object) -> NoReturn:
            raise StoreUnavailable("the database does not answer (10.0.0.7, user retaia)")

        monkeypatch.setattr(type(served.house.store), "read", away)
        answer = await served.person.get("/ops/readiness")
        assert told(answer) == (503, "TEMPORARY_UNAVAILABLE", None)
        assert answer.json()["retryable"] is True
        assert int(answer.headers["retry-after"]) > 0
        assert "10.0.0.7" not in answer.text
        (line,) = [vars(r)["retaia"] for r in caplog.records if "http.failed" in r.getMessage()]
        assert "10.0.0.7" in line["message"]

    @pytest.mark.parametrize("kind", subclasses(RetaiaError), ids=lambda kind: kind.__name__)
    def test_every_error_has_a_place(self, kind: type[RetaiaError]) -> None:
        """Every error of the tree maps to a status; those that are no client's matter to a crash."""
        problem = problem_of(kind("said", evidence=1))
        told_of = issubclass(kind, errors.Refused | errors.Unavailable)
        foreseen = told_of and kind is not errors.Refused
        assert (problem.status == 500) is not foreseen
        assert ("said" in problem.message) is (foreseen and kind is not StoreUnavailable)


def reading(raw: bytes) -> int:
    """How a body is taken: 200, or the status that it is refused with."""
    try:
        decode(raw)
    except WireRefused as refused:
        return refused.problem.status
    return 200


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    """Whatever bytes come as a body, they are read or refused."""
    assert reading(raw) in (200, 400, 422)


async def test_a_whole_number_may_be_written_with_a_point(served: Served) -> None:
    """To a JSON Schema 10.0 is an integer: it is taken as 10, and reads back as one."""
    agent_id = await served.register()
    asset = await served.house.ready("INBOX/A.jpg")
    claimed = await served.agent.post(f"/assets/{asset.uuid}/claim-bundle")
    job, token = claimed.json()["jobs"][0], claimed.json()["lock_token"]
    progress = {"current": 1.0, "total": 4.0, "text": "frames"}
    beat = await served.agent.post(
        f"/jobs/{job['job_id']}/heartbeat",
        json={"lock_token": token, "progress": progress},
        headers={"X-Retaia-Agent": agent_id},
    )
    assert beat.status_code == 200, beat.text
    jobs = await served.person.get(f"/assets/{asset.uuid}/jobs")
    shown = [j["progress"] for j in jobs.json()["items"] if j["job_id"] == job["job_id"]]
    assert [type(p["total"]) for p in shown] == [int]
