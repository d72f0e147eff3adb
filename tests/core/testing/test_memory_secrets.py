"""The secrets of the tests keep the port's contract."""

from __future__ import annotations

import pytest

from retaia_core.ports.secrets import Secrets
from retaia_core.testing.conformance import SecretsContract
from retaia_core.testing.memory_secrets import PlainSecrets


class TestPlainSecrets(SecretsContract):
    @pytest.fixture
    def secrets(self) -> Secrets:
        return PlainSecrets()
