"""What an adapter does beside what it is for: region by region to one technique, and to all the others.

Everything is paired: the same lanes, the same seed, sung without the adapter and with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from synth.adapt.figures import as_dict
from synth.adapt.judge import Strengths, everywhere, with_strengths
from synth.adapters.layout import REGIONS
from synth.corpus.gestures import plan_gesture
from synth.diffusion.sampler import SamplingPlan
from synth.engine import Engine
from synth.evaluate.controls import SEGMENT_FRAMES
from synth.evaluate.lanes import OTHERS
from synth.evaluate.recognition import name_of
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.features.analysis import Analysis, analyse
from synth.features.technique import load_technique_classifier
from synth.spec.audio import CELL_FRAMES
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES, lane

# What each measure tells of -> measures. Pitch is what the sampler adds to the pitch that was asked for.
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "noise": ("breathiness", "hnr_db"),
        "irregularity": ("roughness", "fry"),
        "pitch": ("pitch_error_cents", "pitch_wander_cents"),
    }
)
HYPOTHESIS: Final[Mapping[str, str]] = MappingProxyType({"noise": "early", "irregularity": "middle", "pitch": "late"})
_EDGE_SHARE: Final = 0.1875
_CONTROLLED: Final = tuple(name for name in OTHERS if name != "pitch")


@dataclass(frozen=True, slots=True)
class Heard:
    """Means over the middle of one constant segment; NaN where a thing cannot be measured."""

    lanes: Mapping[str, float]
    measures: Mapping[str, float]


def random_lanes(rng: np.random.Generator) -> dict[str, float]:
    """Values anywhere where the ears can follow them all at once."""
    return {name: float(rng.uniform(low, high)) for name, (low, high) in OTHERS.items()}


def natural_lanes(rng: np.random.Generator, technique: str) -> dict[str, float]:
    """What the simulator's singers do with a technique: means of a planned gesture, within the same ranges."""
    while True:
        planned = plan_gesture(rng, CELL_FRAMES, technique)
        if planned.kind == "natural":
            sung = planned.lanes["presence"] > 0.5
            if sung.any():
                means = {name: float(np.mean(planned.lanes[name][sung])) for name in OTHERS}
                return {name: float(np.clip(means[name], *OTHERS[name])) for name in OTHERS}


def sung_segment(singer: Singer, lanes: Mapping[str, float], technique: str, strengths: Strengths, seed: int) -> Heard:
    """One constant segment of `technique`, measured."""
    gesture = Gesture(neutral_controls(SEGMENT_FRAMES, lanes, technique=technique, pitch_drift=1.0))
    return measured(singer.sing(with_strengths(gesture, strengths), seed), lanes["pitch"])


def measured(audio: Float32Array, note: float) -> Heard:
    """`note` is the MIDI note that was asked for."""
    return heard_in(analyse(audio), note)


def heard_in(analysis: Analysis, note: float) -> Heard:
    """The middle of a segment: all of it but 0.3 s at either end of 1.6 s, 0.15 s of 0.8 s."""
    edge = round(_EDGE_SHARE * analysis.n_frames)
    middle = slice(edge, analysis.n_frames - edge)
    lanes = {name: _mean(analysis.lanes[name][middle]) for name in _CONTROLLED}
    cents = 100.0 * (analysis.lanes["pitch"][middle] - note)
    known = cents[np.isfinite(cents) & (np.abs(cents) < 600.0)]  # an octave's slip is the tracker's, not the voice's
    measures = {name: lanes[name] for name in ("breathiness", "roughness", "fry")}
    measures["hnr_db"] = _mean(analysis.physical["hnr_db"][middle])
    measures["pitch_error_cents"] = float(np.abs(known.mean())) if len(known) > 10 else math.nan
    measures["pitch_wander_cents"] = float(known.std()) if len(known) > 10 else math.nan
    return Heard(lanes, measures)


