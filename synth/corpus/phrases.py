"""How people shape one phrase: notes joined by portamento, breaks of register, sobs, onsets, releases, vowels.

Everything works on one phrase's lanes, [n_frames] at 100 Hz in lane units.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.voice_source import smooth_noise
from synth.spec.calibration import to_lane
from synth.spec.lanes import Calibration, lane

Float64Array = NDArray[np.float64]
Range = tuple[float, float]
Lanes = dict[str, Float64Array]

# F1, F2 of twelve vowels of men, Hz: means of Hillenbrand, Getty, Clark & Wheeler (1995).
VOWELS_HZ: Final = (
    (342.0, 2322.0), (427.0, 2034.0), (476.0, 2089.0), (580.0, 1799.0), (588.0, 1952.0), (768.0, 1333.0),
    (652.0, 997.0), (497.0, 910.0), (469.0, 1122.0), (378.0, 997.0), (623.0, 1200.0), (474.0, 1379.0),
)  # fmt: skip
_OPEN_VOWELS: Final = (3, 4, 5, 6, 10)
_NEUTRAL: Final = (10, 11, 5)
_INTERVALS: Final = (-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 7)
# Swerdlin, Smith & Wolfe (2010): whispering raises the first resonances by 255 and 115 Hz on average.
_WHISPER_RAISES_HZ: Final = ((255.0, 60.0), (115.0, 70.0))
_NO_VOICE: Final = "whisper"


def trajectory(rng: np.random.Generator, n_frames: int, reach: Range, start: float | None = None) -> Float64Array:
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


def delayed(n_frames: int, starts: NDArray[np.integer], delays: Float64Array, rise_frames: float) -> Float64Array:
    """0 at each start, then rising to 1 after its delay (frames): how vibrato comes in. -> [n_frames]"""
    at = np.arange(n_frames)
    piece = np.maximum(np.searchsorted(starts, at, side="right") - 1, 0)
    return np.clip((at - starts[piece] - delays[piece]) / rise_frames, 0.0, 1.0)


def melody(rng: np.random.Generator, n_frames: int, reach: Range, start: float) -> tuple[Float64Array, Float64Array]:
    """Pitch of one phrase inside `reach` (MIDI notes) and the share of vibrato -> two [n_frames]."""
    low, high = reach
    kind = rng.choice(("notes", "held", "glide", "siren"), p=(0.4, 0.25, 0.25, 0.1))
    if kind == "notes":
        return _notes(rng, n_frames, reach, start)
    entry = delayed(n_frames, np.zeros(1, dtype=np.int64), rng.uniform(10.0, 70.0, 1), rng.uniform(15.0, 60.0))
    if kind == "held":
        return np.full(n_frames, start), entry
    if kind == "siren":
        turns = rng.uniform(0.5, 2.0) * np.linspace(0.0, 1.0, n_frames) + rng.choice((0.0, 0.5))
        return np.clip(start + rng.uniform(3.0, 12.0) * np.sin(2.0 * np.pi * turns), low, high), 0.2 * entry
    span = rng.uniform(1.0, 12.0)
    return trajectory(rng, n_frames, (max(low, start - span), min(high, start + span)), start), 0.4 * entry


def _notes(rng: np.random.Generator, n_frames: int, reach: Range, start: float) -> tuple[Float64Array, Float64Array]:
    """Notes of a scale joined by portamento, each with its vibrato coming in late."""
    count = max(1, int(n_frames / rng.uniform(18.0, 90.0)))
    steps = np.cumsum(rng.choice(_INTERVALS, count))
    notes = np.clip(np.round(start) + steps - steps[0], *reach) + rng.normal(0.0, 0.12, count)
    edges = np.sort(rng.integers(0, n_frames, count - 1)) if count > 1 else np.empty(0, dtype=np.int64)
    at = np.arange(n_frames, dtype=np.float64)
    pitch = np.full(n_frames, notes[0])
    slowness = rng.uniform(1.2, 3.0) if rng.uniform() < 0.7 else rng.uniform(3.0, 9.0)
    for edge, before, after in zip(edges, notes[:-1], notes[1:], strict=True):
        glide = slowness * rng.uniform(0.7, 1.4)
        place = (at - edge) / glide
        pitch += (after - before) / (1.0 + np.exp(-np.clip(place, -40.0, 40.0)))
        # Notes are overshot a little and settle (Saitou, Unoki & Akagi 2005).
        late = np.maximum(place - 2.0, 0.0)
        pitch += 0.09 * (after - before) * rng.uniform(0.0, 1.5) * late * np.exp(1.0 - late) * (late > 0.0)
    starts = np.concatenate([[0], edges]).astype(np.int64)
    return pitch, delayed(n_frames, starts, rng.uniform(12.0, 45.0, count), rng.uniform(12.0, 40.0))


def break_register(rng: np.random.Generator, lanes: Lanes) -> None:
    """One voice flips into the other, with a jump, a moment of disorder and another colour, in place.

    Modal to falsetto jumps by 5 to 12 semitones and back by up to 9 (Svec & Pesak 1994, Svec, Schutte & Miller 1999).
    """
    n_frames = len(lanes["pitch"])
    at = int(n_frames * rng.uniform(0.15, 0.85))
    back = min(at + int(rng.uniform(8.0, 120.0)), n_frames)
    up = rng.uniform() < 0.7
    side = slice(at, back)
    lanes["pitch"][side] += rng.uniform(5.0, 12.0) if up else -rng.uniform(4.0, 9.0)
    if up:
        lanes["tension"][side] -= rng.uniform(0.1, 0.3)
        lanes["breathiness"][side] += rng.uniform(0.05, 0.3)
    frames = np.arange(n_frames)
    for edge in (at, back):
        moment = np.exp(-(((frames - edge) / rng.uniform(2.0, 5.0)) ** 2))
        lanes["fry"] += rng.uniform(0.2, 0.8) * moment
        lanes["loudness"] -= rng.uniform(3.0, 14.0) * moment
        lanes["breathiness"] += rng.uniform(0.0, 0.3) * moment


def sob(rng: np.random.Generator, lanes: Lanes) -> None:
    """Weeping: the voice breaks off again and again, each time from above, in place."""
    n_frames = len(lanes["pitch"])
    period = rng.uniform(18.0, 42.0)
    place = np.mod(np.arange(n_frames) + rng.uniform(0.0, period), period) / period
    gap = np.exp(-((np.minimum(place, 1.0 - place) / 0.12) ** 2))
    lanes["loudness"] -= rng.uniform(8.0, 22.0) * gap
    lanes["breathiness"] += rng.uniform(0.2, 0.6) * gap
    lanes["pitch"] += rng.uniform(1.0, 5.0) * np.exp(-place / 0.2)
    lanes["fry"] += rng.uniform(0.0, 0.5) * np.exp(-(((1.0 - place) / 0.15) ** 2))


def shape_onset(rng: np.random.Generator, lanes: Lanes, technique: str) -> None:
    """Soft, breathy, glottal, creaky or scooped beginning, in place."""
    n_frames = len(lanes["pitch"])
    frames = np.arange(n_frames)
    kinds = ("soft", "breathy", "glottal", "creaky", "scoop")
    kind = rng.choice(kinds, p=(0.3, 0.22, 0.22, 0.12, 0.14))
    attack_frames = {"breathy": rng.uniform(8, 22), "glottal": 0.8, "creaky": 4.0}.get(kind, rng.uniform(2, 8))
    decay = np.exp(-frames / attack_frames)
    lanes["loudness"] -= rng.uniform(8.0, 26.0) * decay
    if kind == "breathy":
        lanes["breathiness"] += rng.uniform(0.4, 1.0) * decay
    elif kind == "glottal":
        # Folds pressed together burst open: a few irregular pulses, too bright, too loud and sharp.
        burst = np.exp(-frames / 6.0)
        lanes["tension"] += rng.uniform(0.1, 0.3) * burst
        lanes["loudness"] += rng.uniform(0.0, 5.0) * np.exp(-frames / 10.0)
        lanes["pitch"] += rng.uniform(0.0, 1.2) * burst
        if technique != _NO_VOICE:
            lanes["fry"] += rng.uniform(0.0, 0.7) * np.exp(-frames / 2.5)
    elif kind == "creaky" and technique != _NO_VOICE:
        creak = np.exp(-((frames / rng.uniform(6.0, 20.0)) ** 4))
        lanes["fry"] += rng.uniform(0.4, 0.9) * creak
        lanes["pitch"] -= rng.uniform(3.0, 18.0) * creak
    elif kind == "scoop":
        lanes["pitch"] -= rng.uniform(0.5, 5.0) * np.exp(-frames / rng.uniform(4.0, 14.0))


def shape_release(rng: np.random.Generator, lanes: Lanes, technique: str) -> None:
    """Fading, abrupt, breathy, creaky or falling end, in place."""
    n_frames = len(lanes["pitch"])
    to_end = np.arange(n_frames)[::-1]
    kind = rng.choice(("fade", "abrupt", "breathy", "creaky", "fall"), p=(0.32, 0.22, 0.2, 0.14, 0.12))
    length = 1.0 if kind == "abrupt" else rng.uniform(6.0, 30.0)
    decay = np.exp(-to_end / length)
    lanes["loudness"] -= rng.uniform(14.0, 34.0) * decay
    if kind == "breathy":
        lanes["breathiness"] += rng.uniform(0.3, 0.9) * decay
        lanes["tension"] -= rng.uniform(0.0, 0.2) * decay
    elif kind == "creaky" and technique != _NO_VOICE:
        creak = np.exp(-((to_end / rng.uniform(8.0, 25.0)) ** 4))
        lanes["fry"] += rng.uniform(0.4, 0.9) * creak
        lanes["pitch"] -= rng.uniform(3.0, 14.0) * creak
    elif kind == "fall":
        lanes["pitch"] -= rng.uniform(1.0, 9.0) * decay


def sigh(rng: np.random.Generator, lanes: Lanes) -> None:
    """Air let go: pitch and level fall, breath grows until only breath is left, the throat opens, in place."""
    n_frames = len(lanes["pitch"])
    x = np.linspace(0.0, 1.0, n_frames)
    fall = x ** rng.uniform(0.6, 1.3)
    lanes["pitch"] = lanes["pitch"][0] - rng.uniform(4.0, 14.0) * fall
    lanes["loudness"] = rng.uniform(-32.0, -18.0) - rng.uniform(8.0, 22.0) * fall
    lanes["breathiness"] = rng.uniform(0.2, 0.5) + rng.uniform(0.4, 0.7) * fall
    lanes["tension"] = rng.uniform(0.3, 0.5) - rng.uniform(0.1, 0.35) * fall
    alone = rng.uniform(0.65, 0.95)  # from here on it is breath
    out = np.clip((x - alone) / 0.12, 0.0, 1.0)
    lanes["breathiness"] += 0.5 * out
    lanes["tension"] += 0.3 * out  # breath alone is brighter than a lax voice
    aspirated = np.exp(-np.arange(n_frames) / rng.uniform(3.0, 10.0))
    lanes["breathiness"] += rng.uniform(0.3, 0.8) * aspirated * (rng.uniform() < 0.7)


def vowels(rng: np.random.Generator, n_frames: int, technique: str, scale: float) -> tuple[Float64Array, Float64Array]:
    """vowel_open and vowel_front of a phrase sung by a tract of formant scale `scale` -> two [n_frames]."""
    if rng.uniform() < 0.3:
        low = 0.3 if technique in ("scream", "shout", "sigh") else -0.05
        return trajectory(rng, n_frames, (low, 1.05)), trajectory(rng, n_frames, (-0.05, 1.05))
    choice = {"scream": _OPEN_VOWELS, "shout": _OPEN_VOWELS, "growl": (*_OPEN_VOWELS, 7, 11), "sigh": _NEUTRAL}
    among = choice.get(technique, tuple(range(len(VOWELS_HZ))))
    count = 1 if n_frames < 60 else int(rng.integers(1, 4))
    targets = np.asarray([VOWELS_HZ[int(rng.choice(among))] for _ in range(count)])
    targets *= (0.3 + 0.7 * scale) * (1.0 + 0.06 * rng.standard_normal(targets.shape))
    if technique == _NO_VOICE:
        targets += [rng.normal(*raise_hz) for raise_hz in _WHISPER_RAISES_HZ]
    elif technique in ("scream", "shout"):
        targets[:, 0] *= rng.uniform(1.1, 1.4)  # the jaw drops with effort
    if technique == "sigh":
        targets[-1] = 0.5 * targets[-1] + 0.5 * np.asarray([560.0, 1_350.0]) * scale
    edges = np.linspace(0.0, n_frames, count + 1)[1:-1]
    x = np.arange(n_frames, dtype=np.float64)[:, None]
    width = rng.uniform(2.0, 8.0)
    moves = 1.0 / (1.0 + np.exp(-np.clip((x - edges[None, :]) / width, -40.0, 40.0)))
    hz = targets[0] + moves @ np.diff(targets, axis=0)
    return _in_lane("vowel_open", hz[:, 0]), _in_lane("vowel_front", hz[:, 1])


def _in_lane(lane_id: str, hz: Float64Array) -> Float64Array:
    calibration = lane(lane_id).calibration
    assert isinstance(calibration, Calibration)
    return to_lane(calibration, hz).astype(np.float64)
