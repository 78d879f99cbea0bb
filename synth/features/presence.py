"""Is anybody singing: level against an absolute floor, with hysteresis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.dsp.smoothing import hann_mean

Float64Array = NDArray[np.float64]

STARTS_DB = -50.0
STOPS_DB = -55.0
_RAMP_FRAMES = 3


def measure_presence(loudness_db: NDArray[np.floating]) -> Float64Array:
    """0..1 per frame: 1 from STARTS_DB up until the level falls below STOPS_DB; ramped over 3 frames. -> [n_frames]"""
    decides = (loudness_db >= STARTS_DB) | (loudness_db < STOPS_DB)
    last_decision = np.maximum.accumulate(np.where(decides, np.arange(len(loudness_db)), -1))
    present = np.where(last_decision >= 0, loudness_db[np.maximum(last_decision, 0)] >= STARTS_DB, False)
    return np.clip(hann_mean(present.astype(np.float64), _RAMP_FRAMES), 0.0, 1.0)
