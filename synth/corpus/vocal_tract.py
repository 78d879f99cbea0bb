"""Glottal pulse shape, vocal tract and radiation as one time-varying filter in the frequency domain.

Every 5 ms the source is windowed (Hann, so that constant filters are exact), multiplied by a complex response and
overlap-added: adjacent responses cross-fade, hence no clicks. The glottal flow derivative follows the causal-anticausal
linear model (Doval, d'Alessandro & Henrich 2003): an anticausal resonance, the glottal formant, for the open phase and
a causal one-pole tilt for the return phase. The tract is an all-pole cascade of formants to 12 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.dsp.smoothing import hann_mean
from synth.spec.audio import SAMPLE_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

STEP_SAMPLES = 240
_WINDOW_SAMPLES = 2 * STEP_SAMPLES
_FFT_STEPS = 14
_FFT_SAMPLES = _FFT_STEPS * STEP_SAMPLES
_LEAD_STEPS = 4  # room before the window for the anticausal part; what remains after it rings for 40 ms
_CHUNK_STEPS = 64
_BINS_HZ = np.fft.rfftfreq(_FFT_SAMPLES, 1.0 / SAMPLE_RATE_HZ)
# Slopes are straight in log frequency between these and bend to flat beyond, so that no slope makes rumble or hiss.
# The bends are smooth: a kink in a zero-phase magnitude would ring beyond the filter's 20 ms of lead.
_SLOPE_LOW_HZ, _SLOPE_HIGH_HZ = 90.0, 8_000.0
_OCTAVES = 0.5 * np.log2((_BINS_HZ**2 + _SLOPE_LOW_HZ**2) / 1_000.0**2 / (1.0 + (_BINS_HZ / _SLOPE_HIGH_HZ) ** 2))
_NEPER_PER_DB = np.log(10.0) / 20.0
_ALPHA_BINS = np.flatnonzero((_BINS_HZ >= 50.0) & (_BINS_HZ <= 5_000.0))
_ALPHA_LOW = _BINS_HZ[_ALPHA_BINS] < 1_000.0
_SLOPES_DB = np.linspace(-14.0, 7.0, 22)
_SLOPE_POWERS = np.exp(2.0 * _NEPER_PER_DB * _OCTAVES[_ALPHA_BINS, None] * _SLOPES_DB[None, :])
_COMB_WIDTH_HZ = 22.0
# A bump of effort around 3 kHz (clustered F3-F5, narrowed epilarynx).
_RING = np.exp(-0.5 * (np.log2(np.maximum(_BINS_HZ, 1.0) / 3_100.0) / 0.55) ** 2)
# Scaling F3-F5 moves everything above them by the square of each; formants from F6 on stay, so it is taken back there.
_ABOVE_F5 = 1.0 / (1.0 + (4_300.0 / np.maximum(_BINS_HZ, 1.0)) ** 6)
_ABOVE_F5_DB_PER_DECADE = -120.0
_N_SCALED = 3
_SLOPE_STRIDE = 4
_SLOPE_WIDTH = 9  # 180 ms
_TAPER_HZ = 20_500.0
_TURBULENCE_HZ = 350.0  # what turbulence lacks below


@dataclass(frozen=True, slots=True)
class TractFrames:
    """The filter over time, [n_steps] each at 200 Hz; step s is centred on sample s * STEP_SAMPLES.

    f1_hz, f2_hz     the vowel as it sounds
    formant_scale    multiplies F3 to F5: 1.25 small, 0.8 large tract
    widening         bandwidths relative to a closed glottis, >= 1
    rate_hz          pulse rate, for the length of the open phase
    open_quotient    0..1
    alpha_db         level 1-5 kHz over 50 Hz-1 kHz the pulses should have
    noise_alpha_db   the same for the turbulence
    ring_db          height of the 3 kHz cluster
    ingress          0..1: inhaled; opens the sub-glottal cavities
    """

    f1_hz: Float64Array
    f2_hz: Float64Array
    formant_scale: Float64Array
    widening: Float64Array
    rate_hz: Float64Array
    open_quotient: Float64Array
    alpha_db: Float64Array
    noise_alpha_db: Float64Array
    ring_db: Float64Array
    ingress: Float64Array

    def steps(self, part: slice) -> TractFrames:
        """The steps of `part`."""
        return TractFrames(**{name: getattr(self, name)[part] for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class TractShape:
    """One speaker's anatomy: F3..F11 at scale 1, relative bandwidth, the piriform zero, and where losses set in."""

    upper_hz: tuple[float, ...] = (2_550.0, 3_500.0, 4_450.0, 5_450.0, 6_500.0, 7_500.0, 8_550.0, 9_600.0, 10_800.0)
    bandwidth: float = 1.0
    zero_hz: float = 4_700.0
    zero_depth: float = 0.6
    top_hz: float = 11_000.0


