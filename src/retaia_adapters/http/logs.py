"""What the server says of its requests: one structured line each, without bodies, tokens or paths."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("retaia.http")


def tell(level: int, event: str, *, error: BaseException | None = None, **data: Any) -> None:
    """Log an event with its data; ``retaia`` on the record is what a JSON formatter writes."""
    if not log.isEnabledFor(level):
        return
    said = " ".join(f"{name}={value}" for name, value in data.items())
    log.log(level, "%s %s", event, said, exc_info=error, extra={"retaia": {"event": event, **data}})
