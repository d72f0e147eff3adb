"""People, clients and their tokens: kept whole, found by key, and served to one user at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from ...domain.accounts import Account, Email, Role, Totp
from ...domain.clients import Client, ClientKind, DeviceGrant, DeviceStatus, UserCode
from ...domain.sessions import OneTime, Purpose, Scope
from ...domain.sessions import Session as LiveSession
from ...domain.throttling import FORGOTTEN_AFTER, failed
from ...errors import InvalidToken, StateConflict, ValidationFailed
from ...ports.store import Transaction, Work
from ..clock import START
from ..samples import (
    account,
    account_id,
    after,
    client,
    grant,
    one_time,
    session,
    throttle,
)
from .database import Database, StoreSuite


def full_account() -> Account:
    """An account with something in every field."""
    return account(
        3,
        email=Email("zoë🎬@example.org"),
        display_name="Zoë\n🎬",
        created_at=after(0.000001),
        roles=frozenset({Role.ADMIN}),
        local_name="zoë",
        totp=Totp(secret="JBSWY3DP", enabled=True, last_step=2**40, recovery=frozenset({"a", "b"})),
        features={"features.ai": False, "features.é": True},
        disabled=True,
    )


def full_client() -> Client:
    """A client with something in every field."""
    changes: dict[str, Any] = {"rotated_at": after(0.000001), "revoked_at": after(7)}
    return client(3, kind=ClientKind.MCP, label="é🎬\n", **changes)


def full_grant() -> DeviceGrant:
    """A grant with something in every field."""
    return grant(
        3,
        label="é🎬\n",
        status=DeviceStatus.APPROVED,
        approved_by="person:ada",
        polled_at=after(0.000001),
    )


def full_one_time() -> OneTime:
    """A one-use token with data of every kind."""
    data: dict[str, object] = {"uuids": ["a", "é"], "n": 2**53, "deep": {"x": None, "y": 0.5}}
    return one_time(3, purpose=Purpose.BULK_APPROVAL, data=data, expires_at=after(0.000001))


def everything(tx: Transaction) -> None:
    """Write at least one row of each kind."""
    tx.save_account(full_account())
    tx.save_account(account(1))
    tx.save_client(full_client())
    tx.save_device_grant(full_grant())
    tx.save_session(session(1, "web"))
    tx.save_session(session(1, "phone", refresh=None, refresh_expires_at=None))
    tx.save_one_time(full_one_time())
    tx.save_throttle(throttle("é", blocked_until=after(0.000001)))
    tx.save_app_features({"features.ai": False, "features.é": True})
    tx.add_server_secret("key", bytes(range(256)))


def seen(tx: Transaction) -> list[object]:
    """All of it, as the port answers it."""
    return [
        tx.accounts(),
        tx.clients(),
        tx.device_grant(full_grant().digest),
        tx.sessions(account_id(1)),
        tx.one_time(full_one_time().digest),
        tx.throttle("é"),
        tx.app_features(),
        tx.server_secret("key"),
    ]


def using(digest: str) -> Work[str]:
    """A use of a one-use token: it removes it, and refuses where it is gone."""

    def work(tx: Transaction) -> str:
        token = tx.one_time(digest)
        if token is None:
            raise InvalidToken("used")
        tx.drop_one_time(digest)
        return token.principal_id

    return work


class PeopleRules(StoreSuite):
    """Accounts, clients and device grants."""

    def test_an_account_comes_back_as_it_was(self, db: Database) -> None:
        """Every field of an account is kept, and it is found by each of its keys."""
        kept = full_account()
        db.write(lambda tx: tx.save_account(kept))
        assert db.read(lambda tx: tx.account(kept.account_id)) == kept
        assert db.read(lambda tx: tx.account_by_email(kept.email)) == kept
        assert db.read(lambda tx: tx.account_by_local_name("zoë")) == kept
        assert db.write(lambda tx: tx.account(kept.account_id)) == kept

    def test_who_is_not_there_is_none(self, db: Database) -> None:
        """An unknown id, address or local name finds nobody; no local name is nobody's."""
        db.write(lambda tx: tx.save_account(account(1)))
        assert db.read(lambda tx: tx.account(account_id(2))) is None
        assert db.read(lambda tx: tx.account_by_email(Email("PERSON1@example.org"))) is None
        assert db.read(lambda tx: tx.account_by_local_name("")) is None

    def test_accounts_come_by_address(self, db: Database) -> None:
        """All accounts are listed in the order of their addresses' code points."""
        names = ["b@x", "Z@x", "é@x", "a@x", "🎬@x"]

        def work(tx: Transaction) -> None:
            for n, name in enumerate(names):
                tx.save_account(account(n, email=Email(name)))

        db.write(work)
        assert [a.email for a in db.read(lambda tx: tx.accounts())] == sorted(names)

    def test_saving_an_account_again_replaces_it(self, db: Database) -> None:
        """The keys it had before are free for somebody else."""
        db.write(lambda tx: tx.save_account(account(1, local_name="ada")))
        moved = account(1, email=Email("new@example.org"), password=None)
        db.write(lambda tx: tx.save_account(moved))
        assert db.read(lambda tx: tx.accounts()) == [moved]
        second = account(2, email=Email("person1@example.org"), local_name="ada")
        db.write(lambda tx: tx.save_account(second))
        assert db.read(lambda tx: tx.account_by_local_name("ada")) == second

    @pytest.mark.parametrize(
        "changes", [{"email": Email("person1@example.org")}, {"local_name": "ada"}]
    )
    def test_two_accounts_share_neither_address_nor_local_name(
        self, db: Database, changes: dict[str, Any]
    ) -> None:
        """The second is refused and leaves nothing; the transaction can go on."""
        db.write(lambda tx: tx.save_account(account(1, local_name="ada")))

        def work(tx: Transaction) -> None:
            with pytest.raises(StateConflict):
                tx.save_account(account(2, **changes))
            tx.save_account(account(3))

        db.write(work)
        assert [a.account_id for a in db.read(lambda tx: tx.accounts())] == [
            account_id(1),
            account_id(3),
        ]

    def test_of_many_accounts_for_one_address_one_wins(self, db: Database) -> None:
        """Concurrent additions under one address make one account; the others are conflicts."""
        same = Email("same@example.org")

        def adding(n: int) -> Work[None]:
            return lambda tx: tx.save_account(account(n, email=same))

        outcomes = db.race([adding(n) for n in range(6)])
        assert (
            sorted(type(each).__name__ for each in outcomes) == ["NoneType"] + ["StateConflict"] * 5
        )
        assert len(db.read(lambda tx: tx.accounts())) == 1

    def test_concurrent_changes_of_one_account_are_all_kept(self, db: Database) -> None:
        """Transactions that read and then write one account lose no update."""
        db.write(lambda tx: tx.save_account(account(1)))

        def work(tx: Transaction) -> None:
            known = tx.account(account_id(1))
            assert known is not None
            tx.save_account(evolve(known, display_name=known.display_name + "x"))

        assert db.race([work] * 12) == [None] * 12
        known = db.read(lambda tx: tx.account(account_id(1)))
        assert known is not None
        assert known.display_name == "x" * 12

    def test_clients_are_kept_whole_and_come_by_id(self, db: Database) -> None:
        """Every field comes back; saving again replaces."""
        plain = client(1)

        def work(tx: Transaction) -> None:
            tx.save_client(full_client())
            tx.save_client(evolve(plain, label="before"))
            tx.save_client(plain)

        db.write(work)
        assert db.read(lambda tx: tx.client("client-3")) == full_client()
        assert db.read(lambda tx: tx.clients()) == [plain, full_client()]
        assert db.read(lambda tx: tx.client("client-2")) is None

    def test_device_grants_are_found_by_both_codes(self, db: Database) -> None:
        """By digest and by user code, until they are dropped; dropping nothing is harmless."""
        kept = full_grant()
        db.write(lambda tx: tx.save_device_grant(kept))
        assert db.read(lambda tx: tx.device_grant(kept.digest)) == kept
        assert db.read(lambda tx: tx.device_grant_by_code(kept.user_code)) == kept
        for _ in range(2):
            db.write(lambda tx: tx.drop_device_grant(kept.digest))
            assert db.read(lambda tx: tx.device_grant_by_code(kept.user_code)) is None

    def test_a_user_code_is_one_grants(self, db: Database) -> None:
        """Another grant with the same user code is refused; the same grant may be saved again."""
        db.write(lambda tx: tx.save_device_grant(grant(1)))
        with pytest.raises(StateConflict):
            db.write(lambda tx: tx.save_device_grant(grant(2, user_code=grant(1).user_code)))
        denied = evolve(grant(1), status=DeviceStatus.DENIED)
        db.write(lambda tx: tx.save_device_grant(denied))
        assert db.read(lambda tx: tx.device_grant(grant(1).digest)) == denied
        assert db.read(lambda tx: tx.device_grant(grant(2).digest)) is None


