"""The commands that pages show are commands, and their options exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from retaia_adapters.cli.app import build_app
from retaia_adapters.demo.command import demo
from retaia_adapters.http_client.remote import build_app as build_remote

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md"))
    if not {"_build", "api", "_generated"} & set(path.parts)
)
CALL = re.compile(r"(?:^|[ (&|])(?:\.venv/bin/)?(retaia (?:[^`\n()|>&]|<(?!\())+)", re.MULTILINE)


def blocks(page: Path) -> Iterator[str]:
    """What a page shows as typed: the first words of console lines, and code in sentences."""
    text = page.read_text()
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        yield from (
            line for line in block.splitlines() if re.match(r"\s*(\$|\.venv|python3)", line)
        )
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from (code for code in re.findall(r"`([^`]+)`", prose) if code.startswith("retaia "))


def calls(page: Path) -> set[str]:
    found = {call.strip() for block in blocks(page) for call in CALL.findall(block)}
    return {call for call in found if not re.match(r"retaia[^ ]* (COMMAND|--)", call)}


def whole() -> App:
    """The command line with the commands of the built-in plugins."""
    app = build_app()
    extra = App(name="demo")
    extra.default(demo)
    app.command(extra)
    app.command(build_remote(), name="remote")
    return app


def leaf(app: App, words: list[str]) -> tuple[App, list[str]]:
    """The command that words lead to, and the words that are left for it."""
    while words and not words[0].startswith("-") and words[0] in app:
        app, words = app[words[0]], words[1:]
    return app, words


DOCUMENTED = [(page, call) for page in PAGES for call in sorted(calls(page))]


def test_pages_show_commands() -> None:
    """The search finds what the pages show, so that the test below is one."""
    shown = {call.split()[1] for _, call in DOCUMENTED}
    assert {"up", "serve", "agent", "decide", "batch", "why", "doctor", "demo"} <= shown


@pytest.mark.parametrize(
    ("page", "call"), DOCUMENTED, ids=[f"{p.relative_to(ROOT)}: {c}" for p, c in DOCUMENTED]
)
def test_a_command_that_a_page_shows_exists(page: Path, call: str) -> None:
    """Its words name a command or a group of them, and each option is one of that command."""
    app, rest = leaf(whole(), shlex.split(call.replace("…", ""))[1:])
    options = {word.partition("=")[0] for word in rest if word.startswith("-")}
    if app.default_command is None:
        assert rest == [], f"{page.name}: there is no command {call!r}"
        return
    names = {name for a in app.assemble_argument_collection() for name in a.names}
    assert options <= names | {"--help"}, f"{page.name}: {call!r}"
