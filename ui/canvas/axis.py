"""The time axis all strips share, and the grid along it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from app.state.passage import Tempo
from ui.canvas.view import TimeView
from ui.tools.model import Snap

_STEPS_S = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
)
_LABEL_SPACING_PX = 72.0
_LINE_SPACING_PX = 9.0


class TimeAxis(QObject):
    """Which stretch is on screen; `changed` fires after each scroll, zoom or resize."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._view = TimeView()
        self._duration_s = 8.0

    @property
    def view(self) -> TimeView:
        return self._view

    @property
    def duration_s(self) -> float:
        return self._duration_s

    def set_duration(self, duration_s: float) -> None:
        """The passage's length, which bounds scrolling and zooming."""
        if duration_s != self._duration_s:
            self._duration_s = duration_s
            self.changed.emit()

    def set_width(self, width_px: int) -> None:
        """The strips' width; the left edge and the scale stay."""
        self._set(replace(self._view, width_px=max(width_px, 1)))

    def zoom(self, factor: float, anchor_x_px: float | None = None) -> None:
        """Scale about a pixel, the middle when none is given."""
        anchor = self._view.width_px / 2 if anchor_x_px is None else anchor_x_px
        self._set(self._view.zoomed(factor, anchor, self._duration_s))

    def scroll(self, by_s: float) -> None:
        """Move by seconds."""
        self._set(self._view.scrolled(by_s, self._duration_s))

    def fit(self, start_s: float | None = None, end_s: float | None = None) -> None:
        """Show a stretch, the whole passage when none is given."""
        self._set(self._view.fitted(start_s or 0.0, self._duration_s if end_s is None else end_s))

    def show_time(self, t_s: float) -> None:
        """Turn the page when `t_s` has left the view."""
        view = self._view
        if not view.start_s <= t_s <= view.end_s:
            self._set(replace(view, start_s=t_s - view.span_s * 0.08).bounded(self._duration_s))

    def _set(self, view: TimeView) -> None:
        if view != self._view:
            self._view = view
            self.changed.emit()


@dataclass(frozen=True, slots=True)
class Tick:
    """One grid line; `label` is empty for minor ones."""

    t_s: float
    is_major: bool
    label: str = ""


def second_ticks(view: TimeView) -> list[Tick]:
    """Lines and labels in seconds for the visible stretch."""
    major_s = next((step for step in _STEPS_S if step * view.px_per_s >= _LABEL_SPACING_PX), _STEPS_S[-1])
    finer = [step for step in _STEPS_S if step < major_s and _divides(step, major_s)]
    minor_s = next((step for step in finer if step * view.px_per_s >= _LINE_SPACING_PX), major_s)
    per_major = round(major_s / minor_s)
    first = max(math.floor(view.start_s / minor_s), 0)
    last = math.ceil(view.end_s / minor_s)
    ticks = []
    for index in range(first, last + 1):
        is_major = index % per_major == 0
        ticks.append(Tick(index * minor_s, is_major, time_label(index * minor_s, major_s) if is_major else ""))
    return ticks


def time_label(t_s: float, step_s: float) -> str:
    """A time as the ruler writes it, with the digits its step needs."""
    digits = 0 if step_s >= 1 else 1 if step_s >= 0.1 else 2 if step_s >= 0.01 else 3
    if t_s >= 60 or step_s >= 60:
        minutes, seconds = divmod(t_s + 1e-9, 60)
        width = 2 if digits == 0 else 3 + digits
        return f"{int(minutes)}:{math.floor(seconds) if digits == 0 else seconds:0{width}.{digits}f}"
    return f"{t_s:.{digits}f}" + (" s" if digits == 0 else "")


@dataclass(frozen=True, slots=True)
class Beat:
    """One beat: its time, bar number from 1 and position in the bar from 1."""

    t_s: float
    bar: int
    beat: int


