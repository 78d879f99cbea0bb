"""Selecting, moving, copying and pasting points and notes, as pure functions."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.state.edits import delete_notes, set_lane
from app.state.passage import TIME_TOLERANCE_S, Interpolation, Lane, Note, Passage, Point, lane_range
from synth.spec.audio import HOP_S


@dataclass(frozen=True, slots=True)
class Selection:
    """Points and notes of one voice, by index. Valid for the passage it was made for only."""

    notes: frozenset[int] = frozenset()
    points: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not self.notes and not any(self.points.values())


@dataclass(frozen=True, slots=True)
class Clipping:
    """Copied notes and points, with times from the first of them."""

    notes: tuple[Note, ...]
    points: Mapping[str, tuple[Point, ...]]
    interpolations: Mapping[str, Interpolation]


def select_range(
    passage: Passage,
    voice_index: int,
    start_s: float,
    end_s: float,
    *,
    lane_ids: Iterable[str] = (),
    values: tuple[float, float] = (-math.inf, math.inf),
    notes: bool = True,
) -> Selection:
    """What lies in a box: points of `lane_ids`, and notes that sound in [start_s, end_s], with values in `values`."""
    voice = passage.voices[voice_index]
    low, high = values
    chosen = frozenset(
        index
        for index, note in enumerate(voice.notes)
        if notes and note.start_s <= end_s and note.end_s > start_s and low <= note.note <= high
    )
    points: dict[str, frozenset[int]] = {}
    for lane_id in lane_ids:
        if lane_id not in voice.lanes:
            continue
        drawn = voice.lanes[lane_id].points
        first = bisect_left(drawn, (start_s, -math.inf))
        last = bisect_right(drawn, (end_s, math.inf))
        points[lane_id] = frozenset(index for index in range(first, last) if low <= drawn[index][1] <= high)
    return Selection(chosen, {lane_id: indexes for lane_id, indexes in points.items() if indexes})


def move_selection(
    passage: Passage,
    voice_index: int,
    selection: Selection,
    *,
    by_s: float = 0.0,
    by_semitones: float = 0.0,
    by_value: Mapping[str, float] | None = None,
) -> tuple[Passage, Selection]:
    """Shift the selection in time (as a whole, stopping at the passage's ends) and in value (each within its range).

    `by_semitones` moves notes and the pitch lane's points; `by_value` other lanes' points, in their unit. A moved
    point replaces one it lands on. -> the passage, and the same things selected in it
    """
    voice = passage.voices[voice_index]
    by_s = _shift_inside(passage, voice_index, selection, by_s)
    low, high = lane_range("pitch")
    moved = tuple(
        replace(
            voice.notes[index],
            start_s=max(voice.notes[index].start_s + by_s, 0.0),
            note=min(max(voice.notes[index].note + by_semitones, low), high),
        )
        for index in sorted(selection.notes)
    )
    result = delete_notes(passage, voice_index, selection.notes)
    stay = result.voices[voice_index]
    result = result.with_voice(voice_index, replace(stay, notes=stay.notes + moved))
    offsets = {"pitch": by_semitones, **(by_value or {})}
    points: dict[str, frozenset[int]] = {}
    for lane_id, indexes in selection.points.items():
        drawn = voice.lanes[lane_id].points
        shifted = [(drawn[index][0] + by_s, drawn[index][1] + offsets.get(lane_id, 0.0)) for index in sorted(indexes)]
        others = [point for index, point in enumerate(drawn) if index not in indexes]
        result, points[lane_id] = _put_points(result, voice_index, lane_id, others, shifted)
    return result, Selection(_indexes_of(moved, result.voices[voice_index].notes), points)


def transpose(passage: Passage, voice_index: int, selection: Selection, semitones: float) -> tuple[Passage, Selection]:
    """Move notes and pitch points up or down."""
    return move_selection(passage, voice_index, selection, by_semitones=semitones)


def delete_selection(passage: Passage, voice_index: int, selection: Selection) -> Passage:
    """Remove the selected notes and points; a lane left without points is gone."""
    voice = passage.voices[voice_index]
    result = delete_notes(passage, voice_index, selection.notes)
    for lane_id, indexes in selection.points.items():
        curve = voice.lanes[lane_id]
        kept = tuple(point for index, point in enumerate(curve.points) if index not in indexes)
        result = set_lane(result, voice_index, lane_id, curve.with_points(kept) if kept else None)
    return result


def copy_selection(passage: Passage, voice_index: int, selection: Selection) -> Clipping:
    """Copy what is selected."""
    voice = passage.voices[voice_index]
    notes = [voice.notes[index] for index in sorted(selection.notes)]
    points = {
        lane_id: [voice.lanes[lane_id].points[index] for index in sorted(indexes)]
        for lane_id, indexes in selection.points.items()
        if indexes
    }
    starts_s = [note.start_s for note in notes] + [drawn[0][0] for drawn in points.values()]
    origin_s = min(starts_s, default=0.0)
    return Clipping(
        tuple(replace(note, start_s=note.start_s - origin_s) for note in notes),
        {lane_id: tuple((t_s - origin_s, value) for t_s, value in drawn) for lane_id, drawn in points.items()},
        {lane_id: voice.lanes[lane_id].interpolation for lane_id in points},
    )


def paste(passage: Passage, voice_index: int, clipping: Clipping, at_s: float) -> tuple[Passage, Selection]:
    """Lay a clipping down at `at_s`: notes are added, points replace what lies under them; the passage's end cuts it.

    -> the passage, and what was pasted as its selection
    """
    end_s = passage.duration_s
    notes = tuple(
        replace(note, start_s=note.start_s + at_s, duration_s=min(note.duration_s, end_s - note.start_s - at_s))
        for note in clipping.notes
        if note.start_s + at_s < end_s - TIME_TOLERANCE_S
    )
    voice = passage.voices[voice_index]
    result = passage.with_voice(voice_index, replace(voice, notes=voice.notes + notes))
    selected: dict[str, frozenset[int]] = {}
    for lane_id, drawn in clipping.points.items():
        pasted = [(t_s + at_s, value) for t_s, value in drawn if t_s + at_s <= end_s]
        if not pasted:
            continue
        curve = voice.lanes.get(lane_id)
        others = [p for p in curve.points if not pasted[0][0] <= p[0] <= pasted[-1][0]] if curve else []
        if curve is None:
            result = set_lane(result, voice_index, lane_id, Lane(tuple(pasted), clipping.interpolations[lane_id]))
        result, selected[lane_id] = _put_points(result, voice_index, lane_id, others, pasted)
    return result, Selection(_indexes_of(notes, result.voices[voice_index].notes), selected)


def _shift_inside(passage: Passage, voice_index: int, selection: Selection, by_s: float) -> float:
    """`by_s`, as far as the passage's ends let the selection go."""
    voice = passage.voices[voice_index]
    notes = [voice.notes[index] for index in selection.notes]
    drawn = [voice.lanes[lane_id].points for lane_id, indexes in selection.points.items() if indexes]
    chosen = [indexes for indexes in selection.points.values() if indexes]
    starts_s = [note.start_s for note in notes]
    starts_s += [points[min(indexes)][0] for points, indexes in zip(drawn, chosen, strict=True)]
    ends_s = [note.end_s for note in notes]
    ends_s += [points[max(indexes)][0] for points, indexes in zip(drawn, chosen, strict=True)]
    if not starts_s:
        return 0.0
    return max(min(by_s, passage.duration_s - max(ends_s)), -min(starts_s))


def _put_points(
    passage: Passage, voice_index: int, lane_id: str, others: list[Point], placed: list[Point]
) -> tuple[Passage, frozenset[int]]:
    """Set a lane to `others` and `placed`; of two points closer than half a frame the placed one stays."""
    low, high = lane_range(lane_id)
    inside = [(min(max(t_s, 0.0), passage.duration_s), min(max(value, low), high)) for t_s, value in placed]
    times_s = [t_s for t_s, _ in inside]
    kept = [point for point in others if not _is_near(point[0], times_s)]
    merged = sorted([*kept, *inside])
    curve = passage.voices[voice_index].lanes[lane_id].with_points(merged)
    wanted = set(times_s)
    return (
        set_lane(passage, voice_index, lane_id, curve),
        frozenset(index for index, point in enumerate(merged) if point[0] in wanted),
    )


def _is_near(t_s: float, times_s: list[float]) -> bool:
    index = bisect_left(times_s, t_s)
    return any(abs(other_s - t_s) < HOP_S / 2 for other_s in times_s[max(index - 1, 0) : index + 1])


def _indexes_of(chosen: Iterable[Note], notes: tuple[Note, ...]) -> frozenset[int]:
    """Where `chosen` lie among `notes`; of equal notes the last ones."""
    wanted = list(chosen)
    found: set[int] = set()
    for index in range(len(notes) - 1, -1, -1):
        if notes[index] in wanted:
            wanted.remove(notes[index])
            found.add(index)
    return frozenset(found)
