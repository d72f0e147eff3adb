"""People, technical clients, features and the server's policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from ..ask import ask
from ..modes import M, Resource, operation
from ..values.accounts import (
    Account,
    Accounts,
    AppFeaturesResponse,
    Auth2faEnableResponse,
    Auth2faRecoveryCodesResponse,
    Auth2faSetupResponse,
    AuthClientTokenSuccess,
    AuthCurrentUser,
    AuthDeviceCancelResponse,
    AuthDevicePollResponse,
    AuthDeviceStartResponse,
    AuthLoginSuccess,
    AuthRevokeClientTokenResponse,
    AuthRotateClientSecretResponse,
    ClientKind,
    DeviceDecided,
    DeviceRequest,
    FeatureGates,
    NewClient,
    NonUiClientKind,
    TechnicalClients,
    UserFeaturesResponse,
)
from ..values.jobs import AppPolicyResponse

T = TypeVar("T")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class Auth(Resource[M]):
    """``/auth``: a person's own account."""

    @operation
    async def login(
        self,
        email: str,
        password: str,
        *,
        otp_code: str | None = None,
        recovery_code: str | None = None,
        client_id: str | None = None,
        client_kind: ClientKind | None = None,
    ) -> AuthLoginSuccess:
        """Get a token for a person.

        Raises:
            Unauthorized: the e-mail or the password is wrong.
            MfaRequired: a code is needed too.
            EmailNotVerified: the address was not verified yet.
            TooManyAttempts: locked out for a while.
        """
        body = _given(
            email=email,
            password=password,
            otp_code=otp_code,
            recovery_code=recovery_code,
            client_id=client_id,
            client_kind=client_kind,
        )
        request = ask("POST", "/auth/login", body=body, anonymous=True)
        return await self._engine.call(request, AuthLoginSuccess)

    @operation
    async def refresh(self, refresh_token: str) -> AuthLoginSuccess:
        """Get a new pair of tokens; a refresh token counts once.

        Raises:
            Unauthorized: it was used, is too old, or never was one.
        """
        body = {"refresh_token": refresh_token}
        request = ask("POST", "/auth/refresh", body=body, anonymous=True)
        return await self._engine.call(request, AuthLoginSuccess)

    @operation
    async def follow_link(
        self, token: str, *, client_id: str | None = None, client_kind: ClientKind | None = None
    ) -> AuthLoginSuccess:
        """Get a token by the one of a sign-in link, which counts once.

        Raises:
            InvalidToken: it was used, is too old, or never was one.
        """
        body = _given(token=token, client_id=client_id, client_kind=client_kind)
        request = ask("POST", "/auth/link", body=body, anonymous=True)
        return await self._engine.call(request, AuthLoginSuccess)

    @operation
    async def change_password(
        self, new_password: str, *, current_password: str | None = None
    ) -> None:
        """Replace one's own password; the sessions on other clients end.

        Raises:
            ValidationFailed: the current one is wrong, or the new one too short or too long.
        """
        body = _given(new_password=new_password, current_password=current_password)
        await self._engine.do(ask("POST", "/auth/password", body=body))

    @operation
    async def accounts(self) -> Accounts:
        """Every account, for an administrator."""
        return await self._engine.call(ask("GET", "/auth/accounts"), Accounts)

    @operation
    async def add_account(
        self,
        email: str,
        password: str | None = None,
        *,
        display_name: str | None = None,
        roles: tuple[Literal["ADMIN"], ...] = (),
    ) -> Account:
        """Make an account, as an administrator; without a password its person is sent a message.

        Raises:
            StateConflict: the address has an account.
        """
        body = _given(
            email=email, password=password, display_name=display_name, roles=list(roles) or None
        )
        return await self._engine.call(ask("POST", "/auth/accounts", body=body), Account)

    @operation
    async def disable_account(self, email: str) -> Account:
        """Let a person sign in no more, as an administrator; they are signed out at once.

        Raises:
            StateConflict: nobody would be left to administer the server.
        """
        return await self._account("disable", email)

    @operation
    async def enable_account(self, email: str) -> Account:
        """Let a person sign in again, as an administrator."""
        return await self._account("enable", email)

    @operation
    async def unlock_account(self, email: str) -> Account:
        """Forget a person's wrong attempts, as an administrator."""
        return await self._account("unlock", email)

    @operation
    async def send_password_reset(self, email: str) -> None:
        """Send a person the message by which they choose a new password, as an administrator.

        Raises:
            StateConflict: the account is disabled, or its person signs in by link only.
        """
        await self._engine.do(ask("POST", "/auth/accounts/reset", body={"email": email}))

    async def _account(self, what: str, email: str) -> Account:
        request = ask("POST", f"/auth/accounts/{what}", body={"email": email}, again=True)
        return await self._engine.call(request, Account)

    @operation
    async def logout(self) -> None:
        """End the token that this client uses."""
        await self._engine.do(ask("POST", "/auth/logout"))

    @operation
    async def me(self) -> AuthCurrentUser:
        """Who the token stands for."""
        return await self._engine.call(ask("GET", "/auth/me"), AuthCurrentUser)

    @operation
    async def setup_2fa(self) -> Auth2faSetupResponse:
        """Begin with a second factor: a secret for an authenticator."""
        return await self._engine.call(ask("POST", "/auth/2fa/setup"), Auth2faSetupResponse)

    @operation
    async def enable_2fa(self, otp_code: str) -> Auth2faEnableResponse:
        """Switch the second factor on with a first code.

        Raises:
            Invalid2faCode: the code is wrong.
        """
        request = ask("POST", "/auth/2fa/enable", body={"otp_code": otp_code})
        return await self._engine.call(request, Auth2faEnableResponse)

    @operation
    async def disable_2fa(self, otp_code: str) -> None:
        """Switch the second factor off.

        Raises:
            Invalid2faCode: the code is wrong.
        """
        await self._engine.do(ask("POST", "/auth/2fa/disable", body={"otp_code": otp_code}))

    @operation
    async def regenerate_recovery_codes(self) -> Auth2faRecoveryCodesResponse:
        """Get new recovery codes; the old ones are void."""
        request = ask("POST", "/auth/2fa/recovery-codes/regenerate")
        return await self._engine.call(request, Auth2faRecoveryCodesResponse)

    @operation
    async def request_password_reset(self, email: str) -> None:
        """Have a reset token sent, where the account exists."""
        await self._anonymous("lost-password/request", email=email)

    @operation
    async def reset_password(self, token: str, new_password: str) -> None:
        """Set a new password with the token that was sent.

        Raises:
            InvalidToken: it is used or over its time.
        """
        await self._anonymous("lost-password/reset", token=token, new_password=new_password)

    @operation
    async def request_verification(self, email: str) -> None:
        """Have a verification token sent, where the account exists."""
        await self._anonymous("verify-email/request", email=email)

    @operation
    async def verify_email(self, token: str) -> None:
        """Verify an address with the token that was sent.

        Raises:
            InvalidToken: it is used or over its time.
        """
        await self._anonymous("verify-email/confirm", token=token)

    async def _anonymous(self, what: str, **body: str) -> None:
        await self._engine.do(ask("POST", f"/auth/{what}", body=body, anonymous=True))

    @operation
    async def confirm_email(self, email: str) -> None:
        """Take a person's address as verified, as an administrator.

        Raises:
            UserNotFound: no account has it.
        """
        request = ask("POST", "/auth/verify-email/admin-confirm", body={"email": email})
        await self._engine.do(request)


