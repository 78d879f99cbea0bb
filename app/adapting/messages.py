"""What the processes of an adaptation say. Frozen values; everything can be pickled, nothing needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from synth.spec import Float32Array

ENVELOPE_RATE_HZ: Final = 20  # of what is drawn of a recording
LANES_SHOWN: Final = ("pitch", "loudness", "breathiness", "roughness", "fry")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch that can be learnt from. technique: what it sounds like, "" where that was not measured."""

    start_s: float
    end_s: float
    technique: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a recording. is_refused: nothing of it can be learnt from."""

    message: str
    is_refused: bool


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """One recording that was looked at.

    envelope    RMS amplitude, ENVELOPE_RATE_HZ a second, [n]
    lanes       lane id -> [n], NaN where it was not measured or nobody sings
    techniques  technique -> share of what is sung that sounds like it, most first
    """

    path: Path
    name: str
    duration_s: float = 0.0
    envelope: Float32Array | None = None
    segments: tuple[Segment, ...] = ()
    problems: tuple[Problem, ...] = ()
    lanes: Mapping[str, Float32Array] = field(default_factory=dict)
    techniques: Mapping[str, float] = field(default_factory=dict)

    @property
    def usable_s(self) -> float:
        """Seconds that can be learnt from."""
        return sum(segment.end_s - segment.start_s for segment in self.segments)

    @property
    def is_refused(self) -> bool:
        """Whether nothing of it can be used."""
        return not self.segments or any(problem.is_refused for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Looked:
    """All has been looked at. passed_over: a line each for what was not."""

    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Doing:
    """What is being done, as words, and how much of it, 0..1."""

    what: str
    share: float


@dataclass(frozen=True, slots=True)
class Gathered:
    """What will be learnt from: seconds and segments by split, findings, as Material.as_dict gives it."""

    material: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """How the training goes. done: of all stages, 0..1; values that are not known are None."""

    step: int
    done: float
    left_s: float | None
    loss: float | None
    validation: float | None


@dataclass(frozen=True, slots=True)
class Heard:
    """A preview lies at `sound`; the first is the base's. control_error None where it could not be measured."""

    index: int
    seconds: float
    control_error: float | None
    sound: Path


@dataclass(frozen=True, slots=True)
class Stopped:
    """Ended on demand; the run can go on."""


@dataclass(frozen=True, slots=True)
class Finished:
    """There is an adapter. preset_id: installed; "" where it was not asked for.

    previews   folder of held-out recordings, sung before and after: 1_real.flac, 1_before.flac, 1_after.flac...
    """

    preset_id: str
    preset_name: str
    report: Mapping[str, Any]
    previews: Path


@dataclass(frozen=True, slots=True)
class Failed:
    """Ended by trouble, told in one line."""

    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class InputsFound:
    """Microphones by name, the system's default first."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """Of the microphone now. clipped: within the last block; seconds: recorded so far."""

    peak_db: float
    rms_db: float
    clipped: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """A take lies in a file. advice: what to do better, "" where it is good."""

    path: Path
    seconds: float
    advice: str


News = (
    FoundRecording | Looked | Doing | Gathered | Step | Heard | Stopped | Finished | Failed | InputsFound | Level
    | Recorded
)  # fmt: skip
