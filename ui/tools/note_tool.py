"""Drawing, moving and resizing notes in the roll."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from app.state.passage import Note
from ui.tools.model import AddNotes, DeleteNotes, Outcome, Pointer, Preview, ReplaceNotes, Scene

SHORTEST_NOTE_S = 0.03


class Grip(Enum):
    """Where a note was taken hold of."""

    BODY = "body"
    START = "start"
    END = "end"


def note_at(notes: tuple[Note, ...], at: Pointer, edge_s: float) -> tuple[int, Grip] | None:
    """The topmost note under the pointer and where it is held; the edges win on notes longer than three of them."""
    for index in range(len(notes) - 1, -1, -1):
        note = notes[index]
        end_s = note.start_s + note.duration_s
        if not (note.start_s <= at.t_s <= end_s and abs(note.note - at.value) <= 0.5):
            continue
        if note.duration_s > 3 * edge_s:
            if end_s - at.t_s < edge_s:
                return index, Grip.END
            if at.t_s - note.start_s < edge_s:
                return index, Grip.START
        return index, Grip.BODY
    return None


class NoteTool:
    """Press on nothing draws a note, on a note moves it, on its edges resizes it; Alt-click deletes.

    Drawn and moved notes lie on semitones unless Control is held (then pitch is free).
    """

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._origin = Pointer(0.0, 0.0)
        self._grip: Grip | None = None
        self._index = -1
        self._before: Note | None = None
        self._now: Note | None = None
        self._deletes = False

    def press(self, at: Pointer, scene: Scene) -> None:
        self._scene, self._origin = scene, at
        hit = note_at(scene.notes, at, scene.edge_s)
        self._deletes = hit is not None and at.alt
        if hit is not None:
            self._index, self._grip = hit
            self._before = self._now = scene.notes[self._index]
            return
        self._grip, self._before, self._index = None, None, -1
        start_s = scene.clamp_time(scene.snap.time(at))
        length_s = scene.snap.step_s if scene.snap.enabled and not at.control else 0.25
        self._now = Note(start_s=start_s, duration_s=max(length_s, SHORTEST_NOTE_S), note=self._pitch(at, at.value))

    def move(self, at: Pointer) -> None:
        scene, before = self._scene, self._before
        if scene is None or self._now is None or self._deletes:
            return
        if before is None:
            end_s = scene.clamp_time(scene.snap.time(at))
            if abs(at.t_s - self._origin.t_s) > scene.edge_s / 2:
                self._now = replace(
                    self._now,
                    duration_s=max(end_s - self._now.start_s, SHORTEST_NOTE_S),
                    note=self._pitch(at, at.value),
                )
            else:
                self._now = replace(self._now, note=self._pitch(at, at.value))
        elif self._grip is Grip.BODY:
            moved = replace(at, t_s=before.start_s + at.t_s - self._origin.t_s)
            start_s = scene.clamp_time(scene.snap.time(moved)) if at.t_s != self._origin.t_s else before.start_s
            shifted = before.note + at.value - self._origin.value
            pitch = shifted if at.control else before.note + round(at.value - self._origin.value)
            pitch = min(max(pitch, scene.minimum), scene.maximum)
            self._now = replace(before, start_s=start_s, note=before.note if at.shift else pitch)
        elif self._grip is Grip.END:
            end_s = scene.clamp_time(scene.snap.time(at))
            self._now = replace(before, duration_s=max(end_s - before.start_s, SHORTEST_NOTE_S))
        else:
            end_s = before.start_s + before.duration_s
            start_s = min(scene.clamp_time(scene.snap.time(at)), end_s - SHORTEST_NOTE_S)
            self._now = replace(before, start_s=start_s, duration_s=end_s - start_s)

    def release(self, at: Pointer) -> Outcome:
        if at != self._origin:
            self.move(at)
        now, before, index, deletes = self._now, self._before, self._index, self._deletes
        self.cancel()
        if deletes:
            return DeleteNotes(frozenset({index}))
        if now is None:
            return None
        if before is None:
            return AddNotes((now,))
        return ReplaceNotes(((index, now),)) if now != before else None

    def cancel(self) -> None:
        self._scene = self._before = self._now = None
        self._deletes = False

    @property
    def preview(self) -> Preview:
        if self._now is None:
            return Preview()
        if self._before is None:
            return Preview(notes=(self._now,))
        ghosts = () if self._deletes else (self._now,)
        return Preview(notes=ghosts, hidden_notes=frozenset({self._index}))

    def _pitch(self, at: Pointer, value: float) -> float:
        assert self._scene is not None
        pitch = value if at.control else float(round(value))
        return min(max(pitch, self._scene.minimum), self._scene.maximum)
