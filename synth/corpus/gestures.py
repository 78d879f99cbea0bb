"""Random vocal gestures as people make them, and as nobody would: the lanes a simulated clip is made from.

A gesture is planned in lane units at frame rate. Lanes of 0..1 may reach a little beyond (`OVERSHOOT`): the physical
quantity goes on where the lane's label is clamped. Natural gestures string together phrases of one or more techniques
with onsets, releases, breaks, breaths and silences; independent ones hold every lane at its own random values so that
a model can learn each lane's effect alone; contradictory ones do so over the whole range with mixed techniques.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.habits import HABITS, OVERSHOOT, Person, Range, compass, manner_of, somebody
from synth.corpus.phrases import (
    break_register,
    delayed,
    melody,
    shape_onset,
    shape_release,
    sigh,
    sob,
    trajectory,
    vowels,
)
from synth.corpus.voice_source import smooth_noise
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES, lane

Float64Array = NDArray[np.float64]

UNIT_LANES: Final = ("breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front", "tract")
PLANNED_LANES: Final = ("pitch", "loudness", *UNIT_LANES, "ingress", "presence")
_INDEPENDENT_SHARE, _CONTRADICTORY_SHARE = 0.28, 0.10
_LONG_NOTE_SHARE = 0.16
_LOWEST_NOTE = 15.5


@dataclass(frozen=True, slots=True)
class Gesture:
    """Everything the simulator performs, [n_frames] arrays at 100 Hz; lanes in (slightly exceeded) lane units."""

    lanes: dict[str, Float64Array]  # PLANNED_LANES; pitch is the asked note, without drift and vibrato
    technique: dict[str, Float64Array]  # weight of every technique, sums to 1
    roughness_rate_hz: Float64Array
    ring_db: Float64Array
    chaos: float
    kind: str  # "natural", "independent", "contradictory"
    vibrato: Float64Array | None = None  # 0..1: share of the singer's vibrato; None is none

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
    vibrato: Float64Array


def _blank(n_frames: int) -> _Draft:
    lanes = {name: np.zeros(n_frames) for name in PLANNED_LANES}
    technique = {name: np.zeros(n_frames) for name in TECHNIQUES}
    return _Draft(lanes, technique, np.full(n_frames, 70.0), np.zeros(n_frames), np.zeros(n_frames))


def _write_phrase(
    rng: np.random.Generator, draft: _Draft, span: slice, technique: str, start_note: float, person: Person
) -> float:
    """Fill `span` with a phrase of `technique` -> its last note, where the next phrase may go on."""
    habit = HABITS[technique]
    reach = compass(habit, person)
    n_frames = span.stop - span.start
    if not reach[0] <= start_note <= reach[1]:
        start_note = rng.uniform(*reach)
    manner = manner_of(rng, technique)
    lanes = {name: trajectory(rng, n_frames, limits) for name, limits in manner.items()}
    lanes["vowel_open"], lanes["vowel_front"] = vowels(rng, n_frames, technique, person.formant_scale)
    lanes["tract"] = person.tract + 0.05 * smooth_noise(rng, n_frames, 40.0)
    lanes["pitch"], vibrato = melody(rng, n_frames, reach, start_note)
    lanes["ingress"] = np.zeros(n_frames)
    # Effort shows: louder is brighter, within what the technique allows.
    effort = (lanes["loudness"] - np.mean(habit.loudness)) / (habit.loudness[1] - habit.loudness[0])
    lanes["tension"] += 0.25 * effort
    _act(rng, lanes, technique, n_frames)
    shape_onset(rng, lanes, technique)
    shape_release(rng, lanes, technique)
    for name, values in lanes.items():
        draft.lanes[name][span] = values
    draft.lanes["presence"][span] = 1.0
    draft.technique[technique][span] = 1.0
    draft.rate_hz[span] = trajectory(rng, n_frames, habit.rate_hz)
    draft.ring_db[span] = rng.uniform(*habit.ring_db) if technique != "modal" else rng.choice((0.0, 1.0, 3.0, 8.0))
    draft.vibrato[span] = vibrato * (technique in ("modal", "breathy", "shout"))
    return float(lanes["pitch"][n_frames // 2])


def _act(rng: np.random.Generator, lanes: dict[str, Float64Array], technique: str, n_frames: int) -> None:
    """What happens within a phrase of the technique, in place."""
    x = np.linspace(0.0, 1.0, n_frames)
    if technique == "sigh":
        sigh(rng, lanes)
    elif technique in ("modal", "breathy", "shout"):
        if n_frames > 60 and rng.uniform() < 0.2:
            break_register(rng, lanes)
        if rng.uniform() < 0.06:
            sob(rng, lanes)
        if rng.uniform() < 0.2:  # messa di voce
            swell = np.sin(np.pi * x ** rng.uniform(0.7, 1.4)) - 0.6
            lanes["loudness"] += rng.uniform(6.0, 16.0) * swell
            lanes["tension"] += rng.uniform(0.1, 0.3) * swell
    elif technique == "scream":
        lanes["pitch"] += rng.uniform(0.0, 7.0) * (np.sin(np.pi * x ** rng.uniform(0.5, 1.2)) - 1.0)
        # Bifurcations: stretches of sub-harmonics and chaos come and go at once.
        loose = smooth_noise(rng, n_frames, rng.uniform(8.0, 30.0)) > rng.uniform(0.0, 1.5)
        lanes["fry"] += rng.uniform(0.2, 0.6) * loose
        lanes["roughness"] += rng.uniform(0.0, 0.4) * loose


def _write_breath(rng: np.random.Generator, draft: _Draft, span: slice) -> None:
    """Fill `span` with an audible breath, mostly in, sometimes out."""
    n_frames = span.stop - span.start
    swell = np.sin(np.pi * np.linspace(0.02, 0.98, n_frames) ** rng.uniform(0.6, 1.4))
    draft.lanes["loudness"][span] = rng.uniform(-42.0, -26.0) + 14.0 * (swell - 1.0)
    draft.lanes["breathiness"][span] = 1.0 + OVERSHOOT
    inwards = rng.uniform() < 0.8
    draft.lanes["tension"][span] = rng.uniform(1.0, 1.1) if inwards else rng.uniform(0.7, 1.05)
    draft.lanes["vowel_open"][span] = rng.uniform(0.55, 0.85)
    draft.lanes["vowel_front"][span] = rng.uniform(0.55, 0.85)
    # The palate and the tongue are out of the way: a gasp has the colour of a smaller tract.
    draft.lanes["tract"][span] = np.minimum(draft.lanes["tract"][span], rng.uniform(0.2, 0.4))
    draft.lanes["ingress"][span] = float(inwards)
    draft.lanes["presence"][span] = 1.0
    draft.technique["breathy" if inwards else "whisper"][span] = 1.0


def _next_technique(rng: np.random.Generator, technique: str | None, previous: str | None) -> str:
    if technique is not None and (previous is None or rng.uniform() < 0.75):
        return technique
    if technique is None and previous is not None and rng.uniform() < 0.5:
        return previous
    return str(rng.choice(TECHNIQUES))


def _natural(rng: np.random.Generator, n_frames: int, technique: str | None) -> _Draft:
    draft = _blank(n_frames)
    person = somebody(rng)
    draft.lanes["tract"][:] = person.tract
    draft.lanes["pitch"][:] = 57.0
    draft.lanes["loudness"][:] = -50.0
    previous: str | None = None
    note = person.middle_note + rng.uniform(-10.0, 12.0)
    in_one_breath = rng.uniform() < _LONG_NOTE_SHARE
    at = int(rng.uniform(0.0, min(30.0, 0.2 * n_frames))) if rng.uniform() < 0.6 else 0
    while n_frames - at >= 8:
        current = _next_technique(rng, technique, previous)
        length = int(np.clip(rng.lognormal(np.log(110.0), 0.6), 25, 420))
        if current == "sigh":
            length = int(rng.uniform(60.0, 220.0))
        elif in_one_breath:
            length = n_frames
        end = n_frames if n_frames - at - length < 25 else at + length
        note = _write_phrase(rng, draft, slice(at, end), current, note, person)
        previous, at = current, end
        if rng.uniform() < 0.65 or current == "sigh":  # else the next phrase follows at once and cross-fades
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


def _widened(reach: Range, by: float) -> Range:
    """`reach` with both ends moved outwards by `by` of its width."""
    width = by * (reach[1] - reach[0])
    return reach[0] - width, reach[1] + width


def _independent(rng: np.random.Generator, n_frames: int, technique: str | None, *, whole_range: bool) -> _Draft:
    """Every lane held at its own random values; over its whole range, or not far from the technique's habit."""
    draft = _blank(n_frames)
    mean_frames = rng.uniform(50.0, 180.0)
    main = technique or str(rng.choice(TECHNIQUES))
    habit = HABITS[main]
    near = not whole_range and rng.uniform() < 0.5
    wide = whole_range or rng.uniform() < 0.2
    anywhere = (24.0, 96.0) if wide else (36.0, 84.0)
    draft.lanes["pitch"][:] = _held(rng, n_frames, _widened(habit.pitch, 0.15) if near else anywhere, mean_frames)
    draft.lanes["loudness"][:] = _held(rng, n_frames, (-55.0, -9.0), mean_frames)
    for name in UNIT_LANES:
        # Half of the irregular lanes rest at zero, or their sum would always be chaos.
        rests = name in ("roughness", "fry") and not whole_range and rng.uniform() < 0.5
        reach = (-0.2, 0.0) if rests else (-0.1, 1.1)
        if near and hasattr(habit, name):
            reach = _widened(getattr(habit, name), 0.35)
        draft.lanes[name][:] = np.clip(_held(rng, n_frames, reach, mean_frames), -0.25, 1.0 + OVERSHOOT)
    if main == "whisper" and not whole_range:
        draft.lanes["breathiness"][:] = 1.0 + OVERSHOOT
    if main == "sigh" and not whole_range:
        _sink(rng, draft, mean_frames)
    draft.lanes["presence"][:] = _held(rng, n_frames, (0.0, 1.0), 60.0) > 0.15
    draft.rate_hz[:] = _held(rng, n_frames, (30.0, 150.0), mean_frames)
    draft.ring_db[:] = rng.uniform(*habit.ring_db)
    draft.vibrato[:] = delayed(
        n_frames, np.zeros(1, dtype=np.int64), rng.uniform(0.0, 60.0, 1), rng.uniform(10.0, 40.0)
    ) * (rng.uniform() < 0.5)
    if whole_range:
        other = str(rng.choice(TECHNIQUES))
        share = _held(rng, n_frames, (0.0, 1.0), mean_frames)
        draft.technique[main] += share
        draft.technique[other] += 1.0 - share
    else:
        draft.technique[main][:] = 1.0
    return draft


