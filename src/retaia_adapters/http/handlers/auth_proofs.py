"""What people prove: a second factor, an address, that a lost password was theirs."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from retaia_core.domain.accounts import parse_email

from ..call import Call, Handler
from ..letters import send

ACCEPTED = 202
"""The answer to who asks for a message, whether anybody has the address or not."""


async def set_up_second_factor(call: Call) -> object:
    """Make a secret for an authenticator application."""
    setup = await call.services.people.second_factors.set_up(call.caller)
    return {
        "method": "TOTP",
        "issuer": setup.issuer,
        "account_name": setup.account_name,
        "secret": setup.secret,
        "otpauth_uri": setup.uri,
        "qr_svg": setup.qr_svg,
    }


async def enable_second_factor(call: Call) -> object:
    """Ask for a code from now on."""
    factors = call.services.people.second_factors
    codes = await factors.enable(call.caller, call.body["otp_code"])
    return {"mfa_enabled": True, "recovery_codes": list(codes)}


async def disable_second_factor(call: Call) -> object:
    """Ask for no code any more."""
    await call.services.people.second_factors.disable(call.caller, call.body["otp_code"])
    return Response()


async def regenerate_recovery_codes(call: Call) -> object:
    """Replace the recovery codes."""
    codes = await call.services.people.second_factors.regenerate(call.caller)
    return {"recovery_codes": list(codes)}


async def request_password_reset(call: Call) -> object:
    """Send a message to who lost a password."""
    email = parse_email(call.body["email"])
    passwords = call.services.people.passwords
    send(call, await passwords.request_reset(email, address=call.address))
    return Response(status_code=ACCEPTED)


async def reset_password(call: Call) -> object:
    """Set a new password by the token of the message."""
    body, passwords = call.body, call.services.people.passwords
    send(call, await passwords.reset(body["token"], body["new_password"], address=call.address))
    return Response()


async def request_verification(call: Call) -> object:
    """Send a message that proves an address."""
    email = parse_email(call.body["email"])
    verification = call.services.people.verification
    send(call, await verification.request(email, address=call.address))
    return Response(status_code=ACCEPTED)


async def confirm_email(call: Call) -> object:
    """Use the token of the message."""
    await call.services.people.verification.confirm(call.body["token"], address=call.address)
    return Response()


async def vouch_for_email(call: Call) -> object:
    """Take an administrator's word for an address."""
    await call.services.people.verification.vouch(call.actor, parse_email(call.body["email"]))
    return Response()


HANDLERS: Mapping[str, Handler] = {
    "setUpSecondFactor": set_up_second_factor,
    "enableSecondFactor": enable_second_factor,
    "disableSecondFactor": disable_second_factor,
    "regenerateRecoveryCodes": regenerate_recovery_codes,
    "requestPasswordReset": request_password_reset,
    "resetPassword": reset_password,
    "requestVerification": request_verification,
    "confirmEmail": confirm_email,
    "vouchForEmail": vouch_for_email,
}
