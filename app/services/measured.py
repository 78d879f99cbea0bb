"""The measured curves as known so far, put together from the stretches that are measured."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from app.render.messages import MeasuredSpan
from app.services.events import Measured
from synth.spec import FRAME_RATE_HZ, Float32Array


class MeasuredCurves:
    """One array a voice and lane, grown and shortened with the passage; NaN where nothing has been measured."""

    def __init__(self) -> None:
        self._lanes: dict[int, dict[str, Float32Array]] = {}
        self._t_s = np.zeros(0, dtype=np.float32)

    def take(self, span: MeasuredSpan) -> Measured:
        """Put a stretch in place -> the event that shows the whole curves."""
        if len(self._t_s) != span.n_frames:
            self._t_s = ((np.arange(span.n_frames) + 0.5) / FRAME_RATE_HZ).astype(np.float32)
            self._t_s.flags.writeable = False
        voice = self._lanes.setdefault(span.voice_index, {})
        n_new = 0
        for lane_id, values in span.lanes.items():
            curve = _resized(voice.get(lane_id), span.n_frames)
            curve[span.start_frame : span.start_frame + len(values)] = values
            voice[lane_id] = curve
            n_new = max(n_new, len(values))
        shown = {lane_id: (self._t_s, _read_only(curve)) for lane_id, curve in voice.items()}
        start_s = span.start_frame / FRAME_RATE_HZ
        return Measured(
            span.request_id, MappingProxyType(shown), span.voice_index, start_s, start_s + n_new / FRAME_RATE_HZ
        )


def _resized(curve: Float32Array | None, n_frames: int) -> Float32Array:
    if curve is not None and len(curve) == n_frames:
        return curve
    resized = np.full(n_frames, np.nan, dtype=np.float32)
    if curve is not None:
        n_kept = min(n_frames, len(curve))
        resized[:n_kept] = curve[:n_kept]
    return resized


def _read_only(curve: Float32Array) -> Float32Array:
    view = curve.view()
    view.flags.writeable = False
    return view
