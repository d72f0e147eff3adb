"""What the server says of its requests: one structured line each, without bodies, tokens or paths."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger("retaia.http")


class _Said:
    """Data as text, where a formatter asks for the record's message; ours does not."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self._data.items())


def tell(level: int, event: str, *, error: BaseException | None = None, **data: Any) -> None:
    """Log an event with its data; ``retaia`` on the record is what a JSON formatter writes."""
    if not log.isEnabledFor(level):
        return
    own = {"event": event, **data}
    log.log(level, "%s %s", event, _Said(data), exc_info=error, extra={"retaia": own})
