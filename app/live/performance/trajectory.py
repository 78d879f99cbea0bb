"""A value on its way: where it was, where it goes and how, readable at any time and in blocks of any size.

Evaluated in closed form, so the block size leaves no trace and nothing has to be stepped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from synth.spec.controls import Float32Array

_SETTLED: Final = 12.0  # time constants after which an approach has arrived: e^-12, below float32's resolution


@dataclass(frozen=True, slots=True)
class Trajectory:
    """From `start` at `start_s` to `target`. Immutable.

    time_s      is_linear: how long it takes; else the time constant of an exponential approach. 0 = at once
    """

    start_s: float
    start: float
    target: float
    time_s: float = 0.0
    is_linear: bool = False

    def at(self, t_s: float) -> float:
        """The value at `t_s`; `start` before it begins."""
        if t_s >= self.settled_s:
            return self.target
        if t_s <= self.start_s:
            return self.start
        passed_s = t_s - self.start_s
        left = 1.0 - passed_s / self.time_s if self.is_linear else math.exp(-passed_s / self.time_s)
        return self.target + (self.start - self.target) * left

    @property
    def settled_s(self) -> float:
        """From here on the value is `target`."""
        if self.start == self.target:
            return self.start_s
        return self.start_s + self.time_s * (1.0 if self.is_linear else _SETTLED)

    def fill(self, out: Float32Array, start_s: float, step_s: float) -> None:
        """Values at start_s, start_s + step_s, ... into `out` [n]."""
        if start_s >= self.settled_s:
            out.fill(self.target)
            return
        times_s = start_s + step_s * np.arange(len(out))
        passed_s = np.clip(times_s, self.start_s, self.settled_s) - self.start_s
        if self.time_s > 0:
            left = 1.0 - passed_s / self.time_s if self.is_linear else np.exp(-passed_s / self.time_s)
        else:
            left = np.ones(len(out))
        out[:] = np.where(times_s >= self.settled_s, self.target, self.target + (self.start - self.target) * left)

    def towards(self, t_s: float, target: float, time_s: float, *, is_linear: bool = False) -> Trajectory:
        """From wherever it is at `t_s` to another target."""
        return Trajectory(t_s, self.at(t_s), target, time_s, is_linear)


def standing(value: float) -> Trajectory:
    """A value that does not move."""
    return Trajectory(0.0, value, value)
