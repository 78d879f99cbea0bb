"""Requests that no throat could follow: do they degrade gracefully, and audibly in the direction that was asked?

Each request stands beside a neighbour that differs in one lane. The lane's own measurement (or the technique
classifier's) must move from the neighbour to the request in the asked direction; seeds and notes are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.grace import Grace, grace_of
from synth.evaluate.report_form import aligned, plain
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.features.analysis import Analysis, TechniqueClassifier, analyse
from synth.features.technique import load_technique_classifier
from synth.spec.audio import CELL_FRAMES, HOP_SAMPLES
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import TECHNIQUES

if TYPE_CHECKING:
    from synth.engine import Engine

Lanes = Mapping[str, float | Float32Array]

N_FRAMES = 2 * CELL_FRAMES
_MIDDLE = slice(30, N_FRAMES - 30)
_NOTE_SPREAD = 3.0  # semitones either way: a pair sings its own note
GATE = "gate_db"  # level where presence is 1 less that where it is 0
_TINY = 1e-12
# Less than this nobody hears: in semitones, decibels, and shares of a lane.
_AUDIBLE: Mapping[str, float] = {"pitch": 0.5, "loudness": 1.0, GATE: 3.0}
_AUDIBLE_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Request:
    """One contradiction and its neighbour.

    lanes      of the request, over a modal voice at the lane table's defaults; curves are [N_FRAMES]
    neighbour  lanes that differ in the neighbour
    technique  a name of TECHNIQUES, or weights by name; neighbour_technique: the neighbour's, where it differs
    measure    a measured lane, "technique.<name>", or GATE; None where no direction is asked
    direction  +1 where the measure must rise from the neighbour to the request, -1 where it must fall
    pitch_note where it is sung, give or take _NOTE_SPREAD; 0 spread where the request asks the pitch itself
    """

    name: str
    lanes: Lanes
    neighbour: Lanes
    measure: str | None
    direction: int
    technique: str | Mapping[str, float] = "modal"
    neighbour_technique: str | Mapping[str, float] | None = None
    pitch_note: float = 55.0


def _square(period_frames: int) -> Float32Array:
    """1 and 0 in turn, `period_frames` for both -> [N_FRAMES]"""
    return (np.arange(N_FRAMES) % period_frames < period_frames // 2).astype(np.float32)


def _leaps(period_frames: int) -> Float32Array:
    return (45.0 + 24.0 * _square(period_frames)).astype(np.float32)


_EVERY = dict.fromkeys(TECHNIQUES, 1.0)
_NOBODY = dict.fromkeys(TECHNIQUES, 0.0)
_FULL = {"roughness": 1.0, "breathiness": 1.0, "fry": 1.0}

REQUESTS: tuple[Request, ...] = (
    Request("whisper with a clear pitch", {"breathiness": 0.2}, {"breathiness": 1.0}, "breathiness", -1, "whisper"),
    Request("whisper at -9 dB", {"loudness": -9.0}, {"loudness": -35.0}, "loudness", 1, "whisper"),
    Request("fry at 600 Hz", {"fry": 1.0, "pitch": 74.4}, {"fry": 0.0}, "fry", 1, "fry"),
    Request("fry at 600 Hz keeps its pitch", {"fry": 1.0, "pitch": 74.4}, {"pitch": 62.0}, "pitch", 1, "fry"),
    Request("scream at -55 dB", {"loudness": -55.0}, {"loudness": -20.0}, "loudness", -1, "scream"),
    Request(
        "rough scream at -45 dB", {"roughness": 0.9, "loudness": -45.0}, {"roughness": 0.0}, "roughness", 1, "scream"
    ),
    Request("full rough, breathy and fry: rough", _FULL, {"roughness": 0.0}, "roughness", 1),
    Request("full rough, breathy and fry: breathy", _FULL, {"breathiness": 0.0}, "breathiness", 1),
    Request("full rough, breathy and fry: fry", _FULL, {"fry": 0.0}, "fry", 1),
    Request("all techniques at once", {}, {}, "technique.modal", -1, _EVERY, "modal"),
    Request("no technique", {}, {}, None, 0, _NOBODY, "modal"),
    Request("pressed and breathy", {"tension": 1.0, "breathiness": 1.0}, {"tension": 0.0}, "tension", 1),
    Request("lax shout", {"tension": 0.0, "loudness": -12.0}, {"tension": 1.0}, "tension", -1, "shout"),
    Request("inhaled scream", {"ingress": 1.0}, {"ingress": 0.0}, "ingress", 1, "scream"),
    Request(
        "shout through closed lips",
        {"vowel_open": 0.0, "loudness": -12.0},
        {"vowel_open": 1.0},
        "vowel_open",
        -1,
        "shout",
    ),
    Request("giant's tract at the top", {"tract": 1.0}, {"tract": 0.0}, "tract", 1, pitch_note=76.0),
    Request("the lowest note", {"pitch": 24.0}, {"pitch": 36.0}, "pitch", -1),
    Request("the highest note", {"pitch": 96.0}, {"pitch": 84.0}, "pitch", 1),
    Request("presence flickers at 5 Hz", {"presence": _square(20)}, {"presence": 1.0}, GATE, 1),
    Request("presence flickers at 12.5 Hz", {"presence": _square(8)}, {"presence": 1.0}, GATE, 1),
    Request("roughness flickers at 12.5 Hz", {"roughness": _square(8)}, {"roughness": 0.0}, "roughness", 1),
    Request("pitch leaps two octaves, 5 Hz", {"pitch": _leaps(20)}, {"pitch": 57.0}, None, 0),
    Request(
        "beyond every range", {"roughness": 1.6, "fry": 1.5, "loudness": 3.0, "pitch": 110.0}, {}, None, 0, "scream"
    ),
    Request(
        "below every range", {"roughness": -0.6, "breathiness": -1.0, "loudness": -90.0, "pitch": 5.0}, {}, None, 0
    ),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request was met.

    request, neighbour   means of the measure over the seeds
    moved                direction * (request - neighbour), seeds paired: above 0 where it goes the asked way
    faults               what was wrong with any render of the request, in words; empty where it degraded gracefully
    """

    name: str
    measure: str | None
    direction: int
    request: Interval
    neighbour: Interval
    moved: Interval
    graces: tuple[Grace, ...]
    faults: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """ "obeys", "defies", "inaudible" (the asked way, but too little), "undecided" (the interval holds 0) or "-"
        where no direction is asked."""
        if self.measure is None:
            return "-"
        if not np.isfinite(self.moved.value):
            return "unmeasured"
        if self.moved.low > 0.0:
            return "obeys" if self.moved.value >= _AUDIBLE.get(self.measure, _AUDIBLE_SHARE) else "inaudible"
        return "defies" if self.moved.high < 0.0 else "undecided"


