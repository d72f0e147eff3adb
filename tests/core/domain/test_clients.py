"""Laws of the device flow and of technical clients (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from retaia_core.domain.clients import (
    DEVICE_CHANGES,
    DEVICE_INTERVAL_S,
    DEVICE_TTL,
    USER_CODE_ALPHABET,
    Client,
    ClientKind,
    DeviceAct,
    DeviceGrant,
    DeviceStatus,
    UserCode,
    approved,
    change,
    denied,
    make_user_code,
    parse_label,
    parse_user_code,
    polled,
    revoked,
    rotated,
    standing,
    technical,
)
from retaia_core.errors import (
    ExpiredDeviceCode,
    ForbiddenActor,
    RetaiaError,
    SlowDown,
    StateConflict,
    ValidationFailed,
)
from retaia_core.testing.clock import START

TICK = timedelta(microseconds=1)
INTERVAL = timedelta(seconds=DEVICE_INTERVAL_S)
GRANT = DeviceGrant(
    digest="0" * 64,
    user_code=UserCode("BCDF-GHJK"),
    kind=ClientKind.AGENT,
    label="studio Mac",
    created_at=START,
    expires_at=START + DEVICE_TTL,
)
CLIENT = Client(
    client_id="c", kind=ClientKind.AGENT, label="", secret="1", created_at=START, created_by="ana"
)
ACTS = st.sampled_from(["approve", "deny", "poll"])
PAUSES = st.sampled_from([timedelta(0), TICK, INTERVAL - TICK, INTERVAL, DEVICE_TTL])


class TestTheTable:
    """*the person approves → poll answers PENDING | APPROVED | DENIED | EXPIRED*."""

    @pytest.mark.parametrize(("status", "act"), list(product(DeviceStatus, DeviceAct)))
    def test_what_is_not_in_the_table_is_refused(
        self, status: DeviceStatus, act: DeviceAct
    ) -> None:
        """Of every status and act, only the rows of the table happen."""
        grant = evolve(GRANT, status=status)
        if status is DeviceStatus.EXPIRED:
            grant = evolve(grant, expires_at=START)
        if (status, act) in DEVICE_CHANGES:
            assert change(grant, act, START) is DEVICE_CHANGES[status, act]
        else:
            with pytest.raises((StateConflict, ExpiredDeviceCode)):
                change(grant, act, START)

    def test_nothing_leaves_a_denial_or_the_end_of_time(self) -> None:
        """No row starts at DENIED or EXPIRED, and none ends at PENDING."""
        assert not {s for s, _ in DEVICE_CHANGES} & {DeviceStatus.DENIED, DeviceStatus.EXPIRED}
        assert DeviceStatus.PENDING not in DEVICE_CHANGES.values()

    def test_a_code_is_approved_once(self) -> None:
        """A second approval is a conflict that says what is still open."""
        once = approved(GRANT, "ana", START)
        assert (once.status, once.approved_by) == (DeviceStatus.APPROVED, "ana")
        with pytest.raises(StateConflict) as refused:
            approved(once, "bob", START)
        assert refused.value.details == {"state": "APPROVED", "allowed": ["CANCEL", "COLLECT"]}

    def test_time_ends_any_of_them(self) -> None:
        """One microsecond before its end a grant stands, at its end it is expired."""
        for grant in (GRANT, approved(GRANT, "ana", START), denied(GRANT, START)):
            assert standing(grant, grant.expires_at - TICK) is grant.status
            assert standing(grant, grant.expires_at) is DeviceStatus.EXPIRED
            assert polled(grant, grant.expires_at) == (DeviceStatus.EXPIRED, grant)

    @given(st.lists(st.tuples(ACTS, PAUSES), max_size=12))
    def test_any_story_of_a_grant_keeps_the_laws(self, story: list[tuple[str, timedelta]]) -> None:
        """One decision at most, one secret at most and only after an approval in time."""
        grant: DeviceGrant | None = GRANT
        now, decisions, told = START, [], []
        for act, pause in story:
            now += pause
            if grant is None:
                break
            try:
                if act == "poll":
                    status, grant = polled(grant, now)
                    told.append(status)
                else:
                    grant = approved(grant, "ana", now) if act == "approve" else denied(grant, now)
                    decisions.append((grant.status, now))
            except RetaiaError:
                continue
        assert len(decisions) <= 1
        assert told.count(DeviceStatus.APPROVED) <= 1
        assert (grant is None) == (DeviceStatus.APPROVED in told)
        if DeviceStatus.APPROVED in told:
            (status, at), *_ = decisions
            assert status is DeviceStatus.APPROVED
            assert at < GRANT.expires_at
            assert told[-1] is DeviceStatus.APPROVED


class TestPolling:
    """*polling faster than ``interval`` is 429 SLOW_DOWN*."""

    def test_the_first_poll_may_come_at_once(self) -> None:
        """Nothing was polled before it."""
        assert polled(GRANT, START) == (DeviceStatus.PENDING, evolve(GRANT, polled_at=START))

    def test_the_interval_is_kept_to_the_microsecond(self) -> None:
        """A poll after exactly the interval counts, one a microsecond sooner is told how long."""
        _, waiting = polled(GRANT, START)
        assert waiting is not None
        with pytest.raises(SlowDown) as refused:
            polled(waiting, START + INTERVAL - TICK)
        assert refused.value.details == {"retry_after_s": 0.000001}
        assert polled(waiting, START + INTERVAL)[0] is DeviceStatus.PENDING

    def test_collecting_leaves_nothing(self) -> None:
        """With the poll that says APPROVED the grant is gone."""
        assert polled(approved(GRANT, "ana", START), START) == (DeviceStatus.APPROVED, None)


class TestUserCode:
    """The code that a person reads from one screen and types at another."""

    @given(st.text())
    def test_a_code_reads_back(self, chance: str) -> None:
        """Whatever it was made of, what is shown is what is read."""
        code = make_user_code(chance)
        assert parse_user_code(code) == code
        assert set(code) <= {*USER_CODE_ALPHABET, "-"}

    @given(st.sampled_from([" ", "", "-", " - ", "\u2013", "\u00a0"]), st.booleans())
    def test_case_spaces_and_dashes_do_not_matter(self, between: str, lower: bool) -> None:
        """Neither does the dash that a telephone makes of two."""
        text = f" BCDF{between}GHJK "
        assert parse_user_code(text.lower() if lower else text) == "BCDF-GHJK"

    @pytest.mark.parametrize("text", ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-EFGH", "1234-5678"])
    def test_anything_else_is_refused(self, text: str) -> None:
        """The error names the field."""
        with pytest.raises(ValidationFailed) as refused:
            parse_user_code(text)
        assert "user_code" in refused.value.details


class TestClients:
    """What a technical client is, and its end."""

    def test_only_technical_kinds_have_secrets(self) -> None:
        """A person's interface is refused by its kind."""
        assert [k for k in ClientKind if k.is_technical] == [ClientKind.AGENT, ClientKind.MCP]
        with pytest.raises(ForbiddenActor):
            technical(ClientKind.UI_MOBILE)

    def test_a_revoked_client_stays_as_it_is(self) -> None:
        """It gets no other secret, and a second revocation keeps the first one's time."""
        gone = revoked(CLIENT, START)
        assert revoked(gone, START + TICK) == gone
        with pytest.raises(ValidationFailed):
            rotated(gone, "2", START)

    @pytest.mark.parametrize("text", ["x" * 81, "two\nlines", "right\u202eto left"])
    def test_a_label_is_short_and_can_be_seen(self, text: str) -> None:
        """Nothing in it can pretend to be another text."""
        with pytest.raises(ValidationFailed):
            parse_label(text)