def _sink(rng: np.random.Generator, draft: _Draft, mean_frames: float) -> None:
    """Again and again pitch and level fall while breath grows, whatever the lanes start from, in place."""
    n_frames = len(draft.rate_hz)
    period = max(mean_frames, 60.0)
    x = np.mod(np.arange(n_frames), period) / period
    draft.lanes["pitch"] -= rng.uniform(3.0, 10.0) * x
    draft.lanes["loudness"] -= rng.uniform(6.0, 16.0) * x
    draft.lanes["breathiness"] += rng.uniform(0.2, 0.6) * x
    draft.lanes["tension"] -= rng.uniform(0.0, 0.3) * x


def hold_note(rng: np.random.Generator, n_frames: int, technique: str) -> Gesture:
    """One tone of `technique` held by somebody at home in it, without onset, release or vibrato."""
    draft = _blank(n_frames)
    person = somebody(rng)
    habit = HABITS[technique]
    for name, reach in manner_of(rng, technique).items():
        draft.lanes[name][:] = rng.uniform(*reach)
    open_lane, front_lane = vowels(rng, n_frames, technique, person.formant_scale)
    draft.lanes["vowel_open"][:], draft.lanes["vowel_front"][:] = open_lane[0], front_lane[0]
    draft.lanes["tract"][:] = person.tract
    draft.lanes["pitch"][:] = rng.uniform(*compass(habit, person))
    draft.lanes["presence"][:] = 1.0
    draft.technique[technique][:] = 1.0
    draft.rate_hz[:] = rng.uniform(*habit.rate_hz)
    draft.ring_db[:] = rng.uniform(*habit.ring_db)
    if technique == "sigh":
        sigh(rng, draft.lanes)
    chaos = float(rng.uniform(*habit.chaos))
    return Gesture(draft.lanes, draft.technique, draft.rate_hz, draft.ring_db, chaos, "natural")


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
    elif technique is None and rng.uniform() < 0.2:
        kind, draft = "natural", _crescendo(rng, n_frames)
    else:
        kind, draft = "natural", _natural(rng, n_frames, technique)

    natural = kind == "natural"
    blend_frames = rng.uniform(1.5, 4.0)
    lanes = {name: _smoothed(values, blend_frames) for name, values in draft.lanes.items()}
    lanes["pitch"] = np.clip(_smoothed(draft.lanes["pitch"], rng.uniform(0.6, 1.6)), _LOWEST_NOTE, 96.0)
    # Attacks are faster than cross-fades.
    lanes["loudness"] = _smoothed(draft.lanes["loudness"], min(blend_frames, 2.5))
    lanes["loudness"] = np.clip(lanes["loudness"], lane("loudness").minimum, lane("loudness").maximum)
    lanes["presence"] = (draft.lanes["presence"] > 0.5).astype(np.float64)
    for name in UNIT_LANES:
        lanes[name] = np.clip(lanes[name], -2.0 * OVERSHOOT, 1.0 + OVERSHOOT)
    fade_frames = rng.uniform(2.5, 12.0) if natural else blend_frames
    weights = {name: _smoothed(values, fade_frames) for name, values in draft.technique.items()}
    total = sum(weights.values()) + np.zeros(n_frames)
    silent = total < 1e-6
    weights = {name: values / np.where(silent, 1.0, total) for name, values in weights.items()}
    weights["modal"] = np.where(silent, 1.0, weights["modal"])
    main = technique or max(weights, key=lambda name: float(weights[name].sum()))
    chaos = float(rng.uniform(*HABITS[main].chaos))
    rate_hz = np.clip(_smoothed(draft.rate_hz, blend_frames), 30.0, 150.0)
    vibrato = np.clip(_smoothed(draft.vibrato, 3.0), 0.0, 1.0)
    return Gesture(lanes, weights, rate_hz, _smoothed(draft.ring_db, blend_frames), chaos, kind, vibrato)
