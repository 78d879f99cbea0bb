"""Does a straight line sound like a machine: residual F0, jitter, shimmer, drift of the spectrum and of the level.

Everything is measured on excerpts of one length, of real held notes and of the model's. F0, jitter and shimmer come
from Praat (Boersma 1993; its cycle-by-cycle cross-correlation for the last two).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.dsp.resampling import resample
from synth.dsp.smoothing import hann_mean
from synth.evaluate.clusters import clustered, clustered_interval
from synth.evaluate.distances import log_mel
from synth.evaluate.looping import audible_bands
from synth.evaluate.praat import sound_of
from synth.evaluate.statistics import Interval
from synth.evaluate.trackers import praat
from synth.spec.audio import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

EXCERPT_S = 0.8
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "f0_slow_cents": "cents",
        "f0_fast_cents": "cents",
        "jitter_percent": "%",
        "shimmer_percent": "%",
        "spectral_drift_db": "dB",
        "level_drift_db": "dB",
    }
)
MEASURES = tuple(UNITS)
# Praat's standard settings: periods of 0.1-20 ms, neighbours no more than 1.3 apart, their amplitudes 1.6.
_PERIODS, _AMPLITUDE_RATIO = (0.0001, 0.02, 1.3), 1.6
_FLOOR_HZ, _CEILING_HZ = 60.0, 1_000.0
_SPEECH_RATE_HZ = 16_000
_GROSS_CENTS = 150.0
_FAST_FRAMES = 31  # 150 ms at half height: slower is drift and vibrato, faster is jitter as F0 sees it
_AVERAGED_FRAMES = 21
_LEAST_HEARD = 0.6
_INSIDE = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure of excerpts of held notes: real ones, and the model's.

    real_low, real_high   5 % and 95 % quantiles of the real excerpts: the range
    generated             median of the model's excerpts; notes are resampled whole, as for all intervals here
    share_inside          of the model's excerpts in the range (0.9 for another set of real ones)
    verdict               "inside", "too straight" or "too wild": where the interval of the median lies; "undecided"
                          when it holds a bound
    """

    measure: str
    unit: str
    n_real: int
    n_generated: int
    real_low: float
    real_median: float
    real_high: float
    generated: Interval
    share_inside: Interval
    verdict: str


def unsteadiness(audio: Float32Array) -> dict[str, float]:
    """MEASURES of one excerpt; NaN where Praat hears no steady voice. Raises UserError without the evaluation extra.

    f0_slow_cents, f0_fast_cents  RMS deviation of F0 from its median: of its 150 ms mean, and around that
    jitter_percent, shimmer_percent  Praat's local ones
    spectral_drift_db   deviation over time of 100 ms averages of the mel bands, level taken out, RMS over bands
    level_drift_db      deviation over time of their common level
    """
    slow, fast = _f0_deviation_cents(audio)
    jitter, shimmer = _jitter_and_shimmer_percent(audio)
    bands = audible_bands(log_mel(audio))
    averaged = np.stack([hann_mean(band, _AVERAGED_FRAMES) for band in bands.T], axis=1)[:: _AVERAGED_FRAMES // 2]
    level = averaged.mean(axis=1)
    drift = np.sqrt(np.mean((averaged - level[:, None]).var(axis=0)))
    found = (slow, fast, jitter, shimmer, float(drift), float(level.std()))
    return dict(zip(MEASURES, found, strict=True))


def compare(measure: str, unit: str, real: Sequence[Sequence[float]], generated: Sequence[Sequence[float]]) -> Compared:
    """Excerpts by note, real and generated -> where the generated ones lie in the range of the real ones."""
    reals, _ = clustered(real)
    made, of_note = clustered(generated)
    if len(reals) == 0:
        low = middle = high = float("nan")
    else:
        low, middle, high = (float(np.quantile(reals, q)) for q in (_INSIDE[0], 0.5, _INSIDE[1]))
    median = clustered_interval(made, of_note, lambda values: float(np.median(values)))
    inside = clustered_interval(((made >= low) & (made <= high)).astype(np.float64), of_note, lambda v: float(v.mean()))
    return Compared(
        measure, unit, len(reals), len(made), low, middle, high, median, inside, _verdict(median, low, high)
    )


def _verdict(median: Interval, low: float, high: float) -> str:
    if not np.isfinite([median.low, median.high, low, high]).all():
        return "unmeasured"
    if median.high < low:
        return "too straight"
    if median.low > high:
        return "too wild"
    return "inside" if median.low >= low and median.high <= high else "undecided"


def _f0_deviation_cents(audio: Float32Array) -> tuple[float, float]:
    heard = praat(audio)
    known = np.isfinite(heard.note)
    n_expected = len(audio) / SAMPLE_RATE_HZ * FRAME_RATE_HZ
    if known.sum() < _LEAST_HEARD * n_expected:
        return float("nan"), float("nan")
    cents = 100.0 * heard.note[known]
    cents = cents - np.median(cents)
    cents = cents[np.abs(cents) < _GROSS_CENTS]
    slow = hann_mean(cents, _FAST_FRAMES)
    return float(np.sqrt(np.mean(slow**2))), float(np.sqrt(np.mean((cents - slow) ** 2)))


def _jitter_and_shimmer_percent(audio: Float32Array) -> tuple[float, float]:
    """Praat's local jitter and shimmer; NaN where it finds too few cycles."""
    sound = sound_of(resample(audio, SAMPLE_RATE_HZ, _SPEECH_RATE_HZ), _SPEECH_RATE_HZ)
    from parselmouth.praat import call  # in the evaluation extra only; sound_of has said so where it is missing

    pulses = call(sound, "To PointProcess (periodic, cc)", _FLOOR_HZ, _CEILING_HZ)
    jitter = call(pulses, "Get jitter (local)", 0.0, 0.0, *_PERIODS)
    shimmer = call([sound, pulses], "Get shimmer (local)", 0.0, 0.0, *_PERIODS, _AMPLITUDE_RATIO)
    return 100.0 * float(jitter), 100.0 * float(shimmer)
