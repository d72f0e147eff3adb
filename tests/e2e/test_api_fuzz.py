"""Generated requests against a running server: no 5xx, no answer beside its schema, no way in.

``RETAIA_FUZZ_EXAMPLES`` sizes it; ``python -m retaia_tests.fuzzing`` runs the same at any length.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from retaia_tests.cells import world
from retaia_tests.fuzzing import EXAMPLES_VARIABLE, campaign

from retaia_core.domain.authorization import Caller

pytestmark = pytest.mark.e2e
EXAMPLES = int(os.environ.get(EXAMPLES_VARIABLE, "1"))
FEW = (Caller.ADMIN, Caller.AGENT)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_every_kind_of_caller(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whoever calls, and whatever they send: the server answers as its document says."""
    url, callers = f"sqlite:///{tmp_path}/retaia.db", tuple(Caller)
    if store == "postgres":
        url, callers = request.getfixturevalue("postgres_url"), FEW
    async with world(tmp_path, url) as made:
        tallies = await campaign(made, examples=EXAMPLES, folder=tmp_path, callers=callers)
    for tally in tallies:
        assert not tally.failures, f"{tally.caller}: {tally.failures}\n{tally.output}"
        assert tally.requests > 500, f"{tally.caller}: {tally.output}"
