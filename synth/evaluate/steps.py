"""Quality per number of sampling steps: the same measures with 16, 8, 4, 2 and 1, paired with the teacher's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.diffusion.sampler import SamplingPlan
from synth.engine import PLANS
from synth.evaluate.controls import MEASURED_LANES, SEGMENT_FRAMES, middle_means
from synth.evaluate.distances import Sound, log_mel_distance, mr_stft_distance
from synth.evaluate.lanes import WHOLE, LanesPlan, Segment, draw
from synth.evaluate.recordings import Recording, extracted
from synth.evaluate.resung import with_technique
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, change_interval, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.audio import CELL_FRAMES

Float64Array = NDArray[np.float64]

STEPS = (16, 8, 4, 2, 1)
# Smaller is better, all of them: recordings sung again, and lanes in shares of their ranges.
MEASURES = ("log_mel_db", "mr_stft", "spectrum_db", "lane_error", "pitch_cents")
_SEED = 0


@dataclass(frozen=True, slots=True)
class StepMeasure:
    """One measure at one number of steps. change_percent: against the teacher, paired; above 0 is worse."""

    measure: str
    value: Interval
    change_percent: Interval


@dataclass(frozen=True, slots=True)
class StepRow:
    """One number of steps. cell_s: seconds to sample one cell of 0.8 s, median; worst_percent: the measure that
    changed most for the worse."""

    n_steps: int
    solver: str
    cell_s: float
    measures: tuple[StepMeasure, ...]
    worst_percent: float


@dataclass(frozen=True, slots=True)
class StepsReport:
    """The first row is the teacher."""

    weights_hash: str
    teacher: str
    n_recordings: int
    n_segments: int
    rows: tuple[StepRow, ...]


def step_plans(steps: Sequence[int] = STEPS) -> dict[int, SamplingPlan]:
    """How many steps -> the plan that a quality stands for, or Euler's, which students are distilled for."""
    shipped = {plan.n_steps: plan for plan in PLANS.values()}
    return {n_steps: shipped.get(n_steps, SamplingPlan(n_steps=n_steps)) for n_steps in steps}


def evaluate_steps(
    singer: Singer,
    recordings: Sequence[tuple[Recording, str]],
    *,
    n_segments: int = 12,
    steps: Sequence[int] = STEPS,
    teacher: Singer | None = None,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> StepsReport:
    """Measure every number of steps on the same recordings, lanes and seeds.

    n_segments  constant segments a lane
    teacher     other weights that everything is compared with; else `singer` at the first number of steps
    """
    segments = draw(LanesPlan(n_segments=n_segments, n_pairs=0))
    reals = [(Sound.of(recording.audio), technique) for recording, technique in recordings]
    plans = step_plans(steps)
    singers = {n: Singer(singer.engine, singer.quality, plan) for n, plan in plans.items()}
    first = plans[steps[0]]
    found: list[tuple[SamplingPlan, float, Mapping[str, Float64Array]]] = []
    if teacher is not None:
        found.append((first, *_measure(Singer(teacher.engine, teacher.quality, first), reals, segments)))
    for n_steps in (box or TimeBox()).take(steps, on_progress, least=2):
        found.append((plans[n_steps], *_measure(singers[n_steps], reals, segments)))
    reference = found[0][2]
    return StepsReport(
        weights_hash=singer.engine.weights_hash,
        teacher=f"{(teacher or singer).engine.weights_hash[:12]}, {first.n_steps} steps",
        n_recordings=len(reals),
        n_segments=len(segments),
        rows=tuple(_row(plan, cell_s, measured, reference) for plan, cell_s, measured in found),
    )


def _measure(
    singer: Singer, reals: Sequence[tuple[Sound, str]], segments: Sequence[Segment]
) -> tuple[float, dict[str, Float64Array]]:
    """-> seconds a cell, measure -> one value for each recording or segment."""
    cell_s = []
    spectra = []
    for real, technique in reals:
        gesture = with_technique(extracted(real.analysis), technique)
        started_s = time.perf_counter()
        latents = singer.latents(gesture, _SEED)
        cell_s.append((time.perf_counter() - started_s) / gesture.n_cells)
        spectra.append(spectral_distances(Sound.of(singer.decode(latents, gesture.controls, _SEED)), real))
    lane_errors, cents = [], []
    for segment in segments:
        gesture = Gesture(neutral_controls(SEGMENT_FRAMES, segment.lanes, pitch_drift=0.0))
        started_s = time.perf_counter()
        latents = singer.latents(gesture, segment.seed)
        cell_s.append((time.perf_counter() - started_s) * CELL_FRAMES / SEGMENT_FRAMES)
        heard = middle_means(singer.decode(latents, gesture.controls, segment.seed))
        if segment.judged in MEASURED_LANES and segment.judged != "pitch":
            lane_errors.append(lane_error(segment, heard))
        cents.append(100.0 * abs(heard["pitch"] - segment.lanes["pitch"]))
    columns = np.array(spectra, dtype=np.float64).reshape(-1, 3).T
    fine = np.array(cents)
    measured: dict[str, Float64Array] = dict(
        zip(MEASURES, [*columns, np.array(lane_errors), np.where(fine <= 100.0, fine, np.nan)])
    )
    return float(np.median(cell_s)), measured


def lane_error(segment: Segment, heard: Mapping[str, float]) -> float:
    """|measured - asked| of the judged lane, as a share of its range."""
    low, high = WHOLE[segment.judged]
    return abs(heard[segment.judged] - segment.lanes[segment.judged]) / (high - low)


def spectral_distances(made: Sound, real: Sound) -> tuple[float, float, float]:
    """log-mel distance dB, MR-STFT distance, deviation of the average spectra dB, where the recording sings."""
    sung = real.analysis.lanes["presence"] > 0.5
    n = min(len(made.log_mel_db), len(real.log_mel_db))
    difference = (made.log_mel_db[:n] - real.log_mel_db[:n])[sung[:n]]
    spectrum_db = float(np.std(difference.mean(axis=0))) if len(difference) else float("nan")
    return (
        log_mel_distance(made.log_mel_db, real.log_mel_db, sung),
        mr_stft_distance(made.audio, real.audio),
        spectrum_db,
    )


def _row(
    plan: SamplingPlan, cell_s: float, measured: Mapping[str, Float64Array], teacher: Mapping[str, Float64Array]
) -> StepRow:
    measures = tuple(
        StepMeasure(name, mean_interval(measured[name]), change_interval(measured[name], teacher[name]))
        for name in MEASURES
    )
    changes = [measure.change_percent.value for measure in measures if np.isfinite(measure.change_percent.value)]
    return StepRow(plan.n_steps, plan.solver, cell_s, measures, max(changes, default=float("nan")))
