"""An absent component is a visible skip, and a failure where it must be here."""

from __future__ import annotations

import psycopg
import pytest
from retaia_tests import components, postgres


def test_an_absent_component_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason of the skip names the component, so that the summary can count it."""
    monkeypatch.delenv("RETAIA_REQUIRE_FFPROBE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="component not here: ffprobe: no program"):
        components.absent("ffprobe", "no program")


def test_an_absent_component_that_must_be_here_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continuous integration accepts no skip of a component."""
    monkeypatch.setenv("RETAIA_REQUIRE_FFPROBE", "1")
    with pytest.raises(pytest.fail.Exception, match="ffprobe must be here"):
        components.absent("ffprobe", "no program")


def test_every_database_is_new_and_goes_away(postgres_server: postgres.Server) -> None:
    """A test's database is empty at its start and gone after it."""
    with postgres_server.database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t (n int)")
        name = url.rpartition("/")[2]
    with psycopg.connect(postgres_server.url) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        assert found.fetchone() is None


def test_a_database_can_be_copied_from_a_template(postgres_server: postgres.Server) -> None:
    """A prepared database is copied whole, which is cheaper than preparing each."""
    with postgres_server.database() as prepared:
        with psycopg.connect(prepared) as connection:
            connection.execute("CREATE TABLE t (n int)")
        with (
            postgres_server.database(template=prepared.rpartition("/")[2]) as copy,
            psycopg.connect(copy) as connection,
        ):
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
