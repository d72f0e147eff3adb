"""Pages of plugins beside the API: which one answers a path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from starlette.types import ASGIApp

from retaia_core.errors import PluginError
from retaia_core.hooks import Page

API = "/api"


def pages_of(pages: Iterable[Page]) -> Mapping[str, ASGIApp]:
    """The pages' applications by path, without the slash at its end.

    Raises:
        PluginError: two pages at one path, or one within the API's.
    """
    found: dict[str, ASGIApp] = {}
    for page in pages:
        path = page.path.rstrip("/")
        if path in found:
            raise PluginError(f"two plugins have a page at {page.path}", path=page.path)
        if _is_within(path, API) or not (path.startswith("/") or page.path == "/"):
            raise PluginError(
                f"a page cannot be at {page.path}: a path begins with / and is not within {API}",
                path=page.path,
            )
        found[path] = cast("ASGIApp", page.application)
    return found


def page_at(pages: Mapping[str, ASGIApp], path: str) -> ASGIApp | None:
    """The page that answers a path: the longest that fits, and none within the API."""
    if _is_within(path, API):
        return None
    fitting = [at for at in pages if _is_within(path, at)]
    return pages[max(fitting, key=len)] if fitting else None


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")
