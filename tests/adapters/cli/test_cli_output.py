"""What commands print as JSON."""

from __future__ import annotations

from retaia_adapters.cli.output import plain
from retaia_core.testing.memory_query import summary
from retaia_core.testing.samples import asset, sidecar


def test_values_have_names() -> None:
    """Every field has its name, in classes and in rows of a list; a tuple of values is a list."""
    one = asset(sidecars=(sidecar("INBOX/a.xmp"),))
    assert plain(one)["sidecars"][0]["path"] == "INBOX/a.xmp"
    listed = plain([summary(one)])
    assert (listed[0]["path"], listed[0]["state"]) == (one.path, one.state)
