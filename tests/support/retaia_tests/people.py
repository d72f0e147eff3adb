"""People of a house: accounts made in one line, and their codes."""

from __future__ import annotations

from retaia_core.domain.accounts import Account, Email
from retaia_core.testing.memory_secrets import totp_code
from retaia_core.usecases.sessions import Minted, Principal
from retaia_core.usecases.sign_in import Interface, credentials, interface
from retaia_tests.house import House

PASSWORD = "correct horse battery"
HOME = "192.0.2.1"
WEB = interface()


async def person(house: House, name: str = "ana", *, admin: bool = False) -> Account:
    """An account with a password and a proven address."""
    email = Email(f"{name}@example.org")
    added = await house.people.accounts.add(email, PASSWORD, admin=admin, verified=True)
    return added.account


async def log_in(
    house: House,
    email: str = "ana@example.org",
    password: str = PASSWORD,
    *,
    otp_code: str | None = None,
    recovery_code: str | None = None,
    address: str = HOME,
    on: Interface = WEB,
) -> Minted:
    """Sign somebody in."""
    given = credentials(email, password, otp_code=otp_code, recovery_code=recovery_code)
    return await house.people.sign_in.log_in(given, on, address=address)


async def signed_in(house: House, email: str = "ana@example.org") -> Principal:
    """Who calls with a fresh token."""
    return await house.sessions.principal((await log_in(house, email)).access_token)


def code_now(house: House, secret: str, ahead: int = 0) -> str:
    """The code that a person's device shows now, or some steps ahead."""
    return totp_code(secret, int(house.clock.now().timestamp()) // 30 + ahead)
