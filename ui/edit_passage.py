"""From what a tool hands back to the next passage. Pure: no Qt."""

from __future__ import annotations

from dataclasses import replace

from app.state import edits
from app.state.passage import Lane, Note, Passage, Point, Voice
from app.state.selection import move_selection, select_range
from synth.spec import HOP_S, lane
from ui.tools.model import AddNotes, DeleteNotes, DrawCurve, Edit, EraseCurve, MoveCurve, ReplaceNotes, Selection

SHORTEST_SUNG_S = 0.08  # a stroke this long beside the notes is meant to be heard


def edit_name(edit: Edit) -> str:
    """The step's name in the undo menu."""
    match edit:
        case DrawCurve():
            return f"Draw {lane(edit.lane_id).title}"
        case EraseCurve():
            return f"Erase {lane(edit.lane_id).title}"
        case MoveCurve():
            return f"Move {lane(edit.lane_id).title}"
        case AddNotes():
            return "Add Note" if len(edit.notes) == 1 else "Add Notes"
        case ReplaceNotes():
            return "Change Note" if len(edit.changes) == 1 else "Change Notes"
        case DeleteNotes():
            return "Delete Note" if len(edit.indices) == 1 else "Delete Notes"


def apply_edit(
    passage: Passage, voice_index: int, edit: Edit, selection: Selection | None
) -> tuple[Passage, Selection | None]:
    """The passage after the edit, and what is selected in it. Raises UserError for what cannot be."""
    match edit:
        case DrawCurve():
            drawn = edits.draw_points(passage, voice_index, edit.lane_id, edit.points)
            if edit.lane_id == "pitch":
                drawn = _give_voice(_bridge(passage, drawn, voice_index), voice_index, edit.points)
            return drawn, None
        case EraseCurve():
            erased = edits.erase_range(passage, voice_index, edit.lane_id, edit.start_s, edit.end_s)
            return (_bridge(passage, erased, voice_index) if edit.lane_id == "pitch" else erased), None
        case MoveCurve():
            return _move_curve(passage, voice_index, edit)
        case AddNotes():
            for note in edit.notes:
                passage = edits.add_note(passage, voice_index, note)
            return passage, None
        case ReplaceNotes():
            return _replace_notes(passage, voice_index, edit, selection)
        case DeleteNotes():
            return edits.delete_notes(passage, voice_index, edit.indices), None


def _move_curve(passage: Passage, voice_index: int, edit: MoveCurve) -> tuple[Passage, Selection]:
    caught = select_range(passage, voice_index, edit.start_s, edit.end_s, lane_ids=(edit.lane_id,), notes=False)
    by_value = None if edit.lane_id == "pitch" else {edit.lane_id: edit.by_value}
    semitones = edit.by_value if edit.lane_id == "pitch" else 0.0
    moved, _ = move_selection(passage, voice_index, caught, by_s=edit.by_s, by_semitones=semitones, by_value=by_value)
    return moved, Selection(edit.lane_id, edit.start_s + edit.by_s, edit.end_s + edit.by_s)


def _replace_notes(
    passage: Passage, voice_index: int, edit: ReplaceNotes, selection: Selection | None
) -> tuple[Passage, Selection | None]:
    voice = passage.voices[voice_index]
    gone = {index for index, _ in edit.changes}
    inside = tuple(_inside(passage, note) for _, note in edit.changes)
    kept = tuple(note for index, note in enumerate(voice.notes) if index not in gone)
    after = passage.with_voice(voice_index, replace(voice, notes=(*kept, *inside)))
    if selection is None or not selection.notes:
        return after, None
    notes = after.voices[voice_index].notes
    chosen = frozenset(index for index, note in enumerate(notes) if any(note is moved for moved in inside))
    return after, Selection("pitch", min(n.start_s for n in inside), max(n.end_s for n in inside), chosen)


def _inside(passage: Passage, note: Note) -> Note:
    """`note`, moved back as far as the passage's end asks, and shortened where that is not enough."""
    start_s = min(note.start_s, max(passage.duration_s - note.duration_s, 0.0))
    return replace(note, start_s=start_s, duration_s=min(note.duration_s, passage.duration_s - start_s))


def _bridge(before: Passage, after: Passage, voice_index: int) -> Passage:
    """Let notes keep their pitch in a gap that the pitch lane has just come to span.

    The lane joins its points, so two strokes far apart would bend every note between them.
    """
    voice = after.voices[voice_index]
    curve = voice.lanes.get("pitch")
    if curve is None or not voice.notes:
        return after
    old = before.voices[voice_index].lanes.get("pitch")
    old_times = {t_s for t_s, _ in old.points} if old is not None else set()
    pins: list[Point] = []
    for (left_s, _), (right_s, _) in zip(curve.points, curve.points[1:], strict=False):
        is_stroke = left_s not in old_times and right_s not in old_times
        if right_s - left_s > SHORTEST_SUNG_S and not is_stroke and not _joined(old, left_s, right_s):
            pins += _note_corners(voice, left_s, right_s)
    if not pins:
        return after
    merged = sorted({**dict(pins), **dict(curve.points)}.items())
    return edits.set_lane(after, voice_index, "pitch", curve.with_points(merged))


def _joined(old: Lane | None, left_s: float, right_s: float) -> bool:
    """Whether the old lane already ran straight from one time to the other."""
    if old is None or left_s < old.first_s or right_s > old.last_s:
        return False
    return not any(left_s < t_s < right_s for t_s, _ in old.points)


def _note_corners(voice: Voice, left_s: float, right_s: float) -> list[Point]:
    """Points that trace the notes sounding between two times, a frame away from both."""
    corners: list[Point] = []
    for note in voice.notes:
        start_s, end_s = max(note.start_s, left_s + HOP_S), min(note.end_s, right_s - HOP_S)
        if end_s - start_s > HOP_S:
            corners += [(start_s, note.note), (end_s - HOP_S / 2, note.note)]
    return corners


def _give_voice(passage: Passage, voice_index: int, stroke: tuple[Point, ...]) -> Passage:
    """Put a note under what a stroke draws beside the notes: they say when somebody sings, so it would be silent.

    Nothing to do in a voice without notes (its drawn pitch sounds by itself) or with a drawn presence lane.
    """
    voice = passage.voices[voice_index]
    if not voice.notes or "presence" in voice.lanes:
        return passage
    first_s, last_s = stroke[0][0], min(stroke[-1][0], passage.duration_s)
    position_s = first_s
    gaps: list[tuple[float, float]] = []
    for note in voice.notes:
        if note.start_s >= last_s:
            break
        if note.start_s > position_s:
            gaps.append((position_s, note.start_s))
        position_s = max(position_s, note.end_s)
    gaps.append((position_s, last_s))
    for start_s, end_s in gaps:
        if end_s - start_s >= SHORTEST_SUNG_S:
            values = [value for t_s, value in stroke if start_s <= t_s <= end_s] or [stroke[0][1]]
            spec = lane("pitch")
            pitch = spec.clamp(float(round(sum(values) / len(values))))
            passage = edits.add_note(passage, voice_index, Note(start_s, end_s - start_s, pitch))
    return passage
