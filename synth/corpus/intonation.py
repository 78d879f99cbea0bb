"""What no score asks for: the small motions of pitch, level and colour of a voice that holds a note.

Vibrato, its swing of level, slow wander and quick drift of F0, tremor, and the slow drift of level, spectrum and vowel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.corpus.speakers import SpeakerSpec
from synth.corpus.voice_source import smooth_noise
from synth.spec.audio import FRAME_RATE_HZ

Float64Array = NDArray[np.float64]

_QUICK_FRAMES, _SLOW_FRAMES, _COLOUR_FRAMES = 2.2, 55.0, 18.0  # quick: flutter up to some 10 Hz
_UNHURRIED_FRAMES, _SYLLABLE_FRAMES = 7.0, 16.0
_RATE_WANDER, _EXTENT_WANDER = 0.05, 0.15


@dataclass(frozen=True, slots=True)
class Intonation:
    """Deviations from what is asked, [n_frames] each: F0, level, alpha ratio; and a factor on the formants."""

    cents: Float64Array
    level_db: Float64Array
    alpha_db: Float64Array
    vowel_ratio: Float64Array


def intone(vibrato: Float64Array, speaker: SpeakerSpec, rng: np.random.Generator) -> Intonation:
    """How `speaker` strays from the score. vibrato [n_frames] is the share (0..1) of the speaker's vibrato."""
    n_frames = len(vibrato)
    t_s = (np.arange(n_frames) + 0.5) / FRAME_RATE_HZ
    flutter = 0.8 * smooth_noise(rng, n_frames, _QUICK_FRAMES) + 0.6 * smooth_noise(rng, n_frames, _UNHURRIED_FRAMES)
    cents = speaker.drift_cents * flutter
    wander = 0.8 * smooth_noise(rng, n_frames, _SYLLABLE_FRAMES) + 0.6 * smooth_noise(rng, n_frames, _SLOW_FRAMES)
    cents += speaker.wander_cents * wander
    level_db = speaker.level_drift_db * (
        0.8 * smooth_noise(rng, n_frames, _SYLLABLE_FRAMES) + 0.6 * smooth_noise(rng, n_frames, _UNHURRIED_FRAMES)
    )
    rate_hz = speaker.vibrato_hz * (1.0 + _RATE_WANDER * smooth_noise(rng, n_frames, 20.0))
    turns = np.cumsum(rate_hz) / FRAME_RATE_HZ + rng.uniform()
    swing = vibrato * np.maximum(1.0 + _EXTENT_WANDER * smooth_noise(rng, n_frames, 25.0), 0.0)
    lag = rng.uniform(-0.5, 0.5)  # level follows pitch with the resonances: ahead, behind, or against it
    cents += speaker.vibrato_cents * swing * np.sin(2.0 * np.pi * turns)
    level_db += speaker.vibrato_db * swing * np.sin(2.0 * np.pi * (turns + lag))
    if speaker.tremor_cents > 0.0:
        trembles = np.sin(2.0 * np.pi * speaker.tremor_hz * t_s + 0.6 * smooth_noise(rng, n_frames, 30.0))
        cents += speaker.tremor_cents * trembles
        level_db += 0.02 * speaker.tremor_cents * trembles
    return Intonation(
        cents=cents,
        level_db=level_db,
        alpha_db=speaker.colour_drift_db * smooth_noise(rng, n_frames, _COLOUR_FRAMES),
        vowel_ratio=1.0 + speaker.vowel_drift * smooth_noise(rng, n_frames, _COLOUR_FRAMES),
    )
