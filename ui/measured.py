"""The lanes as measured from the rendered sound, and how far they are from what was asked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.services import Measured
from synth.spec import HOP_S, Float32Array

_PRESENT = 0.5
_CENTS_PER_SEMITONE = 100.0


class MeasuredCurves(QObject):
    """The newest measurement of each voice.

    One of `changed` (anything may differ) and `stretch_changed(start_s, end_s)` fires for each measurement.
    """

    changed = Signal()
    stretch_changed = Signal(float, float)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lanes: dict[int, Mapping[str, tuple[Float32Array, Float32Array]]] = {}

    def take(self, event: Measured) -> None:
        """Show this measurement instead of the voice's previous one."""
        known = self._lanes.get(event.voice_index)
        self._lanes[event.voice_index] = event.lanes
        is_whole = known is None or known.keys() != event.lanes.keys() or event.end_s <= event.start_s
        if is_whole:
            self.changed.emit()
        else:
            self.stretch_changed.emit(event.start_s, event.end_s)

    def clear(self) -> None:
        """Forget everything: another passage."""
        self._lanes.clear()
        self.changed.emit()

    def curve(self, voice_index: int, lane_id: str) -> tuple[Float32Array, Float32Array] | None:
        """(t_s, values) of a lane, or None while it has not been measured."""
        return self._lanes.get(voice_index, {}).get(lane_id)


def lane_error(
    lane_id: str,
    asked: Float32Array,
    presence: Float32Array,
    measured: tuple[Float32Array, Float32Array] | None,
) -> float | None:
    """Mean absolute difference in the lane's unit where somebody sings; for pitch the median, in cents.

    asked, presence [n_frames]; measured (t_s, values). None when nothing can be compared.
    """
    if measured is None or len(measured[0]) == 0 or len(asked) == 0:
        return None
    t_s, values = measured
    index = np.clip((np.asarray(t_s, dtype=np.float64) / HOP_S).astype(np.int64), 0, len(asked) - 1)
    difference = np.abs(values - asked[index])
    counted = np.isfinite(difference)
    if lane_id != "presence":
        counted &= presence[index] > _PRESENT
    if not counted.any():
        return None
    if lane_id == "pitch":
        return float(np.median(difference[counted])) * _CENTS_PER_SEMITONE
    return float(difference[counted].mean())
