"""Do lanes obey while all the others move: Latin hypercubes of constant segments, heard by our ears and by Praat.

One lane goes over its whole range while the others lie anywhere in theirs, so that its figure holds whatever else is
drawn, and regression over all segments says what moves when only one lane moves. Some segments are sung with two
seeds: how well these agree is the ceiling. The simulator's voice, whose lanes are known, goes through the same: what
the ears themselves get wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from synth.corpus.gestures import PLANNED_LANES
from synth.corpus.gestures import Gesture as SimulatorGesture
from synth.corpus.simulator import perform, random_speaker
from synth.errors import UserError
from synth.evaluate.controls import (
    HIGHEST_NOTE,
    LOWEST_NOTE,
    MEASURED_LANES,
    MIDDLE,
    SEGMENT_FRAMES,
    middle_means,
)
from synth.evaluate.praat import measure_voice
from synth.evaluate.singing import UNASKED, Gesture, Singer, neutral_controls
from synth.evaluate.statistics import (
    Interval,
    line_through,
    mean_interval,
    partial_effects,
    rank_correlation,
    spearman_interval,
)
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.audio import HOP_SAMPLES
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES, lane

Float64Array = NDArray[np.float64]

Range = tuple[float, float]

# Where the lane that is judged goes: everywhere. Under -48 dB the ears hear nobody.
WHOLE: Mapping[str, Range] = MappingProxyType(
    {name: (lane(name).minimum, lane(name).maximum) for name in MEASURED_LANES}
    | {"pitch": (LOWEST_NOTE, HIGHEST_NOTE), "loudness": (-48.0, lane("loudness").maximum)}
)
# Where the others lie meanwhile: anywhere that leaves the judged lane to be heard (no roughness is
# heard in a whisper, no first formant under a fundamental of 440 Hz).
OTHERS: Mapping[str, Range] = MappingProxyType(
    {
        "breathiness": (0.0, 0.5), "roughness": (0.0, 0.3), "fry": (0.0, 0.3), "loudness": (-36.0, -14.0),
        "tension": (0.25, 0.75), "vowel_open": (0.15, 0.9), "vowel_front": (0.1, 0.9), "tract": (0.2, 0.8),
        "pitch": (LOWEST_NOTE, 60.0),
    }
)  # fmt: skip
# Lane -> (what Praat measures of the same thing, the sign it moves with).
JUDGES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "breathiness": ("cpps_db", -1.0), "roughness": ("shimmer_local", 1.0), "fry": ("jitter_local", 1.0),
        "loudness": ("level_db", 1.0), "tension": ("alpha_ratio_db", 1.0), "vowel_open": ("f1_hz", 1.0),
        "vowel_front": ("f2_hz", 1.0), "tract": ("formant_spacing_hz", -1.0), "pitch": ("pitch_note", 1.0),
    }
)  # fmt: skip
_MIDDLE_SAMPLES = slice(MIDDLE.start * HOP_SAMPLES, MIDDLE.stop * HOP_SAMPLES)
_FEWEST_FOR_A_CEILING = 10
_Sing = Callable[["Segment", int], tuple[Float32Array, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class LanesPlan:
    """What is sung.

    n_segments  of each lane; at least 200 for figures that are to be quoted
    n_pairs     of them, so many are sung with a second seed
    technique   a name of TECHNIQUES, or UNASKED: left to the model
    others      lane id -> where it lies while another lane is judged
    """

    lanes: Sequence[str] = MEASURED_LANES
    n_segments: int = 200
    n_pairs: int = 40
    technique: str = "modal"
    others: Mapping[str, Range] = field(default_factory=lambda: dict(OTHERS))
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """One lane over its segments, the others anywhere in their ranges.

    rho           Spearman's of asked and measured
    ceiling       the highest rho this spread between seeds allows: the root of the rank correlation of two seeds'
                  measurements (Spearman 1904, correction for attenuation); NaN with too few pairs
    slope         of measured over asked, in the lane's unit; mean_error: measured - asked
    judge         Praat's measure of the same thing; judge_rho its Spearman with the lane, positive where it obeys
    """

    lane_id: str
    unit: str
    rho: Interval
    ceiling: float
    slope: float
    intercept: float
    mean_error: Interval
    mean_absolute_error: Interval
    judge: str
    judge_rho: Interval
    asked: tuple[float, ...]
    measured: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CrossTalk:
    """What a lane does to every measured lane while the others are held: change over the asked lane's whole range, in
    shares of the measured lane's range. rows: asked; columns: measured; n: segments in the smallest regression."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    effect: tuple[tuple[float, ...], ...]
    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float, ...], ...]
    n: int


