"""Every lane measured from audio: the one definition the corpus is labelled with and a render is checked against.

Periodicity is measured at 16 kHz, level and spectrum at 48 kHz. Everything is a pure function of the audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.resampling import resample
from synth.dsp.smoothing import fill_holes, hann_mean, weighted_hann_mean
from synth.features.creak import fry_index, pulses_apart
from synth.features.f0 import F0Track, track_f0
from synth.features.formants import measure_formants
from synth.features.ingress import ingress_features, ingress_model, measure_ingress
from synth.features.modulation import measure_modulation
from synth.features.periodicity import (
    BRIGHTENING,
    FLATTENING,
    PERIODICITY_RATE_HZ,
    cycle_correlation,
    debias,
    hnr_db,
    jitter_ratio,
    pre_emphasise,
    smooth_correlation,
)
from synth.features.presence import STOPS_DB, measure_presence
from synth.features.spectrum import Spectrum, measure_spectrum
from synth.spec.audio import FRAME_RATE_HZ, SAMPLE_RATE_HZ, SILENCE_DB, n_frames_for
from synth.spec.calibration import to_lane
from synth.spec.lanes import TECHNIQUES, lane

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

PHYSICAL_NAMES = (
    "loudness_db", "hnr_db", "roughness_depth", "roughness_rate_hz", "subharmonic_depth", "jitter_ratio", "fry_index",
    "alpha_ratio_db", "f1_hz", "f2_hz", "formant_scale", "centroid_hz", "rolloff_hz", "zero_crossing_rate",
    "aperiodic_db", "drift_cents",
)  # fmt: skip
_CALIBRATED = MappingProxyType(
    {
        "breathiness": "hnr_db", "roughness": "roughness_depth", "fry": "fry_index", "tension": "alpha_ratio_db",
        "vowel_open": "f1_hz", "vowel_front": "f2_hz", "tract": "formant_scale",
    }
)  # fmt: skip
_CONTEXT_FRAMES = 21
_DRIFT_FRAMES = 31  # 300 ms
_REPEATS = 0.6  # as much harmonic as noise, and more


class TechniqueClassifier(Protocol):
    """Says how the voice is phonated. [n_frames, n_features] of technique_features -> [n_frames, n techniques] 0..1"""

    def __call__(self, features: Float32Array, /) -> Float32Array: ...


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the ears heard, one value a frame.

    lanes     lane id -> [n_frames] in the lane's unit: every acoustic lane but bend; technique.* with a classifier.
              pitch is NaN where unvoiced; the other lanes are finite everywhere.
    physical  PHYSICAL_NAMES -> [n_frames], finite everywhere
    mfcc      [n_frames, 17]: c0..c16 of 64 mel bands 50 Hz-16 kHz, orthonormal, natural log
    """

    n_frames: int
    f0: F0Track
    lanes: Mapping[str, Float32Array]
    physical: Mapping[str, Float32Array]
    mfcc: Float32Array


def analyse(
    audio_mono: Float32Array, f0: F0Track | None = None, technique_classifier: TechniqueClassifier | None = None
) -> Analysis:
    """Measure mono audio [n] at 48 kHz, n > 0, |audio| finite. Raises ValueError for anything else.

    f0  a track of the same audio, when the caller has one (it must cover the same frames).
    """
    audio_mono = np.asarray(audio_mono, dtype=np.float32)
    if audio_mono.ndim != 1 or len(audio_mono) == 0 or not np.isfinite(audio_mono).all():
        raise ValueError(f"audio must be finite, mono and not empty, got shape {audio_mono.shape}")
    n_frames = n_frames_for(len(audio_mono))
    track = track_f0(audio_mono) if f0 is None else f0
    if len(track.f0_hz) != n_frames:
        raise ValueError(f"the F0 track has {len(track.f0_hz)} frames, the audio {n_frames}")
    spectrum = measure_spectrum(audio_mono, n_frames)
    physical, r = _physical(audio_mono, track, spectrum)
    ingress = measure_ingress(
        ingress_features(spectrum.mfcc, r, spectrum.alpha_ratio_db, spectrum.zero_crossing_rate), ingress_model()
    )
    lanes = _lanes(track, physical, ingress, measure_presence(spectrum.loudness_db))
    measured = {name: physical[name].astype(np.float32) for name in PHYSICAL_NAMES}
    analysis = Analysis(n_frames, track, MappingProxyType(lanes), MappingProxyType(measured), spectrum.mfcc)
    if technique_classifier is None:
        return analysis
    weights = technique_classifier(technique_features(analysis))
    lanes |= {f"technique.{name}": weights[:, i].astype(np.float32) for i, name in enumerate(TECHNIQUES)}
    return Analysis(n_frames, track, MappingProxyType(lanes), analysis.physical, analysis.mfcc)


