"""People sign in and out, and administrators make their accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from retaia_core.domain.accounts import Account, Role, parse_email
from retaia_core.domain.clients import ClientKind
from retaia_core.errors import Invalid2faCode
from retaia_core.usecases.sessions import Minted
from retaia_core.usecases.sign_in import Interface, credentials, interface

from ..call import Call, Handler
from ..errors import CHALLENGE, refused
from ..letters import send
from ..views import without_unknown
from ..wire import instant


def _interface(body: Mapping[str, Any]) -> Interface:
    kind = body.get("client_kind")
    return interface(body.get("client_id"), None if kind is None else ClientKind(kind))


def _minted(minted: Minted) -> dict[str, object]:
    return without_unknown(
        {
            "access_token": minted.access_token,
            "token_type": "Bearer",
            "expires_in": minted.expires_in,
            "refresh_token": minted.refresh_token,
            "client_id": minted.client_id,
            "client_kind": minted.client_kind,
        }
    )


def _user(account: Account) -> dict[str, object]:
    return {
        "uuid": account.account_id,
        "email": account.email,
        "display_name": account.display_name,
        "email_verified": account.email_verified,
        "roles": sorted(account.roles),
        "mfa_enabled": account.mfa_enabled,
    }


def _account(account: Account) -> dict[str, object]:
    return without_unknown(
        {
            **_user(account),
            "has_password": account.password is not None,
            "disabled": account.disabled,
            "local_name": account.local_name,
            "created_at": instant(account.created_at),
        }
    )


async def log_in(call: Call) -> object:
    """Sign a person in."""
    body = call.body
    given = credentials(
        body["email"],
        body["password"],
        otp_code=body.get("otp_code"),
        recovery_code=body.get("recovery_code"),
    )
    sign_in = call.services.people.sign_in
    try:
        return _minted(await sign_in.log_in(given, _interface(body), address=call.address))
    except Invalid2faCode as error:
        # Elsewhere a wrong code is a wrong parameter (400); here it signs nobody in.
        raise refused(401, error.message, code=error.code, headers=CHALLENGE) from error


async def refresh_token(call: Call) -> object:
    """Give a new pair of tokens."""
    return _minted(await call.services.people.sign_in.refresh(call.body["refresh_token"]))


async def follow_link(call: Call) -> object:
    """Sign in whom a link was made for."""
    sign_in, on = call.services.people.sign_in, _interface(call.body)
    return _minted(await sign_in.follow_link(call.body["token"], on, address=call.address))


async def log_out(call: Call) -> object:
    """End the token of this request."""
    await call.services.people.sign_in.log_out(call.caller)
    return Response()


async def get_me(call: Call) -> object:
    """Who calls."""
    return _user(call.account)


async def change_password(call: Call) -> object:
    """Replace one's own password."""
    body, passwords = call.body, call.services.people.passwords
    letter = await passwords.change(call.caller, body.get("current_password"), body["new_password"])
    send(call, letter)
    return Response()


async def list_accounts(call: Call) -> object:
    """Every account."""
    return {"items": [_account(each) for each in await call.services.people.accounts.all()]}


async def add_account(call: Call) -> object:
    """Make an account."""
    body = call.body
    added = await call.services.people.accounts.add(
        parse_email(body["email"]),
        body.get("password"),
        display_name=body.get("display_name", ""),
        admin=Role.ADMIN in body.get("roles", ()),
    )
    send(call, added.message)
    return _account(added.account)


async def disable_account(call: Call) -> object:
    """Let a person sign in no more."""
    email = parse_email(call.body["email"])
    return _account(await call.services.people.accounts.close(call.actor, email))


async def enable_account(call: Call) -> object:
    """Let a person sign in again."""
    email = parse_email(call.body["email"])
    return _account(await call.services.people.accounts.open_again(call.actor, email))


async def unlock_account(call: Call) -> object:
    """Forget a person's wrong attempts."""
    email = parse_email(call.body["email"])
    return _account(await call.services.people.accounts.unlock(call.actor, email))


async def send_password_reset(call: Call) -> object:
    """Send a person the message by which they choose a new password."""
    email = parse_email(call.body["email"])
    send(call, await call.services.people.passwords.offer_reset(call.actor, email))
    return Response(status_code=202)


HANDLERS: Mapping[str, Handler] = {
    "logIn": log_in,
    "refreshToken": refresh_token,
    "followLink": follow_link,
    "logOut": log_out,
    "getMe": get_me,
    "changePassword": change_password,
    "listAccounts": list_accounts,
    "addAccount": add_account,
    "disableAccount": disable_account,
    "enableAccount": enable_account,
    "unlockAccount": unlock_account,
    "sendPasswordReset": send_password_reset,
}
