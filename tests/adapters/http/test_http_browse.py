"""The document as a page: everything in it, nothing from elsewhere."""

from __future__ import annotations

import re

from retaia_tests.http_house import Served

from retaia_adapters.http.document import load_document, operations_of


async def test_every_operation_is_on_the_page(served: Served) -> None:
    """Anyone may open the page, and it has every operation with who may call it."""
    answer = await served.anonymous.get("http://127.0.0.1/api/docs")
    assert answer.headers["content-type"].startswith("text/html")
    for operation in operations_of(load_document()):
        assert f"id='{operation.operation_id}'" in answer.text
    assert answer.text.count("<p class=who>") == len(operations_of(load_document()))


async def test_it_loads_nothing_from_elsewhere(served: Served) -> None:
    """No script, and no address but its own style sheet; the policy holds the browser to it."""
    answer = await served.anonymous.get("http://127.0.0.1/api/docs")
    assert "<script" not in answer.text
    loaded = re.findall(r"(?:src|href)=['\"]?([^'\" >]+)", answer.text)
    assert {link for link in loaded if not link.startswith("#")} == {
        "/api/docs.css",
        "/api/openapi.json",
    }
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    style = await served.anonymous.get("http://127.0.0.1/api/docs.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


async def test_the_document_is_served(served: Served) -> None:
    """What programs read is the document that the server is bound to."""
    answer = await served.anonymous.get("http://127.0.0.1/api/openapi.json")
    assert answer.json() == load_document(served.house.catalog.derived_kinds)
