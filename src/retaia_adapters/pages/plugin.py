"""The pages, as the plugin host sees them; importing this loads no library."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Page, hookimpl

from .device import device_page


@hookimpl
def retaia_pages() -> Iterable[Page]:
    return (Page(path="/device", application=device_page),)
