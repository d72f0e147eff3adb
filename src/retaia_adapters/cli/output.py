"""What commands print: tables on a terminal, plain lines elsewhere, JSON where asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text


def printable(text: str) -> str:
    r"""Show a text on one line whatever it contains: control and direction marks are escaped.

    >>> printable("a\nb\u202egpj")
    'a\\nb\\u202egpj'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain(value: object) -> Any:
    """Turn domain values into JSON types: classes with fields by field, times as ISO 8601 with ``Z``."""
    cls = type(value)
    names = [a.name for a in attrs.fields(cls)] if attrs.has(cls) else getattr(cls, "_fields", ())
    if names:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def size_text(count: float) -> str:
    """Write a number of bytes for a person.

    >>> size_text(0), size_text(1536), size_text(5_000_000_000)
    ('0 B', '1.5 KiB', '4.7 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


class Output:
    """Where a command prints: results to standard output, everything else to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self.errors = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
        self.teller: Callable[[str, str], None] = self._print
        """Where `tell` goes: standard error, or the log of a program that runs for long."""

    @property
    def live(self) -> bool:
        """Whether live progress makes sense: a person looks on, and did not ask for JSON."""
        return self.errors.is_terminal and not self.as_json

    def result(self, document: object) -> None:
        """Print the JSON document of a command, where JSON was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(document), indent=2, ensure_ascii=False) + "\n")

    def say(self, text: str, style: str = "") -> None:
        """Print a line for a person; markup in it is text."""
        if not self.as_json:
            self.console.print(Text(text, style=style))

    def tell(self, text: str, style: str = "") -> None:
        """Say what is going on; it is no result."""
        self.teller(text, style)

    def _print(self, text: str, style: str) -> None:
        self.errors.print(Text(text, style=style))

    def ask(self, question: str) -> bool:
        """Ask a person who looks on; anything but a clear yes is a no."""
        return self.type(f"{question} [y/N] ").lower() in ("y", "yes")

    def type(self, question: str) -> str:
        """What a person who looks on types; empty where nobody does."""
        try:
            return self.errors.input(Text(question)).strip()
        except EOFError:
            return ""

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table: drawn on a terminal, tab-separated elsewhere."""
        if self.as_json:
            return
        if not self.console.is_terminal:
            for row in rows:
                sys.stdout.write("\t".join(printable(cell) for cell in row) + "\n")
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self.console.print(table)
