"""A physically informed voice with exact labels: random gestures performed by larynx, tract and lips.

The chain: a planned gesture (synth.corpus.gestures) -> closure impulses and turbulence (voice_source) -> glottis shape,
tract and radiation (vocal_tract) -> harmonic-to-noise mix and loudness (sim_level). Labels are the quantities the
synthesis was given, in the units of the lane table's calibrations; tension and loudness, which depend on everything
else, are read back from the result. Deterministic per seed; no global state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.gestures import Gesture, hold_note, plan_gesture
from synth.corpus.intonation import Intonation, intone
from synth.corpus.sim_level import alpha_ratio_db, block_centres, gate, mix_to_ratio, to_loudness
from synth.corpus.speakers import SpeakerSpec, random_speaker
from synth.corpus.vocal_tract import STEP_SAMPLES, TractFrames, filter_source, n_steps_for
from synth.corpus.voice_source import SourceFrames, at_positions, render_source
from synth.dsp.smoothing import hann_mean
from synth.errors import UserError
from synth.features.creak import fry_index
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ, n_frames_for
from synth.spec.calibration import to_lane
from synth.spec.lanes import LANE_IDS, TECHNIQUES, Calibration, lane

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

# Raise it with every change of what a seed sounds like or is labelled as: builds make clips of another one anew.
SIMULATOR_REVISION: Final = 1

_RAMP_SAMPLES = 480
_INDEX_OF_JITTER = 3.0  # what a period irregularity of 1 weighs in the creak index
_APART_SLOW = 0.85  # how far voices die away between pulses at 40 Hz and below
_DRIFT_FRAMES = 31
# Soft voices are less regular (Brockmann, Storck, Carding & Drinnan 2008); by how much is our choice.
_SOFT_IS_UNSTEADY, _COMFORTABLE_DB = 0.8, -26.0
_MAX_F1_HZ, _MIN_F1_HZ = 1_050.0, 220.0


@dataclass(frozen=True, slots=True)
class SimulatedClip:
    """Audio and what it is, exactly.

    audio       [n_samples] float32 at 48 kHz, |x| <= 1
    controls    every id of LANE_IDS -> [n_frames] in lane units; `pitch` is f0_hz as a note, `bend` is 0
    f0_hz       [n_frames] glottal pulse rate with drift and vibrato, without jitter; goes on through unvoiced frames
    excitation  roughness_depth, roughness_rate_hz, subharmonic_depth, jitter_ratio, drift_cents -> [n_frames]
    voicing     [n_frames] 0..1: 0 where no pulses sound (whisper, breath)
    hnr_db      [n_frames] harmonic-to-noise ratio of the mix; -40 where unvoiced
    technique   name -> mean weight over the clip
    kind        "natural", "independent" or "contradictory"
    """

    audio: Float32Array
    controls: dict[str, Float32Array]
    f0_hz: Float32Array
    excitation: dict[str, Float32Array]
    voicing: Float32Array
    hnr_db: Float32Array
    technique: dict[str, float]
    speaker: SpeakerSpec
    kind: str


@dataclass(frozen=True, slots=True)
class _Physical:
    """The gesture in physical units, [n_frames] each."""

    f0_hz: Float64Array
    hnr_db: Float64Array
    voicing: Float64Array
    roughness_depth: Float64Array
    subharmonic_depth: Float64Array
    jitter_ratio: Float64Array
    fry_index: Float64Array
    alpha_db: Float64Array
    f1_hz: Float64Array
    f2_hz: Float64Array
    formant_scale: Float64Array


def _beyond(calibration: Calibration | None, lane_value: Float64Array) -> Float64Array:
    """Lane to physical unit, going on linearly outside 0..1."""
    assert calibration is not None
    low, middle, high = calibration.physical
    inside = np.interp(lane_value, (0.0, 0.5, 1.0), calibration.physical)
    under = np.minimum(lane_value, 0.0) * 2.0 * (middle - low)
    over = np.maximum(lane_value - 1.0, 0.0) * 2.0 * (high - middle)
    return inside + under + over


def _physical(gesture: Gesture, speaker: SpeakerSpec, strays: Intonation) -> _Physical:
    def physical(name: str) -> Float64Array:
        return _beyond(lane(name).calibration, gesture.lanes[name])

    index = np.clip(physical("fry"), 0.0, 0.95)
    # The false folds of a growl keep step with the vocal folds or leave it; they do not scatter single pulses much.
    angle_rad = speaker.creak_angle_rad * (1.0 - 0.3 * gesture.technique["growl"])
    irregular = index * np.sin(angle_rad) / _INDEX_OF_JITTER
    soft = 1.0 + _SOFT_IS_UNSTEADY * _softness(gesture)
    jitter = np.minimum(irregular + speaker.jitter_ratio * soft, 0.42)
    subharmonic = np.clip(index * np.cos(angle_rad), 0.0, 0.9)
    hnr_db = np.minimum(physical("breathiness"), 30.0)
    voicing = np.clip(1.0 - gesture.technique["whisper"], 0.0, 1.0)
    # Where nobody means to phonate, much breath is breath alone.
    lets_go = gesture.technique["whisper"] + gesture.technique["sigh"] + gesture.lanes["ingress"] > 0.02
    breath = np.clip((gesture.lanes["breathiness"] - 0.8) / 0.3, 0.0, 1.0) * lets_go
    voicing = np.sqrt(np.clip(voicing * (1.0 - breath), 0.0, 1.0))
    # Less voicing is less harmonic power: one true ratio for the label.
    share = voicing**2 / (1.0 + 10.0 ** (-hnr_db / 10.0))
    true_hnr_db = np.maximum(10.0 * np.log10(np.maximum(share, 1e-6) / np.maximum(1.0 - share, 1e-6)), -40.0)
    f0_hz = 440.0 * 2.0 ** ((gesture.lanes["pitch"] - 69.0) / 12.0 + strays.cents / 1200.0)
    f1_hz = np.clip(physical("vowel_open") * strays.vowel_ratio, _MIN_F1_HZ, _MAX_F1_HZ)
    # Below 75 Hz pulses are heard one by one: that alone is some creak.
    apart = _APART_SLOW * np.clip((75.0 - f0_hz) / 35.0, 0.0, 1.0)
    return _Physical(
        f0_hz=f0_hz,
        hnr_db=true_hnr_db,
        voicing=voicing,
        roughness_depth=np.clip(physical("roughness"), 0.0, 0.75),
        subharmonic_depth=subharmonic,
        jitter_ratio=jitter,
        fry_index=fry_index(subharmonic, jitter, apart, share),
        alpha_db=physical("tension") + strays.alpha_db,
        f1_hz=f1_hz,
        f2_hz=np.maximum(physical("vowel_front") * strays.vowel_ratio, f1_hz + 150.0),
        formant_scale=np.clip(physical("tract"), 0.72, 1.35),
    )


def _softness(gesture: Gesture) -> Float64Array:
    """0 at and above a comfortable level .. 1 at the softest -> [n_frames]"""
    return np.clip((_COMFORTABLE_DB - gesture.lanes["loudness"]) / 25.0, 0.0, 1.0)


def _source_frames(gesture: Gesture, physical: _Physical, speaker: SpeakerSpec) -> SourceFrames:
    tension = np.clip(gesture.lanes["tension"], 0.0, 1.0)
    creak = np.clip(physical.fry_index / 0.7, 0.0, 1.0)
    rough = np.clip(physical.roughness_depth / 0.6, 0.0, 1.0)
    weights = gesture.technique
    # Open quotients beyond what tension says: lax folds hardly close, pressed ones hardly open.
    habit = 0.1 * (weights["breathy"] + weights["sigh"]) - 0.07 * (weights["shout"] + weights["scream"])
    return SourceFrames(
        rate_hz=physical.f0_hz,
        jitter_ratio=physical.jitter_ratio,
        shimmer_db=speaker.shimmer_db * (1.0 + _SOFT_IS_UNSTEADY * _softness(gesture)) + 1.8 * creak + 0.8 * rough,
        subharmonic_depth=physical.subharmonic_depth,
        roughness_depth=physical.roughness_depth,
        roughness_rate_hz=gesture.roughness_rate_hz,
        gating=0.75 * physical.voicing * (1.0 - 0.4 * np.clip(gesture.lanes["breathiness"], 0.0, 1.0)),
        open_quotient=np.clip(0.85 - 0.45 * tension - 0.15 * creak + habit, 0.25, 0.92),
        creak=np.clip(1.6 * creak, 0.0, 1.0) * np.clip((110.0 - physical.f0_hz) / 40.0, 0.0, 1.0),
    )


def _tract_frames(gesture: Gesture, physical: _Physical, source: SourceFrames, n_steps: int) -> TractFrames:
    at = np.arange(n_steps, dtype=np.float64) * STEP_SAMPLES
    breath = np.clip(gesture.lanes["breathiness"], 0.0, 1.0)
    ingress = np.clip(gesture.lanes["ingress"], 0.0, 1.0)
    creak = np.clip(physical.fry_index / 0.7, 0.0, 1.0)
    frames = {
        "f1_hz": physical.f1_hz,
        "f2_hz": physical.f2_hz,
        "formant_scale": physical.formant_scale,
        # An open glottis drains the resonances; between the damped pulses of creak they die early as well.
        "widening": 1.0 + 0.9 * breath + 0.8 * ingress + 0.5 * creak + 0.5 * gesture.technique["sigh"],
        "rate_hz": np.clip(physical.f0_hz, 20.0, 2_200.0),
        "open_quotient": source.open_quotient,
        "alpha_db": physical.alpha_db,
        # Turbulence beside a voice stays brighter than the voice; alone it takes all of the tension.
        "noise_alpha_db": physical.alpha_db
        + 0.6 * physical.voicing * (1.0 - 0.7 * breath) * np.maximum(-1.0 - physical.alpha_db, 2.0)
        + 2.0 * ingress,
        "ring_db": gesture.ring_db,
        "ingress": ingress,
    }
    return TractFrames(**{name: at_positions(values, at) for name, values in frames.items()})


def _drift_cents(f0_hz: Float64Array) -> Float64Array:
    """RMS deviation of F0 from its own 300 ms mean, over 300 ms, as synth.features measures it -> [n_frames]."""
    cents = 1200.0 * np.log2(f0_hz / 440.0)
    residual = cents - hann_mean(cents, _DRIFT_FRAMES)
    residual -= hann_mean(residual, _DRIFT_FRAMES)
    return np.sqrt(np.maximum(hann_mean(np.clip(residual, -300.0, 300.0) ** 2, _DRIFT_FRAMES), 0.0))


def _controls(
    gesture: Gesture, physical: _Physical, *, loudness_db: Float64Array, alpha_db: Float64Array, presence: Float64Array
) -> dict[str, Float32Array]:
    n_frames = gesture.n_frames
    note = 69.0 + 12.0 * np.log2(physical.f0_hz / 440.0)
    calibrated = {
        "breathiness": physical.hnr_db,
        "roughness": physical.roughness_depth,
        "fry": physical.fry_index,
        "tension": alpha_db,
        "vowel_open": physical.f1_hz,
        "vowel_front": physical.f2_hz,
        "tract": physical.formant_scale,
    }
    values: dict[str, NDArray[np.floating]] = {
        "pitch": np.clip(note, lane("pitch").minimum, lane("pitch").maximum),
        "bend": np.zeros(n_frames),
        "loudness": np.clip(loudness_db, lane("loudness").minimum, lane("loudness").maximum),
        "ingress": np.clip(gesture.lanes["ingress"], 0.0, 1.0),
        "presence": presence,
        **{f"technique.{name}": gesture.technique[name] for name in TECHNIQUES},
    }
    for name, quantity in calibrated.items():
        calibration = lane(name).calibration
        assert calibration is not None
        values[name] = to_lane(calibration, quantity)
    return {name: np.asarray(values[name], dtype=np.float32) for name in LANE_IDS}


def perform(gesture: Gesture, speaker: SpeakerSpec, n_samples: int, rng: np.random.Generator) -> SimulatedClip:
    """Sing `gesture`, whose frames cover `n_samples`."""
    vibrato = np.zeros(gesture.n_frames) if gesture.vibrato is None else gesture.vibrato
    strays = intone(vibrato, speaker, rng)
    physical = _physical(gesture, speaker, strays)
    source = _source_frames(gesture, physical, speaker)
    pulses, noise = render_source(source, speaker.folds, n_samples, rng)
    voiced, turbulent = filter_source(
        pulses, noise, _tract_frames(gesture, physical, source, n_steps_for(n_samples)), speaker.tract
    )
    blocks = block_centres(-(-n_samples // STEP_SAMPLES))
    slowest_hz = at_positions(physical.f0_hz / np.where(physical.subharmonic_depth > 0.1, 2.0, 1.0), blocks)
    slowest_hz = np.where(at_positions(physical.voicing, blocks) < 0.05, 200.0, slowest_hz)
    mixed = mix_to_ratio(
        voiced,
        turbulent,
        at_positions(_beyond(lane("breathiness").calibration, gesture.lanes["breathiness"]), blocks),
        at_positions(physical.voicing, blocks),
        slowest_hz,
    )
    asked_db = np.minimum(gesture.lanes["loudness"] + strays.level_db, lane("loudness").maximum)
    audio, reached_db = to_loudness(mixed, at_positions(asked_db, blocks), slowest_hz)
    opening = gate(gesture.lanes["presence"], n_samples, HOP_SAMPLES, _RAMP_SAMPLES)
    audio = (audio * opening).astype(np.float32)

    centres = (np.arange(gesture.n_frames) + 0.5) * HOP_SAMPLES
    loudness_db = np.interp(centres, blocks, reached_db)
    alpha_db = np.interp(centres, *alpha_ratio_db(audio))
    controls = _controls(
        gesture, physical, loudness_db=loudness_db, alpha_db=alpha_db, presence=gesture.lanes["presence"]
    )
    excitation = {
        "roughness_depth": physical.roughness_depth,
        "roughness_rate_hz": gesture.roughness_rate_hz,
        "subharmonic_depth": physical.subharmonic_depth,
        "jitter_ratio": physical.jitter_ratio,
        "drift_cents": _drift_cents(physical.f0_hz),
    }
    return SimulatedClip(
        audio=audio,
        controls=controls,
        f0_hz=physical.f0_hz.astype(np.float32),
        excitation={name: values.astype(np.float32) for name, values in excitation.items()},
        voicing=physical.voicing.astype(np.float32),
        hnr_db=physical.hnr_db.astype(np.float32),
        technique={name: float(gesture.technique[name].mean()) for name in TECHNIQUES},
        speaker=speaker,
        kind=gesture.kind,
    )


def simulate_random(seed: int, duration_s: float, technique: str | None = None) -> SimulatedClip:
    """A full random gesture of `duration_s`, mainly of `technique` when given; the same for the same arguments.

    Raises UserError for an unknown technique, ValueError for a duration that holds no sample.
    """
    n_samples = round(duration_s * SAMPLE_RATE_HZ)
    if n_samples < 1:
        raise ValueError(f"a clip needs at least one sample: {duration_s} s")
    rng = np.random.default_rng(np.random.SeedSequence([seed & (2**64 - 1), 0x51D]))
    gesture = plan_gesture(rng, n_frames_for(n_samples), technique)
    return perform(gesture, random_speaker(rng, chaos=gesture.chaos), n_samples, rng)


def simulate_held(seed: int, duration_s: float, technique: str) -> SimulatedClip:
    """A tone of `technique` held for `duration_s`, as voice scientists ask for; the same for the same arguments.

    Raises UserError for an unknown technique, ValueError for a duration that holds no sample.
    """
    if technique not in TECHNIQUES:
        raise UserError(f"There is no technique called {technique!r}.", remedy=f"Use one of {', '.join(TECHNIQUES)}.")
    n_samples = round(duration_s * SAMPLE_RATE_HZ)
    if n_samples < 1:
        raise ValueError(f"a clip needs at least one sample: {duration_s} s")
    rng = np.random.default_rng(np.random.SeedSequence([seed & (2**64 - 1), 0x51E]))
    gesture = hold_note(rng, n_frames_for(n_samples), technique)
    return perform(gesture, random_speaker(rng, chaos=gesture.chaos), n_samples, rng)
