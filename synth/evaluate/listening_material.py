"""What is listened to: held-out recordings as they are, spoilt by known amounts, and made again by every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import firwin, oaconvolve

from synth.dsp.resampling import resample
from synth.errors import UserError
from synth.evaluate import world
from synth.evaluate.perceived_level import level_matched
from synth.evaluate.recordings import Recording, encode, extracted
from synth.evaluate.singing import Singer
from synth.features.analysis import analyse
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

Progress = Callable[[int, int], None]

REFERENCE, LOW_ANCHOR, MID_ANCHOR = "reference", "low anchor", "mid anchor"
METHODS = ("codec", "model", "model, timbre over time", "world")
ANCHORS_HZ: Mapping[str, float] = {LOW_ANCHOR: 3_500.0, MID_ANCHOR: 7_000.0}  # ITU-R BS.1534-3, section 5.1
_ANCHOR_TAPS = 1_023  # 260 Hz from pass to stop at 48 kHz
_EDGE_S = 0.01
_AUDIO_ENDINGS = (".flac", ".wav")
_SEED = 0


@dataclass(frozen=True, slots=True)
class Material:
    """One recording by every condition, level-matched: condition -> [n_samples], all of one length."""

    recording_id: str
    label: str
    sounds: Mapping[str, Float32Array]


def low_passed(audio: Float32Array, cutoff_hz: float) -> Float32Array:
    """Mono audio without what lies above `cutoff_hz`; a linear-phase filter, its delay taken out. [n] -> [n]"""
    taps = firwin(_ANCHOR_TAPS, cutoff_hz, fs=SAMPLE_RATE_HZ, window="blackman")
    return oaconvolve(audio.astype(np.float64), taps, mode="same").astype(np.float32)


def make_material(
    singer: Singer,
    recordings: Sequence[Recording],
    others: Mapping[str, Path] | None = None,
    on_progress: Progress | None = None,
) -> list[Material]:
    """Render every recording by every method.

    others  condition -> a folder with <recording id>.flac or .wav made by somebody else's program, such as a peer
    Raises UserError where a folder lacks a recording, or WORLD is not installed.
    """
    made = []
    for done, recording in enumerate(recordings):
        sounds = _rendered(singer, recording)
        for condition, folder in (others or {}).items():
            sounds[condition] = _from_folder(folder, recording, condition)
        n = min(map(len, sounds.values()))
        trimmed = {name: _with_soft_ends(audio[:n]) for name, audio in sounds.items()}
        made.append(Material(recording.id, recording.label, level_matched(trimmed)))
        if on_progress is not None:
            on_progress(done + 1, len(recordings))
    return made


def _rendered(singer: Singer, recording: Recording) -> dict[str, Float32Array]:
    latents, controls = encode(singer.engine, recording.audio)
    analysis = analyse(recording.audio)
    return {
        REFERENCE: recording.audio,
        **{name: low_passed(recording.audio, cutoff_hz) for name, cutoff_hz in ANCHORS_HZ.items()},
        "codec": singer.decode(latents, controls, _SEED),
        "model": singer.sing(extracted(analysis), _SEED),
        "model, timbre over time": singer.sing(extracted(analysis, varying_timbre=True), _SEED),
        "world": world.resynthesise(recording.audio),
    }


def _from_folder(folder: Path, recording: Recording, condition: str) -> Float32Array:
    """Somebody else's version, mono at 48 kHz, cut or filled with silence to the recording's length."""
    paths = [folder / f"{recording.id}{ending}" for ending in _AUDIO_ENDINGS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UserError(
            f"{folder} has no {recording.id}.flac or .wav for '{condition}'.",
            remedy="Make it from the references that this command writes, under the same name.",
        )
    try:
        audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as fault:
        raise UserError(f"{path} is not a sound that can be read.", remedy="Write it as FLAC or WAV.") from fault
    mono = resample(audio.mean(axis=1).astype(np.float32), rate_hz, SAMPLE_RATE_HZ)
    result = np.zeros(len(recording.audio), dtype=np.float32)
    n = min(len(mono), len(result))
    result[:n] = mono[:n]
    return result


def _with_soft_ends(audio: Float32Array) -> Float32Array:
    """Faded in and out over 10 ms: a cut would be heard as a fault of its own."""
    n = min(round(_EDGE_S * SAMPLE_RATE_HZ), len(audio) // 2)
    ramp = np.sin(0.5 * np.pi * (np.arange(n) + 0.5) / max(n, 1)) ** 2
    faded = audio.astype(np.float32).copy()
    faded[:n] *= ramp.astype(np.float32)
    faded[len(faded) - n :] *= ramp[::-1].astype(np.float32)
    return faded
