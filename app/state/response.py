"""How a control's travel becomes a value: response curves from 0..1 to 0..1, as immutable values."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from app.state.passage import check_number
from app.state.places import PlacedError

CURVE_KINDS: Final = ("linear", "exponential", "s_curve", "level", "points")
MAX_STEEPNESS: Final = 10.0
MAX_POINTS: Final = 64
_LEVEL_SPAN_DB: Final = 60.0


@dataclass(frozen=True, slots=True)
class ResponseCurve:
    """A curve from 0..1 to 0..1 that keeps both ends, except `points`, which goes where they go.

    kind        linear
                exponential   (e^(k x) - 1) / (e^k - 1); k < 0 rises early, k > 0 late
                s_curve       x^p / (x^p + (1 - x)^p) with p = 1 + |k|
                level         decibels: 1 + 40 log10(x) / 60, MIDI's recommended volume law over 60 dB
                points        piecewise linear through `points`, x strictly rising from 0 to 1
    steepness   k above, -10..10; only exponential and s_curve use it
    """

    kind: str = "linear"
    steepness: float = 3.0
    points: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in CURVE_KINDS:
            raise PlacedError("kind", f"{self.kind!r} is no curve.", remedy=f"Use one of {', '.join(CURVE_KINDS)}.")
        check_number(self.steepness, -MAX_STEEPNESS, MAX_STEEPNESS, "steepness")
        if (self.kind == "points") != bool(self.points):
            raise PlacedError(
                "points", "only the kind points has points, and it needs them.", remedy="See docs/midi.md."
            )
        if self.points:
            _check_points(self.points)

    def at(self, x: float) -> float:
        """The curve at `x`, which is forced into 0..1. -> 0..1"""
        x = min(max(x, 0.0), 1.0)
        if self.kind == "linear":
            return x
        if self.kind == "exponential":
            k = self.steepness
            return x if abs(k) < 1e-6 else math.expm1(k * x) / math.expm1(k)
        if self.kind == "s_curve":
            power = 1.0 + abs(self.steepness)
            rising = x**power
            return rising / (rising + (1.0 - x) ** power)
        if self.kind == "level":
            return max(1.0 + 40.0 * math.log10(x) / _LEVEL_SPAN_DB, 0.0) if x > 0 else 0.0
        return self._through_points(x)

    def _through_points(self, x: float) -> float:
        index = min(bisect_right(self.points, x, key=lambda point: point[0]), len(self.points) - 1)
        (left_x, left_y), (right_x, right_y) = self.points[index - 1], self.points[index]
        return left_y + (right_y - left_y) * (x - left_x) / (right_x - left_x)


LINEAR: Final = ResponseCurve()
LEVEL: Final = ResponseCurve("level")


def _check_points(points: tuple[tuple[float, float], ...]) -> None:
    if not 2 <= len(points) <= MAX_POINTS:
        raise PlacedError("points", f"{len(points)} points.", remedy=f"Use 2 to {MAX_POINTS}.")
    for index, (x, y) in enumerate(points):
        check_number(x, 0.0, 1.0, f"points[{index}][0]")
        check_number(y, 0.0, 1.0, f"points[{index}][1]")
        if index and x <= points[index - 1][0]:
            raise PlacedError(f"points[{index}]", "does not lie to the right of the one before.")
    if points[0][0] != 0.0 or points[-1][0] != 1.0:
        raise PlacedError("points", "must begin at x = 0 and end at x = 1.")
