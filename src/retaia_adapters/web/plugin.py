"""The interface, as the plugin host sees it; importing this loads no library."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Page, hookimpl

from .site import site


@hookimpl
def retaia_pages() -> Iterable[Page]:
    return (Page(path="/", application=site),)
