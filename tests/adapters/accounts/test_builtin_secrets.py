"""The built-in authenticator keeps the port's contract, and does what only it can be asked."""

from __future__ import annotations

import time

import anyio
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from retaia_adapters.accounts.plugin import retaia_providers
from retaia_adapters.accounts.secrets import BuiltinSecrets
from retaia_core.hooks import Role
from retaia_core.ports.secrets import Secrets
from retaia_core.testing.conformance import SecretsContract
from retaia_core.testing.conformance.secrets import CLAIMS, KEY
from retaia_core.testing.memory_secrets import PlainSecrets


class TestBuiltinSecrets(SecretsContract):
    @pytest.fixture
    def secrets(self) -> Secrets:
        return BuiltinSecrets()


def test_it_is_the_authenticator_named_builtin() -> None:
    """The plugin offers it for the role."""
    [provider] = retaia_providers()
    assert (provider.role, provider.name) == (Role.AUTHENTICATOR, "builtin")
    assert isinstance(provider.factory(), BuiltinSecrets)


async def test_passwords_are_argon2id() -> None:
    """The variant is id, with at least the memory and time of RFC 9106's second choice."""
    found = extract_parameters(await BuiltinSecrets().hash_password("password"))
    assert found.type is Type.ID
    assert (found.memory_cost, found.time_cost) >= (64 * 1024, 3)


async def test_a_hash_of_other_parameters_is_still_checked() -> None:
    """Parameters are read from the hash, so that they can be raised one day."""
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("password")
    assert await BuiltinSecrets().check_password(hashed, "password")


async def test_nobodys_password_takes_as_long() -> None:
    """Of several tries the quickest differ by less than half: an address cannot be found out by time."""
    secrets = BuiltinSecrets()
    hashed = await secrets.hash_password("password")

    async def quickest(of: str | None) -> float:
        spans = []
        for _ in range(5):
            start = time.perf_counter()
            await secrets.check_password(of, "wrong password")
            spans.append(time.perf_counter() - start)
        return min(spans)

    known, unknown = await quickest(hashed), await quickest(None)
    assert 0.5 < known / unknown < 2, (known, unknown)


async def test_hashing_leaves_the_event_loop_free() -> None:
    """While a password is hashed, others go on."""
    done = anyio.Event()

    async def hash_one() -> None:
        await BuiltinSecrets().hash_password("password")
        done.set()

    ticks = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hash_one)
        while not done.is_set():
            await anyio.sleep(0.001)
            ticks += 1
    assert ticks > 3


def test_both_authenticators_read_each_others_tokens() -> None:
    """The format is the wire's, not a library's."""
    ours, plain = BuiltinSecrets(), PlainSecrets()
    assert plain.claims(ours.sign(CLAIMS, KEY), KEY) == CLAIMS
    assert ours.claims(plain.sign(CLAIMS, KEY), KEY) == CLAIMS
