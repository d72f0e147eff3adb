"""The command ``retaia`` as its user runs it, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class Answer:
    """What a command said: exit code, JSON document (None where it printed none), and standard error.

    The document of ``history`` is the list of its lines.
    """

    code: int
    document: Any
    output: str
    errors: str


def _read(arguments: tuple[str, ...], output: str) -> Any:
    if arguments[0] == "history" and "--check" not in arguments and not output.startswith("{\n"):
        return [json.loads(line) for line in output.splitlines()]
    return json.loads(output) if output else None


@frozen(kw_only=True)
class Machine:
    """A person's machine: a data folder of its own, and settings by variables."""

    home: Path
    variables: Mapping[str, str] = field(factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RETAIA_")}
        return {**kept, "RETAIA_DATA_DIR": str(self.home / "data"), **self.variables}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "retaia_core", *arguments]

    def run(self, *arguments: str, cwd: Path | None = None, timeout: float = 240) -> Answer:
        done = subprocess.run(
            self.command(*arguments), env=self.environment, cwd=cwd or self.home,
            capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        document = _read(arguments, done.stdout) if "--json" in arguments else None
        return Answer(
            code=done.returncode, document=document, output=done.stdout, errors=done.stderr
        )

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs beside the test; it is killed at the end if it still runs."""
        with subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def up(self, folder: Path, *arguments: str) -> Answer:
        """`retaia up` until everything is done, without waiting for files to settle."""
        quick = ("--quiet-period", "0", "--scan-interval", "0.5")
        return self.run("up", str(folder), "--until-idle", "--json", *quick, *arguments)
