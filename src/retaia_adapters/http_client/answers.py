"""The server's refusals as errors of our tree."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from retaia_core.errors import (
    EmailNotVerified,
    ExpiredDeviceCode,
    ForbiddenActor,
    ForbiddenScope,
    IdempotencyConflict,
    Invalid2faCode,
    InvalidDeviceCode,
    InvalidToken,
    LockInvalid,
    LockRequired,
    MfaAlreadyEnabled,
    MfaNotEnabled,
    MfaRequired,
    NameCollisionExhausted,
    NotFound,
    Purged,
    RateLimited,
    RetaiaError,
    SlowDown,
    StaleLockToken,
    StateConflict,
    StorageOffline,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
    UnsupportedFeatureFlagsContractVersion,
    UserNotFound,
    ValidationFailed,
)

_BY_STATUS: Mapping[int, type[RetaiaError]] = {401: Unauthorized, 404: NotFound, 410: Purged}
"""What a status says where the code does not: the contract has none for an unknown asset or path."""

_REFUSALS: Mapping[str, type[RetaiaError]] = {
    error.code: error
    for error in (
        EmailNotVerified,
        ExpiredDeviceCode,
        ForbiddenActor,
        ForbiddenScope,
        IdempotencyConflict,
        Invalid2faCode,
        InvalidDeviceCode,
        InvalidToken,
        LockInvalid,
        LockRequired,
        MfaAlreadyEnabled,
        MfaNotEnabled,
        MfaRequired,
        NameCollisionExhausted,
        Purged,
        StaleLockToken,
        StateConflict,
        Unauthorized,
        UnsupportedFeatureFlagsContractVersion,
        UserNotFound,
    )
}
_LATER_STATUS = (429, 502, 503, 504)
_LATER: Mapping[str, type[RetaiaError]] = {
    error.code: error for error in (RateLimited, SlowDown, TooManyAttempts)
}


def retry_after_s(header: str | None, date: str | None = None) -> float | None:
    """The seconds of a Retry-After header; one that is a time counts from the answer's own Date.

    >>> retry_after_s("7")
    7.0
    >>> retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:29 GMT")
    30.0
    """
    if header is None or header.isdecimal():
        return float(header) if header else None
    try:
        wait = parsedate_to_datetime(header) - parsedate_to_datetime(date or "")
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())


def _kind(status: int, code: str, reason: object) -> type[RetaiaError]:
    if status in _LATER_STATUS:
        offline = reason == "STORAGE_OFFLINE"
        return StorageOffline if offline else _LATER.get(code, Unavailable)
    if code in _REFUSALS:
        return _REFUSALS[code]
    fallback = ValidationFailed if code == ValidationFailed.code else RetaiaError
    return _BY_STATUS.get(status, fallback)


def error_of(
    status: int, body: object, retry_after: str | None, date: str | None = None
) -> RetaiaError:
    """The error that an answer of 300 or more stands for; ``details`` have the ``correlation_id``."""
    told: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    message = str(told.get("message") or f"the server answered {status} without a reason")
    raw = told.get("details")
    details = {str(k): v for k, v in raw.items()} if isinstance(raw, Mapping) else {}
    details.pop("message", None)
    if "correlation_id" in told:
        details["correlation_id"] = told["correlation_id"]
    wait = retry_after_s(retry_after, date) if status in _LATER_STATUS else None
    if wait is not None:
        details["retry_after_s"] = wait
    kind = _kind(status, str(told.get("code")), details.get("reason"))
    return kind(message, **details)
