"""Time-based one-time passwords, and the QR codes that carry their secrets to a device."""

from __future__ import annotations

import hmac
import io
from datetime import datetime
from typing import Final

import pyotp
import segno

STEP_SECONDS: Final = 30
DIGITS: Final = 6


def secret() -> str:
    """160 bits of randomness, base32."""
    return pyotp.random_base32()


def uri(shared: str, *, account: str, issuer: str) -> str:
    """The address that authenticator applications read."""
    return pyotp.TOTP(shared).provisioning_uri(name=account, issuer_name=issuer)


def qr_svg(text: str) -> str:
    """A QR code with a medium error correction, as an SVG document that scales."""
    document = io.BytesIO()
    code = segno.make_qr(text, error="m")
    code.save(document, kind="svg", scale=4, omitsize=True, xmldecl=False, nl=False)
    return document.getvalue().decode()


def step(shared: str, code: str, at: datetime) -> int | None:
    """The step that a code belongs to: the present one, the one before or the one after."""
    if not (len(code) == DIGITS and code.isascii() and code.isdigit()):
        return None
    totp, now = pyotp.TOTP(shared), int(at.timestamp()) // STEP_SECONDS
    steps = (step for step in (now - 1, now, now + 1) if step >= 0)
    found = [s for s in steps if hmac.compare_digest(totp.generate_otp(s), code)]
    return max(found, default=None)
