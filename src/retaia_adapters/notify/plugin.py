"""The built-in notifiers, registered the way any other distribution registers its own."""

from __future__ import annotations

from collections.abc import Iterable

from retaia_core.hooks import Provider, Role, hookimpl
from retaia_core.ports.notifier import Notifier


def _console(**options: str) -> Notifier:
    from .console import ConsoleNotifier

    return ConsoleNotifier()


def _file(*, folder: str, **options: str) -> Notifier:
    from .file import FileNotifier

    return FileNotifier(folder)


def _smtp(**options: str) -> Notifier:
    from .smtp import SmtpNotifier

    return SmtpNotifier.of(options)


@hookimpl
def retaia_providers() -> Iterable[Provider]:
    """The notifiers ``console``, ``file`` and ``smtp``."""
    ways = {"console": _console, "file": _file, "smtp": _smtp}
    return [Provider(role=Role.NOTIFIER, name=name, factory=way) for name, way in ways.items()]
