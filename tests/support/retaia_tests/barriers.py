"""What axe-core, which people use to look for barriers in pages, holds against a page."""

from __future__ import annotations

import json
from pathlib import Path

from retaia_tests.browser import Browser

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


SCHEMES = ("light", "dark")
NARROW = 400


def looked_over(page: Browser, axe: str, state: str, pictures: Path) -> list[str]:
    """What is wrong with a page in both colours, and in a narrow window; pictures of it are kept.

    `state` names them, as in ``library-en``.
    """
    found: list[str] = []
    for scheme in SCHEMES:
        page.look(scheme=scheme)
        found += [f"{state}, {scheme}: {one}" for one in barriers(page, axe)]
        page.picture(pictures / f"{state}-{scheme}.png")
    page.look(width=NARROW, height=800, scheme="dark")
    wide = page.run("document.documentElement.scrollWidth")
    if wide > NARROW:
        found.append(f"{state}: {wide} pixels wide where {NARROW} are there")
    page.picture(pictures / f"{state}-narrow.png")
    page.look()
    return found


def barriers(page: Browser, axe: str) -> list[str]:
    """What axe-core holds against the page as it is now."""
    page.run(f"window.axe === undefined && ({{}}, eval)({json.dumps(axe)}), 0")
    page.run(
        f"""window.found = null; axe.run(document, {json.dumps(RULES)}).then((result) => {{
            window.found = result.violations.map((one) =>
                one.id + ': ' + one.nodes.map((node) => node.target.join(' ')
                    + ' ' + (node.any[0]?.message ?? '')).join(' | '));
        }}, (error) => {{ window.found = [String(error)]; }}); 0"""
    )
    page.wait("window.found")
    found: list[str] = page.run("window.found")
    return found
