"""Rubber band, and moving what it caught."""

from __future__ import annotations

from dataclasses import replace

from app.state.passage import Note
from ui.tools.model import MoveCurve, Outcome, Pointer, Preview, ReplaceNotes, Scene, Selection
from ui.tools.note_tool import note_at


class SelectTool:
    """Press outside the selection starts a band; inside it, or on a note, moves. Shift keeps the time."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._origin = Pointer(0.0, 0.0)
        self._now = self._origin
        self._moving: Selection | None = None

    def press(self, at: Pointer, scene: Scene) -> None:
        self._scene, self._origin, self._now = scene, at, at
        self._moving = self._grabbed(at, scene)

    def move(self, at: Pointer) -> None:
        self._now = at

    def release(self, at: Pointer) -> Outcome:
        self._now = at
        scene, moving = self._scene, self._moving
        if scene is None:
            return None
        outcome: Outcome = self._moved(scene, moving) if moving is not None else self._caught(scene)
        if outcome is None and moving is not None:
            outcome = moving
        self.cancel()
        return outcome

    def cancel(self) -> None:
        self._scene = self._moving = None

    @property
    def preview(self) -> Preview:
        scene, moving = self._scene, self._moving
        if scene is None:
            return Preview()
        if moving is None:
            start_s, end_s = sorted((self._origin.t_s, self._now.t_s))
            low, high = sorted((self._origin.value, self._now.value))
            return Preview(band=(start_s, low, end_s, high))
        by_s, by_value = self._shift(scene, moving)
        if moving.notes:
            ghosts = tuple(_shifted(scene.notes[index], by_s, by_value, scene) for index in sorted(moving.notes))
            return Preview(notes=ghosts, hidden_notes=moving.notes)
        inside = tuple(
            (t + by_s, min(max(v + by_value, scene.minimum), scene.maximum))
            for t, v in scene.points
            if moving.contains(t)
        )
        return Preview(curve=inside)

    def _grabbed(self, at: Pointer, scene: Scene) -> Selection | None:
        selection = scene.selection
        hit = note_at(scene.notes, at, scene.edge_s) if scene.in_roll else None
        if hit is not None:
            if selection is not None and hit[0] in selection.notes:
                return selection
            note = scene.notes[hit[0]]
            return Selection(scene.lane_id, note.start_s, note.start_s + note.duration_s, frozenset({hit[0]}))
        if selection is None or selection.lane_id != scene.lane_id or selection.notes:
            return None
        return selection if selection.contains(at.t_s) else None

    def _shift(self, scene: Scene, moving: Selection) -> tuple[float, float]:
        by_s = 0.0
        if not self._now.shift and self._now.t_s != self._origin.t_s:
            landed = replace(self._now, t_s=moving.start_s + self._now.t_s - self._origin.t_s)
            by_s = scene.snap.time(landed) - moving.start_s
        by_s = max(by_s, -moving.start_s)
        by_value = self._now.value - self._origin.value
        if scene.in_roll and moving.notes and not self._now.control:
            by_value = float(round(by_value))
        return by_s, by_value

    def _moved(self, scene: Scene, moving: Selection) -> Outcome:
        by_s, by_value = self._shift(scene, moving)
        if by_s == 0 and by_value == 0:
            return None
        if moving.notes:
            return ReplaceNotes(
                tuple((index, _shifted(scene.notes[index], by_s, by_value, scene)) for index in sorted(moving.notes))
            )
        return MoveCurve(scene.lane_id, moving.start_s, moving.end_s, by_s, by_value)

    def _caught(self, scene: Scene) -> Outcome:
        start_s, end_s = sorted((self._origin.t_s, self._now.t_s))
        low, high = sorted((self._origin.value, self._now.value))
        if end_s - start_s < scene.edge_s / 4:
            return Selection(scene.lane_id, start_s, start_s)
        notes = frozenset(
            index
            for index, note in enumerate(scene.notes)
            if note.start_s < end_s
            and note.start_s + note.duration_s > start_s
            and low - 0.5 <= note.note <= high + 0.5
        )
        return Selection(scene.lane_id, scene.clamp_time(start_s), scene.clamp_time(end_s), notes)


def _shifted(note: Note, by_s: float, by_value: float, scene: Scene) -> Note:
    pitch = min(max(note.note + by_value, scene.minimum), scene.maximum)
    return replace(note, start_s=max(note.start_s + by_s, 0.0), note=pitch)
