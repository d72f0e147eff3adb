"""Draws ``docs/_static/demo.svg``: what a real run of ``retaia demo`` prints, as a picture of text.

Run it in the checkout's environment: ``python docs/_demo_picture.py``.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from pathlib import Path

import anyio
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from retaia_adapters.demo import checks, telling
from retaia_adapters.demo.play import Place, make_storage, play
from retaia_adapters.demo.stage import Stage
from retaia_adapters.demo.storage import ITEMS

TARGET = Path(__file__).parent / "_static" / "demo.svg"
COLUMNS = 108
ELLIPSIS = "\x1b[2m   …\x1b[0m"
FROM, TO = "3  Prepare for review", "7  Meanwhile"

THEME = TerminalTheme(
    (17, 22, 31),
    (214, 220, 230),
    [
        (60, 68, 82), (240, 113, 120), (127, 209, 137), (240, 198, 116),
        (110, 168, 254), (214, 150, 236), (108, 206, 214), (214, 220, 230),
    ],
    [
        (120, 130, 146), (255, 140, 146), (150, 226, 160), (255, 216, 140),
        (140, 188, 255), (232, 176, 250), (136, 226, 232), (255, 255, 255),
    ],
)  # fmt: skip


def true_output() -> list[str]:
    """The lines of a run, with their colours, in a folder named as a reader might name it."""
    into = io.StringIO()
    console = Console(
        file=into, force_terminal=True, color_system="standard", width=COLUMNS, highlight=False
    )
    stage, place = Stage(console, moving=False), Place(Path("retaia-demo"))
    prints = make_storage(place, stage)
    story = anyio.run(play, place, stage, prints)
    if story.problems:
        sys.exit("the run was not as announced: " + "; ".join(story.problems))
    telling.tell_report(stage, ITEMS, checks.targets(story.plan), story.assets, story.problems)
    return into.getvalue().splitlines()


def chosen(lines: list[str]) -> list[str]:
    """The part for the picture: preparing, deciding, dry run and applying, then the report's end."""
    plain = [Text.from_ansi(line).plain.strip() for line in lines]
    start = next(i for i, line in enumerate(plain) if line.startswith(FROM))
    end = next(i for i, line in enumerate(plain) if line.startswith(TO))
    left = next(i for i, line in enumerate(plain) if "Left alone, and why" in line)
    return [*lines[start:end], ELLIPSIS, *lines[left:]]


def main() -> None:
    """Run the demonstration, and draw it."""
    TARGET.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        lines = chosen(true_output())
        os.chdir(TARGET.parent)
    paper = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    paper.print(Text.assemble(("$ ", "green"), ("retaia demo", "bold")))
    paper.print(Text.from_ansi(ELLIPSIS))
    for line in lines:
        paper.print(Text.from_ansi(line))
    svg = paper.export_svg(title="retaia demo", theme=THEME, unique_id="retaia-demo")
    # No font is fetched: the reader's own monospaced one is used.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    TARGET.write_text(
        svg.replace("Fira Code, monospace", "ui-monospace, Menlo, monospace"), "utf-8"
    )


if __name__ == "__main__":
    main()
