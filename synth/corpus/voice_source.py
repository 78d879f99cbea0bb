"""What happens at the larynx: glottal pulses one by one, false-fold modulation, turbulence gated by the open glottis.

The source is two streams of equal standing, pulses and noise, both at the audio rate. A pulse is a band-limited impulse
at the instant of glottal closure; its shape (open quotient, return phase) is applied in the frequency domain by
synth.corpus.vocal_tract, so that nothing aliases at any pitch. Deterministic given the generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_PHASE_STEP_SAMPLES = 48  # the glottal phase is integrated at 1 kHz
_MODULATOR_STEP_SAMPLES = 24  # and the false folds at 2 kHz
_PULSE_HALF_TAPS = 16
_PULSE_OFFSETS = 256
_BUMP_POINTS = 256
MIN_RATE_HZ = 15.0
MAX_RATE_HZ = 2_200.0


@dataclass(frozen=True, slots=True)
class SourceFrames:
    """What the larynx does, [n_frames] each at 100 Hz.

    rate_hz            glottal pulse rate, with drift and vibrato, without jitter
    jitter_ratio       rms relative difference of successive periods
    shimmer_db         standard deviation of pulse levels
    subharmonic_depth  0..1: every `order`-th pulse has amplitude 1 - depth
    roughness_depth    sqrt(2) * std / mean of the false folds' gain: the index of an equally deep sine modulation
    roughness_rate_hz  where that modulation lies
    gating             0..1: how much the noise follows the open phase
    open_quotient      0..1: part of the cycle in which the glottis is open
    creak              0..1: share of the larynx's habit of double pulses
    """

    rate_hz: Float64Array
    jitter_ratio: Float64Array
    shimmer_db: Float64Array
    subharmonic_depth: Float64Array
    roughness_depth: Float64Array
    roughness_rate_hz: Float64Array
    gating: Float64Array
    open_quotient: Float64Array
    creak: Float64Array


@dataclass(frozen=True, slots=True)
class FoldCharacter:
    """How one larynx misbehaves; constant over a gesture.

    subharmonic_order  2 or 3
    modulation_chaos   0..1: periodic false folds to band noise
    modulation_edge    0..1: sinusoidal to pulse-like modulation
    rate_wander        relative standard deviation of the modulation rate
    double_pulse       0..1: amplitude of the small pulse before each main one in full creak
    double_place       0..1: how long before it, in periods
    """

    subharmonic_order: int = 2
    modulation_chaos: float = 0.2
    modulation_edge: float = 0.3
    rate_wander: float = 0.12
    double_pulse: float = 0.0
    double_place: float = 0.4


def at_positions(values: NDArray[np.floating], sample_positions: Float64Array) -> Float64Array:
    """Frame-rate `values` [n_frames] read at sample positions, linear between frame centres, held beyond the ends."""
    return np.interp(sample_positions / HOP_SAMPLES - 0.5, np.arange(len(values)), values)


def smooth_noise(rng: np.random.Generator, n_points: int, width_points: float) -> Float64Array:
    """Unit-variance Gaussian noise smoothed by a Gaussian of `width_points` standard deviation -> [n_points]."""
    half = max(int(np.ceil(3.0 * width_points)), 1)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / max(width_points, 1e-3)) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return np.convolve(rng.standard_normal(n_points + 2 * half), kernel, mode="valid").astype(np.float64)


def _pulse_table() -> Float32Array:
    """Windowed-sinc impulses at sub-sample offsets -> [_PULSE_OFFSETS + 1, 2 * _PULSE_HALF_TAPS]."""
    offsets = np.arange(_PULSE_OFFSETS + 1) / _PULSE_OFFSETS
    taps = np.arange(-_PULSE_HALF_TAPS + 1, _PULSE_HALF_TAPS + 1)
    x = taps[None, :] - offsets[:, None]
    window = np.cos(np.pi * np.clip(x / (2 * _PULSE_HALF_TAPS), -0.5, 0.5)) ** 2
    return (0.94 * np.sinc(0.94 * x) * window).astype(np.float32)


_PULSES = _pulse_table()


def _closure_times(frames: SourceFrames, n_samples: int, rng: np.random.Generator) -> tuple[Float64Array, Float64Array]:
    """Sample positions of glottal closure and the periods there in samples, jitter included in the first only."""
    grid = np.arange(-10 * _PHASE_STEP_SAMPLES, n_samples + 20 * _PHASE_STEP_SAMPLES, _PHASE_STEP_SAMPLES, dtype=float)
    rate = np.clip(at_positions(frames.rate_hz, grid), MIN_RATE_HZ, MAX_RATE_HZ)
    advance = 0.5 * (rate[1:] + rate[:-1]) * (_PHASE_STEP_SAMPLES / SAMPLE_RATE_HZ)
    phase = np.concatenate([[0.0], np.cumsum(advance)]) + rng.uniform()
    closures = np.interp(np.arange(1, int(phase[-1]) + 1), phase, grid)
    period = SAMPLE_RATE_HZ / np.interp(closures, grid, rate)
    # Independent displacements of rms s change successive periods by rms sqrt(6) s; clipping keeps pulses in order.
    displacement = np.clip(rng.standard_normal(len(closures)), -2.4, 2.4) / np.sqrt(6.0)
    jitter = np.minimum(at_positions(frames.jitter_ratio, closures), 0.45)
    return closures + displacement * jitter * period, period


def _add_impulses(closures: Float64Array, amplitude: Float64Array, n_samples: int) -> Float32Array:
    margin = 2 * _PULSE_HALF_TAPS
    inside = (closures > -_PULSE_HALF_TAPS) & (closures < n_samples + _PULSE_HALF_TAPS)
    closures, amplitude = closures[inside], amplitude[inside]
    whole = np.floor(closures).astype(np.int64)
    row = np.rint((closures - whole) * _PULSE_OFFSETS).astype(np.int64)
    shapes = _PULSES[row] * amplitude[:, None].astype(np.float32)
    index = whole[:, None] + np.arange(-_PULSE_HALF_TAPS + 1, _PULSE_HALF_TAPS + 1)[None, :] + margin
    out = np.bincount(index.ravel(), weights=shapes.ravel(), minlength=n_samples + 2 * margin)
    return out[margin : margin + n_samples].astype(np.float32)


def _open_phase(
    closures: Float64Array, open_quotient: NDArray[np.floating], gating: NDArray[np.floating], n_samples: int
) -> Float32Array:
    """Gain of the turbulence over each cycle: most while the glottis is open, which is just before closure."""
    edges = np.concatenate([[-1.0], np.sort(closures), [n_samples + 1.0]])
    samples = np.arange(n_samples, dtype=np.float64)
    cycle = np.interp(samples, edges, np.arange(len(edges)))
    place = cycle - np.floor(cycle)
    frame = np.minimum(np.arange(n_samples) // HOP_SAMPLES, len(gating) - 1)
    opening = np.clip((place - 1.0) / np.maximum(open_quotient, 0.15)[frame] + 1.0, 0.0, 1.0)
    bump_table = np.sin(np.pi * np.linspace(0.0, 1.0, _BUMP_POINTS) ** 0.8) ** 2
    bump = bump_table[(opening * (_BUMP_POINTS - 1)).astype(np.int32)]
    depth = at_positions(gating, samples[::_PHASE_STEP_SAMPLES])
    depth = np.interp(samples, samples[::_PHASE_STEP_SAMPLES], depth)
    return (1.0 - depth + depth * 1.6 * bump).astype(np.float32)


def _modulator(rate_hz: Float64Array, character: FoldCharacter, rng: np.random.Generator) -> Float64Array:
    """Zero-mean, unit-variance motion of the false folds on the 2 kHz grid `rate_hz` is given on."""
    step_s = _MODULATOR_STEP_SAMPLES / SAMPLE_RATE_HZ
    n_points = len(rate_hz)
    wander = 1.0 + character.rate_wander * np.clip(smooth_noise(rng, n_points, 0.03 / step_s), -2.0, 2.0)
    turns = np.cumsum(rate_hz * wander) * step_s * 2.0 * np.pi
    # Each swing has its own size: false folds are heavy and never repeat exactly.
    swing = np.exp(0.35 * smooth_noise(rng, n_points, 0.008 / step_s))
    skew = 0.6 * character.modulation_edge
    periodic = np.cos(turns + skew * np.sin(turns)) + 0.4 * character.modulation_edge * np.cos(2.0 * turns + 0.7)
    carrier = smooth_noise(rng, n_points, 0.005 / step_s), smooth_noise(rng, n_points, 0.005 / step_s)
    chaotic = carrier[0] * np.cos(turns) + carrier[1] * np.sin(turns)
    wave = (1.0 - character.modulation_chaos) * swing * periodic + character.modulation_chaos * chaotic
    return (wave - wave.mean()) / (wave.std() + 1e-9)


def false_fold_gain(
    frames: SourceFrames, character: FoldCharacter, n_samples: int, rng: np.random.Generator
) -> Float64Array:
    """Positive gain of mean 1 whose modulation index follows `roughness_depth` -> [n_samples // 24 + 2] at 2 kHz."""
    grid = np.arange(n_samples // _MODULATOR_STEP_SAMPLES + 2, dtype=np.float64) * _MODULATOR_STEP_SAMPLES
    wave = _modulator(at_positions(frames.roughness_rate_hz, grid), character, rng)
    wave = np.clip(wave, -2.6, 2.6)
    # Exponential shaping stays positive at any depth; this clip's own curve strength -> depth is inverted.
    strengths = np.linspace(0.0, 1.6, 17)
    shaped = np.exp(strengths[:, None] * wave[None, ::4])
    means = shaped.mean(axis=1)
    depths = np.sqrt(2.0) * shaped.std(axis=1) / means
    strength = np.interp(at_positions(frames.roughness_depth, grid), depths, strengths)
    return np.exp(strength * wave) / np.interp(strength, strengths, means)


def render_source(
    frames: SourceFrames, character: FoldCharacter, n_samples: int, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array]:
    """Closure impulses and turbulence, both carrying the false folds' gain -> two arrays [n_samples].

    Levels are about unit power each; the mix is made later, where the harmonic-to-noise ratio is set.
    """
    closures, period = _closure_times(frames, n_samples, rng)
    shimmer = at_positions(frames.shimmer_db, closures) * np.clip(rng.standard_normal(len(closures)), -2.5, 2.5)
    weak = np.arange(len(closures)) % character.subharmonic_order == 1
    depth = np.clip(at_positions(frames.subharmonic_depth, closures), 0.0, 0.95)
    amplitude = np.sqrt(period) * 10.0 ** (shimmer / 20.0) * np.where(weak, 1.0 - depth, 1.0)

    gain = false_fold_gain(frames, character, n_samples, rng)
    grid = np.arange(len(gain)) * float(_MODULATOR_STEP_SAMPLES)
    amplitude = amplitude * np.interp(closures, grid, gain)
    doubled = character.double_pulse * at_positions(frames.creak, closures)
    pulses = _add_impulses(closures, amplitude, n_samples)
    if doubled.max() > 0.0:
        # The small pulse comes with the main one, at nearly the same distance: the cycle stays one cycle.
        place = character.double_place * (1.0 + 0.04 * np.clip(rng.standard_normal(len(closures)), -2.0, 2.0))
        pulses += _add_impulses(closures - place * period, doubled * amplitude, n_samples)
    noise = rng.standard_normal(n_samples, dtype=np.float32)
    noise *= np.interp(np.arange(n_samples, dtype=np.float64), grid, gain).astype(np.float32)
    if depth.max() > 0.05:
        # Weak cycles blow less: turbulence carries the sub-harmonic as well.
        weaker = np.where(weak, 1.0 - 0.7 * depth, 1.0)
        samples = np.arange(n_samples, dtype=np.float64)
        noise *= np.interp(samples, closures - 0.5 * period, weaker).astype(np.float32)
    noise *= _open_phase(closures, frames.open_quotient, frames.gating, n_samples)
    return pulses, noise
