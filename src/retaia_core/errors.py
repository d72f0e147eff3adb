"""Every error that Retaia raises on purpose.

::

    RetaiaError
    ├── Refused                      the request is understood and not allowed
    │   ├── ValidationFailed         422  content is wrong; ``details`` names each field
    │   ├── NotFound                 404
    │   │   └── UserNotFound         404  no account has this e-mail
    │   ├── StateConflict            409  ``details``: state, allowed actions
    │   ├── StaleLockToken           409  the lease was lost; nothing was applied
    │   ├── LockRequired             423
    │   ├── LockInvalid              423
    │   ├── IdempotencyConflict      409
    │   ├── NameCollisionExhausted   409
    │   ├── Purged                   410
    │   ├── Unauthorized             401
    │   │   └── MfaRequired          401  the password was right; a second factor is needed
    │   ├── EmailNotVerified         403
    │   ├── ForbiddenActor           403  the wrong kind of actor
    │   ├── ForbiddenScope           403  the right kind, without the scope
    │   ├── InvalidToken             400  a reset, verification or approval token
    │   ├── Invalid2faCode           400
    │   ├── MfaAlreadyEnabled        409
    │   ├── MfaNotEnabled            409
    │   ├── InvalidDeviceCode        400
    │   ├── ExpiredDeviceCode        400
    │   └── UnsupportedFeatureFlagsContractVersion  426
    ├── Unavailable                  503  try again later
    │   ├── StorageOffline           the storage's marker is absent, invalid or foreign
    │   ├── StoreUnavailable         the database does not answer
    │   ├── TooManyAttempts          429  locked out for a while; ``retry_after_s``
    │   ├── SlowDown                 429  asked again before the interval was over
    │   └── RateLimited              429
    ├── SettingsError                a settings file or variable is wrong
    ├── PluginError                  a plugin is missing, broken, or two claim one role
    └── StoreError                   the database cannot be used (newer version, in use, …)

``code`` is the stable name that programs compare; the wire's codes are a subset of these.
A message says what is wrong, what is allowed, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class RetaiaError(Exception):
    """Base of every error in this tree.

    ``details`` is plain data (JSON types) for programs; it never carries a secret or an absolute path.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details


class Refused(RetaiaError):
    """The request is understood and not allowed."""


class ValidationFailed(Refused):
    """The content is wrong; nothing was applied."""

    code = "VALIDATION_FAILED"


class NotFound(Refused):
    """There is no such thing."""

    code = "NOT_FOUND"


class UserNotFound(NotFound):
    """No account has this e-mail address."""

    code = "USER_NOT_FOUND"


class StateConflict(Refused):
    """The action is not open in the present state; ``details`` has ``state`` and ``allowed``."""

    code = "STATE_CONFLICT"


class StaleLockToken(Refused):
    """The lease was lost to time or to another holder; nothing was applied."""

    code = "STALE_LOCK_TOKEN"


class LockRequired(Refused):
    """The write needs a lock and none was given."""

    code = "LOCK_REQUIRED"


class LockInvalid(Refused):
    """The lock token given was never issued for this subject."""

    code = "LOCK_INVALID"


class IdempotencyConflict(Refused):
    """The idempotency key was used before with another body."""

    code = "IDEMPOTENCY_CONFLICT"


class NameCollisionExhausted(Refused):
    """Ten names were tried and all are taken."""

    code = "NAME_COLLISION_EXHAUSTED"


class Purged(Refused):
    """The asset was purged; only its audit record is left."""

    code = "PURGED"


class Unauthorized(Refused):
    """No credential, or one that is not valid."""

    code = "UNAUTHORIZED"


class MfaRequired(Unauthorized):
    """The password was right, and this account also asks for a one-time or recovery code."""

    code = "MFA_REQUIRED"


class EmailNotVerified(Refused):
    """The account's e-mail address has not been verified."""

    code = "EMAIL_NOT_VERIFIED"


class ForbiddenActor(Refused):
    """The wrong kind of actor."""

    code = "FORBIDDEN_ACTOR"


class ForbiddenScope(Refused):
    """The right kind of actor without the scope, or a feature that is off."""

    code = "FORBIDDEN_SCOPE"


class InvalidToken(Refused):
    """A reset, verification or approval token is unknown, used or over its time."""

    code = "INVALID_TOKEN"


class Invalid2faCode(Refused):
    """The one-time code or recovery code is not valid."""

    code = "INVALID_2FA_CODE"


class MfaAlreadyEnabled(Refused):
    """The account already asks for a second factor."""

    code = "MFA_ALREADY_ENABLED"


class MfaNotEnabled(Refused):
    """The account asks for no second factor."""

    code = "MFA_NOT_ENABLED"


class InvalidDeviceCode(Refused):
    """No device flow has this code."""

    code = "INVALID_DEVICE_CODE"


class ExpiredDeviceCode(Refused):
    """The device flow of this code is over its time."""

    code = "EXPIRED_DEVICE_CODE"


class UnsupportedFeatureFlagsContractVersion(Refused):
    """The client's feature-flag contract version is not accepted; ``details`` has ``accepted``."""

    code = "UNSUPPORTED_FEATURE_FLAGS_CONTRACT_VERSION"


class Unavailable(RetaiaError):
    """Not now; trying again later may work."""

    code = "TEMPORARY_UNAVAILABLE"
    retryable = True


class StorageOffline(Unavailable):
    """The storage cannot be trusted at present; nothing is scanned, claimed, moved or purged there."""


class StoreUnavailable(Unavailable):
    """The database does not answer."""


class TooManyAttempts(Unavailable):
    """Too many attempts failed; ``details`` has ``retry_after_s``, the seconds until the next counts."""

    code = "TOO_MANY_ATTEMPTS"


class SlowDown(Unavailable):
    """Asked again before the interval was over; ``details`` has ``retry_after_s``."""

    code = "SLOW_DOWN"


class RateLimited(Unavailable):
    """Too many requests; ``details`` has ``retry_after_s``."""

    code = "RATE_LIMITED"


class SettingsError(RetaiaError):
    """A settings file or variable is wrong; ``details`` has ``source``, ``key``, ``value``, ``allowed``."""

    code = "SETTINGS"


class PluginError(RetaiaError):
    """A plugin is missing or broken, or two claim one exclusive role."""

    code = "PLUGIN"


class StoreError(RetaiaError):
    """The database cannot be used as it is."""

    code = "STORE"