class Clients(Resource[M]):
    """``/auth/clients``: technical clients and the device flow that gives them their secret."""

    @operation
    async def token(
        self, client_id: str, client_kind: NonUiClientKind, secret_key: str
    ) -> AuthClientTokenSuccess:
        """Get a token for a technical client; the one before ends.

        Raises:
            Unauthorized: the secret is wrong.
            TooManyAttempts: locked out for a while.
        """
        body = {"client_id": client_id, "client_kind": client_kind, "secret_key": secret_key}
        request = ask("POST", "/auth/clients/token", body=body, anonymous=True, again=True)
        return await self._engine.call(request, AuthClientTokenSuccess)

    @operation
    async def revoke_token(self, client_id: str) -> AuthRevokeClientTokenResponse:
        """End a client's tokens, as an administrator."""
        request = ask("POST", "/auth/clients/{client_id}/revoke-token", client_id)
        return await self._engine.call(request, AuthRevokeClientTokenResponse)

    @operation
    async def rotate_secret(self, client_id: str) -> AuthRotateClientSecretResponse:
        """Give a client a new secret, as an administrator; its tokens end at once."""
        request = ask("POST", "/auth/clients/{client_id}/rotate-secret", client_id)
        return await self._engine.call(request, AuthRotateClientSecretResponse)

    @operation
    async def start_device(
        self, client_kind: NonUiClientKind, *, client_label: str | None = None
    ) -> AuthDeviceStartResponse:
        """Begin a device flow: a person opens ``verification_uri_complete`` and approves."""
        return await self._device(
            "start",
            AuthDeviceStartResponse,
            _given(client_kind=client_kind, client_label=client_label),
        )

    @operation
    async def poll_device(self, device_code: str) -> AuthDevicePollResponse:
        """How the flow stands; the secret comes once, with ``APPROVED``.

        Raises:
            SlowDown: asked again before the interval was over.
            InvalidDeviceCode, ExpiredDeviceCode: there is no such flow, or no more.
        """
        return await self._device("poll", AuthDevicePollResponse, {"device_code": device_code})

    @operation
    async def cancel_device(self, device_code: str) -> AuthDeviceCancelResponse:
        """End a flow that nobody needs any more."""
        return await self._device("cancel", AuthDeviceCancelResponse, {"device_code": device_code})

    @operation
    async def list(self) -> TechnicalClients:
        """Every technical client, for an administrator."""
        return await self._engine.call(ask("GET", "/auth/clients"), TechnicalClients)

    @operation
    async def add(self, client_kind: NonUiClientKind, *, client_label: str = "") -> NewClient:
        """Make a client, as an administrator; its secret is told this once.

        Raises:
            ForbiddenScope: an orchestration client while ``features.ai`` is off.
        """
        body = {"client_kind": client_kind, "client_label": client_label}
        return await self._engine.call(ask("POST", "/auth/clients", body=body), NewClient)

    async def _device(self, what: str, into: type[T], body: Mapping[str, Any]) -> T:
        request = ask("POST", f"/auth/clients/device/{what}", body=body, anonymous=True)
        return await self._engine.call(request, into)


