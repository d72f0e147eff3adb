"""An agent asks to be let in and waits, over a server that answers as it is told."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from attrs import define, field

from retaia_core.domain.clients import DeviceStatus, UserCode
from retaia_core.errors import (
    ExpiredDeviceCode,
    ForbiddenActor,
    InvalidDeviceCode,
    RetaiaError,
    SlowDown,
    Unavailable,
)
from retaia_core.ports.device_login import Answered, Asked, ClientSecret, DeviceLogin
from retaia_core.usecases.device_login import be_let_in

SECRET = ClientSecret(client_id="c", secret_key="s")
PENDING = Answered(status=DeviceStatus.PENDING)
APPROVED = Answered(status=DeviceStatus.APPROVED, secret=SECRET)


@define
class Script(DeviceLogin):
    """Answers polls in a row, the last one for ever."""

    answers: Sequence[Answered | RetaiaError]
    expires_in: float = 5.0
    cancelled: list[str] = field(factory=list)
    polls: int = 0

    async def ask(self, label: str) -> Asked:
        return Asked(
            device_code="device", user_code=UserCode("BCDF-GHJK"), page="p", page_with_code="q",
            expires_in=self.expires_in, interval=0.001,
        )  # fmt: skip

    async def poll(self, device_code: str) -> Answered:
        answer = self.answers[min(self.polls, len(self.answers) - 1)]
        self.polls += 1
        if isinstance(answer, RetaiaError):
            raise answer
        return answer

    async def cancel(self, device_code: str) -> None:
        self.cancelled.append(device_code)
        raise InvalidDeviceCode("gone")

    async def close(self) -> None:
        """Nothing is open."""


class TestWaiting:
    """From the code on the screen to the secret, or to its refusal."""

    async def test_the_secret_comes_with_the_approval(self) -> None:
        """What was shown is what was asked; the server's troubles on the way end nothing."""
        shown: list[Asked] = []
        server = Script(
            [PENDING, SlowDown("slow", retry_after_s=0.002), Unavailable("away"), APPROVED]
        )
        assert await be_let_in(server, "mac", shown.append) == SECRET
        assert [asked.user_code for asked in shown] == ["BCDF-GHJK"]
        assert server.cancelled == []

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Answered(status=DeviceStatus.DENIED), ForbiddenActor),
            (Answered(status=DeviceStatus.EXPIRED), ExpiredDeviceCode),
            (InvalidDeviceCode("gone"), InvalidDeviceCode),
        ],
    )
    async def test_a_refusal_ends_it(
        self, answer: Answered | RetaiaError, error: type[RetaiaError]
    ) -> None:
        """Denied, over, or unknown to the server."""
        with pytest.raises(error):
            await be_let_in(Script([PENDING, answer]), "mac", lambda asked: None)

    async def test_a_server_that_never_answers_ends_it_too(self) -> None:
        """When the time is over it is over."""
        server = Script([Unavailable("away")], expires_in=0.05)
        with pytest.raises(ExpiredDeviceCode):
            await be_let_in(server, "mac", lambda asked: None)

    async def test_interrupted_the_request_is_given_up(self) -> None:
        """Whoever stops waiting leaves no open request behind, whatever the server says to that."""
        server = Script([PENDING])
        with anyio.move_on_after(0.02):
            await be_let_in(server, "mac", lambda asked: None)
        assert server.cancelled == ["device"]


def test_a_secret_is_not_shown_by_accident() -> None:
    """Its text form, which ends up in logs and traces, is without it."""
    assert "'s'" not in repr(SECRET)
    assert "secret_key" not in repr(APPROVED)
