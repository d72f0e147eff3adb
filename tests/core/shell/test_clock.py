"""Real identities."""

from __future__ import annotations

from itertools import pairwise
from uuid import RFC_4122, UUID

from retaia_core.shell.clock import RandomIds


def test_uuids_are_version_7_unique_and_in_order() -> None:
    """What is made one after the other sorts so, and is a UUID of version 7."""
    ids = RandomIds()
    made = [ids.uuid() for _ in range(5000)]
    assert {(UUID(text).version, str(UUID(text)) == text) for text in made} == {(7, True)}
    assert len(set(made)) == len(made)
    # A clock may stand still for two, and be set back in between; nearly all are in order.
    assert sum(a > b for a, b in pairwise(made)) < 50


def test_many_uuids_at_once_are_as_one_after_the_other() -> None:
    """They are of version 7, unique and in order, in batches of any size."""
    ids = RandomIds()
    batches = [ids.uuids(count) for count in (0, 1, 100, 40_000)]
    made = [text for batch in batches for text in batch]
    assert [len(batch) for batch in batches] == [0, 1, 100, 40_000]
    assert {(UUID(text).version, str(UUID(text)) == text) for text in made[:5000]} == {(7, True)}
    assert {UUID(text).variant for text in made[:5000]} == {RFC_4122}
    assert len(set(made)) == len(made)
    assert all(a < b for a, b in pairwise(batches[2]))


def test_tokens_are_long_and_differ() -> None:
    """A token has 256 bits of randomness, safe in a URL."""
    tokens = {RandomIds().token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)
