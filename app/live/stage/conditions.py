"""Rows of lanes become what the denoiser is told. Sampler's side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.live.stage.lanes import PRESENCE
from synth.diffusion.conditioning import TimbreScale, condition_array, typical_timbre
from synth.spec.audio import FRAME_RATE_HZ
from synth.spec.controls import Float32Array
from synth.spec.lanes import LANE_IDS


class Conditions:
    """Makes conditions by the weights' scales."""

    def __init__(self, scale: TimbreScale, typical: Mapping[str, Float32Array]) -> None:
        self._scale, self._typical = scale, typical

    def held(self, lanes: Float32Array, timbre: Float32Array, n_frames: int) -> Float32Array:
        """`lanes` [n_lanes] for n_frames -> [n_frames, CONDITION_DIM]; timbre NaN: the technique's own."""
        return self._told(np.repeat(lanes[:, None], n_frames, axis=1), timbre)

    def onset(self, lanes: Float32Array, timbre: Float32Array, attack_s: float, n_frames: int) -> Float32Array:
        """The same, with presence rising from 0 as a note begins."""
        rows = np.repeat(lanes[:, None], n_frames, axis=1)
        centres_s = (np.arange(n_frames) + 0.5) / FRAME_RATE_HZ
        rows[PRESENCE] = np.clip(centres_s / max(attack_s, 1e-3), 0.0, 1.0)
        return self._told(rows, timbre)

    def _told(self, rows: Float32Array, timbre: Float32Array) -> Float32Array:
        values = {lane_id: rows[index] for index, lane_id in enumerate(LANE_IDS)}
        chosen = timbre if np.isfinite(timbre).all() else typical_timbre(values, self._typical)
        return condition_array(values, chosen, self._scale)
