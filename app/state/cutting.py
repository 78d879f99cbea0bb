"""Cutting a drawn curve so that what stays of it stays as it is, to the last bit of every frame.

A point put into a straight piece splits it, and the two halves round differently from the whole: a frame that moves by
one rounding step is another frame to the sampler, and the sound near it another sound. So a cut is checked on the
frames it must leave alone, and a frame that did move is given a point of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from app.state.passage import Lane, Point, frame_centres_s
from synth.spec.audio import FRAME_RATE_HZ


def points_up_to(curve: Lane, cut_s: float) -> tuple[Point, ...]:
    """The curve's points before `cut_s`, and one at `cut_s` on the curve. Frames before the cut keep their bits."""
    before = curve.points[: bisect_left(curve.points, (cut_s, -math.inf))]
    cut = (cut_s, curve.value_at(cut_s))
    return (*before, *_kept_frames(curve, before[-1], cut), cut) if before else (cut,)


def points_from(curve: Lane, cut_s: float) -> tuple[Point, ...]:
    """One point at `cut_s` on the curve, and the curve's points after. Frames after the cut keep their bits."""
    after = curve.points[bisect_right(curve.points, (cut_s, math.inf)) :]
    cut = (cut_s, curve.value_at(cut_s))
    return (cut, *_kept_frames(curve, cut, after[0]), *after) if after else (cut,)


def _kept_frames(curve: Lane, left: Point, right: Point) -> tuple[Point, ...]:
    """Points that a straight piece from `left` to `right`, on one straight piece of `curve`, needs to keep its frames.

    Nearly always none: only a value that lies on a rounding boundary of single precision moves. A frame that has a
    point of its own never moves again, so the search ends. A smooth curve bends with every point put into it; it is
    left as drawn.
    """
    if curve.interpolation == "smooth":
        return ()
    first = math.floor(left[0] * FRAME_RATE_HZ) - 1
    centres_s = frame_centres_s(first, math.ceil(right[0] * FRAME_RATE_HZ) + 1 - first)
    centres_s = centres_s[(centres_s > left[0]) & (centres_s < right[0])]
    wanted = curve.at_times(centres_s)
    kept: tuple[Point, ...] = ()
    while True:
        moved = curve.with_points((left, *kept, right)).at_times(centres_s) != wanted
        if not moved.any():
            return kept
        kept = tuple(sorted({*kept, *((float(t_s), curve.value_at(float(t_s))) for t_s in centres_s[moved])}))
