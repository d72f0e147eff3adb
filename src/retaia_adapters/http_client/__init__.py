"""The client of the API, for agents, the command line and integrators.

>>> from retaia_adapters.http_client import SyncClient
>>> SyncClient.__name__
'SyncClient'

A name is loaded with its module when it is first asked for: the plugin beside them loads no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client, SyncClient
    from .retrying import Retries
    from .tokens import ClientCredentials, FixedToken, Login, TokenSource

__all__ = [
    "Client",
    "ClientCredentials",
    "FixedToken",
    "Login",
    "Retries",
    "SyncClient",
    "TokenSource",
]

_HOMES = {
    "client": "Client SyncClient",
    "retrying": "Retries",
    "tokens": "ClientCredentials FixedToken Login TokenSource",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Load a public name from where it lives (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value