def _formants(frames: TractFrames, shape: TractShape) -> tuple[Float64Array, Float64Array]:
    """Centre frequencies and bandwidths -> two arrays [n_steps, n_formants], Hz."""
    scale = frames.formant_scale[:, None]
    upper = np.repeat(np.asarray(shape.upper_hz)[None, :], len(scale), axis=0)
    upper[:, :_N_SCALED] *= scale
    # A very front vowel pushes F3 up instead of crossing it.
    upper[:, 0] = np.maximum(upper[:, 0], frames.f2_hz + 350.0)
    for k in range(1, _N_SCALED + 1):
        upper[:, k] = np.maximum(upper[:, k], upper[:, k - 1] + 400.0)
    centre = np.concatenate([frames.f1_hz[:, None], frames.f2_hz[:, None], upper], axis=1)
    # Losses grow with frequency (walls, friction, radiation; after Hawks & Miller 1995, rounded).
    width = 62.0 + 0.018 * centre + 4.2e-6 * centre**2
    widening = frames.widening[:, None]
    width = shape.bandwidth * width * np.where(centre < 1_200.0, widening, 1.0 + 0.5 * (widening - 1.0))
    return centre, width


def _tract_response(frames: TractFrames, shape: TractShape) -> NDArray[np.complex64]:
    """All-pole response, 1 at 0 Hz -> [n_steps, n_bins]."""
    centre, width = _formants(frames, shape)
    radius = np.exp(-np.pi * width / SAMPLE_RATE_HZ)
    first = -2.0 * radius * np.cos(2.0 * np.pi * centre / SAMPLE_RATE_HZ)
    second = radius**2
    n_steps, n_formants = centre.shape
    coefficients = np.zeros((n_steps, 2 * n_formants + 1))
    coefficients[:, 0] = 1.0
    for k in range(n_formants):
        grown = coefficients.copy()
        grown[:, 1:] += first[:, k, None] * coefficients[:, :-1]
        grown[:, 2:] += second[:, k, None] * coefficients[:, :-2]
        coefficients = grown
    # A tract moves little in 5 ms: every second response is the mean of its neighbours.
    spectrum = np.fft.rfft(coefficients[::2], _FFT_SAMPLES, axis=1)
    response = np.empty((n_steps, spectrum.shape[1]), dtype=np.complex64)
    response[::2] = coefficients[::2].sum(axis=1)[:, None] / spectrum
    response[1:-1:2] = 0.5 * (response[:-2:2] + response[2::2])
    if n_steps % 2 == 0:
        response[-1] = coefficients[-1].sum() / np.fft.rfft(coefficients[-1], _FFT_SAMPLES)
    return response


def _pulse_response(frames: TractFrames) -> NDArray[np.complex64]:
    """Glottal flow derivative of one cycle, its closure at time 0 -> [n_steps, n_bins]."""
    # In slow fry the glottis still opens for milliseconds only, however long the cycle.
    open_s = np.clip(frames.open_quotient / frames.rate_hz, 0.0006, 0.004)
    glottal_formant_hz = 0.62 / open_s
    x = (_BINS_HZ[None, :] / glottal_formant_hz[:, None]).astype(np.float32)
    denominator = np.empty(x.shape, dtype=np.complex64)
    denominator.real = 1.0 - x * x
    denominator.imag = -1.1 * x  # negative: the resonance grows towards closure, i.e. it is anticausal
    return np.complex64(-1j) * x / denominator


@dataclass(frozen=True, slots=True)
class _Sides:
    """Constant responses [n_bins] of one speaker.

    every       what every sound passes: the piriform zero, losses of the top octave, and the higher-pole correction
                (Fant 1960): a tube has formants without end, and leaving out those above F11 would drop the top
    inhaled     sub-glottal pole-zero pairs
    turbulence  what turbulence lacks at the bottom
    """

    every: NDArray[np.complex64]
    inhaled: NDArray[np.complex64]
    turbulence: NDArray[np.complex64]