def _mean(values: Float32Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else math.nan


def control_error(heard: Heard, asked: Mapping[str, float]) -> float:
    """Mean over lanes of |measured - asked| as a share of the lane's range."""
    errors = [abs(heard.lanes[name] - asked[name]) / (lane(name).maximum - lane(name).minimum) for name in _CONTROLLED]
    known = [error for error in errors if math.isfinite(error)]
    return float(np.mean(known)) if known else math.nan


def region_effects(
    engine: Engine,
    adapter_id: str,
    technique: str,
    plan: SamplingPlan,
    *,
    n: int,
    seed: int = 0,
    strength: float = 1.0,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """What each region alone does to each measure: mean paired change over `n` segments, with its interval.

    Effects are also told in standard deviations of the base's own spread over the segments, so that measures of other
    units can be compared; the verdict on the hypothesis goes by those.
    """
    singer = Singer(engine, "draft", plan)
    rng = np.random.default_rng(seed)
    segments = [(random_lanes(rng), int(rng.integers(2**31))) for _ in range(n)]
    base: list[Heard] = []
    moved: dict[str, list[Heard]] = {region: [] for region in REGIONS}
    for lanes, own_seed in (box or TimeBox()).take(segments, on_progress, least=3):
        base.append(sung_segment(singer, lanes, technique, {}, own_seed))
        for region, found in moved.items():
            found.append(sung_segment(singer, lanes, technique, {adapter_id: {region: strength}}, own_seed))
    matrix: dict[str, dict[str, Any]] = {region: {} for region in REGIONS}
    for name in (name for names in FAMILIES.values() for name in names):
        before = np.array([heard.measures[name] for heard in base])
        spread = float(np.nanstd(before)) if np.isfinite(before).any() else math.nan
        for region, found in moved.items():
            change = np.array([heard.measures[name] for heard in found]) - before
            shares = np.abs(change) / spread if spread > 0 else np.full(len(change), np.nan)
            matrix[region][name] = {
                "change": as_dict(mean_interval(change)), "size_in_deviations": as_dict(mean_interval(shares)),
            }  # fmt: skip
    return {"segments": len(base), "strength": strength, "matrix": matrix, "hypothesis": judged_hypothesis(matrix)}


def judged_hypothesis(matrix: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """For each family: whether the region that should move it most does.

    confirmed: its mean size is the largest and lies above the others' intervals; refuted: another's lies above its
    interval; else open.
    """
    verdicts = {}
    for family, names in FAMILIES.items():
        sizes: dict[str, tuple[float, float, float]] = {}
        for region in REGIONS:
            found = [matrix[region][name]["size_in_deviations"] for name in names]
            known = [interval for interval in found if math.isfinite(interval["value"])]
            if known:
                value, low, high = (float(np.mean([size[key] for size in known])) for key in ("value", "low", "high"))
                sizes[region] = (value, low, high)
        wanted = HYPOTHESIS[family]
        verdict = "open"
        if wanted in sizes and len(sizes) == len(REGIONS):
            others = [sizes[region] for region in REGIONS if region != wanted]
            if all(sizes[wanted][1] > high for _, _, high in others):
                verdict = "confirmed"
            elif any(low > sizes[wanted][2] for _, low, _ in others):
                verdict = "refuted"
        verdicts[family] = {"expected": wanted, "sizes": sizes, "verdict": verdict}
    return verdicts


def harm(
    engine: Engine,
    adapter_id: str,
    adapted: str,
    plan: SamplingPlan,
    *,
    n: int,
    seed: int = 0,
    strength: float = 1.0,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """The other techniques with the adapter on, against without: `n` paired segments, the techniques in turn.

    Segments are one cell long and sung several at once, half of them with random lanes and half with lanes that go with
    their technique. Control error: change of the mean as a share of the mean without (0.02 is 2 %). Recognition, of the
    second half: share named as they were asked, by the classifier of techniques, and its paired change, a share too.
    """
    rng = np.random.default_rng((seed, 0x4A52))
    others = [name for name in TECHNIQUES if name != adapted]
    segments = []
    for index in range(n):
        technique, is_natural = others[index % len(others)], index // len(others) % 2 == 1
        segments.append((technique, natural_lanes(rng, technique) if is_natural else random_lanes(rng)))
    at_once = max(engine.cells_at_once, 1)
    groups = [range(first, min(first + at_once, n)) for first in range(0, n, at_once)]
    classify = load_technique_classifier()
    errors: list[tuple[float, float]] = []
    named: list[tuple[float, float]] = []  # of random lanes not known: they contradict most techniques
    for group in (box or TimeBox()).take(groups, on_progress, least=-(-len(others) // at_once)):
        chosen = [segments[index] for index in group]
        sides = [
            sung_together(engine, plan, chosen, strengths, group, seed)
            for strengths in ({}, everywhere(adapter_id, strength))
        ]
        for index, (technique, lanes), *analyses in zip(group, chosen, *sides, strict=True):
            without, with_it = (control_error(heard_in(analysis, lanes["pitch"]), lanes) for analysis in analyses)
            errors.append((without, with_it))
            if index // len(others) % 2 == 1:
                without, with_it = (float(name_of(classify, analysis) == technique) for analysis in analyses)
                named.append((without, with_it))
            else:
                named.append((math.nan, math.nan))
    of = [technique for technique, _ in segments[: len(errors)]]
    by_technique = {}
    for name in others:
        rows = [index for index, technique in enumerate(of) if technique == name]
        by_technique[name] = _harm_of([errors[row] for row in rows], [named[row] for row in rows])
    return {"segments": len(of), "all": _harm_of(errors, named), "techniques": by_technique}


def sung_together(
    engine: Engine, plan: SamplingPlan, segments: Sequence[tuple[str, Mapping[str, float]]], strengths: Strengths,
    places: range, seed: int,
) -> list[Analysis]:  # fmt: skip
    """Constant segments (technique, lanes) of one cell each, sampled as one batch, measured.

    places   cell of each segment, which says what noise it is drawn from: the same place and seed, the same noise
    """
    singer = Singer(engine, "draft", plan)
    controls = [neutral_controls(CELL_FRAMES, lanes, technique=name, pitch_drift=1.0) for name, lanes in segments]
    gestures = [with_strengths(Gesture(one), strengths) for one in controls]
    cells = [2 * place for place in places]  # neighbouring windows share frames, and with them noise
    windows = [gesture.window(0) for gesture in gestures]
    drawn = engine.sample_cells(windows, seed=seed, cell_indices=cells, quality="draft", plan=plan)
    return [
        analyse(singer.decode(latents, gesture.controls, seed))
        for latents, gesture in zip(drawn, gestures, strict=True)
    ]  # fmt: skip


def _harm_of(errors: Sequence[tuple[float, float]], named: Sequence[tuple[float, float]]) -> dict[str, Any]:
    before, after = np.array(errors, dtype=np.float64).reshape(-1, 2).T
    known = np.isfinite(before) & np.isfinite(after)
    mean = float(before[known].mean()) if known.any() else math.nan
    change = mean_interval((after - before)[known])
    relative = Interval(change.value / mean, change.low / mean, change.high / mean, change.n)
    right = np.array(named, dtype=np.float64).reshape(-1, 2)
    right = right[np.isfinite(right).all(axis=1)]
    return {
        "error_without": mean, "error_with": mean + change.value, "relative": as_dict(relative),
        "named_without": float(right[:, 0].mean()) if len(right) else math.nan,
        "named_change": as_dict(mean_interval(right[:, 1] - right[:, 0])),
    }  # fmt: skip
