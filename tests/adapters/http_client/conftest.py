"""A house, its server on a socket, and a clock, for the tests of the client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from retaia_tests.house import House
from retaia_tests.scripted_wire import Time
from retaia_tests.socket_house import serve_on_a_socket


@pytest.fixture
def time() -> Time:
    """A clock that only sleeping moves."""
    return Time()


@pytest.fixture
async def house() -> House:
    """Use cases over ports in memory."""
    house = House()
    await house.start()
    return house


@pytest.fixture
async def url(house: House) -> AsyncIterator[str]:
    """Where that house is served."""
    async with serve_on_a_socket(house) as url:
        yield url
