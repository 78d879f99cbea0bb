"""Random vocal gestures as people make them, and as nobody would: the lanes a simulated clip is made from.

A gesture is planned in lane units at frame rate. Lanes of 0..1 may reach a little beyond (`OVERSHOOT`): the physical
quantity goes on where the lane's label is clamped. Natural gestures string together phrases of one or more techniques
with onsets, releases, breaks, breaths and silences; independent ones hold every lane at its own random values so that
a model can learn each lane's effect alone; contradictory ones do so over the whole range with mixed techniques.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.voice_source import smooth_noise
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES, lane

Float64Array = NDArray[np.float64]
Range = tuple[float, float]

OVERSHOOT: Final = 0.12
UNIT_LANES: Final = ("breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front", "tract")
PLANNED_LANES: Final = ("pitch", "loudness", *UNIT_LANES, "ingress", "presence")
_INDEPENDENT_SHARE, _CONTRADICTORY_SHARE = 0.28, 0.10
_FALLING: Final = frozenset({"sigh"})


@dataclass(frozen=True, slots=True)
class Habit:
    """Where a technique usually lies: lane ranges, rate of its false folds (Hz), height of its 3 kHz cluster (dB)."""

    pitch: Range
    loudness: Range
    breathiness: Range
    roughness: Range
    fry: Range
    tension: Range
    rate_hz: Range = (40.0, 110.0)
    ring_db: Range = (0.0, 2.0)
    chaos: Range = (0.1, 0.4)


HABITS: Final = MappingProxyType(
    {
        "modal": Habit((38, 76), (-36, -14), (-0.1, 0.4), (-0.2, 0.06), (-0.2, 0.06), (0.3, 0.7)),
        "breathy": Habit((40, 76), (-46, -20), (0.45, 0.95), (-0.2, 0.06), (-0.2, 0.06), (0.05, 0.45)),
        "whisper": Habit((45, 70), (-55, -22), (1.0, 1.1), (-0.2, 0.15), (-0.2, 0.0), (0.45, 1.0)),
        "sigh": Habit((42, 78), (-46, -18), (0.35, 1.0), (-0.2, 0.1), (-0.2, 0.25), (0.05, 0.5)),
        "fry": Habit((19, 46), (-46, -20), (0.05, 0.6), (-0.2, 0.3), (0.45, 1.1), (0.3, 0.75)),
        "growl": Habit((33, 64), (-32, -11), (0.25, 0.85), (0.4, 1.1), (-0.1, 0.55), (0.45, 0.9), (38, 92), (2, 7)),
        "scream": Habit(
            (58, 92), (-26, -9), (0.3, 1.0), (0.3, 1.1), (-0.1, 0.5), (0.7, 1.1), (60, 150), (4, 11), (0.3, 0.8)
        ),
        "shout": Habit((52, 80), (-22, -9), (-0.05, 0.35), (-0.1, 0.45), (-0.2, 0.1), (0.6, 1.05), ring_db=(3, 8)),
    }
)


@dataclass(frozen=True, slots=True)
class Gesture:
    """Everything the simulator performs, [n_frames] arrays at 100 Hz; lanes in (slightly exceeded) lane units."""

    lanes: dict[str, Float64Array]  # PLANNED_LANES; pitch is the asked note, without drift and vibrato
    technique: dict[str, Float64Array]  # weight of every technique, sums to 1
    roughness_rate_hz: Float64Array
    ring_db: Float64Array
    chaos: float
    kind: str  # "natural", "independent", "contradictory"

    @property
    def n_frames(self) -> int:
        """Length in frames."""
        return len(self.roughness_rate_hz)


@dataclass(slots=True)
class _Draft:
    """A gesture while it is being written; segments fill slices of its arrays."""

    lanes: dict[str, Float64Array]
    technique: dict[str, Float64Array]
    rate_hz: Float64Array
    ring_db: Float64Array


def _blank(n_frames: int) -> _Draft:
    lanes = {name: np.zeros(n_frames) for name in PLANNED_LANES}
    technique = {name: np.zeros(n_frames) for name in TECHNIQUES}
    return _Draft(lanes, technique, np.full(n_frames, 70.0), np.zeros(n_frames))


def _trajectory(rng: np.random.Generator, n_frames: int, reach: Range, start: float | None = None) -> Float64Array:
    """Steady, gliding, arched or wandering values inside `reach` -> [n_frames]."""
    low, high = reach
    first = rng.uniform(low, high) if start is None else start
    kind = rng.choice(("steady", "glide", "arch", "wander"), p=(0.35, 0.3, 0.15, 0.2))
    x = np.linspace(0.0, 1.0, n_frames)
    if kind == "steady":
        return np.full(n_frames, first)
    if kind == "glide":
        curve = x ** rng.uniform(0.6, 1.8)
        return first + (rng.uniform(low, high) - first) * (3.0 * curve**2 - 2.0 * curve**3)
    if kind == "arch":
        return first + (rng.uniform(low, high) - first) * np.sin(np.pi * x ** rng.uniform(0.5, 2.0))
    wander = smooth_noise(rng, n_frames, rng.uniform(8.0, 40.0))
    return np.clip(first + 0.25 * (high - low) * wander, low, high)


def _melody(rng: np.random.Generator, n_frames: int, technique: str, start: float) -> Float64Array:
    """Pitch of one phrase: trajectories, stepped notes, or a break -> [n_frames] MIDI notes."""
    low, high = HABITS[technique].pitch
    if technique in _FALLING:
        x = np.linspace(0.0, 1.0, n_frames)
        return max(start, low + 6.0) - rng.uniform(3.0, 15.0) * x ** rng.uniform(0.7, 1.6)
    kind = rng.choice(("free", "notes", "break"), p=(0.5, 0.35, 0.15))
    if kind == "notes":
        n_notes = max(1, int(n_frames / rng.uniform(18.0, 80.0)))
        steps = rng.choice((-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 7), n_notes)
        notes = np.clip(np.round(start) + np.cumsum(steps) - steps[0], low, high)
        return notes[np.minimum(np.arange(n_frames) * n_notes // n_frames, n_notes - 1)].astype(np.float64)
    span = rng.uniform(0.5, 9.0)
    pitch = _trajectory(rng, n_frames, (max(low, start - span), min(high, start + span)), start)
    if kind == "break":
        at = int(n_frames * rng.uniform(0.2, 0.8))
        length = int(rng.uniform(6.0, 50.0))
        pitch[at : at + length] += rng.choice((-12.0, -7.0, 5.0, 7.0, 12.0))
    return pitch


def _shape_onset(rng: np.random.Generator, lanes: dict[str, Float64Array], technique: str) -> None:
    """Breathy, hard, creaky or plain beginning, in place."""
    n_frames = len(lanes["pitch"])
    frames = np.arange(n_frames)
    kind = rng.choice(("plain", "breathy", "hard", "creaky"), p=(0.35, 0.25, 0.25, 0.15))
    attack_frames = {"plain": rng.uniform(2, 8), "breathy": rng.uniform(8, 22), "hard": 0.8, "creaky": 4.0}[kind]
    decay = np.exp(-frames / attack_frames)
    lanes["loudness"] -= rng.uniform(8.0, 26.0) * decay
    if kind == "breathy":
        lanes["breathiness"] += rng.uniform(0.3, 0.9) * decay
    elif kind == "hard":
        lanes["tension"] += 0.2 * np.exp(-frames / 8.0)
        lanes["loudness"] += rng.uniform(0.0, 4.0) * np.exp(-frames / 10.0)
    elif kind == "creaky" and technique != "whisper":
        creak = np.exp(-((frames / rng.uniform(6.0, 16.0)) ** 4))
        lanes["fry"] += rng.uniform(0.4, 0.9) * creak
        lanes["pitch"] -= rng.uniform(3.0, 18.0) * creak
    lanes["pitch"] -= rng.uniform(0.0, 2.5) * np.exp(-frames / 5.0) * (rng.uniform() < 0.5)


def _shape_release(rng: np.random.Generator, lanes: dict[str, Float64Array], technique: str) -> None:
    """Fading, abrupt, breathy, or creaky end, in place."""
    n_frames = len(lanes["pitch"])
    to_end = np.arange(n_frames)[::-1]
    kind = rng.choice(("fade", "abrupt", "breathy", "creaky"), p=(0.4, 0.25, 0.2, 0.15))
    length = 1.0 if kind == "abrupt" else rng.uniform(6.0, 30.0)
    lanes["loudness"] -= rng.uniform(10.0, 28.0) * np.exp(-to_end / length)
    if kind == "breathy":
        lanes["breathiness"] += rng.uniform(0.3, 0.9) * np.exp(-to_end / length)
    elif kind == "creaky" and technique != "whisper":
        creak = np.exp(-((to_end / rng.uniform(8.0, 25.0)) ** 4))
        lanes["fry"] += rng.uniform(0.4, 0.9) * creak
        lanes["pitch"] -= rng.uniform(3.0, 14.0) * creak


def _write_phrase(
    rng: np.random.Generator, draft: _Draft, span: slice, technique: str, start_note: float, anatomy: float
) -> float:
    """Fill `span` with a phrase of `technique` -> its last note, where the next phrase may go on."""
    habit = HABITS[technique]
    n_frames = span.stop - span.start
    if not habit.pitch[0] <= start_note <= habit.pitch[1]:
        start_note = rng.uniform(*habit.pitch)
    lanes = {
        "loudness": _trajectory(rng, n_frames, habit.loudness),
        "breathiness": _trajectory(rng, n_frames, habit.breathiness),
        "roughness": _trajectory(rng, n_frames, habit.roughness),
        "fry": _trajectory(rng, n_frames, habit.fry),
        "tension": _trajectory(rng, n_frames, habit.tension),
        "vowel_open": _trajectory(rng, n_frames, (0.3, 1.05) if technique in ("scream", "shout") else (-0.05, 1.05)),
        "vowel_front": _trajectory(rng, n_frames, (-0.05, 1.05)),
        "tract": np.clip(anatomy + 0.08 * smooth_noise(rng, n_frames, 30.0), -OVERSHOOT, 1.0 + OVERSHOOT),
        "pitch": _melody(rng, n_frames, technique, start_note),
        "ingress": np.full(
            n_frames, float(technique in ("modal", "breathy", "fry", "scream") and rng.uniform() < 0.06)
        ),
    }
    # Effort shows: louder is brighter, within what the technique allows.
    effort = (lanes["loudness"] - np.mean(habit.loudness)) / (habit.loudness[1] - habit.loudness[0])
    lanes["tension"] += 0.25 * effort
    if technique in _FALLING:
        x = np.linspace(0.0, 1.0, n_frames) ** rng.uniform(0.6, 1.5)
        lanes["loudness"] = rng.uniform(-30.0, -17.0) - rng.uniform(8.0, 26.0) * x
        lanes["breathiness"] = rng.uniform(0.1, 0.5) + rng.uniform(0.35, 0.7) * x
        lanes["tension"] = rng.uniform(0.35, 0.65) - rng.uniform(0.1, 0.4) * x
    _shape_onset(rng, lanes, technique)
    _shape_release(rng, lanes, technique)
    for name, values in lanes.items():
        draft.lanes[name][span] = values
    draft.lanes["presence"][span] = 1.0
    draft.technique[technique][span] = 1.0
    draft.rate_hz[span] = _trajectory(rng, n_frames, habit.rate_hz)
    draft.ring_db[span] = rng.uniform(*habit.ring_db)
    return float(lanes["pitch"][n_frames // 2])


def _write_breath(rng: np.random.Generator, draft: _Draft, span: slice) -> None:
    """Fill `span` with an audible breath, mostly in, sometimes out."""
    n_frames = span.stop - span.start
    swell = np.sin(np.pi * np.linspace(0.02, 0.98, n_frames) ** rng.uniform(0.6, 1.4))
    draft.lanes["loudness"][span] = rng.uniform(-50.0, -28.0) + 18.0 * (swell - 1.0)
    draft.lanes["breathiness"][span] = 1.0 + OVERSHOOT
    draft.lanes["tension"][span] = rng.uniform(0.7, 1.05)
    draft.lanes["vowel_open"][span] = rng.uniform(0.2, 0.9)
    draft.lanes["vowel_front"][span] = rng.uniform(0.1, 0.8)
    draft.lanes["ingress"][span] = float(rng.uniform() < 0.8)
    draft.lanes["presence"][span] = 1.0
    draft.technique["whisper"][span] = 1.0


def _next_technique(rng: np.random.Generator, technique: str | None, previous: str | None) -> str:
    if technique is not None and (previous is None or rng.uniform() < 0.75):
        return technique
    if technique is None and previous is not None and rng.uniform() < 0.5:
        return previous
    return str(rng.choice(TECHNIQUES))


def _natural(rng: np.random.Generator, n_frames: int, technique: str | None) -> _Draft:
    draft = _blank(n_frames)
    anatomy = rng.uniform(-0.1, 1.1)
    draft.lanes["tract"][:] = anatomy
    draft.lanes["pitch"][:] = 57.0
    draft.lanes["loudness"][:] = -50.0
    previous: str | None = None
    note = rng.uniform(36.0, 84.0)
    at = int(rng.uniform(0.0, min(30.0, 0.2 * n_frames))) if rng.uniform() < 0.6 else 0
    while n_frames - at >= 8:
        current = _next_technique(rng, technique, previous)
        length = int(np.clip(rng.lognormal(np.log(110.0), 0.6), 25, 420))
        end = n_frames if n_frames - at - length < 25 else at + length
        note = _write_phrase(rng, draft, slice(at, end), current, note, anatomy)
        previous, at = current, end
        if rng.uniform() < 0.65:  # else the next phrase follows at once and cross-fades
            at += int(rng.uniform(4.0, 45.0))
            if rng.uniform() < 0.35 and n_frames - at >= 60:
                breath_end = at + int(rng.uniform(20.0, 55.0))
                _write_breath(rng, draft, slice(at, breath_end))
                at = breath_end + int(rng.uniform(2.0, 15.0))
    return draft


def _crescendo(rng: np.random.Generator, n_frames: int) -> _Draft:
    """Whisper through breathy and shout to scream, or back."""
    draft = _natural(rng, n_frames, "modal")
    x = np.linspace(0.0, 1.0, n_frames)
    x = x if rng.uniform() < 0.75 else x[::-1].copy()
    stages = ("whisper", "breathy", str(rng.choice(("modal", "growl"))), "shout", "scream")
    knots = np.linspace(0.0, 1.0, len(stages))
    for name in TECHNIQUES:
        draft.technique[name][:] = np.interp(x, knots, [float(stage == name) for stage in stages])
    for name in ("loudness", "breathiness", "roughness", "fry", "tension"):
        targets = [rng.uniform(*getattr(HABITS[stage], name)) for stage in stages]
        draft.lanes[name][:] = np.interp(x, knots, sorted(targets) if name == "loudness" else targets)
    low = rng.uniform(45.0, 58.0)
    draft.lanes["pitch"][:] = low + rng.uniform(5.0, 28.0) * x
    draft.lanes["presence"][:] = 1.0
    draft.lanes["ingress"][:] = 0.0
    draft.rate_hz[:] = rng.uniform(55.0, 90.0) + rng.uniform(0.0, 50.0) * x
    draft.ring_db[:] = rng.uniform(5.0, 10.0) * x**2
    return draft


def _held(rng: np.random.Generator, n_frames: int, reach: Range, mean_frames: float) -> Float64Array:
    """Piecewise-constant values at random moments -> [n_frames]."""
    n_pieces = max(1, rng.poisson(n_frames / mean_frames))
    edges = np.sort(rng.integers(0, n_frames, n_pieces - 1)) if n_pieces > 1 else np.empty(0, dtype=np.int64)
    piece = np.searchsorted(edges, np.arange(n_frames), side="right")
    return rng.uniform(*reach, n_pieces)[piece]


def _independent(rng: np.random.Generator, n_frames: int, technique: str | None, *, whole_range: bool) -> _Draft:
    draft = _blank(n_frames)
    mean_frames = rng.uniform(50.0, 180.0)
    main = technique or str(rng.choice(TECHNIQUES))
    wide = whole_range or rng.uniform() < 0.2
    draft.lanes["pitch"][:] = _held(rng, n_frames, (24.0, 96.0) if wide else (36.0, 84.0), mean_frames)
    draft.lanes["loudness"][:] = _held(rng, n_frames, (-55.0, -9.0), mean_frames)
    for name in UNIT_LANES:
        # Half of the irregular lanes rest at zero, or their sum would always be chaos.
        rests = name in ("roughness", "fry") and not whole_range and rng.uniform() < 0.5
        draft.lanes[name][:] = _held(rng, n_frames, (-0.2, 0.0) if rests else (-0.1, 1.1), mean_frames)
    if main == "whisper" and not whole_range:
        draft.lanes["breathiness"][:] = 1.0 + OVERSHOOT
    if rng.uniform() < (0.4 if whole_range else 0.15):
        draft.lanes["ingress"][:] = np.round(_held(rng, n_frames, (0.0, 1.0), mean_frames))
    draft.lanes["presence"][:] = _held(rng, n_frames, (0.0, 1.0), 60.0) > 0.15
    draft.rate_hz[:] = _held(rng, n_frames, (30.0, 150.0), mean_frames)
    draft.ring_db[:] = rng.uniform(*HABITS[main].ring_db)
    if whole_range:
        other = str(rng.choice(TECHNIQUES))
        share = _held(rng, n_frames, (0.0, 1.0), mean_frames)
        draft.technique[main] += share
        draft.technique[other] += 1.0 - share
    else:
        draft.technique[main][:] = 1.0
    return draft


def _smoothed(values: Float64Array, width_frames: float) -> Float64Array:
    half = max(int(np.ceil(3.0 * width_frames)), 1)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / width_frames) ** 2)
    smooth = np.convolve(np.pad(values, half, mode="edge"), kernel / kernel.sum(), mode="valid")
    return smooth.astype(np.float64)


def plan_gesture(rng: np.random.Generator, n_frames: int, technique: str | None = None) -> Gesture:
    """A random gesture of `n_frames` (> 0), mainly of `technique` when given. UserError for an unknown technique."""
    if technique is not None and technique not in TECHNIQUES:
        raise UserError(f"There is no technique called {technique!r}.", remedy=f"Use one of {', '.join(TECHNIQUES)}.")
    draw = rng.uniform()
    if draw < _CONTRADICTORY_SHARE:
        kind, draft = "contradictory", _independent(rng, n_frames, technique, whole_range=True)
    elif draw < _CONTRADICTORY_SHARE + _INDEPENDENT_SHARE:
        kind, draft = "independent", _independent(rng, n_frames, technique, whole_range=False)
    elif technique is None and rng.uniform() < 0.1:
        kind, draft = "natural", _crescendo(rng, n_frames)
    else:
        kind, draft = "natural", _natural(rng, n_frames, technique)

    blend_frames = rng.uniform(2.5, 14.0) if kind == "natural" else rng.uniform(1.5, 4.0)
    lanes = {name: _smoothed(values, blend_frames) for name, values in draft.lanes.items()}
    lanes["pitch"] = np.clip(_smoothed(draft.lanes["pitch"], rng.uniform(0.8, 4.0)), 15.5, 96.0)
    # Attacks are faster than cross-fades.
    lanes["loudness"] = _smoothed(draft.lanes["loudness"], min(blend_frames, 2.5))
    lanes["loudness"] = np.clip(lanes["loudness"], lane("loudness").minimum, lane("loudness").maximum)
    lanes["presence"] = (draft.lanes["presence"] > 0.5).astype(np.float64)
    for name in UNIT_LANES:
        lanes[name] = np.clip(lanes[name], -2.0 * OVERSHOOT, 1.0 + OVERSHOOT)
    weights = {name: _smoothed(values, blend_frames) for name, values in draft.technique.items()}
    total = sum(weights.values()) + np.zeros(n_frames)
    silent = total < 1e-6
    weights = {name: values / np.where(silent, 1.0, total) for name, values in weights.items()}
    weights["modal"] = np.where(silent, 1.0, weights["modal"])
    main = technique or max(weights, key=lambda name: float(weights[name].sum()))
    chaos = float(rng.uniform(*HABITS[main].chaos))
    rate_hz = np.clip(_smoothed(draft.rate_hz, blend_frames), 30.0, 150.0)
    return Gesture(lanes, weights, rate_hz, _smoothed(draft.ring_db, blend_frames), chaos, kind)
