"""The simulated voice against what is published about voices, by judges that are not ours where there are any.

Jitter, shimmer, harmonicity and CPPS are Praat's (parselmouth), with nearly standard settings; modulation and
sub-harmonics are our ears'. docs/voice-science.md names the sources and holds the figures this prints.

    python -m synth.corpus.voice_science --clips 30
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.measure import true_track
from synth.corpus.simulator import SimulatedClip, simulate_held
from synth.errors import UserError
from synth.features.analysis import analyse
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.lanes import TECHNIQUES

Float32Array = NDArray[np.float32]

DURATION_S: Final = 1.6
_EDGE_S: Final = 0.3
_PITCH_RANGE_HZ: Final[Mapping[str, tuple[float, float]]] = {"fry": (15.0, 300.0), "scream": (75.0, 1_700.0)}
_USUAL_RANGE_HZ: Final = (60.0, 1_000.0)


@dataclass(frozen=True, slots=True)
class Published:
    """Where the median over speakers of `measure` lies for `technique`, after `source`; None is no bound."""

    technique: str
    measure: str
    low: float | None
    high: float | None
    source: str


PUBLISHED: Final = (
    Published("modal", "jitter_percent", None, 1.04, "MDVP threshold, as the Praat manual gives it"),
    Published("modal", "shimmer_percent", None, 3.81, "MDVP threshold, as the Praat manual gives it"),
    Published("modal", "hnr_db", 17.0, 40.0, "Praat manual: about 20 dB for [a] and [i], 40 dB for [u]"),
    Published("modal", "cpps_db", 9.26, None, "healthy adults, lower quartile"),
    Published("breathy", "hnr_db", None, 17.0, "Hillenbrand et al. 1994: periodicity falls"),
    Published("breathy", "cpps_db", None, 9.26, "Hillenbrand et al. 1994; below healthy adults"),
    Published("whisper", "hnr_db", None, 0.0, "no vibration of the folds"),
    Published("whisper", "cpps_db", None, 4.09, "no vibration of the folds"),
    Published("fry", "f0_hz", 7.0, 78.0, "Hollien & Michel 1968"),
    Published("fry", "jitter_percent", 1.04, None, "Laver 1980: periods vary much from pulse to pulse"),
    Published("fry", "hnr_db", None, 17.0, "Whitehead & Emanuel 1974: noisier than modal"),
    Published("fry", "subharmonic_depth", 0.1, None, "Bergan & Titze 2001: heard from 0.1-0.3 on"),
    Published("growl", "jitter_percent", 1.04, None, "Kato & Ito 2013: much above normal"),
    Published("growl", "shimmer_percent", 3.81, None, "Kato & Ito 2013: much above normal"),
    Published("growl", "hnr_db", None, 17.0, "Kato & Ito 2013: below normal"),
    Published("growl", "roughness_depth", 0.03, None, "Sakakibara et al. 2004: supraglottal structures vibrate"),
    Published("scream", "roughness_rate_hz", 30.0, 150.0, "Arnal et al. 2015"),
    Published("scream", "roughness_depth", 0.1, None, "Arnal et al. 2015: rough; depth is our reading"),
    Published("scream", "jitter_percent", 1.04, None, "Kato & Ito 2013: much above normal"),
    Published("scream", "hnr_db", None, 17.0, "Kato & Ito 2013: below normal"),
)


def measure_clip(clip: SimulatedClip, technique: str) -> dict[str, float]:
    """Every measure of PUBLISHED, and H1-H2 and the alpha ratio, from the middle of a held tone; NaN where unvoiced.

    Raises UserError without the evaluation extra.
    """
    edge = round(_EDGE_S * SAMPLE_RATE_HZ)
    middle = clip.audio[edge:-edge]
    analysis = analyse(clip.audio, true_track(clip))
    frames = slice(round(100 * _EDGE_S), -round(100 * _EDGE_S))
    ears = {
        name: float(np.mean(analysis.physical[name][frames]))
        for name in ("roughness_depth", "roughness_rate_hz", "subharmonic_depth", "f1_hz", "drift_cents")
    }
    f0_hz = float(np.median(clip.f0_hz[frames]))
    lowest_hz, highest_hz = _PITCH_RANGE_HZ.get(technique, _USUAL_RANGE_HZ)
    return {
        **praat_measures(middle, lowest_hz, highest_hz),
        **ears,
        "f0_hz": f0_hz,
        "alpha_db": alpha_db(middle),
        "h1_h2_db": h1_h2_db(middle, f0_hz) if clip.voicing.mean() > 0.5 else float("nan"),
    }


def praat_measures(audio: Float32Array, lowest_hz: float, highest_hz: float) -> dict[str, float]:
    """Jitter (local), shimmer (local), harmonicity and CPPS of audio [n] at 48 kHz, as Praat gives them."""
    praat, sound = _praat(audio)
    pulses = praat.call(sound, "To PointProcess (periodic, cc)", lowest_hz, highest_hz)
    harmonicity = praat.call(sound, "To Harmonicity (cc)", 0.01, lowest_hz, 0.1, 1.0).values[0]
    heard = harmonicity[harmonicity > -150.0]
    cepstrogram = praat.call(sound, "To PowerCepstrogram", 60.0, 0.002, 5_000.0, 50.0)
    cpps_db = praat.call(
        cepstrogram, "Get CPPS", False, 0.02, 0.0005, 60.0, 330.0, 0.05, "Parabolic", 0.001, 0.05,
        "Exponential decay", "Robust",
    )  # fmt: skip
    slowest_s = 1.25 / lowest_hz
    jitter = praat.call(pulses, "Get jitter (local)", 0.0, 0.0, 1e-4, slowest_s, 1.3)
    shimmer = praat.call([sound, pulses], "Get shimmer (local)", 0.0, 0.0, 1e-4, slowest_s, 1.3, 1.6)
    return {
        "jitter_percent": 100.0 * float(jitter),
        "shimmer_percent": 100.0 * float(shimmer),
        "hnr_db": float(np.mean(heard)) if len(heard) else -20.0,
        "cpps_db": float(cpps_db),
    }


def _praat(audio: Float32Array) -> tuple[Any, Any]:
    try:
        import parselmouth  # GPL: in the evaluation extra, never in the running program
        from parselmouth import praat
    except ImportError as fault:
        raise UserError("Praat is not installed.", remedy="Install the evaluation extra: .[evaluation].") from fault
    return praat, parselmouth.Sound(audio.astype(np.float64), SAMPLE_RATE_HZ)


def _power(audio: Float32Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    return np.fft.rfftfreq(len(audio), 1.0 / SAMPLE_RATE_HZ).astype(np.float64), power.astype(np.float64)


def alpha_db(audio: Float32Array) -> float:
    """Level of 1-5 kHz over that of 50 Hz-1 kHz."""
    hz, power = _power(audio)
    low, high = (hz >= 50.0) & (hz < 1_000.0), (hz >= 1_000.0) & (hz <= 5_000.0)
    return float(10.0 * np.log10(power[high].sum() / power[low].sum()))


def h1_h2_db(audio: Float32Array, f0_hz: float) -> float:
    """Level of the first harmonic over the second, as radiated (not corrected for the formants)."""
    hz, power = _power(audio)
    first, second = (power[np.abs(hz - n * f0_hz) < 0.3 * f0_hz].sum() for n in (1, 2))
    return float(10.0 * np.log10(first / second))


def survey(technique: str, n_clips: int, first_seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """The measures of `n_clips` held tones of as many people -> measure -> [n_clips]"""
    rows = [
        measure_clip(simulate_held(seed, DURATION_S, technique), technique)
        for seed in range(first_seed, first_seed + n_clips)
    ]
    return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}


def is_inside(published: Published, values: NDArray[np.float64]) -> bool:
    """Whether the median of the values that exist lies between the bounds."""
    median = float(np.nanmedian(values))
    return (published.low is None or median >= published.low) and (published.high is None or median <= published.high)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of docs/voice-science.md. -> exit status: 1 when a median lies outside"""
    parser = argparse.ArgumentParser(prog="python -m synth.corpus.voice_science", description=__doc__)
    parser.add_argument("--clips", type=int, default=30, help="people per technique")
    options = parser.parse_args(arguments)
    surveys: dict[str, dict[str, NDArray[np.float64]]] = {}
    for technique in TECHNIQUES:
        surveys[technique] = survey(technique, options.clips)
    write = sys.stdout.write
    write(
        "| technique | measure | published | simulated, 10 % / median / 90 % | inside | source |\n" + "|---" * 6 + "|\n"
    )
    outside = 0
    for row in PUBLISHED:
        values = surveys[row.technique][row.measure]
        low, high = (("" if bound is None else f"{bound:g}") for bound in (row.low, row.high))
        inside = is_inside(row, values)
        outside += not inside
        cells = (
            row.technique,
            row.measure,
            f"{low}..{high}",
            _spread(values),
            "yes" if inside else "**no**",
            row.source,
        )
        write("| " + " | ".join(cells) + " |\n")
    names = list(surveys[TECHNIQUES[0]])
    write("\n| technique | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|\n")
    for technique in TECHNIQUES:
        write(f"| {technique} | " + " | ".join(_spread(surveys[technique][name]) for name in names) + " |\n")
    return 1 if outside else 0


def _spread(values: NDArray[np.float64]) -> str:
    if np.isnan(values).all():
        return "-"
    return " / ".join(f"{value:.3g}" for value in np.nanpercentile(values, (10.0, 50.0, 90.0)))


if __name__ == "__main__":
    sys.exit(main())
