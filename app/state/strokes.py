"""From the track of a pen to few breakpoints."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from app.state.passage import Point


def last_pass_wins(track: Sequence[Point]) -> tuple[Point, ...]:
    """A pen's track in order of drawing -> a curve: where the pen went back over itself the later pass stands."""
    curve: list[Point] = []
    for index, (t_s, value) in enumerate(track):
        came_from_s = track[index - 1][0] if index else t_s
        low_s, high_s = min(t_s, came_from_s), max(t_s, came_from_s)
        first = bisect_left(curve, low_s, key=_time_of)
        last = bisect_right(curve, high_s, key=_time_of)
        kept = [point for point in curve[first:last] if index and point[0] == came_from_s != t_s]
        curve[first:last] = sorted([*kept, (t_s, value)])
    return tuple(curve)


def simplify(points: Sequence[Point], *, tolerance: float, max_points: int) -> tuple[Point, ...]:
    """Fewest points whose straight lines stay within `tolerance` (in value) of the curve, at most `max_points` (>= 2).

    Douglas & Peucker's splitting, worst stretch first, so that a budget cuts the least visible detail.
    """
    if len(points) <= 2:
        return tuple(points)
    table = np.array(points, dtype=np.float64)
    keep = {0, len(points) - 1}
    stretches = [_worst(table, 0, len(points) - 1)]
    while stretches and len(keep) < max(max_points, 2):
        negative_error, middle, first, last = heapq.heappop(stretches)
        if -negative_error <= tolerance:
            break
        keep.add(middle)
        for stretch in ((first, middle), (middle, last)):
            if stretch[1] - stretch[0] > 1:
                heapq.heappush(stretches, _worst(table, *stretch))
    return tuple(points[index] for index in sorted(keep))


def _time_of(point: Point) -> float:
    return point[0]


def _worst(table: np.ndarray, first: int, last: int) -> tuple[float, int, int, int]:
    """The point between `first` and `last` furthest from their line, as a heap entry."""
    inner = table[first + 1 : last]
    line = np.interp(inner[:, 0], table[[first, last], 0], table[[first, last], 1])
    errors = np.abs(inner[:, 1] - line)
    worst = int(np.argmax(errors))
    return -float(errors[worst]), first + 1 + worst, first, last
