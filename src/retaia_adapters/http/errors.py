"""Errors on the wire: one table, one shape (protocol.md, *Errors*).

The codes are the contract's enum. It has none for an unknown asset, job or route, nor for a wrong
method, an oversized body or a crash: there the status says what it is, the code is
``VALIDATION_FAILED`` (``TEMPORARY_UNAVAILABLE`` for a crash), and ``details.reason`` names it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import field, frozen

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
    StoreUnavailable,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
    UnsupportedFeatureFlagsContractVersion,
    UserNotFound,
    ValidationFailed,
)

CORRELATION_HEADER = "X-Correlation-Id"

RETRY_AFTER_S = 2
"""What a client is told to wait (429, 503) where the error does not know better."""

_STATUS: Mapping[type[RetaiaError], int] = {
    InvalidToken: 400,
    Invalid2faCode: 400,
    InvalidDeviceCode: 400,
    ExpiredDeviceCode: 400,
    Unauthorized: 401,
    MfaRequired: 401,
    EmailNotVerified: 403,
    ForbiddenActor: 403,
    ForbiddenScope: 403,
    NotFound: 404,
    UserNotFound: 404,
    StateConflict: 409,
    StaleLockToken: 409,
    IdempotencyConflict: 409,
    NameCollisionExhausted: 409,
    MfaAlreadyEnabled: 409,
    MfaNotEnabled: 409,
    Purged: 410,
    ValidationFailed: 422,
    LockRequired: 423,
    LockInvalid: 423,
    UnsupportedFeatureFlagsContractVersion: 426,
    TooManyAttempts: 429,
    SlowDown: 429,
    RateLimited: 429,
    Unavailable: 503,
}
"""Every error that may leave the server on purpose, its subclasses included."""

_NO_CODE = {NotFound.code: ValidationFailed.code}
"""Our codes that the contract's enum does not have, and what stands for them."""

STORAGE_OFFLINE = "STORAGE_OFFLINE"

STORE_AWAY = "the server's database cannot be used at the moment; its log has the reason"
"""Where a database is, and as whom the server signs in there, is in its words no stranger's business."""

CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}
"""What every 401 says (RFC 9110): how to come back."""


@frozen(kw_only=True)
class Problem:
    """What a client is told."""

    status: int
    code: str
    message: str
    details: Mapping[str, object] = field(factory=dict)
    retryable: bool = False
    headers: Mapping[str, str] = field(factory=dict)

    def body(self, correlation_id: str) -> dict[str, object]:
        """The contract's ``ErrorResponse``."""
        details = {"details": dict(self.details)} if self.details else {}
        return {
            "code": self.code,
            "message": self.message,
            **details,
            "retryable": self.retryable,
            "correlation_id": correlation_id,
        }


class WireRefused(Exception):
    """A request that is refused before any use case sees it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refused(
    status: int,
    message: str,
    *,
    code: str = ValidationFailed.code,
    headers: Mapping[str, str] | None = None,
    **details: object,
) -> WireRefused:
    """Make a refusal of the transport's own."""
    return WireRefused(
        Problem(status=status, code=code, message=message, details=details, headers=headers or {})
    )


def _reason(error: RetaiaError) -> dict[str, object]:
    if isinstance(error, StorageOffline):
        return {"reason": STORAGE_OFFLINE}
    return {"reason": error.code} if error.code in _NO_CODE else {}


def _wait(error: RetaiaError) -> str:
    """The whole seconds of ``retry_after_s``, rounded up."""
    asked = error.details.get("retry_after_s")
    return str(math.ceil(asked) if isinstance(asked, int | float) else RETRY_AFTER_S)


def _known(error: RetaiaError, status: int) -> Problem:
    reason = _reason(error)
    headers = {"Retry-After": _wait(error)} if status in (429, 503) else {}
    if status == 401:
        headers |= CHALLENGE
    return Problem(
        status=status,
        code=_NO_CODE.get(error.code, error.code),
        message=STORE_AWAY if isinstance(error, StoreUnavailable) else error.message,
        details={**reason, **error.details},
        retryable=error.retryable,
        headers=headers,
    )


CRASH = Problem(
    status=500,
    code=Unavailable.code,
    message="the server failed on this request; its log has the correlation_id",
    details={"reason": "INTERNAL"},
)


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error; nothing of one that nobody foresaw."""
    if isinstance(error, WireRefused):
        return error.problem
    if isinstance(error, RetaiaError):
        for kind in type(error).__mro__:
            if kind in _STATUS:
                return _known(error, _STATUS[kind])
    return CRASH