def beats_between(tempo: Tempo, start_s: float, end_s: float, limit: int = 4000) -> list[Beat]:
    """The beats in a stretch, at most `limit`. A metre change begins a new bar."""
    beats: list[Beat] = []
    changes = sorted({t for t, _ in tempo.points} | {t for t, _, _ in tempo.metre} | {0.0})
    bar, beat = 1, 1
    for number, begin_s in enumerate(changes):
        stop_s = changes[number + 1] if number + 1 < len(changes) else math.inf
        bpm = [bpm for t, bpm in tempo.points if t <= begin_s] or [tempo.points[0][1]]
        per_bar, unit = ([(n, u) for t, n, u in tempo.metre if t <= begin_s] or [tempo.metre[0][1:]])[-1]
        beat_s = 60.0 / bpm[-1] * 4.0 / unit
        if any(t == begin_s for t, _, _ in tempo.metre) and (bar, beat) != (1, 1) and beat != 1:
            bar, beat = bar + 1, 1
        skipped = max(math.ceil((min(start_s, stop_s) - begin_s) / beat_s - 1e-9), 0)
        total = math.ceil((stop_s - begin_s) / beat_s - 1e-9) if math.isfinite(stop_s) else None
        index = skipped if total is None else min(skipped, total)
        bar, beat = _advanced(bar, beat, index, per_bar)
        while (total is None or index < total) and len(beats) < limit:
            t_s = begin_s + index * beat_s
            if t_s > end_s:
                return beats
            beats.append(Beat(t_s, bar, beat))
            bar, beat = _advanced(bar, beat, 1, per_bar)
            index += 1
        if len(beats) >= limit:
            return beats
    return beats


def _advanced(bar: int, beat: int, by: int, per_bar: int) -> tuple[int, int]:
    position = beat - 1 + by
    return bar + position // per_bar, position % per_bar + 1


def beat_ticks(tempo: Tempo, view: TimeView) -> list[Tick]:
    """Lines at beats and bars, labelled by bar; sparse enough to read."""
    beats = beats_between(tempo, max(view.start_s, 0.0), view.end_s)
    if not beats:
        return []
    beat_px = view.px_per_s * 60.0 / max(bpm for _, bpm in tempo.points)
    bar_px = beat_px * max(n for _, n, _ in tempo.metre)
    every = 1
    while bar_px * every < _LABEL_SPACING_PX:
        every *= 2
    ticks = []
    for beat in beats:
        is_bar = beat.beat == 1 and (beat.bar - 1) % every == 0
        if is_bar:
            ticks.append(Tick(beat.t_s, True, str(beat.bar)))
        elif beat_px >= _LINE_SPACING_PX or (beat.beat == 1 and bar_px >= _LINE_SPACING_PX):
            ticks.append(Tick(beat.t_s, False))
    return ticks


def _divides(step_s: float, major_s: float) -> bool:
    return abs(major_s / step_s - round(major_s / step_s)) < 1e-6


def grid_snap(view: TimeView, tempo: Tempo | None, *, enabled: bool) -> Snap:
    """Snapping to the finest grid that is drawn: parts of a beat with a tempo, else parts of a second."""
    if tempo is None:
        step_s = next(step for step in _STEPS_S if step * view.px_per_s >= _LINE_SPACING_PX or step == _STEPS_S[-1])
        return Snap(enabled, lambda t_s: round(t_s / step_s) * step_s, step_s)
    beat_s = 60.0 / tempo.points[0][1]
    parts = next((n for n in (8, 4, 2) if beat_s / n * view.px_per_s >= _LINE_SPACING_PX), 1)

    def nearest_s(t_s: float) -> float:
        beats = beats_between(tempo, max(t_s - 2 * beat_s, 0.0), t_s + 13.0)
        lines = [beat.t_s for beat in beats]
        for left_s, right_s in itertools.pairwise(lines):
            lines = [*lines, *(left_s + (right_s - left_s) * part / parts for part in range(1, parts))]
        return min(lines, key=lambda line_s: abs(line_s - t_s), default=t_s)

    return Snap(enabled, nearest_s, beat_s / parts)
