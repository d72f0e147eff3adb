"""People, technical clients and features, as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

ClientKind = Literal["UI_WEB", "UI_MOBILE", "AGENT"]
NonUiClientKind = Literal["AGENT", "MCP"]
Tier = Literal["CORE_V1_GLOBAL", "OPTIONAL"]


@frozen(kw_only=True)
class AuthLoginSuccess:
    """A person's token; ``expires_in`` in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int | None = None
    refresh_token: str | None = None
    client_id: str | None = None
    client_kind: ClientKind | None = None


@frozen(kw_only=True)
class AuthCurrentUser:
    """Who the token stands for; ``extra`` has what the server added."""

    email: str
    uuid: str | None = None
    display_name: str | None = None
    email_verified: bool | None = None
    roles: tuple[str, ...] = ()
    mfa_enabled: bool | None = None
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Auth2faSetupResponse:
    """A new TOTP secret; it counts once a code made with it was sent."""

    method: Literal["TOTP"]
    issuer: str
    account_name: str
    secret: str
    otpauth_uri: str
    qr_svg: str | None = None


@frozen(kw_only=True)
class Auth2faEnableResponse:
    """The second factor is on; the recovery codes are shown this once."""

    mfa_enabled: Literal[True]
    recovery_codes: tuple[str, ...]


@frozen(kw_only=True)
class Auth2faRecoveryCodesResponse:
    """New recovery codes; the old ones are void."""

    recovery_codes: tuple[str, ...]


@frozen(kw_only=True)
class AuthRevokeClientTokenResponse:
    """Whether a client's tokens were ended."""

    client_id: str
    revoked: bool
    revoked_at: datetime | None = None


@frozen(kw_only=True)
class AuthClientTokenSuccess:
    """A technical client's token; ``expires_in`` in seconds."""

    client_id: str
    client_kind: NonUiClientKind
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int | None = None


@frozen(kw_only=True)
class AuthRotateClientSecretResponse:
    """A client's new secret, shown this once."""

    client_id: str
    secret_key: str
    rotated_at: datetime | None = None


@frozen(kw_only=True)
class AuthDeviceStartResponse:
    """A device flow that began; ``interval`` and ``expires_in`` in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


@frozen(kw_only=True)
class AuthDeviceCancelResponse:
    """Whether a device flow was ended."""

    canceled: bool


@frozen(kw_only=True)
class FeatureGovernanceRule:
    """How one feature may be switched."""

    key: str
    tier: Tier
    user_can_disable: bool
    dependencies: tuple[str, ...]
    disable_escalation: tuple[str, ...]


@frozen(kw_only=True)
class AppFeaturesResponse:
    """The features as the administrator switched them."""

    app_feature_enabled: Mapping[str, bool]
    core_v1_global_features: tuple[str, ...]
    feature_governance: tuple[FeatureGovernanceRule, ...]


@frozen(kw_only=True)
class UserFeaturesResponse:
    """The features as this person switched them, and what holds."""

    user_feature_enabled: Mapping[str, bool]
    effective_feature_enabled: Mapping[str, bool]
    feature_governance: tuple[FeatureGovernanceRule, ...]
    core_v1_global_features: tuple[str, ...]


@frozen(kw_only=True)
class AuthDevicePollResponse:
    """How a device flow stands; the client's secret comes once, with ``APPROVED``."""

    status: Literal["PENDING", "APPROVED", "DENIED", "EXPIRED"]
    interval: int | None = None
    client_id: str | None = None
    client_kind: NonUiClientKind | None = None
    secret_key: str | None = None


@frozen(kw_only=True)
class TechnicalClient:
    """A technical client; its secret is never told again."""

    client_id: str
    client_kind: NonUiClientKind
    label: str
    created_at: datetime
    created_by: str
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None


@frozen(kw_only=True)
class NewClient:
    """A client that was just made; its secret is told this once."""

    client_id: str
    client_kind: NonUiClientKind
    secret_key: str


@frozen(kw_only=True)
class DeviceRequest:
    """Who asks for a secret, for the person who has to approve it."""

    user_code: str
    status: Literal["PENDING", "APPROVED", "DENIED"]
    client_kind: NonUiClientKind
    client_label: str
    address: str
    requested_at: datetime
    expires_at: datetime
    otp_required: bool


@frozen(kw_only=True)
class DeviceDecided:
    """What a person decided about a device."""

    status: Literal["APPROVED", "DENIED"]


@frozen(kw_only=True)
class TechnicalClients:
    """Every technical client."""

    items: tuple[TechnicalClient, ...]


@frozen(kw_only=True)
class Account:
    """A person's account, as administrators see it; ``local_name`` is a person's at the server's machine."""

    uuid: str
    email: str
    display_name: str
    email_verified: bool
    roles: tuple[str, ...]
    mfa_enabled: bool
    has_password: bool
    disabled: bool
    created_at: datetime
    local_name: str | None = None


@frozen(kw_only=True)
class Accounts:
    """Every account, by address."""

    items: tuple[Account, ...]


@frozen(kw_only=True)
class FeatureGate:
    """Whether a feature is on; the first ``gate`` that closed it, and why, where it is off."""

    key: str
    enabled: bool
    gate: Literal["server", "app", "user", "dependency", "escalation"] | None = None
    gate_key: str | None = None
    reason: str | None = None


@frozen(kw_only=True)
class FeatureGates:
    """Every feature, and which gate closed what is off."""

    items: tuple[FeatureGate, ...]
