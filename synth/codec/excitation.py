"""The decoder's excitation: a pulse train and a noise, made in the time domain from pitch and explicit parameters.

Pitch is exact by construction: pulses lie where the integral of F0 crosses integers. Everything here is a function of
absolute time, so any cell can be made alone. To stop a pitch edit from moving every later pulse, phase is pinned on
an absolute grid: between two anchors F0 is warped so that the phase arrives at a value that depends on the anchor
only. Anchors take phase frac(f * t), which a steady pitch reaches without any warp; a moving pitch is off by at most
half a cycle per anchor interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.codec.noise import Stream, normal, smooth
from synth.spec.audio import HOP_S, HOP_SAMPLES, PHASE_ANCHOR_FRAMES, SAMPLE_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

# Rates of the fixed modulators that the roughness rate is mixed from; each wanders on its own.
_ROUGH_RATES_HZ = np.geomspace(32.0, 150.0, 7)
_ROUGH_WANDER_HZ = 9.0
_ROUGH_WANDER_RAD = 1.1
_JITTER_KNOT_HZ = 480.0
# Wander of F0: knots a second, and rms in units of the drift that the ears read (synth.features.analysis). They take
# out what is slower than 300 ms; with these two a held note reads as the notes it was learnt from do.
_DRIFTS = ((5.0, 1.5), (14.0, 2.1))
# Drift and false folds (up to 150 Hz) are computed every so many samples and joined by straight lines.
KNOT_SAMPLES = 16
PULSE_HALF_TAPS = 12
_PULSE_PHASES = 64
PULSE_SHIFT_LIMIT = 2.5  # of its rms, how far jitter moves a pulse at most
MAX_F0_HZ = 2_200.0
MIN_F0_HZ = 15.0


@dataclass(frozen=True, slots=True)
class ExcitationFrames:
    """What the pulses need, at frame rate [n_frames] each; see synth.codec.layout for units."""

    f0_hz: Float32Array
    roughness_depth: Float32Array
    roughness_rate_hz: Float32Array
    subharmonic_depth: Float32Array
    jitter_ratio: Float32Array
    drift_cents: Float32Array


def _frame_positions(start_sample: int, n_samples: int, first_frame: int) -> Float64Array:
    """Fractional index into arrays whose element 0 is frame `first_frame`, at sample centres."""
    samples = np.arange(start_sample, start_sample + n_samples, dtype=np.float64)
    return (samples + 0.5) / HOP_SAMPLES - 0.5 - first_frame


def _interpolate(values: Float32Array, positions: Float64Array) -> Float64Array:
    return np.interp(positions, np.arange(len(values)), values.astype(np.float64))


def _at_samples(values: Float32Array) -> Float64Array:
    """Frame values read at sample centres, held at the ends -> [len(values) * HOP_SAMPLES]; np.interp, but faster."""
    held = np.concatenate([values[:1], values, values[-1:]]).astype(np.float64)
    ramp = (np.arange(HOP_SAMPLES) + 0.5) / HOP_SAMPLES
    lines = held[:-1, None] + np.diff(held)[:, None] * ramp
    return lines.reshape(-1)[HOP_SAMPLES // 2 : -HOP_SAMPLES // 2]


def pinned_phase(f0_hz: Float32Array, first_frame: int) -> tuple[Float64Array, int]:
    """Phase in cycles at sample centres over whole cells.

    f0_hz        [n_frames] from absolute frame `first_frame`; both are multiples of PHASE_ANCHOR_FRAMES
    Returns (phase [n_frames * HOP_SAMPLES], absolute first sample). Within an interval the phase starts at its
    anchor's value in [0, 2) and increases continuously; at the next anchor it restarts, whole cycles apart.
    Anchors lie in the middle of cells: of three cells, the middle one with all that surrounds it gets the phase that
    a longer stretch would give it, to the bit; the outer halves of the others do as if their pitch were held outside.
    """
    _check_whole_cells(f0_hz, first_frame)
    half = PHASE_ANCHOR_FRAMES // 2
    phase = _anchored_phase(np.pad(f0_hz, half + 1, mode="edge"), first_frame - half)
    return phase[half * HOP_SAMPLES : -half * HOP_SAMPLES], first_frame * HOP_SAMPLES


def inner_phase(f0_hz: Float32Array, first_frame: int) -> tuple[Float64Array, int]:
    """`pinned_phase` without the outer half of the first and of the last cell: the part that a longer stretch shares.

    f0_hz   [n_frames], two cells or more -> (phase [(n_frames - PHASE_ANCHOR_FRAMES) * HOP_SAMPLES], its first sample)
    """
    _check_whole_cells(f0_hz, first_frame)
    half = PHASE_ANCHOR_FRAMES // 2
    return _anchored_phase(f0_hz[half - 1 : 1 - half], first_frame + half), (first_frame + half) * HOP_SAMPLES


def _check_whole_cells(f0_hz: Float32Array, first_frame: int) -> None:
    if first_frame % PHASE_ANCHOR_FRAMES or len(f0_hz) % PHASE_ANCHOR_FRAMES:
        raise ValueError("phase needs whole cells")


def _anchored_phase(around_hz: Float32Array, first_frame: int) -> Float64Array:
    """Phase of whole intervals from `first_frame`, an anchor, on; `around_hz` has a frame more on both sides."""
    first_sample = first_frame * HOP_SAMPLES
    n_samples = (len(around_hz) - 2) * HOP_SAMPLES
    around_hz = np.clip(around_hz, MIN_F0_HZ, MAX_F0_HZ)
    f0 = _at_samples(around_hz)[HOP_SAMPLES:-HOP_SAMPLES]
    per_interval = PHASE_ANCHOR_FRAMES * HOP_SAMPLES
    phase = np.empty(n_samples)
    # The frame before an anchor decides its phase, so that an interval depends on nothing to its right.
    anchors_hz = around_hz[::PHASE_ANCHOR_FRAMES].astype(np.float64)
    for interval in range(n_samples // per_interval):
        inside = slice(interval * per_interval, (interval + 1) * per_interval)
        start_s = (first_sample + interval * per_interval) / SAMPLE_RATE_HZ
        end_s = start_s + PHASE_ANCHOR_FRAMES * HOP_S
        # Modulo two, so that a steady pitch keeps its even and odd pulses apart across anchors.
        start_phase = (anchors_hz[interval] * start_s) % 2.0
        end_phase = (anchors_hz[interval + 1] * end_s) % 2.0
        advance = np.cumsum(f0[inside]) / SAMPLE_RATE_HZ
        total = advance[-1]
        wanted = total + (end_phase - start_phase - total + 0.5) % 1.0 - 0.5
        phase[inside] = start_phase + (advance - 0.5 * f0[inside] / SAMPLE_RATE_HZ) * (wanted / total)
    return phase


def free_phase(f0_hz: Float32Array, start_cycle: float = 0.0) -> Float64Array:
    """Plain integral of F0, for training excerpts that stand alone -> [n_frames * HOP_SAMPLES]."""
    f0 = _at_samples(np.clip(f0_hz, MIN_F0_HZ, MAX_F0_HZ))
    return start_cycle + np.cumsum(f0) / SAMPLE_RATE_HZ


def _pulse_table() -> Float32Array:
    """Windowed-sinc pulses at _PULSE_PHASES sub-sample offsets -> [_PULSE_PHASES + 1, 2 * PULSE_HALF_TAPS]."""
    offsets = np.arange(_PULSE_PHASES + 1) / _PULSE_PHASES
    taps = np.arange(-PULSE_HALF_TAPS + 1, PULSE_HALF_TAPS + 1)
    x = taps[None, :] - offsets[:, None]
    window = np.cos(np.pi * np.clip(x / (2 * PULSE_HALF_TAPS), -0.5, 0.5)) ** 2
    return (np.sinc(x * 0.96) * 0.96 * window).astype(np.float32)


_PULSES = _pulse_table()
_TAPS = np.arange(-PULSE_HALF_TAPS + 1, PULSE_HALF_TAPS + 1)


def _roughness_modulator(seed: int, t_s: Float64Array, rate_hz: Float64Array) -> Float64Array:
    """Quasi-periodic modulator in about -1..1 at times `t_s`, its energy around `rate_hz`; a function of time alone."""
    log_rates = np.log(_ROUGH_RATES_HZ)
    spacing = log_rates[1] - log_rates[0]
    distance = (np.log(rate_hz)[:, None] - log_rates[None, :]) / spacing
    weights = np.clip(1.0 - np.abs(distance), 0.0, None)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True)) + 1e-9
    total = np.zeros(len(t_s))
    for k, fixed_rate_hz in enumerate(_ROUGH_RATES_HZ):
        active = weights[:, k] > 0
        if active.any():
            wander = smooth(seed, Stream.ROUGHNESS, t_s[active], _ROUGH_WANDER_HZ, lane=k)
            turns = 2 * np.pi * fixed_rate_hz * t_s[active] + _ROUGH_WANDER_RAD * wander
            total[active] += weights[active, k] * np.cos(turns)
    return total


def modulation(seed: int, t_s: Float64Array, depth: Float64Array, rate_hz: Float64Array) -> Float64Array:
    """Amplitude of the false folds at times `t_s`: positive, unit mean square, deeper with `depth`."""
    wave = _roughness_modulator(seed, t_s, rate_hz)
    # Exponential shaping keeps amplitudes positive at any depth and gives growls their narrow peaks.
    strength = np.clip(depth, 0.0, 1.2) * 1.15
    gain = np.exp(strength * wave)
    return gain / np.exp(strength**2 * 0.5)


def drift_time_s(seed: int, knots: NDArray[np.int64], cents: Float64Array) -> Float64Array:
    """How early the pulses come for a slow drift of rms `cents` at absolute samples `knots` -> like `knots`.

    Times F0 it is a phase in cycles.
    """
    t_s = knots / SAMPLE_RATE_HZ
    turns = np.zeros(len(knots))
    for lane, (knot_hz, share) in enumerate(_DRIFTS):
        # Phase modulation of rms d cycles at about w Hz moves F0 by about 2 pi w d Hz rms.
        turns += share / (2 * np.pi * 0.36 * knot_hz) * smooth(seed, Stream.DRIFT, t_s, knot_hz, lane=lane)
    return cents * (np.log(2) / 1200) * turns


def _pulse_train(
    phase: Float64Array, first_sample: int, frames: ExcitationFrames, first_frame: int, seed: int
) -> Float32Array:
    n_samples = len(phase)
    cycle = np.floor(phase)
    crossing = np.flatnonzero((np.diff(cycle) != 0) & (np.diff(phase) != 0)) + 1
    step = phase[crossing] - phase[crossing - 1]
    forward = (step > 0) & (step < 0.5)  # a restart at an anchor steps back by whole cycles and is no pulse
    restart = ~forward
    rate = np.where(forward, step, np.nan)
    if restart.any():
        near = np.clip(crossing[restart] + 1, 1, n_samples - 1)
        rate[restart] = phase[near] - phase[near - 1]
        before = phase[crossing[restart] - 1] % 1.0
        wraps = before + rate[restart] >= 1.0
        keep = forward.copy()
        keep[restart] = wraps
        crossing, rate = crossing[keep], rate[keep]
    after = phase[crossing] % 1.0
    pulse_at = crossing - np.clip(after / np.maximum(rate, 1e-9), 0.0, 1.0)
    return _render_pulses(pulse_at, cycle[crossing], rate, first_sample, frames, first_frame, seed, n_samples)


def _render_pulses(
    pulse_at: Float64Array,
    cycle: Float64Array,
    rate: Float64Array,
    first_sample: int,
    frames: ExcitationFrames,
    first_frame: int,
    seed: int,
    n_samples: int,
) -> Float32Array:
    at_frame = (first_sample + pulse_at + 0.5) / HOP_SAMPLES - 0.5 - first_frame
    if len(pulse_at) == 0:
        return np.zeros(n_samples, dtype=np.float32)
    period = 1.0 / np.maximum(rate, 1e-6)
    jitter = _interpolate(frames.jitter_ratio, at_frame)
    pulse_at = pulse_at + pulse_shift(seed, first_sample + pulse_at, period, jitter)
    amplitude = pulse_amplitude(cycle, period, _interpolate(frames.subharmonic_depth, at_frame))
    index, shapes = pulse_taps(pulse_at, amplitude)
    inside = (index >= 0) & (index < n_samples)
    return np.bincount(index[inside], weights=shapes[inside], minlength=n_samples).astype(np.float32)


def pulse_shift(seed: int, at_sample: Float64Array, period: Float64Array, jitter: Float64Array) -> Float64Array:
    """How many samples jitter moves the pulses due at absolute, fractional `at_sample` -> like it, not empty.

    period   in samples
    jitter   rms relative difference of successive periods
    """
    knots = np.floor(at_sample / SAMPLE_RATE_HZ * _JITTER_KNOT_HZ).astype(np.int64)
    noise = normal(seed, Stream.JITTER, int(knots.min()), int(knots.max() - knots.min()) + 1)[knots - knots.min()]
    # Independent displacements of rms s change successive periods by rms sqrt(6) s.
    return np.clip(noise, -PULSE_SHIFT_LIMIT, PULSE_SHIFT_LIMIT) * jitter / np.sqrt(6.0) * period


def pulse_amplitude(cycle: Float64Array, period: Float64Array, subharmonic: Float64Array) -> Float64Array:
    """Heights of the pulses of whole `cycle`s: unit power at any F0, the odd ones lower by `subharmonic`."""
    odd = (cycle % 2) == 1
    return np.sqrt(period) * np.where(odd, 1.0 - subharmonic, 1.0) / np.sqrt(0.5 * (1 + (1 - subharmonic) ** 2))


def pulse_taps(pulse_at: Float64Array, amplitude: Float64Array) -> tuple[NDArray[np.int64], Float64Array]:
    """Band-limited pulses at fractional samples -> (samples they fall on, values there), [n, 2 * PULSE_HALF_TAPS]."""
    whole = np.floor(pulse_at).astype(np.int64)
    table_at = (pulse_at - whole) * _PULSE_PHASES
    lower = table_at.astype(np.int64)
    blend = (table_at - lower)[:, None]
    shapes = (_PULSES[lower] * (1 - blend) + _PULSES[np.minimum(lower + 1, _PULSE_PHASES)] * blend) * amplitude[:, None]
    return whole[:, None] + _TAPS, shapes


def glottal_gate(phase: Float64Array) -> Float32Array:
    """Cosine of the phase in cycles: 1 at the pulses, -1 between them -> like `phase`."""
    return np.cos(np.float32(2 * np.pi) * (phase - np.floor(phase)).astype(np.float32))


@dataclass(frozen=True, slots=True)
class VoicedSource:
    """What the folds do, [n_samples] each: their pulses, the false folds' gain, and the cosine of the phase."""

    pulses: Float32Array
    gain: Float32Array
    gate: Float32Array


