"""Windows of a signal around the centres of the frames every room shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.spec.audio import FRAME_RATE_HZ

Float32Array = NDArray[np.float32]


def frame_centres_samples(n_frames: int, sample_rate_hz: int) -> NDArray[np.int64]:
    """Sample index of each frame centre, (i + 0.5) frames, at a rate that FRAME_RATE_HZ divides. -> [n_frames]"""
    hop_samples, remainder = divmod(sample_rate_hz, FRAME_RATE_HZ)
    if remainder:
        raise ValueError(f"{sample_rate_hz} Hz is no multiple of the frame rate")
    return np.arange(n_frames, dtype=np.int64) * hop_samples + hop_samples // 2


def windows_at(signal: Float32Array, starts_samples: NDArray[np.int64], length_samples: int) -> Float32Array:
    """signal[start : start + length] for every start; zeros beyond either end. -> [n_starts, length]"""
    if len(starts_samples) == 0:
        return np.zeros((0, length_samples), dtype=np.float32)
    before = max(0, -int(starts_samples.min()))
    after = max(0, int(starts_samples.max()) + length_samples - len(signal))
    padded = np.pad(signal, (before, after)) if before or after else signal
    views = np.lib.stride_tricks.sliding_window_view(padded, length_samples)
    return views[starts_samples + before]


def centred_windows(signal: Float32Array, n_frames: int, sample_rate_hz: int, length_samples: int) -> Float32Array:
    """`length_samples` of `signal` around each frame centre; zeros beyond either end. -> [n_frames, length]"""
    starts = frame_centres_samples(n_frames, sample_rate_hz) - length_samples // 2
    return windows_at(signal, starts, length_samples)
