"""The voice scientists' reference: what Praat measures on a stretch of voice. In the evaluation extra only (GPL).

None of this is the instrument's own: it judges lanes and recordings beside the ears that labelled the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np

from synth.dsp.resampling import resample
from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_SPEECH_RATE_HZ = 16_000
_FLOOR_HZ, _CEILING_HZ = 60.0, 800.0
_STEP_S = 0.01
# Praat's standard settings for jitter and shimmer: periods of 0.1-20 ms, neighbours no more than 1.3 (1.6) apart.
_PERIODS = (0.0001, 0.02, 1.3)
_AMPLITUDES = (*_PERIODS, 1.6)
_CEPSTRUM = (_FLOOR_HZ, _STEP_S, 5_000.0, 50.0)
_CPPS = (False, 0.02, 0.0005, _FLOOR_HZ, 330.0, 0.05, "parabolic", 0.001, 0.05, "Straight", "Robust")
_FORMANT_CEILING_HZ = 5_500.0
_N_FORMANTS = 5
_SHORTEST_S = 0.1  # under this Praat has no whole window of its lowest pitch
PRAAT_MEASURES: Final = (
    "pitch_note", "hnr_db", "cpps_db", "jitter_local", "shimmer_local", "centroid_hz", "alpha_ratio_db", "f1_hz",
    "f2_hz", "formant_spacing_hz", "level_db",
)  # fmt: skip


def sound_of(audio: Float32Array, rate_hz: int = SAMPLE_RATE_HZ) -> Any:
    """Mono audio [n] as Praat's Sound. Raises UserError without the evaluation extra."""
    return _parselmouth().Sound(audio.astype(np.float64), rate_hz)


def measure_voice(audio: Float32Array, wanted: Sequence[str] = PRAAT_MEASURES) -> dict[str, float]:
    """Some of PRAAT_MEASURES on one stretch of mono audio [n] at 48 kHz; NaN where Praat finds nothing to measure.

    hnr_db          mean of `To Harmonicity (cc)` (Boersma 1993)
    cpps_db         smoothed cepstral peak prominence (Hillenbrand and Houde 1996; Maryn and Weenink 2015)
    jitter_local    mean |difference| of successive periods over their mean; shimmer_local: of their amplitudes
    centroid_hz     centre of gravity of the power spectrum
    alpha_ratio_db  level in 1-5 kHz over that in 50 Hz-1 kHz (Frokjaer-Jensen and Prytz 1976)
    f1_hz, f2_hz    medians of the formants by Burg's method; formant_spacing_hz: mean distance of the first four
    level_db        RMS re full scale
    """
    if len(audio) < _SHORTEST_S * SAMPLE_RATE_HZ:
        return dict.fromkeys(wanted, float("nan"))
    voice = _Voice(audio)
    return {name: float(getattr(voice, name)()) for name in wanted}


class _Voice:
    """One stretch of voice; each method is one of PRAAT_MEASURES, and what several need is made once."""

    def __init__(self, audio: Float32Array) -> None:
        self._call = _parselmouth().praat.call
        self._sound = sound_of(audio)
        # Nothing of the voice's cycles lies above 8 kHz, and Praat's correlations take six times as long at 48 kHz.
        self._speech = sound_of(resample(audio, SAMPLE_RATE_HZ, _SPEECH_RATE_HZ), _SPEECH_RATE_HZ)

    @cached_property
    def _pitch(self) -> Any:
        return self._speech.to_pitch_ac(time_step=_STEP_S, pitch_floor=_FLOOR_HZ, pitch_ceiling=_CEILING_HZ)

    @cached_property
    def _pulses(self) -> Any:
        return self._call([self._speech, self._pitch], "To PointProcess (cc)")

    @cached_property
    def _spectrum(self) -> Any:
        return self._sound.to_spectrum()

    @cached_property
    def _formants_hz(self) -> list[float]:
        found = self._call(self._sound, "To Formant (burg)", _STEP_S, _N_FORMANTS, _FORMANT_CEILING_HZ, 0.025, 50.0)
        return [float(self._call(found, "Get quantile", number, 0.0, 0.0, "hertz", 0.5)) for number in range(1, 5)]

    def pitch_note(self) -> float:
        f0_hz = float(self._call(self._pitch, "Get quantile", 0.0, 0.0, 0.5, "Hertz"))
        return 69.0 + 12.0 * float(np.log2(f0_hz / 440.0)) if f0_hz > 0.0 else float("nan")

    def hnr_db(self) -> float:
        harmonicity = self._call(self._speech, "To Harmonicity (cc)", _STEP_S, _FLOOR_HZ, 0.1, 1.0)
        return self._call(harmonicity, "Get mean", 0.0, 0.0)

    def cpps_db(self) -> float:
        return self._call(self._call(self._speech, "To PowerCepstrogram", *_CEPSTRUM), "Get CPPS", *_CPPS)

    def jitter_local(self) -> float:
        return self._call(self._pulses, "Get jitter (local)", 0.0, 0.0, *_PERIODS)

    def shimmer_local(self) -> float:
        return self._call([self._speech, self._pulses], "Get shimmer (local)", 0.0, 0.0, *_AMPLITUDES)

    def centroid_hz(self) -> float:
        return self._call(self._spectrum, "Get centre of gravity", 2.0)

    def alpha_ratio_db(self) -> float:
        return self._call(self._spectrum, "Get band energy difference", 50.0, 1_000.0, 1_000.0, 5_000.0)

    def f1_hz(self) -> float:
        return self._formants_hz[0]

    def f2_hz(self) -> float:
        return self._formants_hz[1]

    def formant_spacing_hz(self) -> float:
        return float(np.mean(np.diff(self._formants_hz)))

    def level_db(self) -> float:
        return 20.0 * float(np.log10(max(float(self._sound.get_root_mean_square()), 1e-10)))


def _parselmouth() -> Any:
    try:
        import parselmouth.praat  # GPL: in the evaluation extra, never in the running program
    except ImportError as fault:
        raise UserError("Praat is not installed.", remedy="Install the evaluation extra: .[evaluation].") from fault
    return parselmouth
