"""One figure beside what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AIMED, MET, MISSED, UNKNOWN = "aim reached", "reached", "missed", "not measured"
TOO_FEW, NOTED = "too few to say", "for information"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Measured in words, and whether it reaches what is asked.

    judges   what the judges themselves give on voices or recordings whose truth is known; empty where there is none
    """

    what: str
    at_least: str
    aim: str
    measured: str
    outcome: str
    judges: str = ""


def under(value: float, limit: float, aim: float) -> str:
    """The outcome of a figure that must not be over `limit`."""
    if not np.isfinite(value):
        return UNKNOWN
    return AIMED if value <= aim else MET if value <= limit else MISSED


def over(value: float, limit: float, aim: float) -> str:
    """The outcome of a figure that must not be under `limit`."""
    return under(-value, -limit, -aim)
