"""The built-in authenticator, registered the way any other distribution registers its own."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl
from retaia_core.ports.secrets import Secrets


def _secrets() -> Secrets:
    from .secrets import BuiltinSecrets

    return BuiltinSecrets()


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    """The authenticator ``builtin``."""
    return [Provider(role=Role.AUTHENTICATOR, name="builtin", factory=_secrets)]