@dataclass(frozen=True, slots=True)
class LanesReport:
    """n_wanted: segments asked for; a time box may leave fewer. source: the model, or the simulator."""

    source: str
    setting: str
    n_wanted: int
    n_segments: int
    lanes: tuple[LaneFigures, ...]
    cross_talk: CrossTalk


@dataclass(frozen=True, slots=True)
class Segment:
    """One constant segment: which lane is judged, every lane's value, and its seeds (the second one, or None)."""

    judged: str
    lanes: Mapping[str, float]
    seed: int
    other_seed: int | None


@dataclass(frozen=True, slots=True)
class _Heard:
    """A segment with what it truly is (asked, or known to the simulator), the ears' lanes by one or two seeds, and
    what Praat says of the judged lane."""

    segment: Segment
    truth: Mapping[str, float]
    first: Mapping[str, float]
    second: Mapping[str, float] | None
    praat: float


def draw(plan: LanesPlan) -> list[Segment]:
    """Latin hypercubes (McKay et al. 1979), one a lane: the judged lane over WHOLE, the others over plan.others. The
    lanes in turn, so that a time box that is over leaves as many segments of each."""
    by_lane: list[list[Segment]] = []
    for number, judged in enumerate(plan.lanes):
        ranges = {**plan.others, judged: WHOLE[judged]}
        rng = np.random.default_rng((plan.seed, number))
        unit = qmc.LatinHypercube(len(ranges), rng=rng).random(plan.n_segments)
        low, high = np.array(list(ranges.values())).T
        seeds = rng.integers(2**31, size=(plan.n_segments, 2))
        segments = []
        for index, row in enumerate(low + unit * (high - low)):
            values = {name: float(value) for name, value in zip(ranges, row)}
            other_seed = int(seeds[index, 1]) if index < plan.n_pairs else None
            segments.append(Segment(judged, values, int(seeds[index, 0]), other_seed))
        by_lane.append(segments)
    return [segment for together in zip(*by_lane) for segment in together]


def evaluate_lanes(
    singer: Singer, plan: LanesPlan, *, box: TimeBox | None = None, on_progress: Progress | None = None
) -> LanesReport:
    """Sing and measure. Without Praat its columns are NaN."""

    def sing(segment: Segment, seed: int) -> tuple[Float32Array, Mapping[str, float]]:
        controls = neutral_controls(SEGMENT_FRAMES, segment.lanes, technique=plan.technique)
        return singer.sing(Gesture(controls), seed), segment.lanes

    return _evaluate("model", sing, plan, box or TimeBox(), on_progress)


def evaluate_ears(plan: LanesPlan, *, box: TimeBox | None = None, on_progress: Progress | None = None) -> LanesReport:
    """The same with the simulator in the place of the model: a random speaker a seed, who does exactly what is
    asked; so what is missing from slope 1 and rho 1 is missing from the ears."""
    return _evaluate("simulator", _simulate, plan, box or TimeBox(), on_progress)


def _simulate(segment: Segment, seed: int) -> tuple[Float32Array, Mapping[str, float]]:
    """-> audio, and the mean of the simulator's labels over the middle second (loudness and tension are read back)."""
    rng = np.random.default_rng((seed, 0xEA5))
    blank = np.zeros(SEGMENT_FRAMES)
    lanes = {name: blank + segment.lanes.get(name, 0.0) for name in PLANNED_LANES} | {"presence": blank + 1.0}
    technique = {name: blank + float(name == "modal") for name in TECHNIQUES}
    planned = SimulatorGesture(lanes, technique, blank + 70.0, blank + 2.0, 0.2, "independent")
    speaker = replace(random_speaker(rng, chaos=0.2), vibrato_cents=0.0)
    clip = perform(planned, speaker, SEGMENT_FRAMES * HOP_SAMPLES, rng)
    return clip.audio, {name: float(np.mean(clip.controls[name][MIDDLE])) for name in MEASURED_LANES}