def voiced_source(
    phase: Float64Array,
    first_sample: int,
    frames: ExcitationFrames,
    first_frame: int,
    *,
    seed: int,
    drift_amount: float = 0.0,
) -> VoicedSource:
    """Everything of `excitation` but the noise itself; the pulses carry the gain already."""
    n_samples = len(phase)
    knots = knots_of(first_sample, n_samples)
    knot_positions = (knots + 0.5) / HOP_SAMPLES - 0.5 - first_frame
    if drift_amount > 0:
        cents = _interpolate(frames.drift_cents, knot_positions) * drift_amount
        cycles = _interpolate(frames.f0_hz, knot_positions) * drift_time_s(seed, knots, cents)
        phase = phase + between_knots(cycles, first_sample, n_samples)
    pulses = _pulse_train(phase, first_sample, frames, first_frame, seed)
    depth = _interpolate(frames.roughness_depth, knot_positions)
    rate_hz = _interpolate(frames.roughness_rate_hz, knot_positions)
    gain = fold_gain(seed, first_sample, n_samples, depth, rate_hz)
    return VoicedSource(pulses * gain, gain, glottal_gate(phase))


def fold_gain(
    seed: int, first_sample: int, n_samples: int, depth: Float64Array, rate_hz: Float64Array
) -> Float32Array:
    """The false folds' gain -> [n_samples]; `depth` and `rate_hz` as they are at `knots_of` those samples."""
    if depth.max(initial=0.0) <= 0.0:
        return np.ones(n_samples, dtype=np.float32)
    rate = np.clip(rate_hz, _ROUGH_RATES_HZ[0], _ROUGH_RATES_HZ[-1])
    folds = modulation(seed, knots_of(first_sample, n_samples) / SAMPLE_RATE_HZ, depth, rate)
    return between_knots(folds, first_sample, n_samples).astype(np.float32)


