"""Pages of plugins beside the API: which one answers."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from retaia_adapters.http.pages import page_at, pages_of
from retaia_core.errors import PluginError
from retaia_core.hooks import Page


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """A page that is never asked."""


async def something(scope: Scope, receive: Receive, send: Send) -> None:
    """Another."""


class TestPages:
    """Which page answers."""

    def test_the_longest_path_answers(self) -> None:
        """The root takes the rest, and the API keeps its own."""
        pages = pages_of(
            [Page(path="/", application=nothing), Page(path="/device", application=something)]
        )
        assert page_at(pages, "/") is page_at(pages, "/devices") is nothing
        assert page_at(pages, "/device") is page_at(pages, "/device/x.js") is something
        assert page_at(pages, "/api/v1/nothing") is None
        assert page_at(pages_of([]), "/") is None

    @pytest.mark.parametrize("paths", [("/a", "/a/"), ("/api/v1/x",), ("/api",), ("a",), ("",)])
    def test_pages_that_cannot_be_are_refused(self, paths: tuple[str, ...]) -> None:
        """Two at one path, or one where the API is."""
        with pytest.raises(PluginError):
            pages_of([Page(path=path, application=nothing) for path in paths])
