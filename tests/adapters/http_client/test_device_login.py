"""Being let in over HTTP: the port's words are the wire's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from retaia_tests.house import House
from retaia_tests.http_house import ANA, Served, serve_in_process

from retaia_adapters.http_client.device_login import HttpDeviceLogin
from retaia_adapters.http_client.plugin import retaia_providers
from retaia_core.domain.clients import ClientKind, DeviceStatus
from retaia_core.errors import InvalidDeviceCode, SlowDown, Unavailable
from retaia_core.hooks import Role

URL = "http://127.0.0.1"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    house = House()
    await house.start()
    async with serve_in_process(house) as served:
        yield served


@pytest.fixture
async def login(served: Served) -> AsyncIterator[HttpDeviceLogin]:
    login = HttpDeviceLogin(URL, transport=served.transport())
    yield login
    await login.close()


async def test_the_secret_opens_the_server(served: Served, login: HttpDeviceLogin) -> None:
    """Asked, slowed down, approved; what comes with the approval mints a token."""
    asked = await login.ask("studio")
    assert asked.page_with_code == f"{URL}/device#code={asked.user_code}"
    assert (await login.poll(asked.device_code)).status is DeviceStatus.PENDING
    with pytest.raises(SlowDown) as refused:
        await login.poll(asked.device_code)
    assert refused.value.details["retry_after_s"] == asked.interval
    await served.house.devices.approve(ANA, asked.user_code, None)
    served.house.clock.advance(timedelta(seconds=asked.interval))
    secret = (await login.poll(asked.device_code)).secret
    assert secret is not None
    minted = await served.house.clients.mint(
        secret.client_id, ClientKind.AGENT, secret.secret_key, address=""
    )
    assert minted.access_token


async def test_giving_up(login: HttpDeviceLogin) -> None:
    """A request that was cancelled is gone."""
    asked = await login.ask("studio")
    await login.cancel(asked.device_code)
    with pytest.raises(InvalidDeviceCode):
        await login.poll(asked.device_code)


async def test_nobody_there() -> None:
    """A server that cannot be reached is said to be unavailable."""
    login = HttpDeviceLogin("http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await login.ask("studio")
    await login.close()


def test_it_is_registered() -> None:
    """Under the name that the settings select the agent's transport by."""
    assert Role.DEVICE_LOGIN in {p.role for p in retaia_providers() if p.name == "http"}
