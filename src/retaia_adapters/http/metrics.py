"""``GET /metrics``: the server's numbers, outside of the API and without a token."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request
from starlette.responses import Response

from retaia_core.errors import ForbiddenActor

from .call import Serving
from .errors import refused

METRICS_PATH = "/metrics"
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip")


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks for itself, and not a proxy for somebody else."""
    if request.client is None or any(name in request.headers for name in _PASSED_ON):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def exposition(serving: Serving, request: Request) -> Response:
    """The numbers, for whom the setting ``observe.metrics`` lets read them.

    Raises:
        WireRefused: 404 where they are switched off or not kept.
        ForbiddenActor: they are for this machine only.
    """
    missing = refused(404, "no numbers are kept here", reason="UNKNOWN_PATH")
    access = serving.options.metrics
    if access == "off":
        raise missing
    if access == "local" and not _is_local(request):
        raise ForbiddenActor("numbers are for this machine only; see the setting observe.metrics")
    numbers = serving.services.observer.expose(await serving.monitoring.levels())
    if numbers is None:
        raise missing
    headers = {"Content-Type": numbers.content_type, "Cache-Control": "no-store"}
    return Response(numbers.body, headers=headers)
