"""Pen, line and eraser: the tools that shape a curve."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from ui.tools.model import DeleteNotes, DrawCurve, EraseCurve, Outcome, Pointer, Preview, Scene

_FINE = 0.25  # Alt: the pen moves a quarter as far in value


class PenTool:
    """Freehand. Going back over the stroke redraws it; Shift keeps the level, Alt is fine."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._times_s: list[float] = []
        self._values: list[float] = []
        self._last = (0.0, 0.0)
        self._level = 0.0

    def press(self, at: Pointer, scene: Scene) -> None:
        self._scene = scene
        self._level = scene.value(at)
        self._last = (scene.clamp_time(at.t_s), self._level)
        self._times_s = [self._last[0]]
        self._values = [self._level]

    def move(self, at: Pointer) -> None:
        scene = self._scene
        if scene is None:
            return
        t_s = scene.clamp_time(at.t_s)
        if at.shift:
            value = self._level
        elif at.alt:
            fine = Pointer(at.t_s, self._level + (at.value - self._level) * _FINE, control=at.control)
            value = scene.value(fine)
        else:
            value = scene.value(at)
        self._extend(t_s, value)

    def release(self, at: Pointer) -> Outcome:
        self.move(at)
        scene, points = self._scene, self.preview.curve
        self.cancel()
        if scene is None or not points:
            return None
        return DrawCurve(scene.lane_id, points)

    def cancel(self) -> None:
        self._scene = None
        self._times_s, self._values = [], []

    @property
    def preview(self) -> Preview:
        return Preview(curve=tuple(zip(self._times_s, self._values, strict=True)))

    def _extend(self, t_s: float, value: float) -> None:
        low_s, high_s = sorted((self._last[0], t_s))
        if low_s == high_s:
            index = bisect_left(self._times_s, t_s)
            self._values[index] = value
        else:
            first, last = bisect_left(self._times_s, low_s), bisect_right(self._times_s, high_s)
            ends = sorted((self._last, (t_s, value)))
            self._times_s[first:last] = [end[0] for end in ends]
            self._values[first:last] = [end[1] for end in ends]
        self._last = (t_s, value)


class LineTool:
    """A straight line from press to release; Shift keeps it level."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._start = (0.0, 0.0)
        self._end = (0.0, 0.0)

    def press(self, at: Pointer, scene: Scene) -> None:
        self._scene = scene
        self._start = self._end = (scene.clamp_time(scene.snap.time(at)), scene.value(at))

    def move(self, at: Pointer) -> None:
        if self._scene is not None:
            value = self._start[1] if at.shift else self._scene.value(at)
            self._end = (self._scene.clamp_time(self._scene.snap.time(at)), value)

    def release(self, at: Pointer) -> Outcome:
        self.move(at)
        scene, points = self._scene, self.preview.curve
        self.cancel()
        return DrawCurve(scene.lane_id, points) if scene is not None and points else None

    def cancel(self) -> None:
        self._scene = None

    @property
    def preview(self) -> Preview:
        if self._scene is None:
            return Preview()
        if self._start[0] == self._end[0]:
            return Preview(curve=(self._end,))
        return Preview(curve=tuple(sorted((self._start, self._end))))


class EraseTool:
    """Removes the stretch dragged over; in the roll also the notes touched."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._span_s = (0.0, 0.0)
        self._touched: set[int] = set()

    def press(self, at: Pointer, scene: Scene) -> None:
        self._scene = scene
        self._span_s = (at.t_s, at.t_s)
        self._touched = set()
        self._touch(at)

    def move(self, at: Pointer) -> None:
        if self._scene is not None:
            self._span_s = (self._span_s[0], at.t_s)
            self._touch(at)

    def release(self, at: Pointer) -> Outcome:
        self.move(at)
        scene, touched = self._scene, frozenset(self._touched)
        start_s, end_s = sorted(self._span_s)
        self.cancel()
        if scene is None:
            return None
        if touched:
            return DeleteNotes(touched)
        half_s = scene.edge_s / 2
        return EraseCurve(scene.lane_id, scene.clamp_time(start_s - half_s), scene.clamp_time(end_s + half_s))

    def cancel(self) -> None:
        self._scene = None
        self._touched = set()

    @property
    def preview(self) -> Preview:
        if self._scene is None:
            return Preview()
        if self._touched:
            return Preview(hidden_notes=frozenset(self._touched))
        start_s, end_s = sorted(self._span_s)
        return Preview(erased_s=(start_s, end_s))

    def _touch(self, at: Pointer) -> None:
        assert self._scene is not None
        for index, note in enumerate(self._scene.notes):
            if note.start_s <= at.t_s <= note.start_s + note.duration_s and abs(note.note - at.value) <= 0.5:
                self._touched.add(index)
