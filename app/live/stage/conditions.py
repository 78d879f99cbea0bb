"""Rows of lanes become what the denoiser is told. Sampler's side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from app.live.stage.adapters import LiveAdapters
from app.live.stage.lanes import PRESENCE
from synth.diffusion.conditioning import TimbreScale, condition_array, typical_timbre
from synth.spec.audio import FRAME_RATE_HZ
from synth.spec.controls import Float32Array
from synth.spec.lanes import LANE_IDS

_SHORTEST_S: Final = 1e-3


def rising(attack_s: float, n_frames: int) -> Float32Array:
    """Presence in the frames of a note that begins -> [n_frames]."""
    centres_s = (np.arange(n_frames) + 0.5) / FRAME_RATE_HZ
    return np.clip(centres_s / max(attack_s, _SHORTEST_S), 0.0, 1.0).astype(np.float32)


class Conditions:
    """Makes conditions by the weights' scales."""

    def __init__(
        self, scale: TimbreScale, typical: Mapping[str, Float32Array], adapters: LiveAdapters | None = None
    ) -> None:
        self._scale, self._typical, self._adapters = scale, typical, adapters

    def with_strengths(self, condition: Float32Array, lanes: Float32Array) -> Float32Array:
        """`condition` [n_frames, CONDITION_DIM] with the adapters' strengths in `lanes` [N_ROW] behind."""
        return condition if self._adapters is None else self._adapters.told(condition, lanes)

    def held(self, lanes: Float32Array, timbre: Float32Array, presence: Float32Array) -> Float32Array:
        """`lanes` [N_ROW], with `presence` [n_frames] -> [n_frames, CONDITION_DIM and strengths].

        timbre   NaN: the technique's
        """
        rows = np.repeat(lanes[:, None], len(presence), axis=1)
        rows[PRESENCE] = presence
        return self.with_strengths(self._told(rows, timbre), lanes)

    def onset(self, lanes: Float32Array, timbre: Float32Array, attack_s: float, n_frames: int) -> Float32Array:
        """The same, with presence rising from 0 as a note begins."""
        return self.held(lanes, timbre, rising(attack_s, n_frames))

    def _told(self, rows: Float32Array, timbre: Float32Array) -> Float32Array:
        values = {lane_id: rows[index] for index, lane_id in enumerate(LANE_IDS)}
        chosen = timbre if np.isfinite(timbre).all() else typical_timbre(values, self._typical)
        return condition_array(values, chosen, self._scale)
