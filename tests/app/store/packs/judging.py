"""Reading a pack in a test, and refusing one for a reason."""

from __future__ import annotations

import io

import pytest

from app.store.packs.reader import Pack, PackReader
from app.store.packs.refusal import PackRefused


def read(pack: bytes) -> Pack:
    return PackReader(io.BytesIO(pack)).read()


def refused(pack: bytes, code: str) -> PackRefused:
    """It is refused for this reason, in one line."""
    with pytest.raises(PackRefused) as refusal:
        read(pack)
    assert refusal.value.code == code, str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(refusal.value.message) <= 300
    return refusal.value
