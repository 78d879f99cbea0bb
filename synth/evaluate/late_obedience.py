"""Does a note that has been held for 25 s still obey: the same lane step early (1-5 s) and late (25-30 s).

Between the steps the lane returns to its default, so both steps start from the same place; whatever differs is age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from synth.evaluate.clusters import clustered_interval
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, line_through, spearman_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.features.analysis import analyse
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES
from synth.spec.controls import Float32Array
from synth.spec.lanes import lane

EARLY_S, LATE_S = (1.0, 5.0), (25.0, 30.0)
PASSAGE_S = 30.0
STEP_LANES = ("pitch", "loudness", "breathiness", "roughness", "fry", "tension")
# What is asked of each lane: inside what a modal voice at middle loudness is ever labelled with.
_ASKED_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType({"pitch": (45.0, 69.0), "loudness": (-45.0, -12.0)})
_STEPS = (0.1, 0.3, 0.5, 0.7, 0.9)
# Added error that nobody would notice: 5 cents, half a decibel, a fiftieth of a lane.
_UNNOTICED: Mapping[str, float] = MappingProxyType({"pitch": 0.05, "loudness": 0.5})
_UNNOTICED_UNIT = 0.02
_SETTLE_S = 0.5  # left out after a step and before the next
_MARGIN_SAMPLES = HOP_SAMPLES * FRAME_RATE_HZ // 2  # the ears hear beyond the stretch that counts


@dataclass(frozen=True, slots=True)
class LateObedience:
    """One lane, asked the same at both ages. Errors |measured - asked| in the lane's unit.

    added_error   late - early, paired by passage: above 0 where age makes it worse
    asked, early, late   of every passage
    """

    lane_id: str
    unit: str
    early_rho: Interval
    late_rho: Interval
    early_slope: float
    late_slope: float
    early_error: Interval
    late_error: Interval
    added_error: Interval
    asked: tuple[float, ...]
    early: tuple[float, ...]
    late: tuple[float, ...]

    @property
    def is_worse_late(self) -> bool:
        """Whether the error grows with age beyond its interval, and enough to be noticed."""
        unnoticed = _UNNOTICED.get(self.lane_id, _UNNOTICED_UNIT)
        return self.added_error.low > 0.0 and self.added_error.value > unnoticed


def stepped(lane_id: str, value: float) -> Float32Array:
    """The lane at its default, at `value` over EARLY_S, at its default again, at `value` over LATE_S -> [3000]"""
    curve = np.full(round(PASSAGE_S * FRAME_RATE_HZ), lane(lane_id).default, dtype=np.float32)
    for start_s, stop_s in (EARLY_S, LATE_S):
        curve[round(start_s * FRAME_RATE_HZ) : round(stop_s * FRAME_RATE_HZ)] = value
    return curve


def evaluate_late_obedience(
    singer: Singer,
    lanes: Sequence[str] = STEP_LANES,
    seeds: Sequence[int] = (0, 1),
    on_progress: Progress | None = None,
    *,
    box: TimeBox | None = None,
) -> tuple[LateObedience, ...]:
    """Sing five steps of every lane with every seed, half a minute each."""
    results = []
    total = len(lanes) * len(seeds) * len(_STEPS)
    for number, lane_id in enumerate((box or TimeBox()).take(lanes)):
        spec = lane(lane_id)
        low, high = _ASKED_RANGES.get(lane_id, (spec.minimum, spec.maximum))
        found: list[tuple[float, float, float]] = []
        for step in _STEPS:
            for seed in seeds:
                asked = low + step * (high - low)
                controls = neutral_controls(round(PASSAGE_S * FRAME_RATE_HZ), {lane_id: stepped(lane_id, asked)})
                audio = singer.sing(Gesture(controls), seed)
                early, late = (_mean_lane(audio, lane_id, span) for span in (EARLY_S, LATE_S))
                found.append((asked, early, late))
                if on_progress is not None:
                    on_progress(number * len(seeds) * len(_STEPS) + len(found), total)
        results.append(_lane_result(lane_id, found))
    return tuple(results)


def _mean_lane(audio: Float32Array, lane_id: str, span_s: tuple[float, float]) -> float:
    """Mean of a measured lane over the settled part of `span_s`; pitch: its median."""
    first = round((span_s[0] + _SETTLE_S) * FRAME_RATE_HZ) * HOP_SAMPLES
    last = round((span_s[1] - _SETTLE_S) * FRAME_RATE_HZ) * HOP_SAMPLES
    heard_from = max(first - _MARGIN_SAMPLES, 0)
    measured = analyse(audio[heard_from : last + _MARGIN_SAMPLES]).lanes[lane_id]
    inner = measured[(first - heard_from) // HOP_SAMPLES : (last - heard_from) // HOP_SAMPLES]
    known = inner[np.isfinite(inner)].astype(np.float64)
    if len(known) == 0:
        return float("nan")
    return float(np.median(known) if lane_id == "pitch" else np.mean(known))


def _lane_result(lane_id: str, found: Sequence[tuple[float, float, float]]) -> LateObedience:
    asked, early, late = (np.array(column) for column in zip(*found))
    errors = {"early": np.abs(early - asked), "late": np.abs(late - asked)}

    def mean_by_step(values: np.ndarray) -> Interval:
        known = np.isfinite(values)
        return clustered_interval(values[known], asked[known], lambda v: float(np.mean(v)))

    return LateObedience(
        lane_id=lane_id,
        unit=lane(lane_id).unit,
        early_rho=spearman_interval(asked, early),
        late_rho=spearman_interval(asked, late),
        early_slope=line_through(asked, early)[0],
        late_slope=line_through(asked, late)[0],
        early_error=mean_by_step(errors["early"]),
        late_error=mean_by_step(errors["late"]),
        added_error=mean_by_step(errors["late"] - errors["early"]),
        asked=tuple(map(float, asked)),
        early=tuple(map(float, early)),
        late=tuple(map(float, late)),
    )
