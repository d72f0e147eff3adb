"""The command ``remote``: every call of the client, from a command line, to a server elsewhere.

Groups, commands, options and help are those of the client's methods, so that a new operation is here as
soon as the client has it. What a call answers is printed as JSON, a series as one document a line.
"""

from __future__ import annotations

import functools
import getpass
import inspect
import json
import os
import sys
import typing
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import attrs
from cyclopts import App, CycloptsError, Parameter, Token
from platformdirs import user_data_path

from retaia_core.errors import MfaRequired, RetaiaError, ValidationFailed
from retaia_core.hooks.exits import Exit, exit_of

from .client import Client
from .convert import plain, structure
from .modes import Resource, operation, series
from .remote_login import FILE, RemoteLogin, StoredTokens, read_login, write_login
from .retrying import Retries

HELP = """Call a server elsewhere: every operation of its API is a command here.

Sign in once with `retaia remote login URL`; or name the server and a token in RETAIA_SERVER and
RETAIA_TOKEN. Answers are JSON documents, a series one to a line. `retaia remote GROUP --help` lists the
operations of a group."""

_open = functools.partial(
    Client, user_agent="retaia-remote", retries=Retries(deadline_s=30, tries=3)
)
"""A person waits: they are told soon that a server does not answer."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line after ``retaia remote``; returns its exit code."""
    try:
        build_app()(list(arguments), exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except RetaiaError as error:
        sys.stderr.write(f"retaia: {error}\n")
        return exit_of(error)
    return Exit.OK


def build_app() -> App:
    """The command line: signing in and out, and a group for each resource of the client."""
    app = App(name="retaia remote", help=HELP, version_flags=[])
    app.command(login)
    app.command(logout)
    for name, kind in _resources().items():
        group = App(name=name, help=(kind.__doc__ or "").strip())
        for method, bound in vars(kind).items():
            if isinstance(bound, operation | series):
                group.command(_command(name, method, bound.__get__(None, kind)), name=method)
        app.command(group)
    return app


def _resources() -> Mapping[str, type[Resource[Any]]]:
    """The resources of a client by name."""
    found = {name: type(value) for name, value in vars(Client("http://localhost")).items()}
    return {name: kind for name, kind in sorted(found.items()) if issubclass(kind, Resource)}


# Commands out of methods


def _command(group: str, name: str, work: Callable[..., Any]) -> Callable[..., None]:
    """The command that calls a method of the client."""

    @functools.wraps(work)
    def command(*args: Any, **kwargs: Any) -> None:
        anyio.run(functools.partial(_call, group, name, args, kwargs))

    hints = typing.get_type_hints(work, include_extras=True)
    _, *given = inspect.signature(work).parameters.values()
    read = [p.replace(annotation=_read(hints[p.name])) for p in given]
    vars(command).pop("__wrapped__")
    # What cyclopts makes options of.
    command.__signature__ = inspect.Signature(read)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in read}
    return command


def _read(hint: Any) -> Any:
    """How an argument is typed: objects as JSON, everything else as cyclopts reads it."""
    for kind in typing.get_args(hint) or (hint,):
        if typing.get_origin(kind) is Mapping or attrs.has(kind):
            convert = functools.partial(_from_json, kind)
            return Annotated[hint, Parameter(converter=convert, n_tokens=1, accepts_keys=False)]
    return hint


def _from_json(kind: Any, hint: Any, tokens: Sequence[Token]) -> Any:
    """Read an object that was typed as JSON."""
    try:
        document = json.loads(tokens[0].value)
        if attrs.has(kind):
            return structure(document, kind)
        key, _ = typing.get_args(kind)
        return {key(name): one for name, one in document.items()}
    except (ValueError, AttributeError, RetaiaError) as error:
        raise ValueError(f"expected a JSON object: {error}") from error


async def _call(group: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    async with _connection() as client:
        answer = getattr(getattr(client, group), name)(*args, **kwargs)
        if isinstance(answer, AsyncGenerator):
            async for item in answer:
                sys.stdout.write(json.dumps(_document(item), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            return
        done = await answer
    if done is not None:
        sys.stdout.write(json.dumps(_document(done), ensure_ascii=False, indent=2) + "\n")


def _document(value: object) -> Any:
    return str(value) if isinstance(value, Path) else _dated(plain(value))


def _dated(value: Any) -> Any:
    """Times as the wire writes them."""
    if isinstance(value, Mapping):
        return {name: _dated(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_dated(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


# Whom is called, by whom


def _file() -> Path:
    folder = os.environ.get("RETAIA_DATA_DIR")
    return (Path(folder).expanduser() if folder else user_data_path("retaia")) / FILE


def _connection() -> Client:
    """The server and the token that the environment names, or those of the login.

    Raises:
        SettingsError: there is neither.
    """
    server, token = os.environ.get("RETAIA_SERVER", ""), os.environ.get("RETAIA_TOKEN")
    if token is None and not server:
        server = read_login(_file()).server
    if token is not None and not server:
        raise ValidationFailed("RETAIA_TOKEN is for a server: name it in RETAIA_SERVER")
    given = token if token is not None else _stored_for(server)
    return _open(server, given)


def _stored_for(server: str) -> StoredTokens:
    """The tokens of the login, which are told to no other server."""
    stored = read_login(_file())
    if stored.server != server.rstrip("/"):
        raise ValidationFailed(
            f"signed in at {stored.server}, not at {server}; sign in there with "
            "`retaia remote login`, or give a token in RETAIA_TOKEN"
        )
    return StoredTokens(path=_file())


def login(server: str, *, email: str, password_stdin: bool = False) -> None:
    """Sign in at a server; later commands are for it, until `logout`.

    Parameters
    ----------
    server
        Its address, such as https://nas.example:8420.
    email
        The account's address.
    password_stdin
        Read the password from the first line of standard input, and a code, where one is asked for, from the
        second.
    """
    anyio.run(functools.partial(_log_in, server.rstrip("/"), email, _typed(password_stdin)))


def _typed(stdin: bool) -> Callable[[str], str]:
    """Asks for something secret."""
    if stdin:
        return lambda _: sys.stdin.readline().rstrip("\r\n")
    return getpass.getpass


async def _log_in(server: str, email: str, typed: Callable[[str], str]) -> None:
    password, client_id = typed("password: "), f"remote-{uuid.uuid4()}"
    async with _open(server) as client:
        sign_in = functools.partial(
            client.auth.login, email, password, client_id=client_id, client_kind="UI_WEB"
        )
        try:
            minted = await sign_in()
        except MfaRequired:
            minted = await sign_in(otp_code=typed("code: "))
    fresh = RemoteLogin(server=server, client_id=client_id, access_token="")
    write_login(_file(), fresh.renewed(minted))
    sys.stderr.write(f"signed in at {server} as {email}\n")


def logout() -> None:
    """End the login, here and at the server."""
    anyio.run(_log_out)


async def _log_out() -> None:
    path = _file()
    server = read_login(path).server
    try:
        async with _open(server, StoredTokens(path=path)) as client:
            await client.auth.logout()
    finally:
        path.unlink(missing_ok=True)
    sys.stderr.write(f"signed out at {server}\n")