def _physical(
    audio_mono: Float32Array, track: F0Track, spectrum: Spectrum
) -> tuple[dict[str, Float64Array], Float64Array]:
    """Every physical measure, and the debiased cycle correlation [n_frames]."""
    n_frames = len(track.f0_hz)
    speech = resample(audio_mono, SAMPLE_RATE_HZ, PERIODICITY_RATE_HZ)
    bright = pre_emphasise(speech, BRIGHTENING)
    raw_r, lag_samples = cycle_correlation(bright, track.f0_hz, follow_gain=True, from_pulse_to_pulse=True)
    energy = np.mean(centred_windows(bright, n_frames, PERIODICITY_RATE_HZ, 480).astype(np.float64) ** 2, axis=1)
    r = debias(smooth_correlation(raw_r, energy), track.f0_hz)
    jitter = jitter_ratio(lag_samples, raw_r, track.f0_hz, FRAME_RATE_HZ)
    emphasised = pre_emphasise(speech, FLATTENING)
    # Cycles that repeat are cycles, whether the tracker is sure of their octave or not.
    modulation = measure_modulation(emphasised, track.f0_hz, track.voiced | (r > _REPEATS))
    apart = pulses_apart(emphasised, track.f0_hz, track.voiced)
    formants = measure_formants(audio_mono, n_frames, spectrum.loudness_db > STOPS_DB)
    aperiodic = 10.0 * np.log10(np.clip(1.0 - r, 1e-4, 1.0))
    audible = (spectrum.loudness_db > STOPS_DB - 10.0).astype(np.float64)
    physical = {
        "loudness_db": spectrum.loudness_db,
        "hnr_db": hnr_db(r),
        "roughness_depth": modulation.roughness_depth * audible,
        "roughness_rate_hz": modulation.roughness_rate_hz,
        "subharmonic_depth": modulation.subharmonic_depth * audible,
        "jitter_ratio": jitter * audible,
        "fry_index": fry_index(modulation.subharmonic_depth, jitter, apart, r) * audible,
        "alpha_ratio_db": spectrum.alpha_ratio_db,
        "f1_hz": formants.f1_hz,
        "f2_hz": formants.f2_hz,
        "formant_scale": formants.formant_scale,
        "centroid_hz": spectrum.centroid_hz,
        "rolloff_hz": spectrum.rolloff_hz,
        "zero_crossing_rate": spectrum.zero_crossing_rate,
        "aperiodic_db": np.maximum(spectrum.loudness_db + aperiodic, SILENCE_DB),
        "drift_cents": _drift_cents(track),
    }
    return physical, r


def _lanes(
    track: F0Track, physical: Mapping[str, Float64Array], ingress: Float64Array, presence: Float64Array
) -> dict[str, Float32Array]:
    """Physical measures in the units of the lanes, clamped to their ranges."""
    note = 69.0 + 12.0 * np.log2(track.f0_hz.astype(np.float64) / 440.0)
    pitch, loudness = lane("pitch"), lane("loudness")
    lanes = {
        "pitch": np.where(track.voiced, np.clip(note, pitch.minimum, pitch.maximum), np.nan).astype(np.float32),
        "loudness": np.clip(physical["loudness_db"], loudness.minimum, loudness.maximum).astype(np.float32),
        "ingress": (ingress * presence).astype(np.float32),
        "presence": presence.astype(np.float32),
    }
    for lane_id, name in _CALIBRATED.items():
        calibration = lane(lane_id).calibration
        if calibration is None:
            raise ValueError(f"lane {lane_id} has no calibration")
        lanes[lane_id] = to_lane(calibration, physical[name])
    return lanes


def _drift_cents(track: F0Track) -> Float64Array:
    """RMS deviation of F0 from its own 300 ms mean, over 300 ms, voiced frames only. -> [n_frames] >= 0"""
    cents = 1200.0 * np.log2(track.f0_hz.astype(np.float64) / 440.0)
    weights = track.voiced.astype(np.float64)
    # Twice smoothed and corrected for its droop, the mean follows glides and vibrato up to about 3 Hz.
    once = weighted_hann_mean(cents, weights + 1e-6, _DRIFT_FRAMES)
    residual = cents - once
    residual -= weighted_hann_mean(residual, weights + 1e-6, _DRIFT_FRAMES)
    power = weighted_hann_mean(np.clip(residual, -300.0, 300.0) ** 2, weights + 1e-6, _DRIFT_FRAMES)
    return np.sqrt(power) * (hann_mean(weights, 3) > 0.5)


def technique_features(analysis: Analysis) -> Float32Array:
    """What a technique classifier sees: cepstra and physical measures, now and averaged over 200 ms. -> [n_frames, 56]

    Level-free (c0 and loudness are left out) so that a whisper brought close to the microphone stays a whisper.
    """
    names = (
        "hnr_db", "roughness_depth", "subharmonic_depth", "jitter_ratio", "fry_index", "alpha_ratio_db", "f1_hz",
        "f2_hz", "centroid_hz", "zero_crossing_rate", "drift_cents",
    )  # fmt: skip
    scales = (10.0, 0.3, 0.3, 0.05, 0.3, 10.0, 500.0, 1_500.0, 2_000.0, 0.1, 30.0)
    columns = [analysis.physical[name] / scale for name, scale in zip(names, scales, strict=True)]
    columns.append(np.log2(analysis.f0.f0_hz / 200.0) * analysis.f0.voiced)
    columns.append(analysis.f0.confidence)
    weights = fill_holes(analysis.lanes["presence"], np.ones(analysis.n_frames, dtype=np.bool_), 0.0) + 1e-3
    columns += list(analysis.mfcc.T[1:16])
    averaged = [weighted_hann_mean(column, weights, _CONTEXT_FRAMES) for column in columns]
    return np.stack([*columns, *averaged], axis=1).astype(np.float32)
