"""Faults of Qt's binding that would end the window, and what keeps them from doing so."""

from __future__ import annotations

import ctypes
import sys

_IMMORTAL = 1 << 40
_FIRST_WITH_IMMORTALS = (3, 12)


def keep_constants_alive() -> None:
    """Give True, False and None reference counts that no leak can use up, as Python 3.12 does by itself.

    PySide6 6.12.0 loses a reference to True with every `Signal.emit`, and one to None with every Qt call that returns
    nothing; on Python 3.11 the interpreter aborts once they are used up, within a minute. Idempotent.
    """
    if sys.version_info >= _FIRST_WITH_IMMORTALS:
        return
    for constant in (True, False, None):
        count = ctypes.c_ssize_t.from_address(id(constant))  # ob_refcnt is a CPython object's first field
        if count.value < _IMMORTAL // 2:
            count.value += _IMMORTAL