def _sides(shape: TractShape) -> _Sides:
    z = np.exp(-2j * np.pi * _BINS_HZ / SAMPLE_RATE_HZ)

    def section(hz: float, width_hz: float) -> NDArray[np.complex128]:
        radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
        return 1.0 - 2.0 * radius * np.cos(2.0 * np.pi * hz / SAMPLE_RATE_HZ) * z + (radius * z) ** 2

    every = section(shape.zero_hz, 250.0) / section(shape.zero_hz, 250.0 / (1.0 - 0.75 * shape.zero_depth))
    for hz in (500.0, 1_500.0, *shape.upper_hz):
        wide = section(hz, 1_500.0)
        every = every * np.abs(wide / wide[0])
    # Nothing may be left at Nyquist: a response that is not real there would ring for ever.
    top = np.cos(0.5 * np.pi * np.clip((_BINS_HZ - _TAPER_HZ) / (_BINS_HZ[-1] - _TAPER_HZ), 0.0, 1.0)) ** 2
    every = every * top / (1.0 + 1j * _BINS_HZ / shape.top_hz) ** 2
    inhaled = np.ones_like(every)
    for pole_hz, zero_hz in ((640.0, 780.0), (1_450.0, 1_650.0), (2_250.0, 2_450.0)):
        inhaled = inhaled * section(zero_hz, 140.0) / section(pole_hz, 140.0)
    x = 1j * _BINS_HZ / _TURBULENCE_HZ
    return _Sides(
        every.astype(np.complex64), (inhaled / inhaled[0]).astype(np.complex64), (x / (1.0 + x)).astype(np.complex64)
    )


def _slope_for(power: Float32Array, alpha_db: Float64Array) -> Float64Array:
    """Slope in dB per octave that gives spectra `power` [n_steps, n_alpha_bins] the level ratio `alpha_db`."""
    low = power[:, _ALPHA_LOW] @ _SLOPE_POWERS[_ALPHA_LOW]
    high = power[:, ~_ALPHA_LOW] @ _SLOPE_POWERS[~_ALPHA_LOW]
    alpha = 10.0 * np.log10((high + 1e-20) / (low + 1e-20))  # rises with slope
    below = np.clip((alpha < alpha_db[:, None]).sum(axis=1), 1, len(_SLOPES_DB) - 1)
    rows = np.arange(len(alpha_db))
    left, right = alpha[rows, below - 1], alpha[rows, below]
    part = np.clip((alpha_db - left) / np.maximum(right - left, 1e-6), 0.0, 1.0)
    return _SLOPES_DB[below - 1] + part * (_SLOPES_DB[below] - _SLOPES_DB[below - 1])


def _comb(rate_hz: Float64Array) -> Float32Array:
    """Where the harmonics lie among the alpha bins -> [n_steps, n_alpha_bins], 0..1."""
    hz = _BINS_HZ[_ALPHA_BINS][None, :]
    number = np.maximum(np.rint(hz / rate_hz[:, None]), 1.0)
    return np.exp(-(((hz - number * rate_hz[:, None]) / _COMB_WIDTH_HZ) ** 2)).astype(np.float32)


def _effort_db(frames: TractFrames) -> Float32Array:
    """What the magnitude has beyond slope: ring, and level kept above the scaled formants -> [n_steps, n_bins]."""
    above_db = _ABOVE_F5_DB_PER_DECADE * np.log10(frames.formant_scale)
    amounts = np.stack([frames.ring_db, above_db], axis=1).astype(np.float32)
    return amounts @ np.stack([_RING, _ABOVE_F5]).astype(np.float32)


def _power_of(response: NDArray[np.complex64]) -> Float32Array:
    inside = response[:, _ALPHA_BINS]
    return inside.real**2 + inside.imag**2


def _magnitude(slope_db: Float64Array, effort_db: Float32Array) -> Float32Array:
    decibels = slope_db[:, None].astype(np.float32) * _OCTAVES[None, :].astype(np.float32) + effort_db
    return np.exp(np.float32(_NEPER_PER_DB) * decibels)


