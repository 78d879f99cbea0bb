"""Does a held note repeat itself: self-similarity of its log-mel fluctuations at lags beyond half a second.

What stays the same in a held note (its mean spectrum, a slow trend) is taken out of every band; what is left is
correlated with itself. A note pasted together from one piece correlates with 1 at the length of the piece; vibrato
correlates too, in throats as in models, so the yardstick is what real held notes of the same length do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.dsp.smoothing import hann_mean
from synth.evaluate.distances import log_mel
from synth.spec.audio import CELL_FRAMES, FRAME_RATE_HZ
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

EXCERPT_S = 2.4  # holds lags of one and two cells
SHORTEST_LAG_S = 0.5
_LEAST_OVERLAP_FRAMES = FRAME_RATE_HZ // 2
_AUDIBLE_DB = 60.0  # bands further than this under the loudest hold the recording's noise, not its voice
_AVERAGED_FRAMES = 21  # 100 ms at half height: single frames of a noisy voice never repeat
_BESIDE_FRAMES = (10, 30)  # what the cells' lags are compared with


@dataclass(frozen=True, slots=True)
class SelfSimilarity:
    """Of one stretch of sound, over its lags beyond SHORTEST_LAG_S.

    mean         mean correlation -1..1
    peak         largest correlation; near 1 where it loops
    outlier      how far the peak stands out from the correlations at all lags, in their median deviations: a note whose
                 bands all swing together correlates widely by chance, a note that loops at one lag only
    peak_lag_s   where that is
    distance_db  mean RMS distance of 100 ms averages to those a lag later: how much the spectrum wanders
    """

    mean: float
    peak: float
    outlier: float
    peak_lag_s: float
    distance_db: float


def audible_bands(log_mel_db: Float64Array) -> Float64Array:
    """Bands whose mean is within _AUDIBLE_DB of the loudest: [n_frames, bands] -> [n_frames, fewer]."""
    level = log_mel_db.mean(axis=0)
    return log_mel_db[:, level > level.max() - _AUDIBLE_DB]


def lag_correlation(log_mel_db: Float64Array) -> Float64Array:
    """Correlation of the detrended bands with themselves at every lag -> [n_frames], from lag 0 (1.0) on.

    Normalised by the energy of both overlapping ends, so that a loop gives 1 at any lag; NaN where nothing moves.
    """
    n = len(log_mel_db)
    t = np.linspace(-1.0, 1.0, n)[:, None]
    centred = log_mel_db - log_mel_db.mean(axis=0)
    centred = centred - t * (np.sum(t * centred, axis=0) / np.sum(t**2))
    spectrum = np.fft.rfft(centred, 2 * n, axis=0)
    products = np.fft.irfft(np.sum(np.abs(spectrum) ** 2, axis=1))[:n]
    energy = np.concatenate(([0.0], np.cumsum(np.sum(centred**2, axis=1))))
    lags = np.arange(n)
    early, late = energy[n - lags], energy[-1] - energy[lags]
    scale = np.sqrt(np.maximum(early * late, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-6 * max(float(energy[-1]), 1e-12), products / scale, np.nan)


def self_similarity(audio: Float32Array, least_overlap: float = 0.0) -> SelfSimilarity:
    """Measure a stretch of at least SHORTEST_LAG_S + 0.5 s. Raises ValueError for less.

    least_overlap  share 0..1 of the stretch that must overlap itself at the longest lag; never less than 0.5 s
    """
    bands = audible_bands(log_mel(audio))
    overlap = max(_LEAST_OVERLAP_FRAMES, round(least_overlap * len(bands)))
    lags = np.arange(round(SHORTEST_LAG_S * FRAME_RATE_HZ), len(bands) - overlap)
    if len(lags) == 0:
        raise ValueError(f"{len(bands)} frames are too few for lags beyond {SHORTEST_LAG_S} s")
    r = lag_correlation(bands)[lags]
    averaged = np.stack([hann_mean(band, _AVERAGED_FRAMES) for band in bands.T], axis=1)[:: _AVERAGED_FRAMES // 2]
    step = _AVERAGED_FRAMES // 2
    distances = [
        np.sqrt(np.mean((averaged[lag:] - averaged[:-lag]) ** 2, axis=1)).mean()
        for lag in range(-(-int(lags[0]) // step), max(len(averaged) - 1, 1))
    ]
    if not np.isfinite(r).any():
        # Nothing moves: as frozen as can be.
        return SelfSimilarity(1.0, 1.0, float("nan"), float(lags[0]) / FRAME_RATE_HZ, 0.0)
    peak = int(np.nanargmax(r))
    spread = max(float(np.nanmedian(np.abs(r - np.nanmedian(r)))), 1e-9)
    return SelfSimilarity(
        mean=float(np.nanmean(r)),
        peak=float(r[peak]),
        outlier=float((r[peak] - np.nanmedian(r)) / spread),
        peak_lag_s=float(lags[peak]) / FRAME_RATE_HZ,
        distance_db=float(np.mean(distances)) if distances else float("nan"),
    )


def cell_excess(audio: Float32Array) -> float:
    """How much more alike the note is at multiples of a cell's length than just beside them: mean correlation there
    minus that 0.1-0.3 s either side. About 0 for a voice without seams; NaN for less than three cells."""
    r = lag_correlation(audible_bands(log_mel(audio)))
    near, far = _BESIDE_FRAMES
    differences = []
    for lag in range(CELL_FRAMES, len(r) - _LEAST_OVERLAP_FRAMES - far, CELL_FRAMES):
        beside = np.concatenate([r[lag - far : lag - near], r[lag + near : lag + far]])
        differences.append(r[lag] - np.mean(beside))
    return float(np.mean(differences)) if len(differences) >= 2 else float("nan")
