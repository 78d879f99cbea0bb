"""Does a held note repeat itself: self-similarity of its log-mel fluctuations at lags beyond half a second.

What stays the same in a held note (its mean spectrum, a slow trend) is taken out of every band; what is left is
correlated with itself. A note pasted together from one piece correlates with 1 at the length of the piece; vibrato
correlates too, in throats as in models, so the yardstick is what real held notes of the same length do.

Mean and trend are taken out of both overlapping ends at every lag anew. Taken out of the whole stretch only, they
leave its ends bent the same way: unlike each other at middle lags, alike at long ones, with no repetition in either.

The largest of many correlations is never 0, and the fewer independent movements a voice makes, the larger it is by
chance. What chance gives is therefore measured: the same stretch against stretches elsewhere in the note, turned round
in time (surrogate data, after Theiler et al. 1992): bands, their covariance and how fast they move stay, but a
repetition that runs forwards cannot be met there, not even one that fills the whole note.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    return log_mel_db[:, _is_audible(log_mel_db)]


def _is_audible(log_mel_db: Float64Array) -> NDArray[np.bool_]:
    level = log_mel_db.mean(axis=0)
    return level > level.max() - _AUDIBLE_DB


def lag_correlation(log_mel_db: Float64Array, later_db: Float64Array | None = None) -> Float64Array:
    """Correlation of bands [n_frames, bands] with themselves at every lag -> [n_frames], from lag 0 (1.0) on.

    later_db  another stretch like the first, whose end is held against the first one's beginning; None: the same

    Mean and linear trend of every band are those of the overlap, and so is the energy that it is normalised by: a loop
    gives 1 at any lag, and 0 is what is expected of ends that know nothing of each other. NaN where nothing moves.
    """
    other = log_mel_db if later_db is None else later_db
    n = len(log_mel_db)
    earlier, later = log_mel_db - log_mel_db.mean(axis=0), other - other.mean(axis=0)
    spectra = [np.fft.rfft(bands, 2 * n, axis=0) for bands in (earlier, later)]
    products = np.fft.irfft(np.sum(np.conj(spectra[0]) * spectra[1], axis=1))[:n]
    lags = np.arange(n)
    first_energy, *first = _overlap_moments(earlier, np.zeros_like(lags), n - lags)
    last_energy, *last = _overlap_moments(later, lags, np.full_like(lags, n))
    products = products - sum(np.sum(a * b, axis=1) for a, b in zip(first, last, strict=True))
    scale = np.sqrt(np.maximum(first_energy * last_energy, 0.0))
    least = 1e-6 * max(float(np.sqrt(np.sum(earlier**2) * np.sum(later**2))), 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > least, products / scale, np.nan)


def _overlap_moments(
    bands: Float64Array, begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Of the frames begin..end of bands [n_frames, bands], for every pair of those [n]: the energy left when mean and
    trend are out [n], and what goes with them: the parts along a constant and along a line of unit length [n, bands].
    """
    frame = np.arange(len(bands), dtype=np.float64)[:, None]
    nothing = np.zeros((1, bands.shape[1]))
    sums, moments, energies = (
        np.concatenate([nothing, np.cumsum(values, axis=0)]) for values in (bands, frame * bands, bands**2)
    )
    n = (end - begin)[:, None].astype(np.float64)
    total = sums[end] - sums[begin]
    tilted = moments[end] - moments[begin] - (begin[:, None] + 0.5 * (n - 1.0)) * total
    constant, line = total / np.sqrt(n), tilted / np.sqrt(np.maximum(n * (n**2 - 1.0) / 12.0, 1.0))
    energy = np.sum(energies[end] - energies[begin] - constant**2 - line**2, axis=1)
    return energy, constant, line


def chance_peak(log_mel_db: Float64Array, elsewhere_db: Sequence[Float64Array]) -> float:
    """The peak that self_similarity of a stretch [n_frames, bands] would find without any repetition: the mean of its
    largest correlations with other stretches of the same length, each turned round in time. NaN for none."""
    audible = _is_audible(log_mel_db)
    lags = slice(round(SHORTEST_LAG_S * FRAME_RATE_HZ), len(log_mel_db) - _LEAST_OVERLAP_FRAMES)
    found = [lag_correlation(log_mel_db[:, audible], other[::-1, audible])[lags] for other in elsewhere_db]
    # Where nothing moves nothing is alike by chance.
    peaks = [float(np.max(r[np.isfinite(r)], initial=0.0)) for r in found]
    return float(np.mean(peaks)) if peaks else float("nan")


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