def _unsloped(
    frames: TractFrames, shape: TractShape, sides: _Sides
) -> tuple[NDArray[np.complex64], NDArray[np.complex64], Float32Array]:
    """Responses for pulses and for turbulence before slope and effort, and the effort in dB; [n_steps, n_bins] each."""
    tract = _tract_response(frames, shape) * sides.every[None, :]
    if frames.ingress.max() > 0.0:
        tract *= 1.0 + frames.ingress[:, None].astype(np.float32) * (sides.inhaled[None, :] - 1.0)
    pulse = _pulse_response(frames)
    pulse *= tract
    tract *= sides.turbulence[None, :]
    return pulse, tract, _effort_db(frames)


def _slopes(frames: TractFrames, shape: TractShape, sides: _Sides) -> tuple[Float64Array, Float64Array]:
    """Slopes that give pulses and turbulence their alpha ratios -> two [n_steps], dB per octave.

    They move slowly: a larynx knows nothing of which harmonic meets which formant just now.
    """
    n_steps = len(frames.rate_hz)
    sparse = frames.steps(slice(None, None, _SLOPE_STRIDE))
    pulse, tract, effort_db = _unsloped(sparse, shape, sides)
    effort = np.exp(2.0 * np.float32(_NEPER_PER_DB) * effort_db[:, _ALPHA_BINS])
    voiced = _slope_for(_power_of(pulse) * effort * _comb(sparse.rate_hz), sparse.alpha_db)
    turbulent = _slope_for(_power_of(tract) * effort, sparse.noise_alpha_db)
    at, sparse_at = np.arange(n_steps), np.arange(len(voiced)) * float(_SLOPE_STRIDE)
    smooth = [np.interp(at, sparse_at, hann_mean(slope, _SLOPE_WIDTH)) for slope in (voiced, turbulent)]
    return smooth[0], smooth[1]


def _spectra(source: Float32Array, first_step: int, n_steps: int) -> NDArray[np.complex64]:
    """Windowed spectra of `source` (padded by one step in front) -> [n_steps, n_bins]."""
    window = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
    start = first_step * STEP_SAMPLES
    views = np.lib.stride_tricks.sliding_window_view(source[start:], _WINDOW_SAMPLES)[::STEP_SAMPLES][:n_steps]
    return np.fft.rfft(views * window, _FFT_SAMPLES, axis=1).astype(np.complex64, copy=False)


def n_steps_for(n_samples: int) -> int:
    """Filter steps that cover `n_samples`."""
    return -(-n_samples // STEP_SAMPLES) + 1


def filter_source(
    pulses: Float32Array, noise: Float32Array, frames: TractFrames, shape: TractShape
) -> tuple[Float32Array, Float32Array]:
    """Send closure impulses and turbulence [n_samples] through glottis shape, tract and lips -> the same, radiated.

    `frames` has n_steps_for(n_samples) steps; step s is centred on sample s * STEP_SAMPLES.
    """
    n_samples = len(pulses)
    n_steps = n_steps_for(n_samples)
    tail = (n_steps + 2) * STEP_SAMPLES - n_samples
    padded = [np.pad(source, (STEP_SAMPLES, tail)).astype(np.float32) for source in (pulses, noise)]
    out = np.zeros((2, n_steps + _FFT_STEPS, STEP_SAMPLES), dtype=np.float32)
    sides = _sides(shape)
    slopes = np.stack(_slopes(frames, shape, sides))
    for first in range(0, n_steps, _CHUNK_STEPS):
        part = slice(first, min(first + _CHUNK_STEPS, n_steps))
        count = part.stop - first
        pulse, tract, effort_db = _unsloped(frames.steps(part), shape, sides)
        for stream, response in enumerate((pulse, tract)):
            response *= _magnitude(slopes[stream, part], effort_db)
            response *= _spectra(padded[stream], first, count)
            blocks = np.fft.irfft(response, _FFT_SAMPLES, axis=1).reshape(count, _FFT_STEPS, STEP_SAMPLES)
            # The last steps of the circular result are the anticausal part: they belong before the window.
            blocks = np.roll(blocks, _LEAD_STEPS, axis=1)
            for k in range(_FFT_STEPS):
                out[stream, first + k : first + k + count] += blocks[:, k]
    start = (_LEAD_STEPS + 1) * STEP_SAMPLES
    return out[0].reshape(-1)[start : start + n_samples], out[1].reshape(-1)[start : start + n_samples]