def knots_of(first_sample: int, n_samples: int) -> NDArray[np.int64]:
    """The absolute grid on which slow things are computed, covering the samples asked for."""
    return np.arange(first_sample // KNOT_SAMPLES, (first_sample + n_samples) // KNOT_SAMPLES + 2) * KNOT_SAMPLES


def between_knots(values: Float64Array, first_sample: int, n_samples: int) -> Float64Array:
    """Straight lines between values at `knots_of` the samples -> [n_samples]."""
    ramp = np.arange(KNOT_SAMPLES) / KNOT_SAMPLES
    lines = values[:-1, None] + np.diff(values)[:, None] * ramp
    skip = first_sample % KNOT_SAMPLES
    return lines.reshape(-1)[skip : skip + n_samples]


def excitation(
    phase: Float64Array,
    first_sample: int,
    frames: ExcitationFrames,
    first_frame: int,
    *,
    seed: int,
    drift_amount: float = 0.0,
    noise_seed: int | None = None,
) -> Float32Array:
    """Pulses, noise and gated noise, all carrying the false folds' modulation -> [3, n_samples].

    Pulses and noise are near unit power; the third is the noise times the cosine of the phase, which is highest at
    the pulses: added to the noise it gathers the breath around the closures, subtracted it fills between them.

    phase          cycles at the samples from absolute sample `first_sample` on
    frames         parameters whose element 0 is absolute frame `first_frame`
    drift_amount   0..1 of the frames' drift that is applied; 0 leaves the pitch exact
    noise_seed     another realisation of the noise alone; None: that of `seed`
    """
    source = voiced_source(phase, first_sample, frames, first_frame, seed=seed, drift_amount=drift_amount)
    noise = (
        normal(seed if noise_seed is None else noise_seed, Stream.ASPIRATION, first_sample, len(phase)) * source.gain
    )
    return np.stack([source.pulses, noise, noise * source.gate])
