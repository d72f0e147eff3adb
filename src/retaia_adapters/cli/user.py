"""The commands of who runs the server about people's accounts: ``user add``, ``user list`` and so on."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from getpass import getpass
from typing import Annotated

from cyclopts import App, Parameter

from retaia_core.domain.accounts import Account, Email, parse_email
from retaia_core.errors import SettingsError, ValidationFailed
from retaia_core.hooks.exits import Exit
from retaia_core.shell.credentials import local_name, local_person
from retaia_core.shell.people import People
from retaia_core.shell.runtime import sign_in_link

from .context import DEFAULT, Common, perform, running_url, services_for
from .output import Output

Stdin = Annotated[
    bool, Parameter(negative="", help="Read the password from standard input, not the terminal.")
]


def register(app: App) -> None:
    """Add the commands."""
    user = App(name="user", help="People's accounts on this server.")
    user.command(user_add, name="add")
    user.command(user_list, name="list")
    user.command(user_password, name="password")
    user.command(user_reset, name="reset")
    user.command(user_verify, name="verify")
    user.command(user_unlock, name="unlock")
    user.command(user_disable, name="disable")
    user.command(user_enable, name="enable")
    user.command(user_link, name="link")
    app.command(user)


def _document(account: Account) -> dict[str, object]:
    """What may be shown of an account: no hash, no secret."""
    return {
        "uuid": account.account_id,
        "email": account.email,
        "display_name": account.display_name,
        "roles": sorted(account.roles),
        "email_verified": account.email_verified,
        "has_password": account.password is not None,
        "mfa_enabled": account.mfa_enabled,
        "disabled": account.disabled,
        "created_at": account.created_at,
    }


def _ask_password(*, stdin: bool) -> str:
    """Ask for a new password without showing it.

    Raises:
        SettingsError: nobody can be asked.
        ValidationFailed: it was not typed the same twice.
    """
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise SettingsError("there is no terminal to ask for a password; give --password-stdin")
    first = getpass("New password: ")
    if getpass("Again: ") != first:
        raise ValidationFailed("the two passwords differ; nothing was changed")
    return first


def user_add(
    email: str,
    *,
    admin: Annotated[bool, Parameter(negative="")] = False,
    name: str = "",
    password_stdin: Stdin = False,
    common: Common = DEFAULT,
) -> int:
    """Make an account; the address counts as proven, on the word of who runs this command.

    Parameters
    ----------
    email
        The address that the person signs in with.
    admin
        The person administers the server.
    name
        How the person is called in messages.
    """

    async def work(out: Output) -> Exit:
        address, password = parse_email(email), _ask_password(stdin=password_stdin)
        async with services_for(common) as (_, services):
            added = await services.people.accounts.add(
                address, password, display_name=name, admin=admin, verified=True
            )
        out.say(f"{address} can sign in" + (" and administers the server" if admin else ""))
        out.result(_document(added.account))
        return Exit.OK

    return perform(common, work)


def user_list(*, common: Common = DEFAULT) -> int:
    """List the accounts."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            accounts = await services.people.accounts.all()
        headers = ("address", "name", "roles", "state")
        rows = [(a.email, a.display_name, ", ".join(sorted(a.roles)), _state(a)) for a in accounts]
        out.table(headers, rows)
        out.result({"accounts": [_document(account) for account in accounts]})
        return Exit.OK

    return perform(common, work)


def _state(account: Account) -> str:
    said = {
        "disabled": account.disabled,
        "address not proven": not account.email_verified,
        "no password": account.password is None,
        "second factor": account.mfa_enabled,
    }
    return ", ".join(text for text, true in said.items() if true)


def _do(
    common: Common, email: str, deed: Callable[[People, Email], Awaitable[object]], said: str
) -> int:
    async def work(out: Output) -> Exit:
        address = parse_email(email)
        async with services_for(common) as (_, services):
            await deed(services.people, address)
        out.say(f"{address}: {said}")
        out.result({"email": address, "done": said})
        return Exit.OK

    return perform(common, work)


def user_password(email: str, *, password_stdin: Stdin = False, common: Common = DEFAULT) -> int:
    """Set a person's password; they are signed out everywhere."""

    async def set_password(people: People, address: Email) -> None:
        await people.passwords.set_for(address, _ask_password(stdin=password_stdin))

    return _do(common, email, set_password, "has a new password, and is signed out")


def user_reset(email: str, *, common: Common = DEFAULT) -> int:
    """Send a person a message by which they choose a new password; until then nothing changes."""

    async def send(people: People, address: Email) -> None:
        await people.notifier.send(await people.passwords.offer_reset(local_person(), address))

    return _do(common, email, send, "was sent a message to choose a new password")


def user_verify(email: str, *, common: Common = DEFAULT) -> int:
    """Say that an address is this person's."""

    async def vouch(people: People, address: Email) -> None:
        await people.verification.vouch(local_person(), address)

    return _do(common, email, vouch, "the address counts as proven")


def user_unlock(email: str, *, common: Common = DEFAULT) -> int:
    """Forget a person's wrong attempts, so that they need not wait."""
    return _do(
        common, email, lambda p, e: p.accounts.unlock(local_person(), e), "may try again at once"
    )


def user_disable(email: str, *, common: Common = DEFAULT) -> int:
    """Let a person sign in no more; they are signed out at once."""
    return _do(
        common, email, lambda p, e: p.accounts.close(local_person(), e), "cannot sign in any more"
    )


def user_enable(email: str, *, common: Common = DEFAULT) -> int:
    """Let a person sign in again."""
    return _do(
        common, email, lambda p, e: p.accounts.open_again(local_person(), e), "may sign in again"
    )


def user_link(*, common: Common = DEFAULT) -> int:
    """Print a link that signs the person at this machine in, once and within ten minutes."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (settings, services):
            url, people = running_url(settings), services.people
            account = await people.accounts.local(local_name())
            token = await people.sign_in.make_link(account.account_id)
            link = sign_in_link(url, token)
        out.say(link)
        out.result({"url": link})
        return Exit.OK

    return perform(common, work)
