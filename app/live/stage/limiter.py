"""Keeps the live stream from hurting: a peak limiter without look-ahead that says when it works."""

from __future__ import annotations

from typing import Final

import numpy as np

from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

CEILING: Final = 0.89  # -1 dB re full scale
_RECOVERY_S: Final = 0.25  # time constant of the gain's way back
_FALL_SAMPLES: Final = 32


class Limiter:
    """One stream. The gain falls within a block's first 32 samples, comes back over a quarter of a second.

    gain   at the end of the last block, 0..1
    """

    def __init__(self) -> None:
        self.gain = 1.0
        self.peak = 0.0  # of the last block, before the limiter

    def process(self, audio: Float32Array) -> bool:
        """Limit `audio` [n] in place -> whether that changed anything."""
        n_samples = len(audio)
        self.peak = float(np.abs(audio).max(initial=0.0))
        if not np.isfinite(self.peak):
            audio.fill(0.0)
            self.peak = 0.0
            return True
        target = 1.0 if self.peak <= CEILING else CEILING / self.peak
        if target >= 1.0 and self.gain >= 0.999:
            self.gain = 1.0
            return False
        if target < self.gain:
            fall = min(_FALL_SAMPLES, n_samples)
            audio[:fall] *= np.linspace(self.gain, target, fall, dtype=np.float32)
            audio[fall:] *= np.float32(target)
            np.clip(audio, -CEILING, CEILING, out=audio)  # what stood in the first samples
            self.gain = target
            return True
        back = 1.0 - np.exp(-n_samples / (_RECOVERY_S * SAMPLE_RATE_HZ))
        end = self.gain + (target - self.gain) * float(back)
        audio *= np.linspace(self.gain, end, n_samples, dtype=np.float32)
        np.clip(audio, -CEILING, CEILING, out=audio)
        self.gain = end
        return True
