"""What the server states of itself: limits, feature flags, and which version of their contract holds."""

from __future__ import annotations

import math

from retaia_core.shell.server import ServerOptions
from retaia_core.shell.services import Services

from .errors import refused

FLAGS_VERSION = "1.0.0"
ACCEPTED_VERSIONS = (FLAGS_VERSION,)
_OPTIONAL_JOBS = {
    "features.ai.transcribe_audio": "transcribe_audio",
    "features.ai.suggest_tags": "suggest_tags",
}
_ALWAYS_ON = (
    "features.core.auth",
    "features.core.assets.lifecycle",
    "features.core.jobs.runtime",
    "features.core.search.query",
    "features.core.policy.runtime",
    "features.core.derived.access",
    "features.core.clients.bootstrap",
)


def _flags(services: Services) -> dict[str, bool]:
    on = services.processing.switched_on
    later = {flag: job_type in on for flag, job_type in _OPTIONAL_JOBS.items()}
    return {
        **dict.fromkeys(_ALWAYS_ON, True),
        "features.ai": any(later.values()),
        **later,
        "features.decisions.bulk": False,
    }


def _whole_seconds(seconds: float) -> int:
    """Polling sooner than every second is no limit at all."""
    return math.ceil(seconds) if seconds >= 1 else 0


def server_policy(
    services: Services, options: ServerOptions, asked: str | None
) -> dict[str, object]:
    """The contract's ``ServerPolicy``.

    Raises:
        WireRefused: 426; the client's version of the flags' contract is not accepted.
    """
    effective = asked or FLAGS_VERSION
    if effective not in ACCEPTED_VERSIONS:
        raise refused(
            426,
            f"version {effective} of the feature flags' contract is not accepted",
            code="UNSUPPORTED_FEATURE_FLAGS_CONTRACT_VERSION",
            accepted=list(ACCEPTED_VERSIONS),
        )
    allowed = options.allowed_job_types or tuple(services.catalog.job_types)
    return {
        "min_poll_interval_seconds": _whole_seconds(options.min_poll_interval_s),
        "max_parallel_jobs_allowed": options.max_parallel_jobs,
        "allowed_job_types": list(allowed),
        "feature_flags": _flags(services),
        "feature_flags_contract_version": FLAGS_VERSION,
        "accepted_feature_flags_contract_versions": list(ACCEPTED_VERSIONS),
        "effective_feature_flags_contract_version": effective,
        "feature_flags_compatibility_mode": "STRICT" if effective == FLAGS_VERSION else "COMPAT",
    }
