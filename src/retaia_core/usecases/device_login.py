"""An agent is let in: ask, show the code, wait for the person (protocol.md, *Actors and scopes*)."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ..domain.clients import DeviceStatus
from ..errors import ExpiredDeviceCode, ForbiddenActor, RetaiaError, Unavailable
from ..ports.device_login import Asked, ClientSecret, DeviceLogin

_GIVE_UP_S = 5.0
"""How long giving a request up may take."""


async def be_let_in(server: DeviceLogin, label: str, show: Callable[[Asked], None]) -> ClientSecret:
    """Ask, ``show`` what a person has to do, and wait until they did; cancelled, the request is given up.

    Raises:
        ForbiddenActor: the person refused.
        ExpiredDeviceCode: nobody decided in time.
        RetaiaError: what the server said at the start.
    """
    asked = await server.ask(label)
    show(asked)
    try:
        with anyio.fail_after(asked.expires_in):
            return await _decided(server, asked)
    except TimeoutError as error:
        raise ExpiredDeviceCode("nobody let this agent in within the time; ask again") from error
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(_GIVE_UP_S, shield=True):
            await _give_up(server, asked)
        raise


async def _decided(server: DeviceLogin, asked: Asked) -> ClientSecret:
    pause = asked.interval
    while True:
        await anyio.sleep(pause)
        try:
            answered = await server.poll(asked.device_code)
        except Unavailable as error:
            pause = max(asked.interval, _wait(error))
            continue
        pause = asked.interval
        if answered.secret is not None:
            return answered.secret
        if answered.status is DeviceStatus.DENIED:
            raise ForbiddenActor("the person at the server refused this agent")
        if answered.status is DeviceStatus.EXPIRED:
            raise ExpiredDeviceCode("nobody let this agent in within the time; ask again")


def _wait(error: Unavailable) -> float:
    wait = error.details.get("retry_after_s")
    return float(wait) if isinstance(wait, int | float) else 0.0


async def _give_up(server: DeviceLogin, asked: Asked) -> None:
    try:
        await server.cancel(asked.device_code)
    except RetaiaError:
        return  # The request ends by itself when its time is over.
