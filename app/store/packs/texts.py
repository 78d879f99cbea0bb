"""Texts of a pack that a window, a terminal or a web page will show."""

from __future__ import annotations

import unicodedata
from typing import Final

from app.store.packs.refusal import PackRefused

NAME_LENGTH: Final = 120
LINE_LENGTH: Final = 500
TEXT_LENGTH: Final = 20_000
_LAYOUT: Final = frozenset("\n\t")


def check_shown(text: str, place: str, *, longest: int = LINE_LENGTH, lines: bool = False) -> None:
    """Raise PackRefused where `text` is too long or holds what cannot be seen: an author's name must be what it shows.

    lines    line breaks and tabs may be in it
    """
    if len(text) > longest:
        raise PackRefused("text-too-long", f"{place} has {len(text)} characters; {longest} is the most.")
    for mark in text:
        if unicodedata.category(mark)[0] == "C" and not (lines and mark in _LAYOUT):
            raise PackRefused("text-invisible", f"{place} holds a character that nobody sees (U+{ord(mark):04X}).")
        if unicodedata.category(mark) in ("Zl", "Zp"):
            raise PackRefused("text-invisible", f"{place} holds a hidden line break (U+{ord(mark):04X}).")