@dataclass(frozen=True, slots=True)
class ContradictionsReport:
    """Every request."""

    weights_hash: str
    quality: str
    n_seeds: int
    answers: tuple[Answer, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return plain(self) | {"verdicts": {answer.name: answer.verdict for answer in self.answers}}

    def lines(self) -> list[str]:
        """For a person."""
        rows = [
            [
                answer.name,
                answer.measure or "-",
                "" if answer.measure is None else str(answer.neighbour),
                "" if answer.measure is None else str(answer.request),
                answer.verdict,
                ", ".join(answer.faults) or "graceful",
            ]
            for answer in self.answers
        ]
        asked = [answer for answer in self.answers if answer.measure is not None]
        n_obeyed = sum(answer.verdict == "obeys" for answer in asked)
        n_graceful = sum(not answer.faults for answer in self.answers)
        return [
            f"{self.quality}, {self.n_seeds} seeds: {n_obeyed} of {len(asked)} requests move as asked, {n_graceful} of "
            f"{len(self.answers)} without a fault",
            *aligned(["request", "measured", "neighbour", "request", "direction", "sound"], rows),
        ]


def run_contradictions(
    engine: Engine,
    *,
    quality: str = "draft",
    n_seeds: int = 5,
    requests: Sequence[Request] = REQUESTS,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> ContradictionsReport:
    """Sing every request and its neighbour with every seed."""
    singer = Singer(engine, quality)
    classifier = load_technique_classifier()
    taken = (box or TimeBox()).take(requests, on_progress)
    answers = [answer_to(singer, request, n_seeds, classifier) for request in taken]
    return ContradictionsReport(engine.weights_hash, quality, n_seeds, tuple(answers))


def controls_of(request: Request, seed: int, *, neighbour: bool = False) -> ControlFrames:
    """What is sung for one seed: the same note for both sides. Values beyond a lane's range stay as asked."""
    offset = float(np.random.default_rng((seed, 7)).uniform(-_NOTE_SPREAD, _NOTE_SPREAD))
    lanes: dict[str, float | Float32Array] = {"pitch": request.pitch_note + offset, **request.lanes}
    technique = request.technique
    if neighbour:
        lanes |= dict(request.neighbour)
        technique = request.technique if request.neighbour_technique is None else request.neighbour_technique
    weights = {technique: 1.0} if isinstance(technique, str) else technique
    lanes |= {f"technique.{name}": weights.get(name, 0.0) for name in TECHNIQUES}
    return neutral_controls(N_FRAMES, lanes)


def answer_to(singer: Singer, request: Request, n_seeds: int, classifier: TechniqueClassifier) -> Answer:
    """Sing one request and its neighbour n_seeds times each."""
    sides: dict[bool, list[float]] = {False: [], True: []}
    graces = []
    for seed in range(n_seeds):
        for is_neighbour in (False, True):
            if is_neighbour and request.measure is None:
                continue
            audio = singer.sing(Gesture(controls_of(request, seed, neighbour=is_neighbour)), seed)
            if not is_neighbour:
                graces.append(grace_of(audio, controls_of(request, seed)))
            sides[is_neighbour].append(measured(audio, request, classifier))
    asked, beside = np.array(sides[False]), np.array(sides[True] or [np.nan] * n_seeds)
    faults = sorted({words for grace in graces for words in grace.faults})
    return Answer(
        name=request.name,
        measure=request.measure,
        direction=request.direction,
        request=mean_interval(asked),
        neighbour=mean_interval(beside),
        moved=mean_interval(request.direction * (asked - beside)),
        graces=tuple(graces),
        faults=tuple(faults),
    )


def measured(audio: Float32Array, request: Request, classifier: TechniqueClassifier) -> float:
    """The request's measure on one render [N_FRAMES * HOP_SAMPLES]; NaN where it has none or is not finite."""
    if request.measure is None or not np.isfinite(audio).all():
        return float("nan")
    if request.measure == GATE:
        return _gate_db(audio, np.asarray(request.lanes["presence"]))
    analysis = analyse(audio, technique_classifier=classifier if request.measure.startswith("technique.") else None)
    return _lane_mean(analysis, request.measure)


def _gate_db(audio: Float32Array, presence: NDArray[np.floating]) -> float:
    """Level of the frames whose presence is 1 against those where it is 0, whatever the neighbour's presence was."""
    power = np.mean(audio.astype(np.float64).reshape(N_FRAMES, HOP_SAMPLES) ** 2, axis=1)
    on, off = (float(power[presence == value].mean()) for value in (1.0, 0.0))
    return 10.0 * float(np.log10((on + _TINY) / (off + _TINY)))


def _lane_mean(analysis: Analysis, lane_id: str) -> float:
    """Mean over the middle; of pitch the median of the tracker's F0 there, unsure frames included."""
    if lane_id == "pitch":
        return 69.0 + 12.0 * float(np.median(np.log2(analysis.f0.f0_hz[_MIDDLE].astype(np.float64) / 440.0)))
    return float(np.mean(analysis.lanes[lane_id][_MIDDLE], dtype=np.float64))