class TokenRules(StoreSuite):
    """Sessions, one-use tokens, lock-outs, switches and the server's secrets."""

    def test_a_session_comes_back_as_it_was(self, db: Database) -> None:
        """Every field is kept; it is found by principal and client, and by its refresh token."""
        kept = session(1, "é🎬", scope=frozenset({Scope.PURGE_EXECUTE}), issued_at=after(0.000001))
        db.write(lambda tx: tx.save_session(kept))
        assert db.read(lambda tx: tx.session(account_id(1), "é🎬")) == kept
        assert db.read(lambda tx: tx.session_by_refresh(str(kept.refresh))) == kept
        assert db.read(lambda tx: tx.session(account_id(1), "web")) is None
        assert db.read(lambda tx: tx.session_by_refresh("")) is None

    def test_one_session_lives_per_principal_and_client(self, db: Database) -> None:
        """Saving another ends the one before it, with its refresh token."""
        first, second = session(1), session(1, jti="2", refresh="other")
        db.write(lambda tx: tx.save_session(first))
        db.write(lambda tx: tx.save_session(second))
        assert db.read(lambda tx: tx.sessions(account_id(1))) == [second]
        assert db.read(lambda tx: tx.session_by_refresh(str(first.refresh))) is None

    def test_sessions_are_listed_and_dropped_by_principal(self, db: Database) -> None:
        """Those of one principal come by client, and go without touching another's."""

        def work(tx: Transaction) -> None:
            for name in ("web", "Phone", "tablet"):
                tx.save_session(session(1, name))
                tx.save_session(session(2, name))

        db.write(work)
        listed = db.read(lambda tx: tx.sessions(account_id(1)))
        assert [s.client_id for s in listed] == ["Phone", "tablet", "web"]
        db.write(lambda tx: tx.drop_session(account_id(1), "web"))
        db.write(lambda tx: tx.drop_session(account_id(1), "nothing"))
        assert len(db.read(lambda tx: tx.sessions(account_id(1)))) == 2
        db.write(lambda tx: tx.drop_sessions(account_id(1)))
        assert db.read(lambda tx: tx.sessions(account_id(1))) == []
        assert len(db.read(lambda tx: tx.sessions(account_id(2)))) == 3

    def test_of_many_uses_of_a_refresh_token_one_wins(self, db: Database) -> None:
        """Concurrent transactions that look a refresh token up and replace it find it once."""
        db.write(lambda tx: tx.save_session(session(1)))
        spent = str(session(1).refresh)

        def refreshing(n: int) -> Work[bool]:
            def work(tx: Transaction) -> bool:
                known = tx.session_by_refresh(spent)
                if known is None:
                    return False
                tx.save_session(evolve(known, refresh=f"fresh {n}", jti=str(n)))
                return True

            return work

        outcomes = db.race([refreshing(n) for n in range(8)])
        assert sorted(outcomes, key=str) == [False] * 7 + [True]

    def test_a_one_use_token_comes_back_as_it_was(self, db: Database) -> None:
        """Its data are plain JSON; saving again replaces, dropping twice is harmless."""
        kept = full_one_time()
        db.write(lambda tx: tx.save_one_time(one_time(3)))
        db.write(lambda tx: tx.save_one_time(evolve(kept, digest=one_time(3).digest)))
        found = db.read(lambda tx: tx.one_time(one_time(3).digest))
        assert found == kept
        for _ in range(2):
            db.write(lambda tx: tx.drop_one_time(kept.digest))
            assert db.read(lambda tx: tx.one_time(kept.digest)) is None

    def test_of_many_uses_of_a_one_use_token_one_wins(self, db: Database) -> None:
        """Concurrent uses are served one after the other, and the first removes it."""
        db.write(lambda tx: tx.save_one_time(one_time(1)))
        outcomes = db.race([using(one_time(1).digest)] * 8)
        assert [each for each in outcomes if isinstance(each, str)] == [account_id(1)]
        assert sum(isinstance(each, InvalidToken) for each in outcomes) == 7

    def test_a_failed_use_leaves_the_token(self, db: Database) -> None:
        """What failed after the use gives the token back."""
        db.write(lambda tx: tx.save_one_time(one_time(1)))

        def work(tx: Transaction) -> None:
            using(one_time(1).digest)(tx)
            raise ValidationFailed("too short")

        with pytest.raises(ValidationFailed):
            db.write(work)
        assert db.read(lambda tx: tx.one_time(one_time(1).digest)) == one_time(1)

    def test_lock_outs_are_kept_by_key(self, db: Database) -> None:
        """They come back to the microsecond, are replaced, and dropped."""
        kept = throttle("é", failures=2**40, last_at=after(0.000001), blocked_until=after(1e6))
        db.write(lambda tx: tx.save_throttle(throttle("é")))
        db.write(lambda tx: tx.save_throttle(kept))
        assert db.read(lambda tx: tx.throttle("é")) == kept
        assert db.read(lambda tx: tx.throttle("e")) is None
        for _ in range(2):
            db.write(lambda tx: tx.drop_throttle("é"))
            assert db.read(lambda tx: tx.throttle("é")) is None

    def test_concurrent_failures_are_all_counted(self, db: Database) -> None:
        """Also the very first ones, before there is a row."""

        def work(tx: Transaction) -> None:
            tx.save_throttle(failed(tx.throttle("k"), key="k", now=START))

        assert db.race([work] * 12) == [None] * 12
        known = db.read(lambda tx: tx.throttle("k"))
        assert known is not None
        assert known.failures == 12

    def test_the_switches_are_replaced_together(self, db: Database) -> None:
        """A key that is not given any more is missing, which means on."""
        assert dict(db.read(lambda tx: tx.app_features())) == {}
        db.write(lambda tx: tx.save_app_features({"a": False, "é": True}))
        assert dict(db.read(lambda tx: tx.app_features())) == {"a": False, "é": True}
        db.write(lambda tx: tx.save_app_features({"a": True}))
        assert dict(db.read(lambda tx: tx.app_features())) == {"a": True}

    def test_concurrent_changes_of_the_switches_are_all_kept(self, db: Database) -> None:
        """Transactions that read them and then write them lose none."""

        def switching(n: int) -> Work[None]:
            return lambda tx: tx.save_app_features({**tx.app_features(), str(n): True})

        assert db.race([switching(n) for n in range(8)]) == [None] * 8
        assert set(db.read(lambda tx: tx.app_features())) == {str(n) for n in range(8)}

    def test_of_many_server_secrets_the_first_is_kept(self, db: Database) -> None:
        """Servers that start together end up with one secret, byte for byte."""

        def adding(n: int) -> Work[bytes]:
            return lambda tx: tx.add_server_secret("key", bytes([n, 0, 255]))

        outcomes = db.race([adding(n) for n in range(8)])
        kept = db.read(lambda tx: tx.server_secret("key"))
        assert outcomes == [kept] * 8
        assert db.write(lambda tx: tx.add_server_secret("key", b"late")) == kept
        assert db.read(lambda tx: tx.server_secret("other")) is None

    def test_what_is_over_is_dropped_and_counted(self, db: Database) -> None:
        """A thing is over at its instant; a session with its refresh token, a lock-out after a day."""

        def work(tx: Transaction) -> None:
            tx.save_account(account(1))
            for n in (1, 2):
                tx.save_one_time(one_time(n, expires_at=after(n)))
                tx.save_device_grant(grant(n, expires_at=after(n)))
                tx.save_session(_lasting(n, after(n), None))
            tx.save_session(_lasting(3, after(1), after(2)))
            tx.save_throttle(throttle("old", last_at=after(1) - FORGOTTEN_AFTER - _TICK))
            tx.save_throttle(throttle("new", last_at=after(1) - FORGOTTEN_AFTER))

        db.write(work)
        assert db.write(lambda tx: tx.drop_expired(after(1) - _TICK)) == 0
        assert db.write(lambda tx: tx.drop_expired(after(1))) == 4
        assert db.write(lambda tx: tx.drop_expired(after(1))) == 0
        left = db.read(
            lambda tx: [
                [n for n in (1, 2) if tx.one_time(one_time(n).digest)],
                [n for n in (1, 2) if tx.device_grant(grant(n).digest)],
                [n for n in (1, 2, 3) if tx.sessions(account_id(n))],
                [key for key in ("old", "new") if tx.throttle(key)],
                len(tx.accounts()),
            ]
        )
        assert left == [[2], [2], [2, 3], ["new"], 1]


