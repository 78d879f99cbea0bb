"""Where two versions of a passage can sound different.

An outer bound for display and scheduling: outside the ranges `resolve` gives equal controls. What is really sampled
again is decided by content, in the renderer.
"""

from __future__ import annotations

from typing import Final

from app.state.passage import Lane, Note, Passage, Point, Voice
from app.state.preset import MAX_RAMP_S
from app.state.resolve import LEGATO_GAP_S, drawn_span_s

Range = tuple[float, float]
_SMOOTH_REACH: Final = 2  # points a smooth curve looks at on either side; linear and step need 1


def dirty_range(old: Passage, new: Passage, *, ramp_s: float = 2 * MAX_RAMP_S) -> tuple[tuple[Range, ...], ...]:
    """One entry for each voice of `new`: the merged (start_s, end_s) ranges in which its controls may differ.

    ramp_s    attack plus release of the presets in use; the default covers every preset
    """
    return tuple(
        _voice_ranges(old, new, old.voices[index], voice, ramp_s)
        if index < len(old.voices)
        else ((0.0, new.duration_s),)
        for index, voice in enumerate(new.voices)
    )


def _voice_ranges(old: Passage, new: Passage, before: Voice, after: Voice, ramp_s: float) -> tuple[Range, ...]:
    end_s = max(old.duration_s, new.duration_s)
    if before is after and old.duration_s == new.duration_s:
        return ()
    if (before.preset, before.seed, before.takes) != (after.preset, after.seed, after.takes):
        return ((0.0, end_s),)
    if bool(before.notes) != bool(after.notes):
        return ((0.0, end_s),)
    ranges: list[Range] = []
    if old.duration_s != new.duration_s:
        ranges.append((min(old.duration_s, new.duration_s), end_s))
    for lane_id in {*before.lanes, *after.lanes}:
        ranges += _lane_ranges(before.lanes.get(lane_id), after.lanes.get(lane_id), end_s)
    ranges += _note_ranges(before.notes, after.notes, end_s, ramp_s)
    if not after.notes:
        ranges += _span_ranges(drawn_span_s(old, before), drawn_span_s(new, after), end_s, ramp_s)
    return _merged([(max(start_s, 0.0), min(stop_s, end_s)) for start_s, stop_s in ranges])


def _lane_ranges(before: Lane | None, after: Lane | None, end_s: float) -> list[Range]:
    if before is after or before == after:
        return []
    if before is None or after is None or before.interpolation != after.interpolation:
        return [(0.0, end_s)]
    reach = _SMOOTH_REACH if after.interpolation == "smooth" else 1
    first, tail = _common_ends(before.points, after.points)
    start = first - reach
    start_s = before.points[start][0] if start >= 0 else 0.0
    return [(start_s, _time_after(after.points, tail - reach, end_s))]


def _time_after(points: tuple[Point, ...], from_the_end: int, end_s: float) -> float:
    """Time of the point with `from_the_end` others behind it; the passage's end where there is none."""
    return points[len(points) - 1 - from_the_end][0] if from_the_end >= 0 else end_s


def _note_ranges(before: tuple[Note, ...], after: tuple[Note, ...], end_s: float, ramp_s: float) -> list[Range]:
    if before is after or before == after:
        return []
    first, tail = _common_ends(before, after)
    changed = before[first : len(before) - tail] + after[first : len(after) - tail]
    start_s = min(note.start_s for note in changed) - LEGATO_GAP_S if first else 0.0
    if tail == 0:
        return [(start_s, end_s)]
    return [(start_s, after[len(after) - tail].start_s + ramp_s + LEGATO_GAP_S)]


def _span_ranges(before: Range | None, after: Range | None, end_s: float, ramp_s: float) -> list[Range]:
    if before == after:
        return []
    if before is None or after is None:
        return [(0.0, end_s)]
    # A level that is still rising at the end of a short span depends on both of its ends.
    if min(before[1] - before[0], after[1] - after[0]) < ramp_s:
        return [(min(before[0], after[0]), max(before[1], after[1]) + ramp_s)]
    ranges = []
    for old_s, new_s in zip(before, after, strict=True):
        if old_s != new_s:
            ranges.append((min(old_s, new_s), max(old_s, new_s) + ramp_s))
    return ranges


def _common_ends(before: tuple, after: tuple) -> tuple[int, int]:
    """Lengths of the common beginning and of the common end beyond it."""
    shortest = min(len(before), len(after))
    first = 0
    while first < shortest and before[first] == after[first]:
        first += 1
    tail = 0
    while tail < shortest - first and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return first, tail


def _merged(ranges: list[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for start_s, stop_s in sorted(ranges):
        if merged and start_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop_s, merged[-1][1]))
        elif stop_s > start_s:
            merged.append((start_s, stop_s))
    return tuple(merged)
