"""Edits of lanes, notes and voices, as pure functions: passage in, passage out.

What comes from a hand (pen positions, moved selections) is kept inside the lane's range and the passage, as a pen
stops at the edge of the paper. Everything else is checked by the passage itself and raises PlacedError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from app.state.cutting import points_from, points_up_to
from app.state.passage import Interpolation, Lane, Note, Passage, Point, Take, Tempo, Voice, lane_range
from app.state.strokes import last_pass_wins, simplify
from synth.spec.audio import HOP_S

STROKE_TOLERANCE: Final = 0.002  # of the lane's range: a fifth of a pixel in a lane 100 pixels high
STROKE_POINTS_PER_S: Final = 25
STROKE_MIN_POINTS: Final = 8
EDGE_S: Final = HOP_S  # how far beside a stroke the old curve is pinned


def draw_points(
    passage: Passage, voice_index: int, lane_id: str, track: Sequence[Point], *, simplified: bool = True
) -> Passage:
    """Replace what lies under a pen's `track` (in order of drawing) by it; the curve beside it stays as it is.

    Further away than EDGE_S, or than an old point up to twice as near, every frame keeps its bits; only a smooth curve
    bends with its new neighbours, up to two of its points away.
    A drawn pitch lane only covers what was drawn, so a stroke beside it does not stretch its old ends flat.
    """
    if not track:
        return passage
    low, high = lane_range(lane_id)
    inside = [(_limit(t_s, 0.0, passage.duration_s), _limit(value, low, high)) for t_s, value in track]
    stroke = last_pass_wins(inside)
    if simplified:
        budget = STROKE_MIN_POINTS + int(STROKE_POINTS_PER_S * (stroke[-1][0] - stroke[0][0]))
        stroke = simplify(stroke, tolerance=STROKE_TOLERANCE * (high - low), max_points=budget)
    old = passage.voices[voice_index].lanes.get(lane_id)
    if old is None:
        return set_lane(passage, voice_index, lane_id, Lane(stroke))
    first_s, last_s = stroke[0][0], stroke[-1][0]
    before = tuple(point for point in old.points if point[0] < first_s)
    after = tuple(point for point in old.points if point[0] > last_s)
    if _is_pinned(passage, lane_id, old, first_s - EDGE_S, before):
        before = points_up_to(old, first_s - EDGE_S)
    if _is_pinned(passage, lane_id, old, last_s + EDGE_S, after):
        after = points_from(old, last_s + EDGE_S)
    return set_lane(passage, voice_index, lane_id, old.with_points((*before, *stroke, *after)))


def draw_line(passage: Passage, voice_index: int, lane_id: str, start: Point, end: Point) -> Passage:
    """A straight line from `start` to `end`, in either direction."""
    return draw_points(passage, voice_index, lane_id, (start, end))


def erase_range(passage: Passage, voice_index: int, lane_id: str, start_s: float, end_s: float) -> Passage:
    """Remove the points in [start_s, end_s]; a lane without points is gone, and notes and preset speak again."""
    old = passage.voices[voice_index].lanes.get(lane_id)
    if old is None:
        return passage
    kept = tuple(point for point in old.points if not start_s <= point[0] <= end_s)
    if len(kept) == len(old.points):
        return passage
    return set_lane(passage, voice_index, lane_id, old.with_points(kept) if kept else None)


def set_lane(passage: Passage, voice_index: int, lane_id: str, curve: Lane | None) -> Passage:
    """Replace or, with None, remove a whole lane."""
    voice = passage.voices[voice_index]
    lanes = {other_id: other for other_id, other in voice.lanes.items() if other_id != lane_id or curve is not None}
    if curve is not None:
        lanes[lane_id] = curve
    return passage.with_voice(voice_index, replace(voice, lanes=lanes))


def set_interpolation(passage: Passage, voice_index: int, lane_id: str, interpolation: Interpolation) -> Passage:
    """Join a lane's points in another way."""
    curve = passage.voices[voice_index].lanes.get(lane_id)
    if curve is None:
        return passage
    return set_lane(passage, voice_index, lane_id, replace(curve, interpolation=interpolation))


def add_note(passage: Passage, voice_index: int, note: Note) -> Passage:
    """Add a note, shortened where it would outlast the passage."""
    voice = passage.voices[voice_index]
    note = _note_inside(passage, note)
    return passage.with_voice(voice_index, replace(voice, notes=(*voice.notes, note)))


