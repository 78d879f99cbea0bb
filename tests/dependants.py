"""Servers that tests start end with them, however these end."""

from __future__ import annotations

from collections.abc import Sequence


def dependent(command: Sequence[str]) -> list[str]:
    """The command, to be told by the kernel to end (SIGTERM) when the thread that starts it is gone.

    A context manager cannot do that for a run of tests that is terminated or killed.
    """
    return ["setpriv", "--pdeathsig", "TERM", "--", *command]
