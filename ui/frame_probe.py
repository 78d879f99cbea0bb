"""How smoothly the window runs: paint durations, the intervals between frames, and the event loop's latency."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer

_KEPT = 20_000
LATENCY_PERIOD_MS = 8


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """Milliseconds. A frame is everything painted in one turn of the event loop.

    latency_*  how late a timer due every LATENCY_PERIOD_MS came: what a click would have waited
    """

    n_frames: int
    paint_median_ms: float
    paint_95_ms: float
    paint_worst_ms: float
    interval_median_ms: float
    interval_95_ms: float
    latency_median_ms: float
    latency_95_ms: float
    latency_worst_ms: float

    def as_dict(self) -> dict[str, float | int]:
        """Plain values, for `--json`."""
        return asdict(self)


class FrameProbe(QObject):
    """Collects while `start`ed; costs two clock reads a paint otherwise."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._is_on = False
        self._turn = 0
        self._paints_ms: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._starts_s: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._late_ms: deque[float] = deque(maxlen=_KEPT)
        self._due_s = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(LATENCY_PERIOD_MS)
        self._timer.timeout.connect(self._on_timer)
        self._turn_over = QTimer(self)
        self._turn_over.setSingleShot(True)
        self._turn_over.setInterval(0)
        self._turn_over.timeout.connect(self._next_turn)

    def start(self) -> None:
        """Forget what was collected and collect."""
        self._paints_ms.clear()
        self._starts_s.clear()
        self._late_ms.clear()
        self._is_on = True
        self._due_s = time.perf_counter() + LATENCY_PERIOD_MS / 1000
        self._timer.start()

    def stop(self) -> FrameFigures:
        """End collecting. -> the figures"""
        self._is_on = False
        self._timer.stop()
        return self.figures()

    @contextmanager
    def paint(self) -> Iterator[None]:
        """Around a widget's painting."""
        started_s = time.perf_counter()
        yield
        if self._is_on:
            self._paints_ms.append((self._turn, (time.perf_counter() - started_s) * 1000))
            self._starts_s.append((self._turn, started_s))
            if not self._turn_over.isActive():
                self._turn_over.start()

    def figures(self) -> FrameFigures:
        """What has been collected so far; zeros where nothing was."""
        frames: dict[int, float] = {}
        for turn, paint_ms in self._paints_ms:
            frames[turn] = frames.get(turn, 0.0) + paint_ms
        starts: dict[int, float] = {}
        for turn, started_s in self._starts_s:
            starts.setdefault(turn, started_s)
        paints = np.array(list(frames.values()) or [0.0])
        intervals = np.diff(np.array(list(starts.values()))) * 1000 if len(starts) > 1 else np.zeros(1)
        late = np.array(self._late_ms or [0.0])
        return FrameFigures(
            n_frames=len(frames),
            paint_median_ms=float(np.median(paints)),
            paint_95_ms=float(np.percentile(paints, 95)),
            paint_worst_ms=float(paints.max()),
            interval_median_ms=float(np.median(intervals)),
            interval_95_ms=float(np.percentile(intervals, 95)),
            latency_median_ms=float(np.median(late)),
            latency_95_ms=float(np.percentile(late, 95)),
            latency_worst_ms=float(late.max()),
        )

    def _next_turn(self) -> None:
        self._turn += 1

    def _on_timer(self) -> None:
        now_s = time.perf_counter()
        self._late_ms.append(max(now_s - self._due_s, 0.0) * 1000)
        self._due_s = now_s + LATENCY_PERIOD_MS / 1000
