"""Faults a person can mend, as opposed to faults of ours."""

from __future__ import annotations


class UserError(Exception):
    """Expected trouble: what is wrong and where, and what to do about it. Shown as one line, never as a traceback."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class Cancelled(Exception):
    """The work was called off by whoever asked for it; nothing is wrong."""
