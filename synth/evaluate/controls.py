"""Do lanes obey: asked against measured on constant segments, each with its own pitch and seed.

The quick look, one lane at a time with the others at rest, or all at random. What the voice is judged by is
synth.evaluate.lanes: hypercubes over the other lanes, Praat as a second judge, and the ceiling that seeds leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, line_through, mean_interval, spearman_interval
from synth.features.analysis import analyse
from synth.spec.audio import CELL_FRAMES, FRAME_RATE_HZ
from synth.spec.controls import Float32Array
from synth.spec.lanes import lane

Float64Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

FIGURE_LANES = ("breathiness", "roughness", "fry", "loudness")
MORE_LANES = ("tension", "vowel_open", "vowel_front")
MEASURED_LANES = (*FIGURE_LANES, *MORE_LANES, "tract", "pitch")
RANDOM_LANES = (*FIGURE_LANES, *MORE_LANES, "tract")
SEGMENT_FRAMES = 2 * CELL_FRAMES  # 1.6 s
MIDDLE = slice((SEGMENT_FRAMES - FRAME_RATE_HZ) // 2, (SEGMENT_FRAMES + FRAME_RATE_HZ) // 2)
LOWEST_NOTE, HIGHEST_NOTE = 45.0, 69.0


@dataclass(frozen=True, slots=True)
class ControlsPlan:
    """Which segments are sung.

    lanes        lanes varied uniformly over their range, one after the other
    all_at_once  every lane of RANDOM_LANES is random in every segment, instead of the others at their defaults
    technique    what is sung, or "none": left to the model
    """

    lanes: Sequence[str] = (*FIGURE_LANES, *MORE_LANES)
    n_segments: int = 200
    all_at_once: bool = False
    technique: str = "modal"
    lowest_note: float = LOWEST_NOTE
    highest_note: float = HIGHEST_NOTE
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Obedience:
    """One lane over all its segments. Errors are measured - asked, in the lane's unit."""

    lane_id: str
    unit: str
    rho: Interval
    slope: float
    intercept: float
    mean_error: Interval
    mean_absolute_error: Interval
    asked: tuple[float, ...]
    measured: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ControlsReport:
    """cross_talk: asked lane -> measured lane -> Spearman's rho of the two over the asked lane's segments."""

    weights_hash: str
    quality: str
    plan: ControlsPlan
    setting: str
    lanes: tuple[Obedience, ...]
    cross_talk: Mapping[str, Mapping[str, float]]


def evaluate_controls(singer: Singer, plan: ControlsPlan, on_progress: Progress | None = None) -> ControlsReport:
    """Sing and measure plan.n_segments segments a lane (all at once: for all lanes together)."""
    groups = [None] if plan.all_at_once else list(plan.lanes)
    total = len(groups) * plan.n_segments
    lanes: list[Obedience] = []
    cross_talk: dict[str, dict[str, float]] = {}
    for number, varied in enumerate(groups):
        rng = np.random.default_rng((plan.seed, number))
        asked: list[dict[str, float]] = []
        heard: list[dict[str, float]] = []
        for index in range(plan.n_segments):
            asked.append(_draw(plan, varied, rng))
            heard.append(_measure(singer, asked[-1], plan.technique, int(rng.integers(2**31))))
            if on_progress is not None:
                on_progress(number * plan.n_segments + index + 1, total)
        for lane_id in plan.lanes if varied is None else (varied,):
            values = np.array([segment[lane_id] for segment in asked])
            lanes.append(_obedience(lane_id, values, np.array([segment[lane_id] for segment in heard])))
            cross_talk[lane_id] = {
                other: spearman_interval(values, [segment[other] for segment in heard]).value
                for other in MEASURED_LANES
            }
    return ControlsReport(singer.engine.weights_hash, singer.quality, plan, _setting(plan), tuple(lanes), cross_talk)


def _setting(plan: ControlsPlan) -> str:
    others = "every acoustic lane random" if plan.all_at_once else "other lanes at the lane table's defaults"
    technique = "technique not asked" if plan.technique == "none" else f"technique {plan.technique}"
    return (
        f"{others}, {technique}, no timbre, pitch uniform {plan.lowest_note:g}-{plan.highest_note:g}, "
        "1.6 s, mean of the middle second"
    )


def _draw(plan: ControlsPlan, varied: str | None, rng: np.random.Generator) -> dict[str, float]:
    chosen = {"pitch": float(rng.uniform(plan.lowest_note, plan.highest_note))}
    for lane_id in RANDOM_LANES if varied is None else (varied,):
        spec = lane(lane_id)
        chosen[lane_id] = float(rng.uniform(spec.minimum, spec.maximum))
    return chosen


def _measure(singer: Singer, lanes: Mapping[str, float], technique: str, seed: int) -> dict[str, float]:
    """Sing one constant segment -> its middle_means."""
    controls = neutral_controls(SEGMENT_FRAMES, lanes, technique=technique)
    return middle_means(singer.sing(Gesture(controls), seed))


def middle_means(audio: Float32Array) -> dict[str, float]:
    """Mean of every measured lane over the middle second of a segment; NaN where it cannot be measured at all."""
    measured = analyse(audio).lanes
    means = {}
    for lane_id in MEASURED_LANES:
        middle = measured[lane_id][MIDDLE]
        known = middle[np.isfinite(middle)]
        means[lane_id] = float(np.mean(known, dtype=np.float64)) if len(known) else float("nan")
    return means


def _obedience(lane_id: str, asked: Float64Array, measured: Float64Array) -> Obedience:
    slope, intercept = line_through(asked, measured)
    return Obedience(
        lane_id=lane_id,
        unit=lane(lane_id).unit,
        rho=spearman_interval(asked, measured),
        slope=slope,
        intercept=intercept,
        mean_error=mean_interval(measured - asked),
        mean_absolute_error=mean_interval(np.abs(measured - asked)),
        asked=tuple(float(value) for value in asked),
        measured=tuple(float(value) for value in measured),
    )