_TICK = timedelta(microseconds=1)


def _lasting(n: int, until: datetime, refresh_until: datetime | None) -> LiveSession:
    return session(n, expires_at=until, refresh_expires_at=refresh_until)


class AccountRules(PeopleRules, TokenRules):
    """What the store's transaction promises about people, clients and their tokens."""

    def test_what_was_written_about_people_is_seen(self, db: Database) -> None:
        """A transaction reads back its own writes, and the next reads the same."""

        def work(tx: Transaction) -> list[object]:
            everything(tx)
            return seen(tx)

        assert db.write(work) == db.read(seen)

    def test_a_failure_takes_back_what_was_written_about_people(self, db: Database) -> None:
        """A function that raises after writing everything leaves an empty store."""
        empty = db.read(seen)

        def work(tx: Transaction) -> None:
            everything(tx)
            raise ValidationFailed("no")

        with pytest.raises(ValidationFailed):
            db.write(work)
        assert db.read(seen) == empty

    @pytest.mark.parametrize("change", ["replace", "drop"])
    def test_a_failure_restores_what_was_about_people(self, db: Database, change: str) -> None:
        """A function that raises after replacing or dropping leaves all as it was."""
        db.write(everything)
        before = db.read(seen)

        def work(tx: Transaction) -> None:
            _CHANGES[change](tx)
            raise ValidationFailed("no")

        with pytest.raises(ValidationFailed):
            db.write(work)
        assert db.read(seen) == before


def _replace(tx: Transaction) -> None:
    tx.save_account(evolve(full_account(), email=Email("new@x"), local_name=None))
    tx.save_client(evolve(full_client(), label="new"))
    tx.save_device_grant(evolve(full_grant(), user_code=UserCode("NEW")))
    tx.save_session(session(1, "web", refresh="new"))
    tx.save_one_time(evolve(full_one_time(), data={}))
    tx.save_throttle(throttle("é", failures=9))
    tx.save_app_features({"features.ai": True})


def _drop(tx: Transaction) -> None:
    tx.drop_device_grant(full_grant().digest)
    tx.drop_session(account_id(1), "web")
    tx.drop_sessions(account_id(1))
    tx.drop_one_time(full_one_time().digest)
    tx.drop_throttle("é")
    tx.save_app_features({})
    tx.drop_expired(after(10**9))


_CHANGES: dict[str, Callable[[Transaction], None]] = {"replace": _replace, "drop": _drop}
