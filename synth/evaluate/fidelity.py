"""Technique fidelity: are the model's voices as hoarse, bright and irregular as recordings of the same technique?

Distributions over half-second excerpts of what voice scientists measure, by Praat where it has the measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from synth.evaluate.distances import Sound, log_mel_distance, mr_stft_distance
from synth.evaluate.halves import HalfDistances, Index, half_distances
from synth.evaluate.praat import measure_voice
from synth.evaluate.resung import Resung, by_group, excerpt_audio
from synth.evaluate.statistics import Interval, distribution_distance, mean_interval
from synth.evaluate.timebox import Progress, TimeBox

_PRAAT = ("hnr_db", "cpps_db", "jitter_local", "shimmer_local", "centroid_hz")
# Ours, where Praat has none: name here -> name among the ears' physical measures.
_OURS = MappingProxyType({"subharmonic_depth": "subharmonic_depth", "modulation_depth": "roughness_depth"})
FIDELITY_MEASURES = (*_PRAAT, *_OURS)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One measure in one group. distance: Wasserstein-1 of all the model's excerpts and all the real ones, in the
    measure's unit; in_deviations: over the real ones' standard deviation; halves: against real to real.
    n_measured: excerpts, real and made, in which there was something to measure (no jitter without a pitch)."""

    group: str
    measure: str
    n_excerpts: int
    n_measured: tuple[int, int]
    real_mean: float
    made_mean: float
    distance: float
    in_deviations: float
    halves: HalfDistances


@dataclass(frozen=True, slots=True)
class FidelityReport:
    """Every group by every measure; `mean_ratio`: geometric mean over both of made-to-real over real-to-real."""

    rows: tuple[Fidelity, ...]
    mean_ratio: float


def evaluate_fidelity(
    resung: Sequence[Resung], *, box: TimeBox | None = None, on_progress: Progress | None = None
) -> FidelityReport:
    """Measure the excerpts. Raises UserError without Praat."""
    box = box or TimeBox()
    measured: list[tuple[Resung, list[dict[str, float]], list[dict[str, float]]]] = []
    for item in box.take(resung, on_progress, least=4, share=0.9):
        excerpts = item.excerpts()
        sides = [[excerpt_measures(sound, frames) for frames in excerpts] for sound in (item.real, item.made)]
        measured.append((item, sides[0], sides[1]))
    rows = []
    for group, members in by_group([item for item, _, _ in measured]).items():
        chosen = [found for found in measured if found[0] in members]
        sides = [(real, made) for _, real, made in chosen if real]
        rows += [_row(group, name, sides) for name in FIDELITY_MEASURES if len(sides) > 1]
    ratios = np.array([row.halves.ratio for row in rows])
    ratios = ratios[np.isfinite(ratios) & (ratios > 0.0)]
    return FidelityReport(tuple(rows), float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else float("nan"))


def excerpt_measures(sound: Sound, frames: slice) -> dict[str, float]:
    """FIDELITY_MEASURES of one excerpt; NaN where there is nothing to measure. Raises UserError without Praat."""
    measured = measure_voice(excerpt_audio(sound, frames), _PRAAT)
    return measured | {name: float(np.mean(sound.analysis.physical[ours][frames])) for name, ours in _OURS.items()}


def _row(
    group: str, measure: str, recordings: Sequence[tuple[list[dict[str, float]], list[dict[str, float]]]]
) -> Fidelity:
    owners = np.concatenate([np.full(len(real), index) for index, (real, _) in enumerate(recordings)]).astype(np.int64)
    real = np.array([values[measure] for side, _ in recordings for values in side])
    made = np.array([values[measure] for _, side in recordings for values in side])

    def distance(first: Index, second: Index, is_made: bool) -> float:
        return distribution_distance((made if is_made else real)[first], real[second])

    whole = distribution_distance(made, real)
    known = real[np.isfinite(real)]
    deviation = float(np.std(known)) if len(known) else float("nan")
    return Fidelity(
        group=group,
        measure=measure,
        n_excerpts=len(owners),
        n_measured=(int(np.isfinite(real).sum()), int(np.isfinite(made).sum())),
        real_mean=float(np.mean(known)) if len(known) else float("nan"),
        made_mean=float(np.nanmean(made)) if np.isfinite(made).any() else float("nan"),
        distance=whole,
        in_deviations=whole / deviation if deviation > 0.0 else float("nan"),
        halves=half_distances(owners, distance),
    )


@dataclass(frozen=True, slots=True)
class Deviation:
    """Spectral deviation of one group's recordings sung again. average_db: RMS over mel bands of the difference of the
    long-term average spectra, level removed; frame_db: of every frame; mr_stft as in synth.evaluate.distances."""

    group: str
    n_recordings: int
    average_db: Interval
    frame_db: Interval
    mr_stft: Interval


def evaluate_deviation(resung: Sequence[Resung]) -> tuple[Deviation, ...]:
    """Every group's spectra against those of the recordings themselves, and of all together."""
    found: Mapping[str, list[tuple[float, float, float]]] = {group: [] for group in by_group(resung, least=1)}
    for item in resung:
        found[item.group].append(_deviation(item))
    together = {**found, "all": [values for group in found.values() for values in group]}
    return tuple(
        Deviation(group, len(values), *(mean_interval(column) for column in zip(*values)))
        for group, values in together.items()
    )


def _deviation(item: Resung) -> tuple[float, float, float]:
    sung = item.real.analysis.lanes["presence"][: item.n_frames] > 0.5
    made, real = (sound.log_mel_db[: item.n_frames] for sound in (item.made, item.real))
    difference = (made - real)[sung].mean(axis=0) if sung.any() else np.full(made.shape[1], np.nan)
    average_db = float(np.std(difference))
    return average_db, log_mel_distance(made, real, sung), mr_stft_distance(item.made.audio, item.real.audio)
