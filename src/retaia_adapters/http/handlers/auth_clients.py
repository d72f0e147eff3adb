"""Technical clients and the device flow."""

from __future__ import annotations

from collections.abc import Mapping

from retaia_core.domain.clients import (
    DEVICE_INTERVAL_S,
    DEVICE_TTL,
    Client,
    ClientKind,
    DeviceGrant,
    DeviceStatus,
)

from ..call import Call, Handler
from ..views import without_unknown
from ..wire import instant

DEVICE_PAGE = "/device"


def _page(call: Call) -> str:
    """Where a person lets a device in: as the settings say, else as the device's request came here."""
    reached = call.serving.options.public_url or str(call.request.base_url)
    return reached.rstrip("/") + DEVICE_PAGE


async def mint_token(call: Call) -> object:
    """Give a technical client a token for its secret."""
    body = call.body
    minted = await call.services.clients.mint(
        body["client_id"],
        ClientKind(body["client_kind"]),
        body["secret_key"],
        address=call.address,
    )
    return {
        "client_id": minted.client_id,
        "client_kind": minted.client_kind,
        "access_token": minted.access_token,
        "token_type": "Bearer",
        "expires_in": minted.expires_in,
    }


async def revoke_token(call: Call) -> object:
    """Shut a client out."""
    client_id = call.path["client_id"]
    since = await call.services.clients.revoke(call.actor, client_id)
    return {"client_id": client_id, "revoked": True, "revoked_at": instant(since)}


async def rotate_secret(call: Call) -> object:
    """Give a client another secret, shown once."""
    new = await call.services.clients.rotate(call.actor, call.path["client_id"])
    rotated_at = new.client.rotated_at
    return without_unknown(
        {
            "client_id": new.client.client_id,
            "secret_key": new.secret_key,
            "rotated_at": None if rotated_at is None else instant(rotated_at),
        }
    )


async def list_clients(call: Call) -> object:
    """Every technical client."""
    return {"items": [_client(client) for client in await call.services.clients.all()]}


async def add_client(call: Call) -> object:
    """Make a technical client, its secret shown once."""
    kind, label = ClientKind(call.body["client_kind"]), call.body.get("client_label", "")
    new = await call.services.clients.add(call.actor, kind, label)
    return {
        "client_id": new.client.client_id,
        "client_kind": new.client.kind,
        "secret_key": new.secret_key,
    }


def _client(client: Client) -> Mapping[str, object]:
    times = {"rotated_at": client.rotated_at, "revoked_at": client.revoked_at}
    return {
        "client_id": client.client_id,
        "client_kind": client.kind,
        "label": client.label,
        "created_at": instant(client.created_at),
        "created_by": client.created_by,
        **{name: instant(time) for name, time in times.items() if time is not None},
    }


# The device


async def start_device(call: Call) -> object:
    """Begin the device flow."""
    kind, label = ClientKind(call.body["client_kind"]), call.body.get("client_label", "")
    started = await call.services.devices.start(kind, label, address=call.address)
    page, code = _page(call), started.grant.user_code
    return {
        "device_code": started.device_code,
        "user_code": code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}#code={code}",
        "expires_in": int(DEVICE_TTL.total_seconds()),
        "interval": DEVICE_INTERVAL_S,
    }


async def poll_device(call: Call) -> object:
    """Say how a device's request stands; its secret, once."""
    polled = await call.services.devices.poll(call.body["device_code"], address=call.address)
    if polled.status is DeviceStatus.PENDING:
        return {"status": polled.status, "interval": DEVICE_INTERVAL_S}
    if polled.made is None:
        return {"status": polled.status}
    return {
        "status": polled.status,
        "client_id": polled.made.client.client_id,
        "client_kind": polled.made.client.kind,
        "secret_key": polled.made.secret_key,
    }


async def cancel_device(call: Call) -> object:
    """Give a device's request up."""
    code = call.body["device_code"]
    return {"canceled": await call.services.devices.cancel(code, address=call.address)}


# The person


async def look_up_device(call: Call) -> object:
    """What asks under a code."""
    grant = await call.services.devices.look_up(call.account, call.body["user_code"])
    return {
        "user_code": grant.user_code,
        "status": grant.status,
        "client_kind": grant.kind,
        "client_label": grant.label,
        "address": grant.address,
        "requested_at": instant(grant.created_at),
        "expires_at": instant(grant.expires_at),
        "otp_required": call.account.mfa_enabled,
    }


async def approve_device(call: Call) -> object:
    """Let a device in."""
    body = call.body
    return _decided(
        await call.services.devices.approve(call.account, body["user_code"], body.get("otp_code"))
    )


async def deny_device(call: Call) -> object:
    """Turn a device away."""
    return _decided(await call.services.devices.deny(call.account, call.body["user_code"]))


def _decided(grant: DeviceGrant) -> Mapping[str, object]:
    return {"status": grant.status}


HANDLERS: Mapping[str, Handler] = {
    "mintClientToken": mint_token,
    "revokeClientToken": revoke_token,
    "rotateClientSecret": rotate_secret,
    "listClients": list_clients,
    "addClient": add_client,
    "startDevice": start_device,
    "pollDevice": poll_device,
    "cancelDevice": cancel_device,
    "lookUpDevice": look_up_device,
    "approveDevice": approve_device,
    "denyDevice": deny_device,
}
