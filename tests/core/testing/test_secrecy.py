"""The watch over the suite's own log finds what it is there to find."""

from __future__ import annotations

import logging

import httpx
import pytest
from retaia_tests.secrecy import Watch, secrets_in

TOKEN = "token-000000000000000000000042"
UUID = "00000000-0000-7000-8000-000000000001"


@pytest.fixture
def watch() -> Watch:
    """A watch of this test's own."""
    return Watch()


def log(watch: Watch, message: str, **more: object) -> None:
    watch.emit(logging.makeLogRecord({"msg": message, "levelname": "DEBUG", **more}))


def test_fields_of_documents() -> None:
    """Secrets are found by their names, however deep and in lists too; short ones are not."""
    document = {
        "a": [{"access_token": TOKEN}],
        "recovery_codes": ["HMQX-CEC7-4Q5E", "short"],
        "x": UUID,
    }
    assert set(secrets_in(document)) == {TOKEN, "HMQX-CEC7-4Q5E"}


def test_a_token_of_an_answer(watch: Watch) -> None:
    """It is seen in a record's sentence, data and traceback, also where it was logged before."""
    log(watch, f"somebody got {TOKEN}")
    assert watch.leaks() == []
    watch.answer(httpx.Response(200, json={"refresh_token": TOKEN}))
    assert len(watch.leaks()) == 1
    log(watch, "harmless")
    log(watch, "data", retaia={"deep": [TOKEN]})
    error = ValueError(TOKEN)
    log(watch, "broken", exc_info=(ValueError, error, None))
    assert len(watch.leaks()) == 3


def test_what_a_request_proves(watch: Watch) -> None:
    """Its bearer token, and the password of its body."""
    body = {"password": "correct horse battery"}
    watch.request(
        httpx.Request("POST", "http://x", json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    )
    assert watch.issued == {TOKEN, "correct horse battery"}


def test_what_a_person_is_shown(watch: Watch) -> None:
    """A token on a line of its own or within one; neither words, paths nor UUIDs are tokens."""
    watch.text(f"secret  {TOKEN}\n/srv/{'x' * 40}\n{UUID} and more\n\na/b")
    assert watch.issued == {TOKEN}


def test_the_next_test_begins_anew(watch: Watch) -> None:
    """What one test issued is nothing to the next."""
    watch.text(TOKEN)
    log(watch, TOKEN)
    watch.clear()
    assert not watch.issued
    assert watch.leaks() == []


def test_it_is_on() -> None:
    """This very run is watched."""
    assert any(isinstance(handler, Watch) for handler in logging.getLogger().handlers)
