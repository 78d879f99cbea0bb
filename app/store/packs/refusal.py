"""Why a pack is not taken: one line, and a code that tests and other programs can rely on."""

from __future__ import annotations

import unicodedata
from typing import Final

from synth.errors import UserError

_LONGEST_REASON: Final = 300
_REMEDY: Final = "Do not install it; ask its author for another copy."


class PackRefused(UserError):
    """A pack is not as it should be. `code` names the reason in a word, the message in one printable line."""

    def __init__(self, code: str, problem: str, *, remedy: str = _REMEDY) -> None:
        super().__init__(one_line(problem), remedy=remedy)
        self.code = code


def one_line(text: str) -> str:
    """`text` without anything that breaks, hides or turns round a line, shortened: a pack chose parts of it."""
    plain = "".join(" " if unicodedata.category(mark)[0] in "CZ" else mark for mark in text[: 2 * _LONGEST_REASON])
    plain = " ".join(plain.split())
    return plain if len(plain) <= _LONGEST_REASON else f"{plain[: _LONGEST_REASON - 1]}…"
