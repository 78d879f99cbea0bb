"""What a composer writes: voices with notes and drawn lanes over a stretch of time.

Times are seconds from the passage's start; pitch is a MIDI note number (69.0 = 440 Hz), fractional. Everything is
immutable, so any thread may hold it, and checked when made: a wrong value cannot be represented. Faults are
PlacedErrors (UserErrors) that name the key and its place. Qt-free and torch-free.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args

import numpy as np

from app.state.curves import hold_linear, hold_smooth, hold_step
from app.state.places import PlacedError, at
from synth.spec.audio import FRAME_RATE_HZ, HOP_S
from synth.spec.controls import Float32Array
from synth.spec.lanes import LANE_IDS, TECHNIQUES, is_adapter_lane, lane

Interpolation = Literal["linear", "step", "smooth"]
INTERPOLATIONS: Final[tuple[Interpolation, ...]] = get_args(Interpolation)
Point = tuple[float, float]

MAX_DURATION_S: Final = 4 * 3600.0
MAX_SEED: Final = 2**63 - 1
MAX_ADAPTER_STRENGTH: Final = 1.5
GAIN_DB_RANGE: Final = (-96.0, 24.0)
BPM_RANGE: Final = (5.0, 1000.0)
TIME_TOLERANCE_S: Final = 1e-6  # a note may end this much after the passage: decimal rounding of hand-written files

_start_of = attrgetter("start_s")


def lane_range(lane_id: str) -> tuple[float, float]:
    """Smallest and largest value of a lane, adapter lanes included. Raises PlacedError for an unknown lane."""
    if is_adapter_lane(lane_id):
        return 0.0, MAX_ADAPTER_STRENGTH
    if lane_id not in LANE_IDS:
        raise PlacedError("", "unknown lane.", remedy=f"Use one of {', '.join(LANE_IDS)}.")
    spec = lane(lane_id)
    return spec.minimum, spec.maximum


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def check_number(value: float, low: float, high: float, place: str) -> None:
    """Raise PlacedError unless low <= value <= high (NaN and infinities never are)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise PlacedError(place, f"{repr(value)[:40]} is not a finite number.")
    if value < low:
        raise PlacedError(place, f"{value:g} is below {low:g}.", remedy=f"Use {low:g} to {high:g}.")
    if value > high:
        raise PlacedError(place, f"{value:g} is above {high:g}.", remedy=f"Use {low:g} to {high:g}.")


@dataclass(frozen=True, slots=True)
class Note:
    """One note. `note` 24..96, fractional; `velocity` 1..127; `technique` one of TECHNIQUES or None (the preset's)."""

    start_s: float
    duration_s: float
    note: float
    velocity: int = 96
    technique: str | None = None

    def __post_init__(self) -> None:
        check_number(self.start_s, 0.0, MAX_DURATION_S, "start_s")
        check_number(self.duration_s, 0.0, MAX_DURATION_S, "duration_s")
        if self.duration_s == 0:
            raise PlacedError("duration_s", "a note cannot last 0 s.")
        check_number(self.note, *lane_range("pitch"), "note")
        if not isinstance(self.velocity, int):
            raise PlacedError("velocity", f"{self.velocity!r} is not a whole number.")
        check_number(self.velocity, 1, 127, "velocity")
        if self.technique is not None and self.technique not in TECHNIQUES:
            raise PlacedError(
                "technique", f"unknown technique {self.technique!r}.", remedy=f"Use one of {', '.join(TECHNIQUES)}."
            )

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Lane:
    """A drawn curve: (t_s, value) points with strictly increasing times, held flat beyond its ends.

    `linear` joins the points, `step` holds each value until the next point, `smooth` is a monotone cubic through the
    points that eases out of the first and into the last (Fritsch & Butland 1984; never overshoots). Every frame
    depends on the two points beside it only (smooth: four).
    """

    points: tuple[Point, ...]
    interpolation: Interpolation = "linear"
    value_span: tuple[float, float] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise PlacedError(
                "interpolation", f"unknown interpolation {self.interpolation!r}.", remedy="Use linear, step or smooth."
            )
        if not self.points:
            raise PlacedError("", "a lane needs at least one point.", remedy="Leave the lane out instead.")
        points = tuple((float(t_s), float(value)) for t_s, value in self.points)
        table = np.array(points, dtype=np.float64)
        if not np.isfinite(table).all():
            index = int(np.argmin(np.isfinite(table).all(axis=1)))
            raise PlacedError(f"[{index}]", f"{list(points[index])} holds a value that is not a finite number.")
        steps_s = np.diff(table[:, 0])
        if (steps_s <= 0).any():
            index = int(np.argmax(steps_s <= 0)) + 1
            raise PlacedError(
                f"[{index}]",
                f"time {points[index][0]:g} s is not after {points[index - 1][0]:g} s of the point before.",
                remedy="Sort the points by time, one value for each time.",
            )
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "value_span", (float(table[:, 1].min()), float(table[:, 1].max())))

    @property
    def first_s(self) -> float:
        return self.points[0][0]

    @property
    def last_s(self) -> float:
        return self.points[-1][0]

    def with_points(self, points: Iterable[Point]) -> Lane:
        """The same interpolation through other points."""
        return Lane(tuple(points), self.interpolation)

    def value_at(self, t_s: float) -> float:
        """The curve's value at one time, in double precision: rounded to single it is what a frame there would get."""
        return float(self._at(np.array([t_s]))[0])

    def at_frames(self, start_frame: int, n_frames: int) -> Float32Array:
        """Values at the centres of frames [start_frame, start_frame + n_frames). -> [n_frames]"""
        return self.at_times(frame_centres_s(start_frame, n_frames))

    def at_times(self, times_s: np.ndarray) -> Float32Array:
        """Values at ascending `times_s` [n]. Looks only at the points near them; each value is independent of the rest.

        -> [n]
        """
        return self._at(times_s).astype(np.float32)

    def _at(self, times_s: np.ndarray) -> np.ndarray:
        """`at_times` before rounding, float64."""
        if len(times_s) == 0:
            return np.zeros(0)
        # Two points beyond either end: a smooth segment's slopes reach one point past the segment.
        first = max(bisect_right(self.points, (float(times_s[0]), math.inf)) - 3, 0)
        last = min(bisect_right(self.points, (float(times_s[-1]), math.inf)) + 3, len(self.points))
        near = np.array(self.points[first:last], dtype=np.float64)
        curve = {"linear": hold_linear, "step": hold_step, "smooth": hold_smooth}[self.interpolation]
        return curve(near[:, 0], near[:, 1], times_s)


