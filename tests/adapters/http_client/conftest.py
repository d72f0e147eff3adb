"""A clock for the tests of the client."""

from __future__ import annotations

import pytest
from retaia_tests.scripted_wire import Time


@pytest.fixture
def time() -> Time:
    """A clock that only sleeping moves."""
    return Time()
