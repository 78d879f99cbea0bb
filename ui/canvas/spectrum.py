"""Log-frequency spectrogram tiles. Pure numpy: called in a worker thread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.spec import HOP_SAMPLES, SAMPLE_RATE_HZ, Float32Array

WINDOW_SAMPLES = 2048
N_ROWS = 160
LOWEST_HZ = 50.0
HIGHEST_HZ = 16_000.0
FLOOR_DB = -90.0
CEILING_DB = -12.0
_WINDOW = np.hanning(WINDOW_SAMPLES).astype(np.float32)


def row_frequencies_hz() -> NDArray[np.float64]:
    """Centre frequency of each row, lowest first. -> [N_ROWS]"""
    return np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_ROWS)


def _row_weights() -> Float32Array:
    """[N_ROWS, n_bins]: triangles in log frequency, never narrower than two bins."""
    bins_hz = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ)
    centres = row_frequencies_hz()
    ratio = centres[1] / centres[0]
    half_hz = np.maximum(centres * (ratio - 1.0), SAMPLE_RATE_HZ / WINDOW_SAMPLES)
    weights = np.maximum(1.0 - np.abs(bins_hz[None, :] - centres[:, None]) / half_hz[:, None], 0.0)
    return (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)


_WEIGHTS = _row_weights()


def tile_levels(audio: Float32Array, first_frame: int, n_frames: int) -> NDArray[np.uint8]:
    """Levels of frames [first_frame, first_frame + n_frames) of audio [n_samples, n_channels], 0..255.

    Rows run from high to low frequency, as an image does. Beyond the audio: silence. -> [N_ROWS, n_frames]
    """
    start = first_frame * HOP_SAMPLES + HOP_SAMPLES // 2 - WINDOW_SAMPLES // 2
    length = (n_frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES
    padded = np.zeros(length, dtype=np.float32)
    low, high = max(start, 0), min(start + length, len(audio))
    if high > low:
        padded[low - start : high - start] = np.asarray(audio[low:high]).mean(axis=1)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectra = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)).astype(np.float32) / (WINDOW_SAMPLES / 4)
    power = (spectra * spectra) @ _WEIGHTS.T
    level_db = 10.0 * np.log10(power + 1e-12)
    share = (level_db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)
    return np.ascontiguousarray((np.clip(share, 0.0, 1.0) * 255).astype(np.uint8).T[::-1])
