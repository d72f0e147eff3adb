"""The commands of who runs the server about technical clients: ``client list``, ``client add`` and so on."""

from __future__ import annotations

from cyclopts import App

from retaia_core.domain.clients import Client, ClientKind
from retaia_core.hooks.exits import Exit
from retaia_core.shell.credentials import local_person
from retaia_core.usecases.clients import NewSecret

from .context import DEFAULT, Common, perform, services_for
from .output import Output, plain


def register(app: App) -> None:
    """Add the commands."""
    client = App(name="client", help="Technical clients of this server: agents, orchestration.")
    client.command(client_list, name="list")
    client.command(client_add, name="add")
    client.command(client_rotate, name="rotate")
    client.command(client_revoke, name="revoke")
    app.command(client)


def client_list(*, common: Common = DEFAULT) -> int:
    """Show every client, and who let it in."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            clients = await services.clients.all()
        out.result({"clients": [_document(client) for client in clients]})
        rows = [(c.client_id, c.kind.value, c.label, c.created_by, _standing(c)) for c in clients]
        out.table(("client", "kind", "label", "let in by", ""), rows)
        return Exit.OK

    return perform(common, work)


def _document(client: Client) -> dict[str, object]:
    """What may be shown of a client: no digest of its secret."""
    return {key: value for key, value in plain(client).items() if key != "secret"}


def _standing(client: Client) -> str:
    if client.revoked_at is not None:
        return f"revoked {client.revoked_at:%Y-%m-%d}"
    return "" if client.rotated_at is None else f"new secret {client.rotated_at:%Y-%m-%d}"


def client_add(
    label: str = "", *, kind: ClientKind = ClientKind.AGENT, common: Common = DEFAULT
) -> int:
    """Make a client, and show its secret this once. With `--json` the output is what `agent run` reads.

    Parameters
    ----------
    label
        What it is called in lists.
    kind
        AGENT, or MCP while features.ai is on.
    """

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            _show(out, await services.clients.add(local_person(), kind, label))
        return Exit.OK

    return perform(common, work)


def client_rotate(client_id: str, *, common: Common = DEFAULT) -> int:
    """Give a client another secret, shown this once; the old one and its tokens end at once."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            _show(out, await services.clients.rotate(local_person(), client_id))
        return Exit.OK

    return perform(common, work)


def _show(out: Output, new: NewSecret) -> None:
    out.result({"client_id": new.client.client_id, "secret_key": new.secret_key})
    out.say(f"client  {new.client.client_id}")
    out.say(f"secret  {new.secret_key}")
    out.tell("the secret is shown this once; keep it in a file that only the agent's user can read")


def client_revoke(client_id: str, *, common: Common = DEFAULT) -> int:
    """Shut a client out for good; its tokens end at once."""

    async def work(out: Output) -> Exit:
        async with services_for(common) as (_, services):
            since = await services.clients.revoke(local_person(), client_id)
        out.result({"client_id": client_id, "revoked_at": since.isoformat()})
        out.say(f"revoked {client_id}")
        return Exit.OK

    return perform(common, work)
