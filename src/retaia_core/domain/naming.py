"""The one way a file gets another name: ``{stem}__{nonce}{ext}`` (domain.md, *Batch moves*)."""

from __future__ import annotations

import hashlib

from ..errors import NameCollisionExhausted
from .identifiers import AssetId

ATTEMPTS = 10
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """Write a non-negative integer in base 36, lower case.

    >>> base36(0), base36(35), base36(36)
    ('0', 'z', '10')
    """
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if not number:
            return digits


def nonce(asset: AssetId, target_dir: str, attempt: int) -> str:
    """The first six base-36 digits of the SHA-256 of ``{asset_uuid}{target_dir}{attempt_index}``.

    ``target_dir`` is relative to the storage root, with ``/`` and no trailing slash.

    >>> nonce(AssetId("6f9619ff-8b86-d011-b42d-00cf4fc964ff"), "ARCHIVE", 0)
    '4ekov2'
    """
    digest = hashlib.sha256(f"{asset}{target_dir}{attempt}".encode()).digest()
    return base36(int.from_bytes(digest, "big"))[:6]


def stem_of(name: str) -> str:
    """Return a file name without its last extension.

    >>> stem_of("A001.jpg"), stem_of(".jpg"), stem_of("A.B.mov")
    ('A001', '.jpg', 'A.B')
    """
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def renamed(name: str, stem: str, mark: str) -> str:
    """Give one member of a group the group's new name; its own spelling of the stem is kept.

    A spelling may be longer than the stem: ``ß`` and ``SS`` are one letter without case. A member that
    a person attached may have another stem altogether, and keeps that.

    >>> renamed("A001.jpg.xmp", "A001", "x1y2z3"), renamed("a001.XMP", "A001", "x1y2z3")
    ('A001__x1y2z3.jpg.xmp', 'a001__x1y2z3.XMP')
    >>> renamed("notes.xmp", "A0010203", "x1y2z3")
    'notes__x1y2z3.xmp'
    """
    folded = stem.casefold()
    own = len(stem_of(name))
    end = next((i for i in range(len(name) + 1) if name[:i].casefold() == folded), own)
    return f"{name[:end]}__{mark}{name[end:]}"


def exhausted(name: str, target_dir: str) -> NameCollisionExhausted:
    """The error for a group whose ten names are all taken."""
    return NameCollisionExhausted(
        f"{name!r} and its {ATTEMPTS} other names are all taken in {target_dir!r}; "
        "move or rename what stands there, then try again",
        name=name,
        target_dir=target_dir,
    )
