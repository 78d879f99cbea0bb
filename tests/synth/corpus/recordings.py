"""Sounds that stand in for recordings, and what can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from synth.spec import Float32Array


def voice(duration_s: float, f0_hz: float = 150.0, rate_hz: int = 44_100, seed: int = 0) -> Float32Array:
    """Harmonics to the top of the band that swell and fade twice a second, in a little noise; peak about 0.3."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    glide = f0_hz * (1.0 + 0.1 * np.sin(2.0 * np.pi * rng.uniform(0.3, 0.7) * t_s + rng.uniform(0.0, 6.0)))
    phase = 2.0 * np.pi * np.cumsum(glide) / rate_hz
    n_harmonics = int(0.45 * rate_hz / f0_hz / 1.1)
    tone = sum(np.sin(k * phase) / k for k in range(1, n_harmonics))
    swell = 0.02 + np.sin(2.0 * np.pi * t_s + rng.uniform(0.0, 6.0)) ** 2
    return (0.15 * swell * tone + 1e-3 * rng.normal(size=len(t_s))).astype(np.float32)


def write(path: Path, audio: Float32Array, rate_hz: int = 44_100, subtype: str = "PCM_16") -> Path:
    """Write a sound file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate_hz, subtype=subtype)
    return path