@dataclass(frozen=True, slots=True)
class Take:
    """One kept rendering of a stretch of a voice. Its latents and audio lie beside the passage, named by their hashes.

    Comes back bit-identical under any weights. `audio_exponent`: the FLAC holds audio / 2**audio_exponent.
    """

    name: str
    start_s: float
    duration_s: float
    seed: int
    weights: str  # hash of the weights that made it
    quality: str
    latents_sha256: str
    audio_sha256: str
    audio_exponent: int = 0

    def __post_init__(self) -> None:
        check_number(self.start_s, 0.0, MAX_DURATION_S, "start_s")
        check_number(self.duration_s, HOP_S, MAX_DURATION_S, "duration_s")
        _check_seed(self.seed)
        check_number(self.audio_exponent, 0, 64, "audio_exponent")
        for key in ("latents_sha256", "audio_sha256"):
            digest = getattr(self, key)
            if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
                raise PlacedError(key, f"{digest!r} is not a SHA-256 in lower-case hexadecimal.")


@dataclass(frozen=True, slots=True)
class Voice:
    """One singer: who (preset, seed), the notes (kept sorted by start), the drawn lanes by lane id, gain and pan."""

    name: str = "Voice 1"
    preset: str | None = None
    seed: int = 0
    notes: tuple[Note, ...] = ()
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    takes: tuple[Take, ...] = ()
    gain_db: float = 0.0
    pan: float = 0.0  # -1 left .. 1 right

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise PlacedError("name", "a voice needs a name.")
        _check_seed(self.seed)
        check_number(self.gain_db, *GAIN_DB_RANGE, "gain_db")
        check_number(self.pan, -1.0, 1.0, "pan")
        object.__setattr__(self, "notes", _sorted_notes(self.notes))
        object.__setattr__(self, "takes", tuple(self.takes))
        for lane_id, drawn in self.lanes.items():
            with at(f"lanes.{lane_id}"):
                _check_lane_values(drawn, *lane_range(lane_id))
        object.__setattr__(self, "lanes", MappingProxyType(dict(self.lanes)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Passages travel between our own processes; a mapping proxy does not by itself."""
        lanes = dict(self.lanes)
        return Voice, (self.name, self.preset, self.seed, self.notes, lanes, self.takes, self.gain_db, self.pan)

    def note_index_at(self, t_s: float) -> int:
        """Index of the last note that has begun at `t_s`, -1 before the first."""
        return bisect_right(self.notes, t_s, key=_start_of) - 1


@dataclass(frozen=True, slots=True)
class Tempo:
    """Beats for the eye: (t_s, bpm) points, each valid until the next, and (t_s, beats, unit) metre changes."""

    points: tuple[Point, ...] = ((0.0, 120.0),)
    metre: tuple[tuple[float, int, int], ...] = ((0.0, 4, 4),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(cast(Point, tuple(point)) for point in self.points))
        object.__setattr__(self, "metre", tuple(tuple(change) for change in self.metre))
        _check_map_times([point[0] for point in self.points], "points")
        _check_map_times([change[0] for change in self.metre], "metre")
        for index, (_, bpm) in enumerate(self.points):
            check_number(bpm, *BPM_RANGE, f"points[{index}]")
        for index, (_, beats, unit) in enumerate(self.metre):
            check_number(beats, 1, 64, f"metre[{index}]")
            if unit not in (1, 2, 4, 8, 16, 32, 64):
                raise PlacedError(f"metre[{index}]", f"{unit!r} is not a note value.", remedy="Use 1, 2, 4 ... 64.")


@dataclass(frozen=True, slots=True)
class Passage:
    """A whole piece. `extensions` belongs to other programs and is kept untouched."""

    duration_s: float
    tempo: Tempo = field(default_factory=Tempo)
    voices: tuple[Voice, ...] = field(default_factory=lambda: (Voice(),))
    extensions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number(self.duration_s, 0.0, MAX_DURATION_S, "duration_s")
        if self.duration_s < HOP_S:
            raise PlacedError("duration_s", f"a passage lasts at least {HOP_S:g} s.")
        object.__setattr__(self, "voices", tuple(self.voices))
        if not self.voices:
            raise PlacedError("voices", "a passage needs at least one voice.")
        for index, voice in enumerate(self.voices):
            with at(f"voices[{index}]"):
                _check_voice_times(voice, self.duration_s)
        object.__setattr__(self, "extensions", MappingProxyType(dict(self.extensions)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Passages travel between our own processes; a mapping proxy does not by itself."""
        return Passage, (self.duration_s, self.tempo, self.voices, dict(self.extensions))

    @property
    def n_frames(self) -> int:
        """Frames that cover the passage, the last one possibly partial."""
        return math.ceil(self.duration_s * FRAME_RATE_HZ - TIME_TOLERANCE_S)

    def with_voice(self, index: int, voice: Voice) -> Passage:
        """The passage with voice `index` replaced."""
        return replace(self, voices=(*self.voices[:index], voice, *self.voices[index + 1 :]))


def frame_centres_s(start_frame: int, n_frames: int) -> np.ndarray:
    """Times of the centres of frames [start_frame, start_frame + n_frames), float64; the same for any window."""
    return (np.arange(start_frame, start_frame + n_frames) + 0.5) * HOP_S


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise PlacedError("seed", f"{seed!r} is not a whole number from 0 to 2**63 - 1.")


def _sorted_notes(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Notes are a set: their order in a file says nothing, so it is no fault either. Of equal starts the last wins."""
    return tuple(sorted(notes, key=_start_of))


def _check_lane_values(drawn: Lane, low: float, high: float) -> None:
    if drawn.value_span[0] >= low and drawn.value_span[1] <= high:
        return
    for index, (_, value) in enumerate(drawn.points):
        check_number(value, low, high, f"[{index}]")


def _check_voice_times(voice: Voice, duration_s: float) -> None:
    """Every point, note and take lies inside the passage."""
    latest_s = duration_s + TIME_TOLERANCE_S
    remedy = "Lengthen duration_s, or shorten what lies beyond it."
    for lane_id, drawn in voice.lanes.items():
        if drawn.first_s < 0:
            raise PlacedError(f"lanes.{lane_id}[0]", f"time {drawn.first_s:g} s is before the passage's start.")
        if drawn.last_s > latest_s:
            index = bisect_right(drawn.points, (latest_s, math.inf))
            raise PlacedError(
                f"lanes.{lane_id}[{index}]",
                f"time {drawn.points[index][0]:g} s is after the passage's end at {duration_s:g} s.",
                remedy=remedy,
            )
    for index, note in enumerate(voice.notes):
        if note.start_s + note.duration_s > latest_s:
            problem = f"ends at {note.end_s:g} s, after the passage's end at {duration_s:g} s."
            raise PlacedError(f"notes[{index}]", problem, remedy=remedy)
    for index, take in enumerate(voice.takes):
        if take.start_s >= latest_s:
            raise PlacedError(f"takes[{index}]", "starts after the passage's end.", remedy=remedy)


def _check_map_times(times_s: Sequence[float], key: str) -> None:
    if not times_s or times_s[0] != 0:
        raise PlacedError(key, "must begin at 0 s.")
    for index, t_s in enumerate(times_s):
        check_number(t_s, 0.0, MAX_DURATION_S, f"{key}[{index}]")
        if index and t_s <= times_s[index - 1]:
            raise PlacedError(f"{key}[{index}]", f"time {t_s:g} s is not after the one before.")
