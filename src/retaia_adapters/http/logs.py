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
    cause = None if error is None else (type(error), error, error.__traceback__)
    said = (event, _Said(data))
    # `log.log` would search the stack for a line of code, which ours do not name.
    log.handle(log.makeRecord(log.name, level, "", 0, "%s %s", said, cause, extra={"retaia": own}))