def _evaluate(source: str, sing: _Sing, plan: LanesPlan, box: TimeBox, on_progress: Progress | None) -> LanesReport:
    segments = draw(plan)
    heard = [_hear(sing, segment) for segment in box.take(segments, on_progress, least=3 * len(plan.lanes))]
    return LanesReport(
        source=source,
        setting=_setting(plan),
        n_wanted=len(segments),
        n_segments=len(heard),
        lanes=tuple(_figures(name, [h for h in heard if h.segment.judged == name]) for name in plan.lanes),
        cross_talk=_cross_talk(heard),
    )


def _setting(plan: LanesPlan) -> str:
    technique = "technique left to the model" if plan.technique == UNASKED else f"technique {plan.technique}"
    others = ", ".join(f"{name} {low:g}..{high:g}" for name, (low, high) in plan.others.items())
    return (
        f"a Latin hypercube a lane: the lane over its whole range, the others over {others}; {technique}, no timbre; "
        "1.6 s, mean of the middle second, another seed each"
    )


def _hear(sing: _Sing, segment: Segment) -> _Heard:
    audio, truth = sing(segment, segment.seed)
    measure, sign = JUDGES[segment.judged]
    try:
        praat = sign * measure_voice(audio[_MIDDLE_SAMPLES], (measure,))[measure]
    except UserError:
        praat = float("nan")
    second = None
    if segment.other_seed is not None:
        second = middle_means(sing(segment, segment.other_seed)[0])
    return _Heard(segment, truth, middle_means(audio), second, praat)


def _figures(name: str, heard: Sequence[_Heard]) -> LaneFigures:
    asked = np.array([h.truth[name] for h in heard])
    measured = np.array([h.first[name] for h in heard])
    slope, intercept = line_through(asked, measured)
    return LaneFigures(
        lane_id=name,
        unit=lane(name).unit,
        rho=spearman_interval(asked, measured),
        ceiling=_ceiling([(h.first[name], h.second[name]) for h in heard if h.second is not None]),
        slope=slope,
        intercept=intercept,
        mean_error=mean_interval(measured - asked),
        mean_absolute_error=mean_interval(np.abs(measured - asked)),
        judge=f"Praat {JUDGES[name][0]}",
        judge_rho=spearman_interval(asked, [h.praat for h in heard]),
        asked=tuple(float(value) for value in asked),
        measured=tuple(float(value) for value in measured),
    )


def _ceiling(pairs: Sequence[tuple[float, float]]) -> float:
    known = np.array([pair for pair in pairs if np.isfinite(pair).all()])
    if len(known) < _FEWEST_FOR_A_CEILING:
        return float("nan")
    return float(np.sqrt(np.maximum(rank_correlation(known[:, 0], known[:, 1]), 0.0)))


def _cross_talk(heard: Sequence[_Heard]) -> CrossTalk:
    """Values as shares of the whole ranges. Each measured lane has a regression of its own, so that segments without
    a pitch count for the other lanes."""
    names = MEASURED_LANES

    def shares(name: str, values: Sequence[float]) -> Float64Array:
        low, high = WHOLE[name]
        return (np.array(values) - low) / (high - low)

    asked = np.column_stack([shares(name, [h.truth[name] for h in heard]) for name in names])
    found = [partial_effects(asked, shares(name, [h.first[name] for h in heard])[:, None]) for name in names]
    tables = (np.column_stack([getattr(effects, side)[:, 0] for effects in found]) for side in ("value", "low", "high"))
    effect, low_bound, high_bound = (tuple(tuple(float(v) for v in row) for row in table) for table in tables)
    return CrossTalk(names, names, effect, low_bound, high_bound, min(effects.n for effects in found))