class Devices(Resource[M]):
    """``/auth/device``: what the person does who approves a device flow."""

    @operation
    async def look_up(self, user_code: str) -> DeviceRequest:
        """Who asks, by the code that the device shows.

        Raises:
            InvalidDeviceCode, ExpiredDeviceCode: there is no such flow, or no more.
        """
        return await self._post("lookup", DeviceRequest, {"user_code": user_code})

    @operation
    async def approve(self, user_code: str, *, otp_code: str | None = None) -> DeviceDecided:
        """Let the device have its secret.

        Raises:
            MfaRequired: this account approves with a code only.
        """
        return await self._post(
            "approve", DeviceDecided, _given(user_code=user_code, otp_code=otp_code)
        )

    @operation
    async def deny(self, user_code: str) -> DeviceDecided:
        """Refuse the device."""
        return await self._post("deny", DeviceDecided, {"user_code": user_code})

    async def _post(self, what: str, into: type[T], body: Mapping[str, Any]) -> T:
        return await self._engine.call(ask("POST", f"/auth/device/{what}", body=body), into)


class Features(Resource[M]):
    """``/app`` and a person's own switches."""

    @operation
    async def policy(
        self, *, client_feature_flags_contract_version: str | None = None
    ) -> AppPolicyResponse:
        """The server's policy.

        Raises:
            UnsupportedFeatureFlagsContractVersion: the version given is not accepted.
        """
        query = {"client_feature_flags_contract_version": client_feature_flags_contract_version}
        return await self._engine.call(ask("GET", "/app/policy", query=query), AppPolicyResponse)

    @operation
    async def app(self) -> AppFeaturesResponse:
        """The features as the administrator switched them."""
        return await self._engine.call(ask("GET", "/app/features"), AppFeaturesResponse)

    @operation
    async def switch_app(self, app_feature_enabled: Mapping[str, bool]) -> AppFeaturesResponse:
        """Switch features for everybody, as an administrator.

        Raises:
            ForbiddenScope: a core feature cannot be switched off.
        """
        body = {"app_feature_enabled": app_feature_enabled}
        request = ask("PATCH", "/app/features", body=body, again=True)
        return await self._engine.call(request, AppFeaturesResponse)

    @operation
    async def mine(self) -> UserFeaturesResponse:
        """The features as this person switched them, and what holds."""
        return await self._engine.call(ask("GET", "/auth/me/features"), UserFeaturesResponse)

    @operation
    async def switch_mine(self, user_feature_enabled: Mapping[str, bool]) -> UserFeaturesResponse:
        """Switch features for oneself; errors as `switch_app`."""
        body = {"user_feature_enabled": user_feature_enabled}
        request = ask("PATCH", "/auth/me/features", body=body, again=True)
        return await self._engine.call(request, UserFeaturesResponse)

    @operation
    async def why_mine(self) -> FeatureGates:
        """Which features are on for this person, and what closed the others."""
        return await self._engine.call(ask("GET", "/auth/me/features/why"), FeatureGates)
