"""What the server states of itself: limits, feature flags, and which version of their contract holds."""

from __future__ import annotations

import math

from retaia_core.domain.features import negotiate, resolve
from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services


def _whole_seconds(seconds: float) -> int:
    """Polling sooner than every second is no limit at all."""
    return math.ceil(seconds) if seconds >= 1 else 0


async def server_policy(
    services: Services, options: ServerOptions, asked: str | None
) -> dict[str, object]:
    """The contract's ``ServerPolicy``; its flags are the server's own, the first gate of each feature.

    Raises:
        UnsupportedFeatureFlagsContractVersion: the client's version of the contract is not accepted.
    """
    agreed = negotiate(asked)
    closed = await services.features.closed_job_types()
    allowed = options.allowed_job_types or tuple(services.catalog.job_types)
    flags = resolve(server=services.features.server)
    return {
        "min_poll_interval_seconds": _whole_seconds(options.min_poll_interval_s),
        "max_parallel_jobs_allowed": options.max_parallel_jobs,
        "allowed_job_types": [name for name in allowed if name not in closed],
        "feature_flags": {key: effect.on for key, effect in flags.items()},
        "feature_flags_contract_version": agreed.version,
        "accepted_feature_flags_contract_versions": list(agreed.accepted),
        "effective_feature_flags_contract_version": agreed.effective,
        "feature_flags_compatibility_mode": agreed.mode,
    }
