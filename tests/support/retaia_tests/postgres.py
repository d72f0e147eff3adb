"""A PostgreSQL server for tests: the one that the environment names, or a private one.

A private cluster lies in a temporary folder, listens on the loopback address only, and has a password
that nobody else knows. It trades durability for speed; tests of durability take a server with
``fsync`` on through ``RETAIA_TEST_POSTGRES_URL``.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from attrs import asdict, evolve, frozen
from psycopg import sql

URL_VARIABLE = "RETAIA_TEST_POSTGRES_URL"
_START_SECONDS = 60
DURABLE = {"max_connections": "200"}
FAST = {**DURABLE, "fsync": "off", "full_page_writes": "off"}


class ServerFailed(Exception):
    """The private server did not come up; the message ends with what it said itself."""


@frozen(kw_only=True)
class Server:
    """A running server: a superuser's URL, and the folder of the cluster where it is ours."""

    url: str
    folder: str = ""

    def address(self, database: str) -> str:
        """Return the URL of one of the server's databases."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{quote(database)}"))

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """Yield the URL of a new database, a copy of ``template``, and drop it afterwards.

        The template must have no session open while it is copied.
        """
        name = f"test_{secrets.token_hex(8)}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield self.address(name)
        finally:
            self._execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


def binaries() -> Path | None:
    """Return the folder of the newest server's programs (PATH, then Debian's place), or None."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda folder: int(folder.parent.name.split(".")[0]), default=None)


def start(programs: Path, *, options: Mapping[str, str] = FAST) -> Server:
    """Make a private cluster and start it.

    Raises:
        ServerFailed: ``initdb`` or the server ended, or did not answer within a minute.
    """
    folder = Path(tempfile.mkdtemp(prefix="retaia-postgres-"))
    try:
        return _start_in(folder, programs, options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def stop(server: Server) -> None:
    """Stop a private server and remove its cluster; a server of the environment is left alone."""
    if not server.folder:
        return
    folder = Path(server.folder)
    programs = Path((folder / "programs").read_text())
    _run([programs / "pg_ctl", "stop", "-D", folder / "data", "-m", "immediate", "-w"], folder)
    shutil.rmtree(folder)


def save(server: Server, path: Path) -> None:
    """Leave a note of a running server for other processes of the same test run."""
    path.write_text(json.dumps(asdict(server)))


def load(path: Path) -> Server | None:
    """Read the note of `save`; None where there is none."""
    return Server(**json.loads(path.read_text())) if path.exists() else None


def _start_in(folder: Path, programs: Path, options: Mapping[str, str]) -> Server:
    password = secrets.token_hex(16)
    secret = folder / "password"
    secret.write_text(password)
    (folder / "programs").write_text(str(programs))
    if (account := _account()) is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, account)
    encoding = ["--encoding=UTF8", "--locale=C.UTF-8"]
    login = ["-U", "retaia", "--auth=scram-sha-256", f"--pwfile={secret}"]
    _run([programs / "initdb", "-D", folder / "data", "-N", *encoding, *login], folder)
    port = _free_port()
    settings = {
        **options,
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
    }
    flags = " ".join(f"-c {name}={value}" for name, value in settings.items())
    log = folder / "log"
    control = [programs / "pg_ctl", "start", "-D", folder / "data", "-l", log, "-o", flags]
    try:
        _run([*control, "-w", "-t", str(_START_SECONDS)], folder)
    except ServerFailed as error:
        said = log.read_text() if log.exists() else ""
        raise ServerFailed(f"{error}\n{said[-2000:]}") from error
    url = f"postgresql://retaia:{password}@127.0.0.1:{port}/postgres"
    return evolve(_answering(url), folder=str(folder))


def _answering(url: str) -> Server:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise ServerFailed(f"the server does not answer: {error}") from error
            time.sleep(0.1)
        else:
            return Server(url=url)


def _account() -> str | None:
    """Name the account for the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(command: list[str | Path], folder: Path) -> None:
    account = _account()
    group = None if account is None else pwd.getpwnam(account).pw_gid
    # Not pipes: the server inherits them and would hold them open for as long as it lives.
    with (folder / "said").open("a+") as said:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=folder,
            user=account,
            group=group,
            extra_groups=None if account is None else [],
            timeout=2 * _START_SECONDS,
        )
        if done.returncode != 0:
            said.seek(0)
            raise ServerFailed(f"{Path(command[0]).name} failed:\n{said.read()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str]) -> int:
    """``start NOTE`` a durable private server and print its URL; ``stop NOTE`` it again."""
    match arguments:
        case ["start", note]:
            programs = binaries()
            if programs is None:
                print("no PostgreSQL server is installed here", file=sys.stderr)
                return 1
            server = start(programs, options=DURABLE)
            save(server, Path(note))
            print(server.url)
        case ["stop", note] if (running := load(Path(note))) is not None:
            stop(running)
            Path(note).unlink()
        case _:
            print(main.__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