def replace_note(passage: Passage, voice_index: int, note_index: int, note: Note) -> Passage:
    """Move, resize or otherwise change one note. Notes are sorted by start, so its index may change."""
    voice = passage.voices[voice_index]
    others = voice.notes[:note_index] + voice.notes[note_index + 1 :]
    return passage.with_voice(voice_index, replace(voice, notes=(*others, _note_inside(passage, note))))


def delete_notes(passage: Passage, voice_index: int, note_indexes: Iterable[int]) -> Passage:
    """Remove notes by index."""
    voice = passage.voices[voice_index]
    gone = set(note_indexes)
    kept = tuple(note for index, note in enumerate(voice.notes) if index not in gone)
    return passage.with_voice(voice_index, replace(voice, notes=kept))


def set_preset(passage: Passage, voice_index: int, preset_id: str | None) -> Passage:
    """Let another preset sing a voice."""
    return passage.with_voice(voice_index, replace(passage.voices[voice_index], preset=preset_id))


def set_seed(passage: Passage, voice_index: int, seed: int) -> Passage:
    """Another seed: another performance of the same curves."""
    return passage.with_voice(voice_index, replace(passage.voices[voice_index], seed=seed))


def set_mix(passage: Passage, voice_index: int, *, gain_db: float | None = None, pan: float | None = None) -> Passage:
    """Change a voice's gain, pan or both."""
    voice = passage.voices[voice_index]
    changed = replace(
        voice, gain_db=voice.gain_db if gain_db is None else gain_db, pan=voice.pan if pan is None else pan
    )
    return passage.with_voice(voice_index, changed)


def add_voice(passage: Passage, voice: Voice | None = None) -> Passage:
    """Append a voice; without one, an empty voice with a name not in use."""
    if voice is None:
        names = {other.name for other in passage.voices}
        number = next(n for n in range(len(names) + 1, 2 * len(names) + 2) if f"Voice {n}" not in names)
        voice = Voice(name=f"Voice {number}", seed=len(passage.voices))
    return replace(passage, voices=(*passage.voices, voice))


def remove_voice(passage: Passage, voice_index: int) -> Passage:
    """Remove a voice; the last one cannot go."""
    return replace(passage, voices=passage.voices[:voice_index] + passage.voices[voice_index + 1 :])


def rename_voice(passage: Passage, voice_index: int, name: str) -> Passage:
    """Give a voice another name."""
    return passage.with_voice(voice_index, replace(passage.voices[voice_index], name=name))


def set_tempo(passage: Passage, tempo: Tempo) -> Passage:
    """Another tempo map; times are seconds and do not move."""
    return replace(passage, tempo=tempo)


def set_takes(passage: Passage, voice_index: int, takes: Iterable[Take]) -> Passage:
    """Replace a voice's list of takes."""
    return passage.with_voice(voice_index, replace(passage.voices[voice_index], takes=tuple(takes)))


def set_duration(passage: Passage, duration_s: float) -> Passage:
    """Lengthen a passage, or cut it: what lies beyond the new end goes, notes across it are shortened."""
    voices = tuple(_cut_voice(voice, duration_s) for voice in passage.voices)
    return replace(passage, duration_s=duration_s, voices=voices)


def _is_pinned(passage: Passage, lane_id: str, old: Lane, pin_s: float, kept: Sequence[Point]) -> bool:
    """Whether the old curve gets a point beside a stroke: inside the passage, not next to one of the `kept` points, and
    where a pitch lane reached at all.
    """
    if not 0.0 <= pin_s <= passage.duration_s or any(abs(t_s - pin_s) < EDGE_S for t_s, _ in kept):
        return False
    return lane_id != "pitch" or old.first_s <= pin_s <= old.last_s


def _limit(value: float, low: float, high: float) -> float:
    return min(max(float(value), low), high)


def _note_inside(passage: Passage, note: Note) -> Note:
    if note.end_s <= passage.duration_s:
        return note
    start_s = min(note.start_s, max(passage.duration_s - HOP_S, 0.0))
    return replace(note, start_s=start_s, duration_s=passage.duration_s - start_s)


def _cut_voice(voice: Voice, duration_s: float) -> Voice:
    lanes = {}
    for lane_id, curve in voice.lanes.items():
        kept = tuple(point for point in curve.points if point[0] <= duration_s)
        if len(kept) < len(curve.points):
            kept = points_up_to(curve, duration_s)
        lanes[lane_id] = curve.with_points(kept)
    notes = tuple(
        note if note.end_s <= duration_s else replace(note, duration_s=duration_s - note.start_s)
        for note in voice.notes
        if note.start_s < duration_s
    )
    takes = tuple(take for take in voice.takes if take.start_s < duration_s)
    return replace(voice, lanes=lanes, notes=notes, takes=takes)
